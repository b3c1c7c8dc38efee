"""The other end of the process tests. peer.py ADDRESS PORT; prints "ready PORT". The first line of a connection says what it is for:

    echo                     echoes until end of file, then closes
    hold NAME                reads until the connection ends, and remembers how
    ended NAME               answers how that one ended: "eof N" (bytes read before), "reset", or "open" when it has not within 20 s
    alive NAME               answers "open" or "ended", as it is now
    dial HOST PORT TEXT      connects there, sends TEXT and a line feed, answers what comes back until end of file
    dials N HOST PORT TEXT   N times at once; answers how often each answer came
"""
import collections, os, socket, sys, threading

ended = {}
changed = threading.Condition()


def read_line(c):
    line = b""
    while not line.endswith(b"\n"):
        b = c.recv(1)
        if not b:
            return None
        line += b
    return line.decode().strip()


def read_all(c):
    data = b""
    while True:
        d = c.recv(65536)
        if not d:
            return data
        data += d


def dial(host, port, text):
    try:
        with socket.create_connection((host, int(port)), timeout=200) as c:
            c.sendall(text.encode() + b"\n")
            return read_all(c)
    except OSError as e:
        return type(e).__name__.encode()


def dials(count, host, port, text):
    answers = collections.Counter()
    def one():
        answers[dial(host, port, text).decode()] += 1
    threads = [threading.Thread(target=one) for _ in range(int(count))]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    return "\n".join(f"{n} x {a}" for a, n in sorted(answers.items())).encode()


def hold(c, name):
    n = 0
    try:
        while True:
            d = c.recv(65536)
            if not d:
                how = f"eof {n}"
                break
            n += len(d)
    except ConnectionResetError:
        how = "reset"
    with changed:
        ended[name] = how
        changed.notify_all()


def serve(c):
    try:
        with c:
            line = read_line(c)
            if not line:
                return
            cmd, *args = line.split(" ")
            if cmd == "echo":
                while True:
                    d = c.recv(65536)
                    if not d:
                        break
                    c.sendall(d)
            elif cmd == "hold":
                c.sendall(b"held\n")
                hold(c, args[0])
            elif cmd == "ended":
                with changed:
                    changed.wait_for(lambda: args[0] in ended, 20)
                    c.sendall(ended.pop(args[0], "open").encode())
            elif cmd == "alive":
                c.sendall(b"ended" if args[0] in ended else b"open")
            elif cmd == "dial":
                c.sendall(dial(args[0], args[1], " ".join(args[2:])))
            elif cmd == "dials":
                c.sendall(dials(args[0], args[1], args[2], " ".join(args[3:])))
            else:
                c.sendall(b"what?\n")
    except OSError:
        pass


s = socket.socket(socket.AF_INET6 if ":" in sys.argv[1] else socket.AF_INET)
s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
s.bind((sys.argv[1], int(sys.argv[2])))
s.listen(1000)
print("ready", s.getsockname()[1], flush=True)
while True:
    c, _ = s.accept()
    threading.Thread(target=serve, args=(c,), daemon=True).start()
