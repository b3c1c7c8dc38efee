"""The edges of TCP sockets: names, ports, ends and errors. Run natively and through NetKernel on the same loopback: the output must be the same.

    edges.py [CASE...]
"""
import errno, os, select, signal, socket, struct, sys, threading, time

signal.signal(signal.SIGPIPE, signal.SIG_IGN)
V4, V6 = socket.AF_INET, socket.AF_INET6
LOOP = {V4: "127.0.0.1", V6: "::1"}
ANY = {V4: "0.0.0.0", V6: "::"}
REUSEADDR, REUSEPORT = (socket.SOL_SOCKET, socket.SO_REUSEADDR), (socket.SOL_SOCKET, socket.SO_REUSEPORT)
RESET = struct.pack("ii", 1, 0)
open_now = []


def sock(family=V4, *options, address=None, port=0, backlog=None, timeout=10):
    s = socket.socket(family)
    open_now.append(s)
    s.settimeout(timeout)
    for level, name in options:
        s.setsockopt(level, name, 1)
    if address is not None:
        s.bind((address, port))
    if backlog is not None:
        s.listen(backlog)
    return s


def pair(family=V4, *options):
    """A connection: (client, server's side, listener)."""
    l = sock(family, *options, address=LOOP[family], backlog=5)
    c = sock(family)
    c.connect(l.getsockname()[:2])
    a, _ = l.accept()
    a.settimeout(10)
    open_now.append(a)
    return c, a, l


def port_of(s):
    return s.getsockname()[1]


def tried(f, *args):
    """What a call gives, or the name of its error."""
    try:
        r = f(*args)
        return "ok" if r is None else r
    except TimeoutError:
        return "timeout"
    except OSError as e:
        return errno.errorcode.get(e.errno, str(e))


def code(number):
    return errno.errorcode.get(number, number)


def ready(s, mask=select.POLLIN | select.POLLOUT, wait=0):
    p = select.poll()
    p.register(s, mask)
    names = ((1, "IN"), (2, "PRI"), (4, "OUT"), (8, "ERR"), (16, "HUP"), (0x2000, "RDHUP"))
    return "|".join(n for e in p.poll(wait) for b, n in names if e[1] & b) or "-"


def until(s, mask, wait=10000):
    """Waits for events; then says all that are there."""
    ready(s, mask, wait)
    return ready(s, mask | select.POLLIN | select.POLLOUT | 0x2000)


def soon(f, want):
    """The first result that is wanted, or the last of ten seconds."""
    deadline = time.monotonic() + 10
    while True:
        r = f()
        if r == want or time.monotonic() > deadline:
            return r
        time.sleep(0.002)


# --- binding ---

def case_bind_twice():
    s = sock(address="127.0.0.1")
    return tried(s.bind, ("127.0.0.1", 0)), tried(s.bind, ("0.0.0.0", 0))


def case_bind_foreign():
    return tried(sock().bind, ("198.18.200.1", 0)), tried(sock(V6).bind, ("2001:2::dead", 0)), tried(sock().bind, ("127.99.1.2", 0))


def case_bind_conflicts():
    out = []
    for first in ((), (REUSEADDR,), (REUSEPORT,), (REUSEADDR, REUSEPORT)):
        for second in ((), (REUSEADDR,), (REUSEPORT,)):
            for listens in (False, True):
                a = sock(V4, *first, address="127.0.0.1", backlog=1 if listens else None)
                for address in ("127.0.0.1", "0.0.0.0", "127.0.0.2"):
                    b = sock(V4, *second)
                    r = tried(b.bind, (address, port_of(a)))
                    out.append(r if r != "ok" else tried(b.listen, 1))
                    b.close()
                a.close()
    return out


def case_bind_wildcard_conflicts():
    out = []
    for first in ((), (REUSEADDR,)):
        a = sock(V4, *first, address="0.0.0.0", backlog=1)
        for family, address in ((V4, "127.0.0.1"), (V4, "0.0.0.0"), (V6, "::"), (V6, "::1"), (V6, "::ffff:127.0.0.1")):
            b = sock(family, *first)
            r = tried(b.bind, (address, port_of(a)))
            out.append(r if r != "ok" else tried(b.listen, 1))
            b.close()
        a.close()
    return out


