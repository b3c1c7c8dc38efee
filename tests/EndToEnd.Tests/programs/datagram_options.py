"""Options of datagram sockets, each on fresh sockets and on used ones: "FAMILY STATE NAME: result, what is read back". datagram_options.py ADDRESS PORT"""
import errno, socket, sys

address, port = sys.argv[1], int(sys.argv[2])
IP, IP6, SO = socket.IPPROTO_IP, socket.IPPROTO_IPV6, socket.SOL_SOCKET
OPTIONS = [
    ("SO_SNDBUF", SO, socket.SO_SNDBUF, 50000), ("SO_RCVBUF", SO, socket.SO_RCVBUF, 50000), ("SO_PRIORITY", SO, socket.SO_PRIORITY, 3),
    ("SO_BROADCAST", SO, socket.SO_BROADCAST, 1), ("SO_NO_CHECK", SO, 11, 1), ("SO_TIMESTAMP", SO, 29, 1), ("SO_TIMESTAMPNS", SO, 35, 1),
    ("IP_TOS", IP, socket.IP_TOS, 40), ("IP_TTL", IP, socket.IP_TTL, 7), ("IP_MTU_DISCOVER", IP, 10, 2), ("IP_RECVERR", IP, 11, 1), ("IP_RECVTOS", IP, 13, 1),
    ("IP_RECVTTL", IP, 12, 1), ("IP_PKTINFO", IP, 8, 1), ("IP_MULTICAST_TTL", IP, socket.IP_MULTICAST_TTL, 4), ("IP_MULTICAST_LOOP", IP, socket.IP_MULTICAST_LOOP, 0),
]
SIX = [
    ("IPV6_UNICAST_HOPS", IP6, 16, 9), ("IPV6_TCLASS", IP6, 67, 12), ("IPV6_MTU_DISCOVER", IP6, 23, 2), ("IPV6_RECVERR", IP6, 25, 1), ("IPV6_RECVPKTINFO", IP6, 49, 1),
    ("IPV6_RECVHOPLIMIT", IP6, 51, 1), ("IPV6_RECVTCLASS", IP6, 66, 1), ("IPV6_MULTICAST_HOPS", IP6, 18, 3), ("IPV6_DONTFRAG", IP6, 62, 1),
]


def tried(call):
    try:
        return call()
    except OSError as e:
        return errno.errorcode[e.errno]


for family, peer, options in ((socket.AF_INET, address, OPTIONS), (socket.AF_INET6, "::ffff:" + address, OPTIONS + SIX)):
    for state in ("fresh", "used"):
        for name, level, option, value in options:
            for again in ("", " again"):  # the second time the library knows already
                with socket.socket(family, socket.SOCK_DGRAM) as s:
                    if state == "used":
                        s.connect((peer, port))
                        s.send(b"nobody answers")
                    result = tried(lambda: s.setsockopt(level, option, value)) or "OK"
                    print(family.name, state, f"{name}{again}: {result},", tried(lambda: s.getsockopt(level, option)))

# IPV6_DONTFRAG and IPV6_MTU_DISCOVER: each forbids fragments, and neither allows what the other forbids.
if len(sys.argv) > 3:
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as s:
        s.connect((sys.argv[3], port))
        for level, option, value in ((IP6, 62, 0), (IP6, 62, 1), (IP6, 23, 2), (IP6, 62, 0), (IP6, 23, 1), (IP6, 23, 0)):
            s.setsockopt(level, option, value)
            while (sent := tried(lambda: s.send(bytes(5000)))) == "ECONNREFUSED":
                pass  # for the one before
            print(option, value, sent)
