"""What datagram sockets do, case by case, as a program sees it. Run natively and through NetKernel: the output must be the same.

    datagrams.py server ADDRESS PORT            answers until it is ended; prints its port
    datagrams.py client ADDRESS PORT [CASE]     runs every case (or those whose name contains CASE), prints one line each

The server answers a datagram by its first word: sizeN with N bytes; "manyN K" with N datagrams of K bytes; who with the sender's address as seen there; other
from another port, and then from its own; meta with TOS, TTL and local address of what came; "tosN" from a socket with that TOS; closed with a port that nobody listens
on; mute with nothing. Anything else comes back as it is.
"""
import errno, hashlib, socket, struct, sys


def family_of(address):
    return socket.AF_INET6 if ":" in address else socket.AF_INET


def pattern(n, seed=1):
    block = hashlib.sha256(str(seed).encode()).digest() * 2048
    return (block * (n // len(block) + 1))[:n]


def wildcard(family):
    return "::" if family == socket.AF_INET6 else "0.0.0.0"


def meta(s, six):
    """Receives with control messages: data, sender, and {name: value}."""
    d, control, flags, peer = s.recvmsg(70000, 512)
    found = {}
    for level, kind, value in control:
        if (level, kind) in ((socket.IPPROTO_IP, socket.IP_TOS), (socket.IPPROTO_IPV6, socket.IPV6_TCLASS)):
            found["tos"] = value[0]
        elif (level, kind) in ((socket.IPPROTO_IP, socket.IP_TTL), (socket.IPPROTO_IPV6, socket.IPV6_HOPLIMIT)):
            found["ttl"] = struct.unpack("i", value)[0]
        elif (level, kind) == (socket.IPPROTO_IP, 8):
            found["to4"] = socket.inet_ntop(socket.AF_INET, value[8:12])
            found["index4"] = struct.unpack_from("i", value)[0]
        elif (level, kind) == (socket.IPPROTO_IPV6, socket.IPV6_PKTINFO):
            found["to6"] = socket.inet_ntop(socket.AF_INET6, value[:16])
            found["index6"] = struct.unpack_from("i", value, 16)[0]
        elif level == socket.SOL_SOCKET and kind in (29, 35):
            found["time"] = struct.unpack("qq", value)
    return d, peer, found, flags


def want_meta(s, six):
    if six:
        for option in (socket.IPV6_RECVTCLASS, socket.IPV6_RECVHOPLIMIT, socket.IPV6_RECVPKTINFO):
            s.setsockopt(socket.IPPROTO_IPV6, option, 1)
    for option in (13, 12, 8):  # IP_RECVTOS, IP_RECVTTL, IP_PKTINFO
        s.setsockopt(socket.IPPROTO_IP, option, 1)


def server(address, port):
    family = family_of(address)
    six = family == socket.AF_INET6
    s = socket.socket(family, socket.SOCK_DGRAM)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
    s.bind((wildcard(family), port))
    want_meta(s, six)
    other = socket.socket(family, socket.SOCK_DGRAM)
    other.bind((wildcard(family), 0))
    print("ready", s.getsockname()[1], flush=True)
    while True:
        d, peer, found, _ = meta(s, six)
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
        elif d == b"meta":
            s.sendto(repr(sorted((k, v) for k, v in found.items() if k in ("tos", "ttl"))).encode(), peer)
        elif d.startswith(b"tos"):
            mapped = six and peer[0].startswith("::ffff:")
            other.setsockopt(*((socket.IPPROTO_IPV6, socket.IPV6_TCLASS) if six and not mapped else (socket.IPPROTO_IP, socket.IP_TOS)), int(d[3:]))
            other.sendto(b"with tos", peer)
        elif d == b"closed":
            gone = socket.socket(family, socket.SOCK_DGRAM)
            gone.bind((wildcard(family), 0))
            free = gone.getsockname()[1]
            gone.close()
            s.sendto(str(free).encode(), peer)
        elif not d.startswith(b"mute"):
            s.sendto(d, peer)


def client(address, port, only):
    import datagrams_basic, datagrams_control, datagrams_errors, datagrams_names, datagrams_waiting
    for module in (datagrams_basic, datagrams_control, datagrams_errors, datagrams_names, datagrams_waiting):
        cases = module.Cases(address, port)
        for case in (n for n in vars(module.Cases) if n.startswith("case_") and only in n):
            try:
                result = getattr(cases, case)()
            except Exception as e:
                result = f"{type(e).__name__}: {e}"
            print(module.__name__[10:], case[5:], result, flush=True)


if __name__ == "__main__":
    if sys.argv[1] == "server":
        server(sys.argv[2], int(sys.argv[3]))
    else:
        client(sys.argv[2], int(sys.argv[3]), sys.argv[4] if len(sys.argv) > 4 else "")
