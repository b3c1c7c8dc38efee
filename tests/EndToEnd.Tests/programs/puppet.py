"""A peer that does on its connections what the other side tells it to, over a control connection of its own.

    puppet.py ADDRESS PORT

Control connection: "control\n", then commands, one a line, each answered with one line. Data connection: "data ID\n" first.
Commands: new | ID send N | ID read N | ID shut | ID close | ID reset | ID count | dial HOST PORT | wait ID
"""
import socket, struct, sys, threading

links, arrived = {}, threading.Condition()
counter = iter(range(1, 1 << 30))


def read_line(c):
    line = b""
    while not line.endswith(b"\n"):
        b = c.recv(1)
        if not b:
            return None
        line += b
    return line.decode().split()


def put(number, c):
    with arrived:
        links[number] = c
        arrived.notify_all()


def link(number):
    with arrived:
        arrived.wait_for(lambda: number in links, 20)
        return links[number]


def read(c, n):
    got = 0
    while got < n:
        d = c.recv(min(n - got, 1 << 20))
        if not d:
            return f"end {got}"
        got += len(d)
    return f"ok {got}"


def read_all(c):
    got = 0
    try:
        while d := c.recv(1 << 20):
            got += len(d)
        return f"end {got}"
    except OSError as e:
        return f"{e.errno} {got}"


def act(words):
    if words[0] == "new":
        return str(next(counter))
    if words[0] == "dial":
        number = next(counter)
        put(number, socket.create_connection((words[1], int(words[2])), timeout=20))
        return str(number)
    number, verb, *rest = words
    c = link(int(number))
    if verb == "wait":
        return "ok"
    if verb == "send":
        c.sendall(b"x" * int(rest[0]))
    elif verb == "read":
        return read(c, int(rest[0]))
    elif verb == "all":
        return read_all(c)
    elif verb == "shut":
        c.shutdown(socket.SHUT_WR)
    elif verb == "close":
        c.close()
    elif verb == "reset":
        c.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        c.close()
    return "ok"


def control(c):
    with c:
        while words := read_line(c):
            try:
                answer = act(words)
            except (OSError, KeyError) as e:
                answer = f"failed {e!r}"
            c.sendall(answer.encode() + b"\n")


def serve(c):
    c.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    try:
        words = read_line(c)
    except OSError:
        words = None
    if not words:
        c.close()
    elif words[0] == "control":
        control(c)
    else:
        put(int(words[1]), c)


def main(address, port):
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    s = socket.socket(family)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)  # does not grow: who sends can fill it
    s.bind((address, port))
    s.listen(512)
    print("ready", s.getsockname()[1], flush=True)
    while True:
        c, _ = s.accept()
        threading.Thread(target=serve, args=(c,), daemon=True).start()


main(sys.argv[1], int(sys.argv[2]))
