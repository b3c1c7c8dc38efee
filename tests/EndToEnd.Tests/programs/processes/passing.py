"""Sockets in messages over AF_UNIX (SCM_RIGHTS), and taken by pidfd_getfd. See common.py."""
import array, ctypes, multiprocessing, multiprocessing.reduction, os, signal, socket, subprocess, tempfile
from common import *


def pair(kind=socket.SOCK_STREAM):
    return socket.socketpair(socket.AF_UNIX, kind)


def give(u, *socks):
    socket.send_fds(u, [b"x"], [s.fileno() for s in socks])


def take(u, n=1):
    _, fds, _, _ = socket.recv_fds(u, 1, n)
    return [socket.socket(fileno=fd) for fd in fds]


@case
def to_a_child():
    a, b = pair()
    def body():
        c, = take(b)
        return 0 if echo(c, "passed") == "passed" else 1
    pid = in_child(body)
    c = connect("echo")
    give(a, c)
    c.close()
    return reap(pid)


@case
def to_oneself():
    a, b = pair()
    c = connect("echo")
    give(a, c)
    d, = take(b)
    first = echo(d, "second fd"), echo(c, "first fd")
    c.close()
    return first, echo(d, "still")


@case
def lives_in_flight():
    a, b = pair()
    c = connect("echo")
    c.sendall(b"while in flight")
    give(a, c)
    c.close()
    d, = take(b)
    return read_exactly(d, 15), echo(d, "and after")


@case
def sent_by_a_process_that_is_gone():
    results = []
    for i in range(5):
        a, b = pair()
        def body():
            c = connect("echo")
            c.sendall(b"left behind")
            give(a, c)
            if i % 2:
                os.kill(os.getpid(), signal.SIGKILL)
        code = reap(in_child(body))
        c, = take(b)
        results.append((code, read_exactly(c, 11), echo(c, "again")))
    return results


@case
def never_received():
    a, b = pair()
    c, name = hold()
    give(a, c)
    c.close()
    before = ask(f"alive {name}")
    a.close()
    b.close()
    return before, ended(name)


@case
def two_copies_in_flight():
    a, b = pair()
    c, name = hold()
    give(a, c)
    give(a, c)
    c.close()
    d, = take(b)
    d.close()
    before = ask(f"alive {name}")
    e, = take(b)
    e.sendall(b"second copy")
    e.close()
    return before, ended(name)


@case
def its_receiver_is_killed():
    results = []
    for i in range(10):
        a, b = pair()
        def body():
            b.recv(0) if i % 2 else take(b)
            os.kill(os.getpid(), signal.SIGKILL)
        c, name = hold()
        pid = in_child(body)
        give(a, c)
        c.close()
        b.close()
        code = reap(pid)
        a.close()
        results.append((code, ended(name)))
    return sorted(set(results))


@case
def a_listener():
    a, b = pair()
    def body():
        s, = take(b)
        c, _ = s.accept()
        with c:
            c.makefile().readline()
            c.sendall(b"new owner")
    pid = in_child(body)
    s, port = listener()
    give(a, s)
    s.close()
    return dial(port, "hello"), reap(pid)


@case
def a_listener_in_flight():
    a, b = pair()
    s, port = listener()
    give(a, s)
    s.close()
    r, w = os.pipe()
    def client():
        os.write(w, dial(port, "hello").encode())
    pid = in_child(client)
    s, = take(b)
    c, _ = s.accept()
    with c:
        c.makefile().readline()
        c.sendall(b"landed")
    return reap(pid), os.read(r, 100)


@case
def many_in_one_message_mixed_with_others():
    a, b = pair()
    cs = [connect("echo") for _ in range(20)]
    r, w = os.pipe()
    fds = []
    for c in cs:
        fds += [c.fileno(), w]
    socket.send_fds(a, [b"x"], fds)
    for c in cs:
        c.close()
    _, got, _, _ = socket.recv_fds(b, 1, 40)
    os.close(w)
    good = sum(echo(socket.socket(fileno=fd), str(i)) == str(i) for i, fd in enumerate(got[::2]))
    for fd in got[1::2]:
        os.write(fd, b"p")
        os.close(fd)
    return good, os.read(r, 100)


@case
def peeked_at():
    a, b = pair()
    c = connect("echo")
    give(a, c)
    c.close()
    _, control, _, _ = b.recvmsg(1, socket.CMSG_SPACE(4), socket.MSG_PEEK)
    with socket.socket(fileno=array.array("i", control[0][2])[0]) as d:
        first = echo(d, "peeked")
    e, = take(b)
    return first, echo(e, "taken")


@case
def cut_short():
    a, b = pair()
    cs = [hold() for _ in range(3)]
    give(a, *[c for c, _ in cs])
    for c, _ in cs:
        c.close()
    _, fds, flags, _ = socket.recv_fds(b, 1, 1)
    lost = [ended(name) for _, name in cs[len(fds):]]
    d = socket.socket(fileno=fds[0])
    d.sendall(b"kept")
    for fd in fds:
        socket.socket(fileno=fd).close()
    return len(fds) < 3, bool(flags & socket.MSG_CTRUNC), set(lost), ended(cs[0][1])


