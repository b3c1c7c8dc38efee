"""The calls that a fuzz script may make, straight through libc's entry points (ctypes), so that what is preloaded is what is called.

Each function gets the actor's table, the number of the step and the step's words, and returns one line: the return value, then what else
the call gave, or -1 and the errno's name. Addresses are symbols: 4/A/P1 is port P1 of host A over IPv4, any the wildcard, lo the loopback
(in 6/m:A/P1 m: is for mapped).
"""
import ctypes, errno, fcntl, socket, struct, zlib

libc = ctypes.CDLL(None, use_errno=True)
libc.send.restype = libc.sendto.restype = libc.sendmsg.restype = libc.recv.restype = libc.recvfrom.restype = libc.recvmsg.restype = ctypes.c_ssize_t
libc.read.restype = libc.write.restype = libc.readv.restype = libc.writev.restype = libc.sendfile.restype = libc.splice.restype = ctypes.c_ssize_t
# One pattern for everything that is sent; each step starts elsewhere in it.
PATTERN = b"".join(zlib.crc32(struct.pack("I", i)).to_bytes(4, "little") for i in range(1 << 17))
FIONREAD, FIONBIO, SIOCOUTQ = 0x541B, 0x5421, 0x5411
SIZE = ctypes.c_size_t
NOBODY = 9999                     # the fd of a closed name: its number may be somebody else's by now
EVENTS = {"IN": 1, "PRI": 2, "OUT": 4, "ERR": 8, "HUP": 16, "NVAL": 32, "RDNORM": 64, "RDBAND": 128, "WRNORM": 256, "WRBAND": 512,
          "RDHUP": 0x2000, "EXCLUSIVE": 1 << 28, "ONESHOT": 1 << 30, "ET": 1 << 31}
MSG = {"oob": 1, "peek": 2, "dontroute": 4, "trunc": 0x20, "dontwait": 0x40, "waitall": 0x100, "nosignal": 0x4000, "more": 0x8000}
TYPES = {"stream": 1, "dgram": 2, "seq": 5, "nonblock": 0x800, "cloexec": 0x80000}
OPTIONS = {
    "SO_REUSEADDR": (1, 2), "SO_TYPE": (1, 3), "SO_ERROR": (1, 4), "SO_SNDBUF": (1, 7), "SO_RCVBUF": (1, 8), "SO_KEEPALIVE": (1, 9),
    "SO_LINGER": (1, 13), "SO_REUSEPORT": (1, 15), "SO_RCVLOWAT": (1, 18), "SO_RCVTIMEO": (1, 20), "SO_SNDTIMEO": (1, 21),
    "SO_ACCEPTCONN": (1, 30), "SO_PROTOCOL": (1, 38), "SO_DOMAIN": (1, 39), "IP_TOS": (0, 1), "IP_TTL": (0, 2),
    "TCP_NODELAY": (6, 1), "TCP_MAXSEG": (6, 2), "TCP_CORK": (6, 3), "TCP_KEEPIDLE": (6, 4), "TCP_KEEPINTVL": (6, 5), "TCP_KEEPCNT": (6, 6),
    "TCP_SYNCNT": (6, 7), "TCP_LINGER2": (6, 8), "TCP_DEFER_ACCEPT": (6, 9), "TCP_INFO": (6, 11), "TCP_QUICKACK": (6, 12),
    "TCP_CONGESTION": (6, 13), "TCP_USER_TIMEOUT": (6, 18), "IPV6_V6ONLY": (41, 26), "IPV6_TCLASS": (41, 67), "NONE": (1, 9999),
}


class IoVec(ctypes.Structure):
    _fields_ = [("base", ctypes.c_void_p), ("len", SIZE)]


class MsgHdr(ctypes.Structure):
    _fields_ = [("name", ctypes.c_void_p), ("namelen", ctypes.c_uint), ("iov", ctypes.POINTER(IoVec)), ("iovlen", SIZE),
                ("control", ctypes.c_void_p), ("controllen", SIZE), ("flags", ctypes.c_int)]


