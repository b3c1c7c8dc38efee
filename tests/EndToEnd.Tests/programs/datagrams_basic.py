"""Cases: data, boundaries, lengths, several at once."""
import array, ctypes, fcntl, os, socket, struct, termios, threading, time
from datagrams import pattern
from datagrams_base import Base, libc, name


class IoVec(ctypes.Structure):
    _fields_ = [("base", ctypes.c_void_p), ("length", ctypes.c_size_t)]


class MsgHdr(ctypes.Structure):
    _fields_ = [("name", ctypes.c_void_p), ("namelen", ctypes.c_uint), ("iov", ctypes.POINTER(IoVec)), ("iovlen", ctypes.c_size_t),
                ("control", ctypes.c_void_p), ("controllen", ctypes.c_size_t), ("flags", ctypes.c_int)]


class MMsgHdr(ctypes.Structure):
    _fields_ = [("header", MsgHdr), ("length", ctypes.c_uint)]


def messages(buffers):
    """An mmsghdr array over ctypes buffers, which must outlive it."""
    vectors = (IoVec * len(buffers))(*[IoVec(ctypes.addressof(b), len(b)) for b in buffers])
    array_ = (MMsgHdr * len(buffers))()
    for i in range(len(buffers)):
        array_[i].header.iov = ctypes.pointer(vectors[i])
        array_[i].header.iovlen = 1
    return array_, vectors


