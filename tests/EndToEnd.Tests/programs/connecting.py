"""The name of a socket while it connects, and after that failed. Run natively and through NetKernel: the output must be the same.

    connecting.py server ADDRESS PORT
    connecting.py client ADDRESS PORT
"""
import errno, select, socket, sys, threading

role, address, port = sys.argv[1], sys.argv[2], int(sys.argv[3])
family = socket.AF_INET6 if ":" in address else socket.AF_INET


def serve(c):
    """Lines of a client: "full" makes a listener whose queue one connection fills, "accept" takes that and the one that waits, "closed" names a port where nobody listens."""
    with c, c.makefile("rw") as f, socket.socket(family) as bound:
        for line in f:
            if line == "full\n":
                listener = socket.create_server((address, 0), family=family, backlog=0)
                f.write(f"{listener.getsockname()[1]}\n")
            elif line == "accept\n":
                held = [listener.accept() for _ in range(2)]
                f.write(" ".join(str(peer[1]) for _, peer in held) + "\n")
                listener.close()
            else:
                bound.bind((address, 0))
                f.write(f"{bound.getsockname()[1]}\n")
            f.flush()


def start(s, to):
    s.setblocking(False)
    return errno.errorcode.get(s.connect_ex((address, to)))


def peer(s):
    try:
        return s.getpeername()
    except OSError as e:
        return errno.errorcode[e.errno]


def wait(s):
    return bool(select.select([], [s], [], 20)[1])


if role == "server":
    s = socket.create_server((address, port), family=family)
    print("ready", s.getsockname()[1], flush=True)
    while True:
        threading.Thread(target=serve, args=(s.accept()[0],), daemon=True).start()

control = socket.create_connection((address, port))
own = control.getsockname()[0]
f = control.makefile("rw")


def ask(line):
    f.write(line + "\n")
    f.flush()
    return f.readline().split()


for port in 0, 1:
    full = int(ask("full")[0])
    first = socket.create_connection((address, full))
    s = socket.socket(family)
    if port:
        s.bind(("", 0))
        port = s.getsockname()[1]
    print("under way:", start(s, full), end=" ")
    name = s.getsockname()
    print(name[0] == own, name[1] != 0 if port == 0 else name[1] == port, s.getsockname() == name, peer(s), s.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR))
    ports = ask("accept")
    print("connected:", wait(s), s.getsockname() == name, str(name[1]) in ports)

closed = int(ask("closed")[0])
refused = socket.socket(family)
print("to be refused:", start(refused, closed), end=" ")
name = refused.getsockname()
print(name[0] == own, name[1] != 0, wait(refused), refused.getsockname() == name)
print("refused:", start(refused, closed), refused.getsockname()[0], refused.getsockname()[1] == name[1], peer(refused))

blocking = socket.socket(family)
print("refused at once:", errno.errorcode.get(blocking.connect_ex((address, closed))), blocking.getsockname()[0], blocking.getsockname()[1] != 0)
blocking.bind(("", 0))
again = blocking.getsockname()
print("bound then:", again[0], again[1] != 0)
blocking.listen(1)
print("listening:", blocking.getsockname() == again)

late = socket.socket(family)
start(late, closed)
wait(late)
print("listen after a failed attempt:", start(late, closed), end=" ")
late.listen(1)
print(late.getsockname()[0], late.getsockname()[1] != 0)
