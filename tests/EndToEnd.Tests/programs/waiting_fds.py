"""Sets and fds: dup, close, fork; one socket in many sets; fairness."""
import os, select, socket, time
from waiting_tools import *

IN, OUT, ET, ONESHOT = select.EPOLLIN, select.EPOLLOUT, select.EPOLLET, select.EPOLLONESHOT


def case_many_sets(p):
    c, n = p.connect()
    sets = [select.epoll() for _ in range(20)]
    for i, ep in enumerate(sets):
        ep.register(c, IN | (ET if i % 2 else 0))
    p.do(n, "send", 1)
    out = [[len(soon(ep)) for ep in sets], [len(now(ep)) for ep in sets]]
    c.recv(1)
    out.append([len(now(ep)) for ep in sets])
    c.close()
    [ep.close() for ep in sets]
    return out


def case_dup_in_one_set(p):
    """An item belongs to the open file description and the number: a dup is another one, and the first stays while a dup is open."""
    c, n = p.connect()
    f = c.fileno()
    d = os.dup(f)
    ep = select.epoll()
    e = ep.fileno()
    out = [ctl(e, 1, f, IN, 100), ctl(e, 1, d, IN, 200), ctl(e, 1, d, IN, 300)]
    p.do(n, "send", 1)
    await_readable(c)
    out.append(wait(e, timeout=20000))
    c.close()
    out += [wait(e), ctl(e, 2, f, 0), ctl(e, 3, f, IN)]       # closed, and still reported
    out.append(os.read(d, 10))
    out.append(wait(e))
    p.do(n, "send", 1)
    out.append(wait(e, timeout=20000))
    os.dup2(d, f)                                             # the number is back: so is the item
    out += [ctl(e, 1, f, IN, 5), ctl(e, 3, f, IN, 101), wait(e), ctl(e, 2, f, 0), wait(e)]
    os.close(f)
    os.close(d)
    out.append(wait(e))
    ep.close()
    return out


def case_number_reused(p):
    """The number of a closed fd, given to another file: another item."""
    c, n = p.connect()
    f = c.fileno()
    d = os.dup(f)
    r, w = os.pipe()
    ep = select.epoll()
    e = ep.fileno()
    out = [ctl(e, 1, f, IN, 1)]
    os.dup2(r, f)
    out += [ctl(e, 3, f, IN, 2), ctl(e, 1, f, IN, 3)]
    p.do(n, "send", 1)
    out.append(wait(e, timeout=20000))
    os.write(w, b"1")
    out.append(wait(e))
    c.detach()
    [os.close(x) for x in (f, r, w)]
    out.append(wait(e))
    os.close(d)
    out.append(wait(e))
    ep.close()
    return out


def case_close_leaves_the_set(p):
    c, n = p.connect()
    with select.epoll() as ep:
        ep.register(c, OUT)
        out = [len(now(ep))]
        c.close()
        out.append(now(ep))
        c, n = p.connect()               # most likely the same number
        out.append(now(ep))
        out.append(attempt(ep.register, c, OUT))
        out.append(len(now(ep)))
        return out


def case_dup_of_the_set(p):
    c, n = p.connect()
    ep = select.epoll()
    e = ep.fileno()
    d = os.dup(e)
    out = [ctl(d, 1, c.fileno(), OUT, 9), ctl(e, 1, c.fileno(), OUT, 9), wait(e), wait(d)]
    os.close(e)
    out += [wait(d), ctl(d, 3, c.fileno(), IN, 9), wait(d)]
    r, w = os.pipe()
    os.write(w, b"1")
    out += [ctl(d, 1, r, IN, 10), wait(d)]
    p.do(n, "send", 1)
    await_readable(c)
    out += [wait(d), ctl(d, 2, c.fileno(), 0), wait(d)]
    x = select.epoll()
    out += [x.fileno() == e, wait(x.fileno()), ctl(x.fileno(), 1, c.fileno(), IN, 11), wait(x.fileno())]
    os.close(d), os.close(r), os.close(w)
    ep = None
    return out


def case_dup_of_the_set_listener(p):
    """The set's first fd is closed before a listener begins to listen."""
    s = p.socket()
    ep = select.epoll()
    d = os.dup(ep.fileno())
    out = [ctl(ep.fileno(), 1, s.fileno(), IN, 4)]
    ep.close()
    s.bind(("", 0))
    s.listen(5)
    wait(d)
    loop = socket.create_connection(("::1" if p.family == socket.AF_INET6 else "127.0.0.1", s.getsockname()[1]))
    out.append(wait(d, timeout=20000))
    a, _ = s.accept()
    number = p.do("dial", p.control.getsockname()[0], s.getsockname()[1])
    out.append(wait(d, timeout=20000))
    [x.close() for x in (a, loop, s)]
    os.close(d)
    p.do(number, "close")
    return out


def case_fair_turns(p):
    """With room for less than what is ready, everybody gets a turn."""
    out = []
    for most in (1, 2, 3):
        cs = [p.connect()[0] for _ in range(5)]
        with select.epoll() as ep:
            [ep.register(c, OUT) for c in cs]
            seen = [fd for _ in range(10) for fd in now(ep, most)]
        out.append([seen.count(c.fileno()) for c in cs])
    return out


def case_fair_turns_with_pipes(p):
    """The same, half of them pipes: nobody starves."""
    cs = [p.connect()[0] for _ in range(4)]
    pipes = [os.pipe() for _ in range(4)]
    out = []
    for most in (1, 2, 3, 5, 8):
        with select.epoll() as ep:
            [ep.register(c, OUT) for c in cs]
            [ep.register(w, OUT) for _, w in pipes]
            seen = [fd for _ in range(200) for fd in now(ep, most)]
        out.append([seen.count(fd) >= 200 * most // 8 // 4 for fd in [c.fileno() for c in cs] + [w for _, w in pipes]])
    [os.close(x) for pair in pipes for x in pair]
    return out


def case_all_at_once(p):
    """Pipes and connections, all ready: one wait reports all."""
    cs = [p.connect()[0] for _ in range(3)]
    pipes = [os.pipe() for _ in range(3)]
    out = []
    with select.epoll() as ep:
        [ep.register(c, OUT) for c in cs]
        [ep.register(w, OUT) for _, w in pipes]
        for _ in range(5):
            out.append(len(now(ep)))
            time.sleep(0.001)
    [os.close(x) for pair in pipes for x in pair]
    return out


def case_fork_both_wait(p):
    """Parent and child each wait on the set that the parent made, one after the other."""
    c, n = p.connect()
    r, w = os.pipe()
    ep = select.epoll()
    ep.register(c, IN)
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            got = soon(ep)
            code = 0 if got == {c.fileno(): "IN"} and c.recv(10) == b"x" else 2
        finally:
            os._exit(code)
    p.do(n, "send", 1)
    out = [os.waitpid(pid, 0)[1], quiet(ep)]
    p.do(n, "send", 2)
    out += [soon(ep), c.recv(10)]
    os.close(r), os.close(w)
    ep.close()
    return [str(x).replace(str(c.fileno()), "c") for x in out]


def case_fork_child_makes_its_own(p):
    """libevent's way: the child closes the set and makes another; the parent's still works."""
    c, n = p.connect()
    ep = select.epoll()
    ep.register(c, IN)
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            ep.close()
            with select.epoll() as own:
                own.register(c, IN)
                code = 0 if soon(own) == {c.fileno(): "IN"} else 2
        finally:
            os._exit(code)
    p.do(n, "send", 1)
    out = [os.waitpid(pid, 0)[1], list(soon(ep).values()), c.recv(5)]
    ep.close()
    return out