class PollFd(ctypes.Structure):
    _fields_ = [("fd", ctypes.c_int), ("events", ctypes.c_short), ("revents", ctypes.c_short)]


class EpollEvent(ctypes.Structure):
    _pack_ = 1
    _fields_ = [("events", ctypes.c_uint), ("data", ctypes.c_uint64)]


def answer(result, *more):
    if result < 0:
        return f"-1 {errno.errorcode.get(ctypes.get_errno(), ctypes.get_errno())}"
    return " ".join([str(result), *[str(m() if callable(m) else m) for m in more]])


def made(fd, *more):
    """The answer of a call that makes an fd."""
    return answer(fd, *more) if fd < 0 else "fd" + answer(fd, *more)


def bits(table, text):
    return 0 if text == "-" else sum(table[word] for word in text.split("+"))


def names(value):
    return "+".join(name for name, bit in EVENTS.items() if value & bit) or "-"


def payload(step, size):
    at = step * 4099 % 65536
    return PATTERN[at:at + size]


class Table:
    """The fds of one actor by name, and the addresses of the script."""

    def __init__(self, words):
        self.fds, self.kinds = {}, {}
        self.words = words                 # A4=... A6=... B4=... B6=... ports=BASE
        self.hosts = {(int(k[1]), k[0]): v for k, v in words.items() if k != "ports"}
        self.base = int(words["ports"])

    def put(self, name, fd, kind):
        self.fds[name], self.kinds[name] = fd, kind

    def fd(self, name):
        return self.fds.get(name, -1)

    def port(self, text):
        return self.base + int(text[1:]) if text.startswith("P") else int(text)

    def address(self, text):
        """sockaddr bytes of a symbol; "null" and "short" are what they say, "unspec" asks to disconnect."""
        if text == "unspec":
            return struct.pack("=H14x", 0)
        family, host, port = text.split("/")
        port = struct.pack("!H", self.port(port))
        if family == "4":
            host = {"any": "0.0.0.0", "lo": "127.0.0.1"}.get(host) or self.hosts[4, host]
            return struct.pack("=H", 2) + port + socket.inet_aton(host) + bytes(8)
        if host.startswith("m:"):
            host = "::ffff:" + ({"any": "0.0.0.0", "lo": "127.0.0.1"}.get(host[2:]) or self.hosts[4, host[2:]])
        else:
            host = {"any": "::", "lo": "::1"}.get(host) or self.hosts[6, host]
        return struct.pack("=H", 10) + port + bytes(4) + socket.inet_pton(socket.AF_INET6, host) + bytes(4)

    def symbol(self, raw, length):
        """The symbol of a sockaddr; the port stays a number behind #, for the coordinator to name."""
        if length == 0:
            return "none"
        family = struct.unpack_from("=H", raw)[0]
        if family not in (2, 10):
            return f"family{family}"
        port = struct.unpack_from("!H", raw, 2)[0]
        if family == 2:
            host = socket.inet_ntoa(raw[4:8])
        else:
            host = socket.inet_ntop(socket.AF_INET6, raw[8:24])
        mapped = "m:" if host.startswith("::ffff:") else ""
        host = host[7:] if mapped else host
        known = {"0.0.0.0": "any", "::": "any", "127.0.0.1": "lo", "::1": "lo"} | {v: k[1] for k, v in self.hosts.items()}
        return f"{4 if family == 2 else 6}/{mapped}{known.get(host, host)}/#{port}+{length}"


def crc(data, n):
    return f"{zlib.crc32(data[:n]):08x}" if n > 0 else "-"


def vectors(sizes, data):
    """An iovec over one buffer."""
    sizes = [int(s) for s in sizes.split(",")]
    buffer = ctypes.create_string_buffer(data, max(1, sum(sizes)))
    iov, at = (IoVec * len(sizes))(), 0
    for i, n in enumerate(sizes):
        iov[i].base, iov[i].len = ctypes.addressof(buffer) + at, n
        at += n
    return buffer, iov, sum(sizes)