def case_dual_stack_conflicts():
    out = []
    for only in (0, 1):
        a = socket.socket(V6)
        a.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, only)
        a.bind(("::", 0))
        a.listen(1)
        for family, address in ((V4, "127.0.0.1"), (V4, "0.0.0.0"), (V6, "::1")):
            b = sock(family)
            out.append(tried(b.bind, (address, port_of(a))))
            b.close()
        a.close()
    return out


def case_dual_stack_names():
    l = sock(V6, address="::", backlog=5)
    out = [l.getsockname()[0]]
    for family in (V4, V6):
        c = sock(family)
        c.connect((LOOP[family], port_of(l)))
        a, peer = l.accept()
        open_now.append(a)
        out += [peer[0], a.getsockname()[0], a.getpeername()[0], c.getpeername()[0], peer[1] == port_of(c)]
    return out


def case_v6only_refuses_v4():
    l = socket.socket(V6)
    open_now.append(l)
    l.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    l.bind(("::", 0))
    l.listen(1)
    return tried(sock().connect, ("127.0.0.1", port_of(l))), tried(sock(V6).connect, ("::ffff:127.0.0.1", port_of(l))), tried(sock(V6).connect, ("::1", port_of(l)))


def case_v6only_after_bind():
    s = sock(V6, address="::")
    return tried(s.setsockopt, socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)


def case_mapped_addresses():
    l = sock(V6, address="::ffff:127.0.0.1", backlog=5)
    c = sock(V4)
    c.connect(("127.0.0.1", port_of(l)))
    a, peer = l.accept()
    d = sock(V6)
    d.connect(("::ffff:127.0.0.1", port_of(l)))
    return l.getsockname()[0], peer[0], a.getsockname()[0], d.getpeername()[0], d.getsockname()[0], tried(sock(V6).connect, ("::1", port_of(l)))


def case_names_before_and_after():
    s = sock()
    out = [s.getsockname(), tried(s.getpeername)]
    s.bind(("", 0))
    out += [s.getsockname()[0], port_of(s) > 0, tried(s.getpeername)]
    s.listen(1)
    out += [tried(s.getpeername)]
    c = sock(V6)
    return out + [c.getsockname(), tried(c.getpeername)]


def case_listen_chooses_a_port():
    s = sock(backlog=1)
    c = sock()
    c.connect(("127.0.0.1", port_of(s)))
    return s.getsockname()[0], port_of(s) > 0, tried(s.listen, 5)


def case_time_wait():
    """The side that closes first keeps the port for a while: only SO_REUSEADDR gets it back."""
    out = []
    for options in ((), (REUSEADDR,)):
        c, a, l = pair(V4, *options)
        port = port_of(l)
        l.close()
        a.close()
        c.recv(1)
        c.close()
        s = sock(V4, *options)
        out.append(tried(s.bind, ("127.0.0.1", port)))
        out.append(tried(s.listen, 1))
    return out


def case_port_free_after_close():
    port = 0
    for _ in range(20):
        s = sock(address="127.0.0.1", port=port, backlog=5)
        port = port_of(s)
        s.close()
    for _ in range(20):                # also of a connection that never was one, and of one that ended by reset
        s = sock(address="127.0.0.1", port=port)
        s.close()
        l = sock(address="127.0.0.1", backlog=1)
        c = sock(address="127.0.0.1", port=port)
        c.connect(l.getsockname())
        c.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        c.close()
        l.close()
    return "ok"


def case_reuseport_listeners_share():
    a = sock(V4, REUSEPORT, address="127.0.0.1", backlog=64)
    b = sock(V4, REUSEPORT, address="127.0.0.1", port=port_of(a), backlog=64)
    cs = [sock() for _ in range(64)]
    for c in cs:
        c.connect(a.getsockname())
    n = 0
    for l in (a, b):
        l.setblocking(False)
        got = soon(lambda: ready(l), "IN")
        while True:
            try:
                open_now.append(l.accept()[0])
                n += 1
            except BlockingIOError:
                if n >= 64 or l is a:
                    break
    return n == 64 or n > 0


