"""Checked streams on many connections at once.

streams.py server ADDRESS PORT           receives; every byte must be the next of its stream; prints "ready", and when a stream has ended or failed one line about it
streams.py client ADDRESS PORT COUNT [PAUSE]   sends on COUNT connections until they fail or SIGTERM comes; prints "up" when every server thread has got data, then how each ended.
                                         PAUSE: seconds after each 32 KB, for who wants something else to run beside it

A line: "end NAME streams ok=COUNT bad=COUNT bytes=SUM at TIME" once all have ended, NAME=COUNT for each way of ending.
"""
import errno, hashlib, signal, socket, sys, threading, time

role, address, port = sys.argv[1], sys.argv[2], int(sys.argv[3])
stop = threading.Event()
signal.signal(signal.SIGTERM, lambda *_: stop.set())
BLOCK = 32768


def block(stream, i):
    return hashlib.sha256(b"%d:%d" % (stream, i)).digest() * (BLOCK // 32)


class Ends:
    def __init__(self):
        self.lock, self.ways, self.bytes, self.bad = threading.Lock(), {}, 0, 0

    def note(self, way, count, bad=False):
        with self.lock:
            self.ways[way] = self.ways.get(way, 0) + 1
            self.bytes += count
            self.bad += bad

    def tell(self):
        ways = " ".join(f"{k}={v}" for k, v in sorted(self.ways.items()))
        print(f"end {ways} bad={self.bad} bytes={self.bytes} at {time.time():.4f}", flush=True)


def receive(c, stream, ends):
    got, bad, way = 0, False, "EOF"
    try:
        c.sendall(b"+")
        rest = b""
        while True:
            d = c.recv(1 << 18)
            if not d:
                break
            at = 0
            while at < len(d):
                if not rest:
                    rest = block(stream, got // BLOCK)
                n = min(len(rest), len(d) - at)
                bad = bad or d[at:at + n] != rest[:n]
                rest = rest[n:]
                at += n
                got += n
    except OSError as e:
        way = errno.errorcode[e.errno]
    ends.note(way, got, bad)
    c.close()


def send(c, stream, ready, ends):
    sent, way = 0, "STOPPED"
    try:
        c.sendall(b"%04d%04d" % (stream, count))
        assert c.recv(1) == b"+"
        ready.release()
        i = 0
        while not stop.is_set():
            c.sendall(block(stream, i))
            sent += BLOCK
            i += 1
            if pause:
                time.sleep(pause)
    except OSError as e:
        way = errno.errorcode[e.errno]
    ends.note(way, sent)
    c.close()


def begin(c):
    """What a client says first: the number of the stream, and of its streams."""
    head = b""
    while len(head) < 8:
        d = c.recv(8 - len(head))
        if not d:
            raise ConnectionResetError(errno.ECONNRESET, "no head")
        head += d
    return int(head[:4]), int(head[4:])


if role == "server":
    s = socket.create_server((address, port), family=socket.AF_INET6 if ":" in address else socket.AF_INET, backlog=256)
    print("ready", s.getsockname()[1], flush=True)
    while True:
        ends, threads, count = Ends(), [], 1
        while len(threads) < count:
            try:
                c, _ = s.accept()
                stream, count = begin(c)
            except OSError as e:
                ends.note(errno.errorcode[e.errno], 0)
                break
            threads.append(threading.Thread(target=receive, args=(c, stream, ends)))
            threads[-1].start()
        for t in threads:
            t.join()
        ends.tell()
else:
    ends, ready, threads = Ends(), threading.Semaphore(0), []
    count, pause = int(sys.argv[4]), float(sys.argv[5]) if len(sys.argv) > 5 else 0
    for i in range(count):
        t = threading.Thread(target=send, args=(socket.create_connection((address, port), timeout=20), i, ready, ends))
        t.start()
        threads.append(t)
    for _ in threads:
        ready.acquire()
    print("up", flush=True)
    for t in threads:
        t.join()
    ends.tell()
