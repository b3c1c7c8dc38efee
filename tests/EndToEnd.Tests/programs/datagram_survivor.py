"""UDP sockets while something on the way dies.

datagram_survivor.py server ADDRESS PORT          an echo server on one bound socket, for ever; it answers with the TOS byte and the destination address that it sees
datagram_survivor.py client ADDRESS PORT TOS      one connected socket with that TOS; prints "up", "down ERRNO" when sends fail, "again" when answers come again, and the port
datagram_survivor.py blocking ADDRESS PORT        one unconnected socket; a thread sends, another waits in a blocking recv; prints "up", and "again" when what is sent after SIGUSR1 is answered
"""
import errno, select, signal, socket, struct, sys, threading, time

IP_PKTINFO = 8  # the module has no name for it
role, address, port = sys.argv[1], sys.argv[2], int(sys.argv[3])
family = socket.AF_INET6 if ":" in address else socket.AF_INET
s = socket.socket(family, socket.SOCK_DGRAM)


def said(*words):
    print(*words, flush=True)


def serve():
    if family == socket.AF_INET:
        s.setsockopt(socket.IPPROTO_IP, socket.IP_RECVTOS, 1)
        s.setsockopt(socket.IPPROTO_IP, IP_PKTINFO, 1)
    else:
        s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVTCLASS, 1)
        s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVPKTINFO, 1)
    s.bind((address, port))
    s.setblocking(False)
    ep = select.epoll()
    ep.register(s, select.EPOLLIN)
    said("ready")
    failed = False
    while True:
        for _, events in ep.poll():
            assert events == select.EPOLLIN, events
            try:
                data, control, _, peer = s.recvmsg(100, 200)
            except BlockingIOError:
                continue
            tos, to = -1, ""
            for _, kind, value in control:
                if kind in (socket.IP_TOS, socket.IPV6_TCLASS):
                    tos = value[0]
                elif kind in (IP_PKTINFO, socket.IPV6_PKTINFO):
                    to = socket.inet_ntop(family, value[8:12] if family == socket.AF_INET else value[:16])
            try:
                s.sendto(b"%s %d %s" % (data, tos, to.encode()), peer)
            except OSError as e:
                if not failed:
                    said("failed", errno.errorcode[e.errno])
                failed = True


def ask():
    tos = int(sys.argv[4])
    s.setsockopt(*((socket.IPPROTO_IP, socket.IP_TOS) if family == socket.AF_INET else (socket.IPPROTO_IPV6, socket.IPV6_TCLASS)), tos)
    s.connect((address, port))
    name = s.getsockname()
    s.settimeout(0.1)
    up, down, number, end = False, "", 0, time.time() + 60
    while time.time() < end:
        number += 1
        try:
            s.send(b"%d" % number)
            while True:
                n, got, to = s.recv(100).split()
                assert (int(got), to.decode()) == (tos, address), (got, to)
                if int(n) == number:
                    break
        except TimeoutError:
            if up and not down:
                down = "silence"
                said("down", down)
            continue
        except OSError as e:
            if up and down in ("", "silence"):
                down = errno.errorcode[e.errno]
                said("down", down)
            time.sleep(0.01)
            continue
        assert s.getsockname() == name and s.getpeername()[:2] == (address, port)
        if down:
            said("again", name[1])
            return
        if not up:
            said("up", name[1])
            up = True
        time.sleep(0.005)


def wait():
    sent, asked, errors, stop = 1, None, set(), threading.Event()

    def ask_again(*_):
        nonlocal asked
        asked = sent

    signal.signal(signal.SIGUSR1, ask_again)
    s.sendto(b"0", (address, port))
    assert s.recvfrom(100)[1][:2] == (address, port)
    name = s.getsockname()
    said("up", name[1])

    def send():
        nonlocal sent
        while not stop.wait(0.02):
            sent += 1
            try:
                s.sendto(b"%d" % sent, (address, port))
            except OSError as e:
                errors.add(errno.errorcode[e.errno])

    sender = threading.Thread(target=send)
    sender.start()
    while True:  # the signal handler runs in here, too
        number = int(s.recv(100).split()[0])
        if asked is not None and number > asked:
            break
    assert s.getsockname() == name
    said("again", *sorted(errors))
    stop.set()
    sender.join()


{"server": serve, "client": ask, "blocking": wait}[role]()