# --- connecting ---

def case_refused():
    s = sock(address="127.0.0.1")
    port = port_of(s)
    c = sock()
    out = [tried(c.connect, ("127.0.0.1", port)), c.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR), ready(c), tried(c.getpeername)]
    s.listen(1)
    return out + [tried(c.connect, ("127.0.0.1", port)), tried(c.connect, ("127.0.0.1", port)), c.getpeername()[1] == port]


def case_refused_blocking():
    s = sock(address="127.0.0.1")
    c = sock(timeout=None)
    out = [tried(c.connect, s.getsockname()), c.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR), ready(c), tried(c.recv, 1), tried(c.send, b"x")]
    s.listen(1)
    return out + [tried(c.connect, s.getsockname()), tried(c.connect, s.getsockname()), c.getpeername() == s.getsockname()]


def case_refused_keeps_bound_port():
    free = sock(address="127.0.0.1")
    c = sock(address="127.0.0.1")
    mine = port_of(c)
    out = [tried(c.connect, free.getsockname()), port_of(c) == mine]
    free.listen(1)
    return out + [tried(c.connect, free.getsockname()), port_of(c) == mine]


def case_refused_nonblocking():
    s = sock(address="127.0.0.1")
    c = sock(timeout=0)
    out = [code(c.connect_ex(s.getsockname())), until(c, select.POLLOUT)]
    return out + [code(c.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)), c.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR), ready(c), tried(c.recv, 1), tried(c.send, b"x")]


def case_refused_told_by_connect():
    s = sock(address="127.0.0.1")
    c = sock(timeout=0)
    out = [code(c.connect_ex(s.getsockname())), until(c, select.POLLOUT)]
    out.append(code(c.connect_ex(s.getsockname())))
    s.listen(1)
    out.append(code(c.connect_ex(s.getsockname())))
    out.append(until(c, select.POLLOUT))
    return out + [code(c.connect_ex(s.getsockname())), code(c.connect_ex(s.getsockname()))]


def case_connect_twice():
    c, a, l = pair()
    return tried(c.connect, l.getsockname()), tried(c.connect, ("127.0.0.1", 9)), tried(a.connect, l.getsockname()), tried(l.connect, l.getsockname())


def case_connect_in_vain():
    """A backlog that is full: the connection is under way for long."""
    l = sock(address="127.0.0.1", backlog=0)
    # One after the other: how many find a place is not promised, and a stack that hands the first on may have another place a moment later.
    fill = []
    while not fill or select.select([], fill[-1:], [], 0.3)[1]:
        fill.append(sock(timeout=0))
        fill[-1].connect_ex(l.getsockname())
    c = sock(timeout=0)
    out = [code(c.connect_ex(l.getsockname())), code(c.connect_ex(l.getsockname())), ready(c), tried(c.send, b"x"), tried(c.recv, 1), tried(c.getpeername)]
    d = sock(timeout=0.2)
    return out + [tried(d.connect, l.getsockname())]


def case_connect_wildcard():
    out = []
    for family in (V4, V6):
        l = sock(family, address=LOOP[family], backlog=5)
        c = sock(family)
        out += [tried(c.connect, (ANY[family], port_of(l))), c.getpeername()[0], c.getsockname()[0]]
    return out


def case_connect_from_wildcard():
    l = sock(address="127.0.0.1", backlog=5)
    c = sock(address="0.0.0.0")
    port = port_of(c)
    c.connect(l.getsockname())
    d = sock(address="127.0.0.5")
    d.connect(l.getsockname())
    l.accept()
    return c.getsockname()[0], port_of(c) == port, d.getsockname()[0], l.accept()[1][0]


def case_connect_to_self():
    c = sock(address="127.0.0.1")
    out = [tried(c.connect, c.getsockname()), c.getpeername() == c.getsockname(), tried(c.send, b"me"), tried(c.recv, 10)]
    c.shutdown(socket.SHUT_WR)
    return out + [tried(c.recv, 1)]


def case_connect_port_0():
    return tried(sock().connect, ("127.0.0.1", 0))


