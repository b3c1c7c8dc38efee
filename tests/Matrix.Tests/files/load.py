"""Fetches one page over and over, a new connection each, from four threads, until the file named last exists; says whether any failed.
Writes the file load.more after each hundred pages."""
import os
import socket
import sys
import threading

host, port, path, stop = sys.argv[1], int(sys.argv[2]), sys.argv[3], sys.argv[4]
LIMIT = 50000
lock = threading.Lock()
bodies, failures, count = set(), [], 0


def fetch():
    with socket.create_connection((host, port), 10) as s:
        s.sendall(f"GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
        answer = b""
        while data := s.recv(65536):
            answer += data
    head, _, body = answer.partition(b"\r\n\r\n")
    if not head.startswith(b"HTTP/1.1 200 "):
        raise OSError(f"answer {answer[:40]!r}")
    return body


def run():
    global count
    while not os.path.exists(stop):
        try:
            body = fetch()
        except OSError as e:
            body = None
            failures.append(repr(e))
        with lock:
            count += 1
            if body is not None:
                bodies.add(body)
            if count % 100 == 0:
                open("load.more", "w").close()
            if count > LIMIT:
                failures.append("never told to stop")
                return


threads = [threading.Thread(target=run) for _ in range(4)]
for t in threads:
    t.start()
for t in threads:
    t.join()
print(len(failures), "failures", sorted(set(failures)))
print(sorted(bodies))
