"""What datagram sockets do, case by case, as a program sees it. Run natively and through NetKernel: the output must be the same.

    datagrams.py server ADDRESS PORT [COUNT]    echoes until it is ended; prints its address
    datagrams.py client ADDRESS PORT            runs every case, prints one line each

The server answers a datagram by its first bytes: "echo..." comes back; "sizeN" is answered with N bytes; "manyN K" with N datagrams of K bytes;
"who" with the sender's address as seen there; "other" is answered from another port.
"""
import array, errno, fcntl, hashlib, os, select, signal, socket, struct, sys, termios, threading, time


def family_of(address):
    return socket.AF_INET6 if ":" in address else socket.AF_INET


def pattern(n, seed=1):
    block = hashlib.sha256(str(seed).encode()).digest() * 2048
    return (block * (n // len(block) + 1))[:n]


def server(address, port):
    family = family_of(address)
    s = socket.socket(family, socket.SOCK_DGRAM)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
    s.bind(("::" if family == socket.AF_INET6 else "0.0.0.0", port))
    other = socket.socket(family, socket.SOCK_DGRAM)
    other.bind(("::" if family == socket.AF_INET6 else "0.0.0.0", 0))
    print("ready", s.getsockname()[1], flush=True)
    while True:
        d, peer = s.recvfrom(70000)
        if d.startswith(b"size"):
            n = int(d[4:].decode())
            s.sendto(pattern(n, n), peer)
        elif d.startswith(b"many"):
            n, k = map(int, d[4:].split())
            for i in range(n):
                s.sendto(struct.pack("!I", i) + pattern(k - 4, i), peer)
        elif d == b"who":
            s.sendto(f"{peer[0]} {peer[1]}".encode(), peer)
        elif d == b"other":
            other.sendto(b"stranger", peer)
            s.sendto(b"known", peer)
        elif d.startswith(b"mute"):
            pass
        else:
            s.sendto(d, peer)


def name(e):
    return errno.errorcode.get(e, str(e))


class Client:
    def __init__(self, address, port):
        self.address, self.port, self.family = address, port, family_of(address)
        self.peer = (address, port)
        self.any = ("::" if self.family == socket.AF_INET6 else "0.0.0.0", 0)

    def socket(self, connect=False, bind=False):
        s = socket.socket(self.family, socket.SOCK_DGRAM)
        s.settimeout(20)
        if bind:
            s.bind(self.any)
        if connect:
            s.connect(self.peer)
        return s

    def fails(self, action):
        try:
            action()
            return "ok"
        except OSError as e:
            return name(e.errno)

    # each case returns something printable that must not depend on timing

    def case_echo(self):
        with self.socket() as s:
            out = []
            for i in range(50):
                s.sendto(b"echo%d" % i, self.peer)
                d, a = s.recvfrom(100)
                out.append((d.decode(), a[:2] == self.peer))
            return out[-1], len(out), all(ok for _, ok in out)

    def case_sizes(self):
        most = 65507 if self.family == socket.AF_INET else 65527
        with self.socket() as s:
            ok = True
            for n in (0, 1, 2, 63, 64, 65, 1472, 1473, 1983, 1984, 1985, 16319, 16320, 16321, 65471, 65472, 65473, most):
                d = pattern(n, n)
                d = d if not d[:1] in (b"s", b"m", b"w", b"o") else b"x" + d[1:]
                s.sendto(d, self.peer)
                ok = ok and s.recv(70000) == d
            return ok, self.fails(lambda: s.sendto(bytes(most + 1), self.peer)), self.fails(lambda: s.sendto(bytes(70000), self.peer))

    def case_connected(self):
        with self.socket(connect=True) as s:
            s.send(b"echo a")
            first = s.recv(100)
            s.sendto(b"echo b", self.peer)
            second = s.recvfrom(100)
            s.send(b"other")
            third = s.recv(100)
            return first, second[0], second[1][:2] == self.peer, third, s.getpeername()[:2] == self.peer, s.getsockname()[1] != 0


def client(address, port):
    c = Client(address, port)
    for case in sorted(n for n in dir(c) if n.startswith("case_")):
        try:
            result = getattr(c, case)()
        except Exception as e:
            result = f"{type(e).__name__}: {e}"
        print(case[5:], result, flush=True)


if __name__ == "__main__":
    if sys.argv[1] == "server":
        server(sys.argv[2], int(sys.argv[3]))
    else:
        client(sys.argv[2], int(sys.argv[3]))