def case_connect_same_pair():
    l = sock(V4, REUSEADDR, address="127.0.0.1", backlog=5)
    c = sock(V4, REUSEADDR, address="127.0.0.1")
    c.connect(l.getsockname())
    d = sock(V4, REUSEADDR)
    return tried(d.bind, c.getsockname()), tried(d.connect, l.getsockname())


def case_connect_family():
    return tried(sock(V6).connect, ("::ffff:127.0.0.1", 1)), tried(sock(V4).connect, ("127.0.0.1", 1))


def case_listen_on_connected():
    c, a, l = pair()
    return tried(c.listen, 1), tried(a.listen, 1), tried(a.bind, ("127.0.0.1", 0)), tried(l.bind, ("127.0.0.1", 0))


def case_not_connected():
    s = sock()
    out = [tried(f, *x) for f, *x in ((s.recv, 1), (s.send, b"x"), (s.sendall, b"x"), (s.shutdown, 2), (s.accept,), (s.getpeername,))]
    l = sock(address="127.0.0.1", backlog=1)
    out += [tried(f, *x) for f, *x in ((l.recv, 1), (l.send, b"x"))]
    return out + [ready(s), ready(l)]


# --- accepting ---

def case_accept_nonblocking():
    l = sock(address="127.0.0.1", backlog=1, timeout=0)
    out = [tried(l.accept), ready(l)]
    c = sock()
    c.connect(l.getsockname())
    out.append(until(l, select.POLLIN))
    a, _ = l.accept()
    out += [a.getblocking(), ready(l)]
    a.close()
    return out


def case_accept_peer_gone():
    """A connection that was reset before accept(2) is accepted all the same; its error comes with the first call."""
    l = sock(address="127.0.0.1", backlog=5)
    c = sock()
    c.connect(l.getsockname())
    c.send(b"last words")
    c.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
    c.close()
    until(l, select.POLLIN)
    a, _ = l.accept()
    a.settimeout(10)
    return tried(a.recv, 100), tried(a.recv, 100), tried(a.recv, 100)


def case_accept_after_end():
    l = sock(address="127.0.0.1", backlog=5)
    c = sock()
    c.connect(l.getsockname())
    c.send(b"bye")
    c.close()
    a, peer = l.accept()
    a.settimeout(10)
    return a.recv(100), a.recv(100), peer[1] > 0


def case_backlog_survives_in_order():
    l = sock(address="127.0.0.1", backlog=50)
    cs = []
    for i in range(40):
        c = sock()
        c.connect(l.getsockname())
        c.send(bytes([i]))
        cs.append(c)
    got = []
    for _ in cs:
        a, _ = l.accept()
        a.settimeout(10)
        got.append(a.recv(1)[0])
        a.close()
    return got == list(range(40))


def case_close_listener_resets_the_waiting():
    l = sock(address="127.0.0.1", backlog=5)
    c = sock()
    c.connect(l.getsockname())
    l.close()
    return tried(c.recv, 1)


def case_shutdown_listener():
    l = sock(address="127.0.0.1", backlog=5)
    l.shutdown(socket.SHUT_RD)
    l.setblocking(False)
    return tried(l.accept), tried(sock().connect, l.getsockname()), tried(l.listen, 5), tried(sock().connect, l.getsockname())


# --- ends ---

def case_eof_and_after():
    c, a, l = pair()
    a.send(b"x")
    a.close()
    out = [c.recv(10), c.recv(10), ready(c, select.POLLIN | 0x2000)]
    out.append(tried(c.send, b"1"))
    out.append(soon(lambda: tried(c.send, b"2"), "EPIPE"))
    return out + [tried(c.send, b"3"), tried(c.recv, 1), ready(c)]


def case_reset_and_after():
    c, a, l = pair()
    a.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
    a.close()
    out = [until(c, select.POLLIN), tried(c.recv, 1), tried(c.recv, 1), tried(c.send, b"x"), ready(c)]
    return out + [tried(c.getpeername), tried(c.shutdown, 2), code(c.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR))]


def case_reset_told_by_option():
    c, a, l = pair()
    a.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
    a.close()
    return until(c, select.POLLIN), code(c.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)), tried(c.recv, 1), tried(c.send, b"x")


