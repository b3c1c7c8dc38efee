"""Thirty threads of clients, and a pool of processes, for prefork_server.py."""
import multiprocessing
import multiprocessing.managers
import socket
import sys
import threading

host = sys.argv[1]


def talk(port, n):
    with socket.create_connection((host, port), 20) as s, s.makefile("rwb") as f:
        for i in range(20):
            f.write(f"line {i} of {n}\n".encode())
        f.flush()
        s.shutdown(socket.SHUT_WR)
        return f.read()


def check(port, n):
    lines = [f"line {i} of {n}\n".encode() for i in range(20)]
    return talk(port, n) == b"".join(l[::-1] if port == 8201 else l.upper() for l in lines)


def many(port):
    results = []
    threads = [threading.Thread(target=lambda n=n: results.append(check(port, n))) for n in range(30)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    print(port, sum(results))


class Manager(multiprocessing.managers.BaseManager):
    pass


def add(n):
    m = Manager((host, 8204), b"key")
    m.connect()
    m.counter().add(n)
    return n


if __name__ == "__main__":
    many(8201)
    many(8202)
    many(8203)
    Manager.register("counter")
    with multiprocessing.Pool(4) as pool:
        print(sorted(pool.starmap(check, [(8202, n) for n in range(12)])))
        print(sum(pool.map(add, range(20))))
    m = Manager((host, 8204), b"key")
    m.connect()
    print(m.counter().add(0))