def do_socket(t, step, name, family, kind):
    fd = libc.socket({"4": 2, "6": 10, "u": 1}[family], bits(TYPES, kind), 0)
    t.put(name, fd, "socket")
    return made(fd)


def do_bind(t, step, name, address):
    raw = t.address(address)
    return answer(libc.bind(t.fd(name), raw, len(raw)))


def do_connect(t, step, name, address):
    raw = t.address(address)
    return answer(libc.connect(t.fd(name), raw, len(raw)))


def do_listen(t, step, name, backlog):
    return answer(libc.listen(t.fd(name), int(backlog)))


def do_accept(t, step, name, listener, flags="-"):
    raw, length = ctypes.create_string_buffer(128), ctypes.c_uint(128)
    call = libc.accept(t.fd(listener), raw, ctypes.byref(length)) if flags == "plain" else libc.accept4(
        t.fd(listener), raw, ctypes.byref(length), bits(TYPES, flags))
    t.put(name, call, "socket")
    return made(call, lambda: t.symbol(raw.raw, length.value))


def do_sockname(t, step, name):
    raw, length = ctypes.create_string_buffer(128), ctypes.c_uint(128)
    return answer(libc.getsockname(t.fd(name), raw, ctypes.byref(length)), lambda: t.symbol(raw.raw, length.value))


def do_peername(t, step, name):
    raw, length = ctypes.create_string_buffer(128), ctypes.c_uint(128)
    return answer(libc.getpeername(t.fd(name), raw, ctypes.byref(length)), lambda: t.symbol(raw.raw, length.value))


def do_send(t, step, name, size, flags):
    return answer(libc.send(t.fd(name), payload(step, int(size)), SIZE(int(size)), bits(MSG, flags)))


def do_sendto(t, step, name, size, flags, address):
    raw = t.address(address)
    return answer(libc.sendto(t.fd(name), payload(step, int(size)), SIZE(int(size)), bits(MSG, flags), raw, len(raw)))


def do_write(t, step, name, size):
    return answer(libc.write(t.fd(name), payload(step, int(size)), SIZE(int(size))))


def do_writev(t, step, name, sizes):
    keep, iov, _ = vectors(sizes, payload(step, sum(map(int, sizes.split(",")))))
    return answer(libc.writev(t.fd(name), iov, len(iov)))


def do_sendmsg(t, step, name, sizes, flags, address="-"):
    keep, iov, _ = vectors(sizes, payload(step, sum(map(int, sizes.split(",")))))
    header = MsgHdr(iov=iov, iovlen=len(iov))
    if address != "-":
        raw = ctypes.create_string_buffer(t.address(address))
        header.name, header.namelen = ctypes.addressof(raw), len(raw) - 1
    return answer(libc.sendmsg(t.fd(name), ctypes.byref(header), bits(MSG, flags)))


def do_recv(t, step, name, size, flags):
    data = ctypes.create_string_buffer(int(size) + 1)
    n = libc.recv(t.fd(name), data, SIZE(int(size)), bits(MSG, flags))
    return answer(n, lambda: crc(data.raw, min(n, int(size))))


def do_recvfrom(t, step, name, size, flags):
    data, raw, length = ctypes.create_string_buffer(int(size) + 1), ctypes.create_string_buffer(128), ctypes.c_uint(128)
    n = libc.recvfrom(t.fd(name), data, SIZE(int(size)), bits(MSG, flags), raw, ctypes.byref(length))
    return answer(n, lambda: crc(data.raw, min(n, int(size))), lambda: t.symbol(raw.raw, length.value))


def do_read(t, step, name, size):
    data = ctypes.create_string_buffer(int(size) + 1)
    n = libc.read(t.fd(name), data, SIZE(int(size)))
    return answer(n, lambda: crc(data.raw, n))


def do_readv(t, step, name, sizes):
    data, iov, _ = vectors(sizes, b"")
    n = libc.readv(t.fd(name), iov, len(iov))
    return answer(n, lambda: crc(data.raw, n))