def case_reset_told_by_send():
    c, a, l = pair()
    a.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
    a.close()
    return until(c, select.POLLIN), tried(c.send, b"x"), tried(c.send, b"x"), tried(c.recv, 1)


def case_reset_keeps_what_arrived():
    c, a, l = pair()
    a.send(b"before")
    until(c, select.POLLIN)
    a.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
    a.close()
    return until(c, 0x2000), tried(c.recv, 3), tried(c.recv, 100), tried(c.recv, 100)


def case_unread_data_resets():
    c, a, l = pair()
    c.send(b"never read")
    until(a, select.POLLIN)
    a.close()
    return until(c, select.POLLIN), tried(c.recv, 1)


def case_half_close():
    c, a, l = pair()
    c.shutdown(socket.SHUT_WR)
    out = [tried(c.send, b"x"), a.recv(1), ready(a, select.POLLIN | select.POLLOUT | 0x2000)]
    a.send(b"still")
    out.append(c.recv(10))
    a.shutdown(socket.SHUT_WR)
    out += [c.recv(1), until(c, select.POLLHUP), until(a, select.POLLHUP)]
    return out + [tried(c.shutdown, 0), tried(c.getpeername), tried(a.getpeername), tried(a.send, b"x")]


def case_shutdown_read():
    c, a, l = pair()
    c.shutdown(socket.SHUT_RD)
    out = [c.recv(10), ready(c, select.POLLIN | select.POLLOUT | 0x2000)]
    a.send(b"data")
    out.append(soon(lambda: c.recv(10), b"data"))
    return out + [c.recv(10), tried(c.send, b"x"), a.recv(1)]


def case_shutdown_both():
    c, a, l = pair()
    c.shutdown(socket.SHUT_RDWR)
    return ready(c, select.POLLIN | select.POLLOUT | 0x2000), tried(c.recv, 1), tried(c.send, b"x"), a.recv(1), tried(c.shutdown, 2)


def case_shutdown_wakes_a_reader():
    c, a, l = pair()
    got = []
    t = threading.Thread(target=lambda: got.append(tried(c.recv, 1)))
    t.start()
    soon(lambda: open(f"/proc/self/task/{t.native_id}/stat").read().rsplit(")")[1].split()[0], "S")
    c.shutdown(socket.SHUT_RDWR)
    t.join(10)
    return got


def case_shutdown_wakes_an_acceptor():
    l = sock(address="127.0.0.1", backlog=5, timeout=None)
    got = []
    t = threading.Thread(target=lambda: got.append(tried(l.accept)))
    t.start()
    soon(lambda: open(f"/proc/self/task/{t.native_id}/stat").read().rsplit(")")[1].split()[0], "S")
    l.shutdown(socket.SHUT_RDWR)
    t.join(10)
    return got


def case_send_timeout():
    c, a, l = pair()
    c.settimeout(None)
    c.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, struct.pack("ll", 0, 100000))
    n = 0
    try:
        while n < 1 << 30:
            n += c.send(b"x" * 65536)
        return "never"
    except OSError as e:
        return code(e.errno)


def case_accept_timeout():
    l = sock(address="127.0.0.1", backlog=5, timeout=None)
    l.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("ll", 0, 50000))
    return tried(l.accept)


def case_connect_timeout():
    l = sock(address="127.0.0.1", backlog=0)
    full = False
    while not full:
        # Longer than a SYN waits that came before an NSM had taken the connection ahead of it.
        c = sock(timeout=0)
        c.connect_ex(l.getsockname())
        full = not select.select([], [c], [], 1.5)[1]
    c = sock(timeout=None)
    c.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, struct.pack("ll", 0, 200000))
    return tried(c.connect, l.getsockname())


def case_small_buffers():
    """SO_RCVBUF and SO_SNDBUF bound what a connection holds."""
    l = socket.socket()
    open_now.append(l)
    l.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    l.bind(("127.0.0.1", 0))
    l.listen(1)
    c = socket.socket()
    open_now.append(c)
    c.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
    c.connect(l.getsockname())
    a, _ = l.accept()
    c.setblocking(False)
    n, w = 0, [c]
    while w:
        try:
            while True:
                n += c.send(b"x" * 1000)
        except BlockingIOError:
            _, w, _ = select.select([], [c], [], 0.3)
    c.close()
    got = 0
    while d := a.recv(65536):
        got += len(d)
    return got == n, n < 60000