class Cases(Base):
    def case_echo(self):
        with self.socket() as s:
            out = []
            for i in range(50):
                s.sendto(b"echo%d" % i, self.peer)
                d, a = s.recvfrom(100)
                out.append((d.decode(), a[:2] == self.peer))
            return out[-1], len(out), all(ok for _, ok in out)

    def case_sizes(self):
        most = 65527 if self.six else 65507
        with self.socket() as s:
            ok = True
            for n in (0, 1, 2, 63, 64, 65, 1472, 1473, 1983, 1984, 1985, 16319, 16320, 16321, 65471, 65472, 65473, most):
                d = b"x" * min(n, 1) + pattern(max(n - 1, 0), n)
                s.sendto(d, self.peer)
                ok = ok and s.recv(70000) == d
            return ok, self.fails(lambda: s.sendto(bytes(most + 1), self.peer)), self.fails(lambda: s.sendto(bytes(70000), self.peer))

    def case_zero_length(self):
        with self.socket(connect=True) as s:
            out = [s.send(b""), s.recv(100)]
            out += [os.write(s.fileno(), b""), s.recvfrom(100)[0]]
            s.send(b"")
            s.send(b"next")
            out += [s.recv(100), os.read(s.fileno(), 0), s.recv(100)]
            s.setblocking(False)
            return out, self.fails(lambda: s.recv(0))

    def case_boundaries(self):
        with self.socket(connect=True) as s:
            for d in (b"one", b"two two", b"three three three"):
                s.send(d)
            out = [s.recv(5), s.recv(5), s.recv(5)]
            s.setblocking(False)
            return out, self.fails(lambda: s.recv(5))

    def case_truncation(self):
        with self.socket(connect=True) as s:
            s.send(b"size100")
            d, control, flags, _ = s.recvmsg(10)
            out = [d == pattern(100, 100)[:10], flags & socket.MSG_TRUNC != 0]
            s.send(b"size3000")
            d = bytearray(10)
            out.append(s.recv_into(d, 10, socket.MSG_TRUNC))
            s.send(b"size50000")
            out.append(s.recv_into(d, 10, socket.MSG_TRUNC | socket.MSG_PEEK))
            out.append(s.recvmsg(50000)[2])
            s.send(b"size60")
            out.append(s.recvmsg_into([bytearray(20), bytearray(20), bytearray(20)])[::2])
            return out

    def case_peek(self):
        with self.socket(connect=True) as s:
            s.send(b"echo 1")
            out = [s.recv(3, socket.MSG_PEEK), s.recv(100, socket.MSG_PEEK), s.recvfrom(100, socket.MSG_PEEK)[1][:2] == self.peer, s.recv(100)]
            s.setblocking(False)
            return out, self.fails(lambda: s.recv(1, socket.MSG_PEEK))

    def case_fionread(self):
        with self.socket(connect=True) as s:
            n = array.array("i", [-1])
            out = []

            def available():
                fcntl.ioctl(s.fileno(), termios.FIONREAD, n)
                return n[0]

            out.append(available())
            s.send(b"many3 100")
            for _ in range(3):
                s.recv(1, socket.MSG_PEEK)
                out.append(available())
                s.recv(50)
            s.send(b"")
            s.recv(0, socket.MSG_PEEK)
            out.append(available())
            s.recv(10)
            s.send(b"size40000")
            s.recv(1, socket.MSG_PEEK)
            out.append(available())
            return out

    def case_many(self):
        with self.socket(connect=True) as s:
            s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
            s.send(b"many200 700")
            got = [s.recv(2000) for _ in range(200)]
            return [struct.unpack("!I", d[:4])[0] for d in got] == list(range(200)), all(d[4:] == pattern(696, i) for i, d in enumerate(got))

    def case_scatter_gather(self):
        with self.socket(connect=True) as s:
            sent = s.sendmsg([b"ab", b"", b"cdefg", b"h" * 3000])
            parts = [bytearray(1), bytearray(5), bytearray(4000)]
            got = s.recvmsg_into(parts)[0]
            s.send(b"echo readv")
            wide = [bytearray(4), bytearray(3), bytearray(50)]
            n = os.readv(s.fileno(), wide)
            return sent, got, bytes(parts[0]), bytes(parts[1]), bytes(parts[2][:3001]) == b"g" + b"h" * 3000, n, os.writev(s.fileno(), [b"mute", b"d"])

    def case_sendmmsg(self):
        with self.socket(connect=True) as s:
            buffers = [ctypes.create_string_buffer(b"echo %d" % i, 6 if i < 10 else 7) for i in range(40)]
            array_, vectors = messages(buffers)
            sent = libc.sendmmsg(s.fileno(), array_, 40, 0)
            got = sorted(s.recv(100) for _ in range(40))
            return sent, got == sorted(b.raw for b in buffers), [array_[i].length for i in (0, 9, 10, 39)]

    def case_sendmmsg_error(self):
        with self.socket(connect=True) as s:
            buffers = [ctypes.create_string_buffer(b"mute a", 6), ctypes.create_string_buffer(70000), ctypes.create_string_buffer(b"mute b", 6)]
            array_, vectors = messages(buffers)
            first = libc.sendmmsg(s.fileno(), array_, 3, 0)
            second = libc.sendmmsg(s.fileno(), ctypes.byref(array_, ctypes.sizeof(MMsgHdr)), 2, 0)
            return first, second, name(ctypes.get_errno()), libc.sendmmsg(s.fileno(), array_, 0, 0)

    def case_recvmmsg(self):
        with self.socket(connect=True) as s:
            s.send(b"many5 100")
            for _ in range(1):
                s.recv(1, socket.MSG_PEEK)
            buffers = [ctypes.create_string_buffer(60) for _ in range(8)]
            array_, vectors = messages(buffers)
            got = 0
            while got < 5:  # waits for the first only
                n = libc.recvmmsg(s.fileno(), ctypes.byref(array_, got * ctypes.sizeof(MMsgHdr)), 8 - got, 0x10000, None)
                if n <= 0:
                    return n, name(ctypes.get_errno())
                got += n
            order = [struct.unpack("!I", buffers[i].raw[:4])[0] for i in range(5)]
            lengths = [array_[i].length for i in range(5)], [array_[i].header.flags & socket.MSG_TRUNC != 0 for i in range(5)]
            more = libc.recvmmsg(s.fileno(), array_, 8, socket.MSG_DONTWAIT, None), name(ctypes.get_errno())
            return order, lengths, more

    def case_recvmmsg_timeout(self):
        class Time(ctypes.Structure):
            _fields_ = [("seconds", ctypes.c_long), ("nanoseconds", ctypes.c_long)]

        with self.socket(connect=True) as s:
            s.send(b"many2 10")
            buffers = [ctypes.create_string_buffer(60) for _ in range(8)]
            array_, vectors = messages(buffers)
            zero, bad = Time(0, 0), Time(0, 2_000_000_000)
            one = libc.recvmmsg(s.fileno(), array_, 8, 0, ctypes.byref(zero))  # time is looked at after a datagram only
            wrong = libc.recvmmsg(s.fileno(), array_, 8, 0, ctypes.byref(bad)), name(ctypes.get_errno())
            long_ = Time(100, 0)
            two = libc.recvmmsg(s.fileno(), array_, 1, 0, ctypes.byref(long_))
            return one, zero.seconds, zero.nanoseconds, wrong, two, 0 < long_.seconds < 100

    def case_threads(self):
        with self.socket(connect=True) as s:
            s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
            got, lock = set(), threading.Lock()

            def receive():
                while True:
                    d = s.recv(100)
                    if d == b"stop":
                        return
                    with lock:
                        got.add(d)

            receivers = [threading.Thread(target=receive) for _ in range(3)]
            senders = [threading.Thread(target=lambda k=k: [(s.send(b"t%d %d" % (k, i)), time.sleep(0.001)) for i in range(50)]) for k in range(3)]
            for t in receivers + senders:
                t.start()
            for t in senders:
                t.join()
            deadline = time.monotonic() + 10
            while len(got) < 150 and time.monotonic() < deadline:
                time.sleep(0.01)
            for _ in receivers:
                s.send(b"stop")
            for t in receivers:
                t.join(10)
            return len(got)

    def case_fork(self):
        with self.socket(connect=True) as s:
            s.send(b"from parent")
            s.recv(1, socket.MSG_PEEK)
            child = os.fork()
            if child == 0:
                ok = s.recv(100) == b"from parent" and s.send(b"from child") == 10
                os._exit(0 if ok else 1)
            status = os.waitpid(child, 0)[1]
            return os.waitstatus_to_exitcode(status), s.recv(100)