def do_recvmsg(t, step, name, sizes, flags):
    data, iov, size = vectors(sizes, b"")
    raw, control = ctypes.create_string_buffer(128), ctypes.create_string_buffer(64)
    header = MsgHdr(name=ctypes.addressof(raw), namelen=128, iov=iov, iovlen=len(iov), control=ctypes.addressof(control), controllen=64, flags=-1)
    n = libc.recvmsg(t.fd(name), ctypes.byref(header), bits(MSG, flags))
    return answer(n, lambda: crc(data.raw, min(n, size)), lambda: f"flags={header.flags:x}", lambda: t.symbol(raw.raw, header.namelen),
                  lambda: f"control={header.controllen}")


def do_sendall(t, step, name, size, receiver):
    """All of it; made only while a recvall of the receiver is under way, since nobody says how much is taken otherwise."""
    data, done = payload(step, int(size)), 0
    while done < int(size):
        n = libc.send(t.fd(name), data[done:], SIZE(int(size) - done), MSG["nosignal"])
        if n < 0:
            return f"after some: {answer(n)}"
        done += n
    return str(done)


def do_recvall(t, step, name, size):
    """Until so many bytes are there, or the end, or an error: how they are cut does not matter."""
    data, room = b"", ctypes.create_string_buffer(65536)
    while len(data) < int(size):
        n = libc.recv(t.fd(name), room, SIZE(min(65536, int(size) - len(data))), 0)
        if n <= 0:
            return f"{len(data)} {crc(data, len(data))} {answer(n)}"
        data += room.raw[:n]
    return f"{len(data)} {crc(data, len(data))}"


def do_shutdown(t, step, name, how):
    return answer(libc.shutdown(t.fd(name), {"rd": 0, "wr": 1, "rdwr": 2, "bad": 7}[how]))


def do_close(t, step, name):
    result = libc.close(t.fd(name))
    if result == 0:
        t.fds[name] = NOBODY
    return answer(result)


def do_dup(t, step, new, name):
    fd = libc.dup(t.fd(name))
    t.put(new, fd, t.kinds.get(name, "socket"))
    return made(fd)


def do_fdup(t, step, new, name, least):
    fd = libc.fcntl(t.fd(name), fcntl.F_DUPFD, int(least))
    t.put(new, fd, t.kinds.get(name, "socket"))
    return made(fd)


def do_dup2(t, step, target, name, flags="-"):
    """dup2 (or dup3 with flags) over the fd of another name."""
    over, kind = t.fd(target), t.kinds.get(name, "socket")
    fd = libc.dup2(t.fd(name), over) if flags == "-" else libc.dup3(t.fd(name), over, bits(TYPES, flags))
    if fd >= 0:
        t.put(target, fd, kind)
    return made(fd)


def do_getfl(t, step, name):
    r = libc.fcntl(t.fd(name), fcntl.F_GETFL, 0)
    return answer(r, lambda: f"fd={libc.fcntl(t.fd(name), fcntl.F_GETFD, 0)}")


def is_stream(fd):
    kind, size = ctypes.c_int(), ctypes.c_uint(4)
    return libc.getsockopt(fd, 1, 3, ctypes.byref(kind), ctypes.byref(size)) == 0 and kind.value == 1


def has_peer(fd):
    return libc.getpeername(fd, ctypes.create_string_buffer(128), ctypes.byref(ctypes.c_uint(128))) == 0


def do_setfl(t, step, name, flags):
    return answer(libc.fcntl(t.fd(name), fcntl.F_SETFL, bits(TYPES, flags)))


def do_ioctl(t, step, name, what, value="0"):
    """What is left to send of a stream without a peer is not looked at: after a failed connect the kernel says 3, the steps of its own sequence number (docs/fuzzing.md)."""
    number = ctypes.c_int(int(value))
    if what == "outq" and is_stream(t.fd(name)) and not has_peer(t.fd(name)):
        return answer(libc.ioctl(t.fd(name), ctypes.c_ulong(SIOCOUTQ), ctypes.byref(number)))
    r = libc.ioctl(t.fd(name), ctypes.c_ulong({"nread": FIONREAD, "nbio": FIONBIO, "outq": SIOCOUTQ}[what]), ctypes.byref(number))
    return answer(r, lambda: number.value)