@case
def dropped_by_a_plain_read():
    a, b = pair()
    c, name = hold()
    give(a, c)
    c.close()
    b.recv(1)
    return ended(name)


@case
def through_five_processes():
    pairs = [pair() for _ in range(6)]
    def hop(i):
        def body():
            c, = take(pairs[i][1])
            c.sendall(b"%d" % i)
            give(pairs[i + 1][0], c)
            c.close()
        return body
    pids = [in_child(hop(i)) for i in range(5)]
    c = connect("echo")
    give(pairs[0][0], c)
    c.close()
    d, = take(pairs[5][1])
    return [reap(pid) for pid in pids], read_exactly(d, 5), echo(d, "home")


@case
def nested_in_flight():
    a, b = pair()
    inner_a, inner_b = pair()
    c, name = hold()
    give(inner_a, c)
    give(a, inner_b)
    c.close()
    inner_b.close()
    u, = take(b)
    d, = take(u)
    d.sendall(b"deep")
    d.close()
    return ended(name)


@case
def nested_and_dropped():
    a, b = pair()
    inner_a, inner_b = pair()
    c, name = hold()
    give(inner_a, c)
    give(a, inner_b)
    for s in c, inner_a, inner_b, a, b:
        s.close()
    return ended(name)


@case
def between_strangers():
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "s")
        server = socket.socket(socket.AF_UNIX)
        server.bind(path)
        server.listen()
        script = ("import socket, sys; u = socket.socket(socket.AF_UNIX); u.connect(sys.argv[1]); _, fds, _, _ = socket.recv_fds(u, 1, 1);"
                  "c = socket.socket(fileno=fds[0]); c.sendall(b'stranger'); print(c.recv(100).decode(), end='')")
        p = subprocess.Popen([sys.executable, "-c", script, path], stdout=subprocess.PIPE)
        u, _ = server.accept()
        c = connect("echo")
        give(u, c)
        c.close()
        return p.communicate()[0], p.returncode


@case
def over_datagrams_and_seqpacket():
    results = []
    for kind in socket.SOCK_DGRAM, socket.SOCK_SEQPACKET:
        a, b = pair(kind)
        c = connect("echo")
        give(a, c)
        c.close()
        d, = take(b)
        results.append(echo(d, "fine"))
    return results


@case
def datagram_sockets_pass_too():
    a, b = pair()
    u = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    u.bind(("", 0))
    port = u.getsockname()[1]
    give(a, u)
    u.close()
    v, = take(b)
    return v.type == socket.SOCK_DGRAM, v.getsockname()[1] == port


@case
def by_multiprocessing():
    ours, theirs = multiprocessing.Pipe()
    def body():
        c = theirs.recv()
        return 0 if echo(c, "unpickled") == "unpickled" else 1
    pid = in_child(body)
    c = connect("echo")
    ours.send(c)
    code = reap(pid)
    c.close()
    a, b = multiprocessing.Pipe()
    def handle():
        fd = multiprocessing.reduction.recv_handle(b)
        return 0 if echo(socket.socket(fileno=fd), "handle") == "handle" else 1
    pid = in_child(handle)
    d = connect("echo")
    multiprocessing.reduction.send_handle(a, d.fileno(), pid)
    d.close()
    return code, reap(pid)


@case
def both_ends_use_it():
    a, b = pair()
    def body():
        c, = take(b)
        for _ in range(50):
            c.sendall(b"c" * 1000)
    pid = in_child(body)
    c = connect("echo")
    give(a, c)
    for _ in range(50):
        c.sendall(b"p" * 1000)
    data = read_exactly(c, 100000)
    return reap(pid), data.count(b"p"), data.count(b"c")


@case
def pidfd_getfd():
    libc = ctypes.CDLL(None, use_errno=True)
    c, name = hold()
    r, w = os.pipe()
    def body():
        os.close(w)
        os.read(r, 1)
    pid = in_child(body)
    fd = c.fileno()
    c.close()
    process = os.pidfd_open(pid)
    got = libc.pidfd_getfd(process, fd, 0)
    os.close(w)
    code = reap(pid)
    d = socket.socket(fileno=got)
    d.sendall(b"taken")
    d.close()
    bad = libc.pidfd_getfd(process, 9999, 0), errno.errorcode[ctypes.get_errno()]
    return code, ended(name), bad


@case
def killed_at_any_moment():
    results = []
    for i in range(60):
        a, b = pair()
        def body():
            c, = take(b)
            give(b, c)
            c.sendall(b"z" * 100)
            give(b, c)
            c.close()
            signal.pause()
        c, name = hold()
        pid = in_child(body)
        give(a, c)
        c.close()
        for _ in range(i * 20):
            os.sched_yield()
        os.kill(pid, signal.SIGKILL)
        code = reap(pid)
        a.close()
        b.close()
        results.append((code, ended(name).split()[0]))
    return sorted(set(results))


main()
