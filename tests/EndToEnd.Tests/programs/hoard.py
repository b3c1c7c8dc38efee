"""Many sockets that do not move, and one that does.

hoard.py peer ADDRESS PORT             the other end: prints "ready PORT". The first byte of a connection says what it does: m reads nothing, e echoes, f sends as much
                                       as goes (byte i is i % 251) and ends when the client says d, telling how much it was (8 bytes, behind everything else)
hoard.py send ADDRESS PORT COUNT       fills COUNT connections to peers that do not read, until the kernel says EAGAIN; then moves data through others
hoard.py receive ADDRESS PORT COUNT    lets COUNT connections that it does not read be filled, moves data through others, and reads them all in the end
hoard.py hold ADDRESS PORT COUNT       as send, then waits to be killed
hoard.py close ADDRESS PORT COUNT      as send, then closes them all, and moves data through another

What is printed is the same natively and through NetKernel.
"""
import errno, hashlib, resource, select, selectors, socket, struct, sys, time

_, most = resource.getrlimit(resource.RLIMIT_NOFILE)
resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
PATTERN = bytes(i % 251 for i in range(251 * 300))
MOVED = 2 << 20


class Flood:
    """One connection that the peer fills."""

    def __init__(self, c):
        self.c, self.sent, self.last = c, 0, None

    def pump(self):
        """Sends as much as goes; true when all has been said."""
        try:
            while self.last is None:
                self.sent += self.c.send(PATTERN[self.sent % 251:][:65536 - 65536 % 251])
            while self.last:
                self.last = self.last[self.c.send(self.last):]
            return True
        except BlockingIOError:
            return False

    def end(self):
        self.last = struct.pack("!Q", self.sent)


def peer(address, port):
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 32768)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 65536)
    listener.bind((address, port))
    listener.listen(1024)
    poller = selectors.DefaultSelector()
    poller.register(listener, selectors.EVENT_READ, None)
    held = []
    print("ready", listener.getsockname()[1], flush=True)
    while True:
        for key, events in poller.select():
            if key.data is None:
                c, _ = listener.accept()
                poller.register(c, selectors.EVENT_READ, "new")
                continue
            c = key.fileobj
            if key.data == "new":
                kind = c.recv(1)
                if kind == b"m":
                    held.append(c)
                    poller.unregister(c)
                elif kind == b"f":
                    c.setblocking(False)
                    poller.modify(c, selectors.EVENT_READ | selectors.EVENT_WRITE, Flood(c))
                elif kind == b"e":
                    poller.modify(c, selectors.EVENT_READ, "echo")
                else:
                    poller.unregister(c)
                    c.close()
            elif key.data == "echo":
                try:
                    data = c.recv(65536)
                    c.sendall(data)
                except OSError:
                    data = b""
                if not data:
                    poller.unregister(c)
                    c.close()
            else:
                try:
                    if events & selectors.EVENT_READ:
                        if c.recv(1) != b"d":
                            raise ConnectionResetError
                        key.data.end()
                        poller.modify(c, selectors.EVENT_WRITE, key.data)
                    over = key.data.pump()
                except OSError:
                    over = True
                if over:
                    poller.unregister(c)
                    c.close()


def connect(address, port, kind):
    c = socket.create_connection((address, port), timeout=30)
    c.sendall(kind)
    return c


def move(c, what):
    """An echo, a message at a time and a stream: equal byte for byte, each in 30 s."""
    c.settimeout(30)
    data = hashlib.shake_128(what.encode()).digest(MOVED)
    wrong = 0
    for i in range(50):
        message = data[i * 300:][:1 + i * 7]
        c.sendall(message)
        got = b""
        while len(got) < len(message):
            got += c.recv(len(message) - len(got))
        wrong += got != message
    got = bytearray()
    for start in range(0, MOVED, 16384):
        c.sendall(data[start:start + 16384])
        while len(got) < start + 16384:
            got += c.recv(65536)
    print(what, "messages wrong", wrong, "stream", "equal" if got == data else "different", flush=True)


def fill(held):
    """Until none is writable for a while: then the other ends' buffers are full, too. Bytes, or None after a minute."""
    poll = select.poll()
    sent = {}
    for c in held:
        c.setblocking(False)
        sent[c.fileno()] = 0
        poll.register(c, select.POLLOUT)
    by_fd = {c.fileno(): c for c in held}
    end = time.monotonic() + 60
    while ready := poll.poll(500):
        for fd, _ in ready:
            try:
                while True:
                    sent[fd] += by_fd[fd].send(PATTERN[sent[fd] % 251:][:32768])
            except BlockingIOError:
                pass
        if time.monotonic() > end:
            return None
    return sum(sent.values())


def hoard(address, port, count):
    early = connect(address, port, b"e")
    held = [connect(address, port, b"m") for _ in range(count)]
    sent = fill(held)
    print("filled", count, "none writable" if sent else "writable for ever", flush=True)
    print(sent, "bytes wait", file=sys.stderr)
    move(early, "opened before")
    late = connect(address, port, b"e")
    move(late, "opened after")
    held[0].setblocking(True)
    held[0].settimeout(0.3)
    try:
        while True:
            held[0].send(PATTERN)
    except TimeoutError:
        print("a blocking send waits", flush=True)
    held[0].setblocking(False)
    return held, early


def receive(address, port, count):
    early = connect(address, port, b"e")
    held = [connect(address, port, b"f") for _ in range(count)]
    time.sleep(0.5)
    move(early, "opened before")
    late = connect(address, port, b"e")
    move(late, "opened after")
    wrong = 0
    for c in held:
        c.settimeout(30)
        c.sendall(b"d")
    for c in held:
        got = bytearray()
        while data := c.recv(1 << 20):
            got += data
        count_said = struct.unpack("!Q", got[-8:])[0]
        body = bytes(got[:-8])
        whole = PATTERN * (len(body) // len(PATTERN) + 1)
        wrong += len(body) != count_said or body != whole[:len(body)]
        c.close()
    print("read", count, "wrong", wrong, flush=True)
    move(late, "at the end")


mode, address, port = sys.argv[1], sys.argv[2], int(sys.argv[3])
if mode == "peer":
    peer(address, port)
elif mode == "receive":
    receive(address, port, int(sys.argv[4]))
else:
    held, early = hoard(address, port, int(sys.argv[4]))
    if mode == "hold":
        print("held", flush=True)
        time.sleep(3600)
    if mode == "close":
        for c in held:
            c.close()
        move(early, "after closing")
        print("closed", flush=True)
        time.sleep(3600)