def do_setopt(t, step, name, option, value, length="4"):
    raw = struct.pack("i", int(value)) + bytes(12)
    return answer(libc.setsockopt(t.fd(name), *OPTIONS[option], raw, int(length)))


def do_linger(t, step, name, on, seconds):
    return answer(libc.setsockopt(t.fd(name), 1, 13, struct.pack("ii", int(on), int(seconds)), 8))


def do_timeo(t, step, name, which, milliseconds):
    raw = struct.pack("ll", int(milliseconds) // 1000, int(milliseconds) % 1000 * 1000)
    return answer(libc.setsockopt(t.fd(name), *OPTIONS["SO_RCVTIMEO" if which == "rcv" else "SO_SNDTIMEO"], raw, 16))


def do_getopt(t, step, name, option, room="64"):
    raw, length = ctypes.create_string_buffer(b"\xee" * 255), ctypes.c_uint(int(room))
    r = libc.getsockopt(t.fd(name), *OPTIONS[option], raw, ctypes.byref(length))
    shown = 1 if option == "TCP_INFO" else length.value  # of TCP_INFO the state alone is definite
    return answer(r, lambda: f"{length.value}:{raw.raw[:min(shown, 16, length.value)].hex()}")


def do_poll(t, step, items, timeout):
    items = [item.split(":") for item in items.split(",")]
    fds = (PollFd * len(items))(*[PollFd(t.fd(name), bits(EVENTS, events), 0) for name, events in items])
    r = libc.poll(fds, len(items), int(timeout))
    return answer(r, *[f"{name}={names(fds[i].revents & 0xFFFF)}" for i, (name, _) in enumerate(items)])


def do_select(t, step, items, milliseconds):
    """Each name in all three sets."""
    sets = [(ctypes.c_ulong * 16)() for _ in range(3)]
    fds = {name: t.fd(name) for name in items.split(",")}
    for fd in fds.values():
        for s in sets if 0 <= fd < 1024 else ():
            s[fd // 64] |= 1 << fd % 64
    time = (ctypes.c_long * 2)(int(milliseconds) // 1000, int(milliseconds) % 1000 * 1000)
    r = libc.select(1024, *sets, None if int(milliseconds) < 0 else time)
    return answer(r, *[name + "=" + "".join(c for c, s in zip("rwx", sets) if 0 <= fd < 1024 and s[fd // 64] >> fd % 64 & 1)
                       for name, fd in fds.items()])


def do_epnew(t, step, name, flags="-"):
    fd = libc.epoll_create1(bits(TYPES, flags))
    t.put(name, fd, "epoll")
    return made(fd)


def do_epctl(t, step, ep, what, name, events="-"):
    event = EpollEvent(bits(EVENTS, events), int(name[1:]))
    return answer(libc.epoll_ctl(t.fd(ep), {"add": 1, "del": 2, "mod": 3, "bad": 9}[what], t.fd(name), ctypes.byref(event)))


def do_epwait(t, step, ep, most, timeout):
    events = (EpollEvent * max(1, int(most)))()
    n = libc.epoll_wait(t.fd(ep), events, int(most), int(timeout))
    return answer(n, *sorted(f"s{events[i].data}={names(events[i].events)}" for i in range(max(0, n))))


def do_pipe(t, step, read, write):
    fds = (ctypes.c_int * 2)()
    r = libc.pipe2(fds, 0)
    t.put(read, fds[0], "pipe")
    t.put(write, fds[1], "pipe")
    return answer(r, f"fd{fds[0]}", f"fd{fds[1]}")


def do_sendfile(t, step, name, size):
    """From a file that holds the pattern."""
    import os
    fd = os.memfd_create("pattern")
    os.write(fd, payload(step, int(size)))
    offset = ctypes.c_long(0)
    r = answer(libc.sendfile(t.fd(name), fd, ctypes.byref(offset), SIZE(int(size))))
    os.close(fd)
    return f"{r} at {offset.value}"


CALLS = {name[3:]: call for name, call in globals().items() if name.startswith("do_")}
