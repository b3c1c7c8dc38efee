"""Waiting as a program sees it, case by case. Run natively and through NetKernel: the output must be the same.

    waiting.py ADDRESS PORT [CASE...]           ADDRESS PORT: where puppet.py serves

The cases lie in waiting_*.py: every function whose name starts with "case_" gets a Peer and returns something printable that must not depend on timing.
"""
import errno, os, select, signal, socket, sys, time
import waiting_epoll, waiting_fds, waiting_nested, waiting_poll, waiting_threads

signal.signal(signal.SIGPIPE, signal.SIG_IGN)


class Peer:
    """The puppet, and connections to it."""

    def __init__(self, address, port):
        self.address, self.port = address, port
        self.family = socket.AF_INET6 if ":" in address else socket.AF_INET
        self.control = socket.create_connection((address, port), timeout=20)
        self.control.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.control.sendall(b"control\n")
        self.lines = self.control.makefile("r")
        self.open = []

    def do(self, *words):
        """Has the puppet do something; its answer, once it is done."""
        self.control.sendall(" ".join(map(str, words)).encode() + b"\n")
        return self.lines.readline().strip()

    def start(self, *words):
        """As do, without waiting for the answer: see finish."""
        self.control.sendall(" ".join(map(str, words)).encode() + b"\n")

    def finish(self):
        return self.lines.readline().strip()

    def connect(self, blocking=True):
        """A connection: the socket, and its name at the puppet. It shows nothing but OUT."""
        c = socket.create_connection((self.address, self.port), timeout=20)
        c.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        number = self.do("new")
        c.sendall(f"data {number}\n".encode())
        self.do(number, "wait")
        c.settimeout(None)
        c.setblocking(blocking)
        self.open.append(c)
        return c, number

    def socket(self):
        s = socket.socket(self.family)
        self.open.append(s)
        return s

    def listener(self):
        """A listening socket that the puppet can dial."""
        s = self.socket()
        s.bind(("", 0))
        s.listen(16)
        own = self.control.getsockname()[0]
        return s, (own, s.getsockname()[1])

    def clean(self):
        for s in self.open:
            s.close()
        self.open.clear()


def run(peer, only):
    for module in (waiting_epoll, waiting_nested, waiting_fds, waiting_poll, waiting_threads):
        for name in [n for n in dir(module) if n.startswith("case_")]:
            if only and name[5:] not in only:
                continue
            try:
                out = getattr(module, name)(peer)
            except Exception as e:
                out = f"raised {type(e).__name__} {e} at line {e.__traceback__.tb_next.tb_lineno}"
            print(name[5:], out, flush=True)
            peer.clean()


if __name__ == "__main__":
    run(Peer(sys.argv[1], int(sys.argv[2])), sys.argv[3:])