def case_accepted_inherits():
    l = socket.socket()
    open_now.append(l)
    l.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    l.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    l.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 77)
    l.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 3))
    l.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("ll", 5, 0))
    l.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 20000)
    l.bind(("127.0.0.1", 0))
    l.listen(1)
    c = sock()
    c.connect(l.getsockname())
    fd, _ = l._accept()
    a = socket.socket(fileno=fd)
    open_now.append(a)
    return [a.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE), a.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY), a.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE),
            struct.unpack("ii", a.getsockopt(socket.SOL_SOCKET, socket.SO_LINGER, 8)), struct.unpack("ll", a.getsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, 16)),
            a.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF), a.getsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR)]


def case_sendfile():
    import tempfile
    c, a, l = pair()
    with tempfile.TemporaryFile() as f:
        f.write(b"0123456789" * 10000)
        f.flush()
        out = [os.sendfile(c.fileno(), f.fileno(), 5, 10), os.sendfile(c.fileno(), f.fileno(), 99995, 100), os.sendfile(c.fileno(), f.fileno(), 100000, 10),
               os.sendfile(c.fileno(), f.fileno(), 0, 0)]
        f.seek(0)
        out += [os.sendfile(c.fileno(), f.fileno(), None, 20), f.tell()]
        c.shutdown(socket.SHUT_WR)
        out.append(tried(os.sendfile, c.fileno(), f.fileno(), 0, 10))
    got = b""
    while d := a.recv(100):
        got += d
    out.append(got)
    r, w = os.pipe()
    out += [tried(os.sendfile, a.fileno(), r, None, 10), tried(os.sendfile, a.fileno(), c.fileno(), None, 10)]
    os.close(r)
    os.close(w)
    return out


def case_large_send():
    c, a, l = pair()
    data = os.urandom(1 << 20) * 24
    out = []

    def reader():
        n = 0
        while n < len(data):
            d = a.recv(1 << 20)
            if not d or data[n:n + len(d)] != d:
                break
            n += len(d)
        out.append(n == len(data))
    t = threading.Thread(target=reader)
    t.start()
    c.settimeout(None)
    out.append(c.send(data) == len(data))
    t.join(30)
    return out


def case_zero_bytes():
    c, a, l = pair()
    out = [c.send(b""), c.recv(0), ready(a)]
    a.send(b"x")
    until(c, select.POLLIN)
    return out + [c.recv(0), c.recv(1)]


def case_many_threads():
    l = sock(address="127.0.0.1", backlog=100)
    stop = []

    def serve():
        while True:
            a, _ = l.accept()
            if stop:
                return
            threading.Thread(target=echo, args=(a,), daemon=True).start()

    def echo(a):
        with a:
            while d := a.recv(100):
                a.sendall(d)

    good = []

    def client(i):
        for k in range(10):
            with socket.create_connection(l.getsockname(), 20) as c:
                m = f"{i} {k}".encode()
                c.sendall(m)
                c.shutdown(socket.SHUT_WR)
                got = b""
                while d := c.recv(100):
                    got += d
                good.append(got == m)
    server = threading.Thread(target=serve, daemon=True)
    server.start()
    ts = [threading.Thread(target=client, args=(i,)) for i in range(20)]
    [t.start() for t in ts]
    [t.join(60) for t in ts]
    stop.append(1)
    socket.create_connection(l.getsockname()).close()
    server.join(10)
    return len(good), all(good)


def main():
    only = sys.argv[1:]
    for name, case in [(n[5:], f) for n, f in globals().items() if n.startswith("case_") and (not only or n[5:] in only)]:
        try:
            print(name, case(), flush=True)
        except Exception as e:
            print(name, "raised", type(e).__name__, e, flush=True)
        while open_now:
            open_now.pop().close()


if __name__ == "__main__":
    main()
