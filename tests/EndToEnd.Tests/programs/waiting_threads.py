"""Several threads wait: nothing is lost, and an event goes to whom the kernel gives it."""
import os, select, socket, threading, time
from waiting_tools import *

IN, OUT, ET, ONESHOT = select.EPOLLIN, select.EPOLLOUT, select.EPOLLET, select.EPOLLONESHOT


def asleep(thread_id):
    """Whether a thread of this process sleeps."""
    try:
        with open(f"/proc/self/task/{thread_id}/stat") as f:
            return f.read().rsplit(")", 1)[1].split()[0] == "S"
    except OSError:
        return False


class Waiter(threading.Thread):
    """A thread that does something and keeps the result; start returns once it sleeps in it."""

    def __init__(self, what, *args):
        super().__init__(daemon=True)
        self.what, self.args, self.result = what, args, None
        super().start()
        end = time.monotonic() + 20
        calm = 0
        while calm < 5 and time.monotonic() < end:
            time.sleep(0.004)
            calm = calm + 1 if self.native_id and asleep(self.native_id) else 0

    def run(self):
        try:
            self.result = self.what(*self.args)
        except Exception as e:
            self.result = repr(e)

    def done(self, seconds=20):
        self.join(seconds)
        return self.result if not self.is_alive() else "still waits"


def case_add_while_another_waits(p):
    """A socket that is ready already, put into a set that another thread waits on."""
    c, n = p.connect()
    p.do(n, "send", 1)
    await_readable(c)
    ep = select.epoll()
    out = []
    for setup in (lambda: ep.register(c, IN), lambda: ep.modify(c, IN)):
        t = Waiter(lambda: list(soon(ep).values()))
        setup()
        out.append(t.done())
        ep.modify(c, 0)
    t = Waiter(lambda: list(soon(ep).values()))
    d, m = p.connect()
    ep.register(d, OUT)
    out.append(t.done())
    return out


def case_add_a_pipe_while_another_waits(p):
    c, n = p.connect()
    ep = select.epoll()
    ep.register(c, IN)
    r, w = os.pipe()
    os.write(w, b"1")
    t = Waiter(lambda: list(soon(ep).values()))
    ep.register(r, IN)
    out = [t.done()]
    os.read(r, 1)
    t = Waiter(lambda: list(soon(ep).values()))
    os.write(w, b"1")
    out.append(t.done())
    os.close(r), os.close(w)
    return out


def case_first_socket_while_another_waits(p):
    """The set has nothing but a pipe when the wait begins."""
    r, w = os.pipe()
    ep = select.epoll()
    ep.register(r, IN)
    t = Waiter(lambda: list(soon(ep).values()))
    c, n = p.connect()
    ep.register(c, IN)
    p.do(n, "send", 1)
    out = [t.done()]
    os.close(r), os.close(w)
    return out


def case_empty_set_while_another_waits(p):
    ep = select.epoll()
    t = Waiter(lambda: list(soon(ep).values()))
    c, n = p.connect()
    ep.register(c, IN)
    p.do(n, "send", 1)
    return t.done()


def case_nested_while_another_waits(p):
    inner, outer = select.epoll(), select.epoll()
    outer.register(inner, IN)
    t = Waiter(lambda: list(soon(outer).values()))
    u = Waiter(lambda: state_when(outer, IN))
    c, n = p.connect()
    inner.register(c, IN)
    p.do(n, "send", 1)
    return [t.done(), u.done()]


def case_one_event_one_thread(p):
    """Edge-triggered and one-shot: of several waiting threads one gets the event."""
    out = []
    for how in (IN | ET, IN | ONESHOT):
        c, n = p.connect()
        ep = select.epoll()
        ep.register(c, how)
        ts = [Waiter(lambda: len(ep.poll(1.5))) for _ in range(4)]
        p.do(n, "send", 1)
        out.append(sorted(t.done() for t in ts))
    return out


def case_level_serves_all(p):
    """Level-triggered, four sockets, four threads: all get something."""
    cs = [p.connect() for _ in range(4)]
    ep = select.epoll()
    for c, _ in cs:
        ep.register(c, IN | ONESHOT)
    ts = [Waiter(lambda: ep.poll(20, 1)) for _ in range(4)]
    for _, n in cs:
        p.do(n, "send", 1)
    got = [t.done() for t in ts]
    return sorted(len(g) for g in got), len({g[0][0] for g in got if g})


def case_several_sets(p):
    """One socket in four sets, a thread on each: all are told."""
    c, n = p.connect()
    sets = [select.epoll() for _ in range(4)]
    for ep in sets:
        ep.register(c, IN)
    ts = [Waiter(lambda ep=ep: list(soon(ep).values())) for ep in sets]
    p.do(n, "send", 1)
    return [t.done() for t in ts]


def case_close_while_another_waits(p):
    """A socket closed under a wait leaves the set silently; others are still reported."""
    c, n = p.connect()
    d, m = p.connect()
    ep = select.epoll()
    ep.register(c, IN)
    ep.register(d, IN)
    t = Waiter(lambda: list(soon(ep).values()))
    c.close()
    p.do(m, "send", 1)
    return t.done()


def case_last_socket_closed_while_another_waits(p):
    c, n = p.connect()
    ep = select.epoll()
    ep.register(c, IN)
    t = Waiter(lambda: list(soon(ep).values()))
    c.close()
    d, m = p.connect()
    ep.register(d, IN)
    p.do(m, "send", 1)
    return t.done()


def case_poll_beside_recv(p):
    """Threads of different kinds on sockets of their own."""
    cs = [p.connect() for _ in range(6)]
    ep = select.epoll()
    ep.register(cs[0][0], IN)
    ts = [Waiter(lambda: list(soon(ep).values())), Waiter(state_when, cs[1][0], IN), Waiter(lambda: len(select.select([cs[2][0]], [], [], 20)[0])),
          Waiter(cs[3][0].recv, 10), Waiter(cs[4][0].recv, 10), Waiter(cs[5][0].recv, 10, socket.MSG_PEEK)]
    for _, n in reversed(cs):
        p.do(n, "send", 1)
    return [t.done() for t in ts]


def case_two_readers_of_one_socket(p):
    c, n = p.connect()
    ts = [Waiter(c.recv, 1) for _ in range(3)]
    p.do(n, "send", 2)
    end = time.monotonic() + 20
    while sum(t.is_alive() for t in ts) > 1 and time.monotonic() < end:
        time.sleep(0.005)
    p.do(n, "shut")
    return sorted(t.done() for t in ts)


def case_reader_and_poller_of_one_socket(p):
    c, n = p.connect()
    ep = select.epoll()
    ep.register(c, IN)
    ts = [Waiter(lambda: list(soon(ep).values())), Waiter(lambda: c.recv(10, socket.MSG_PEEK)), Waiter(state_when, c, IN)]
    p.do(n, "send", 1)
    return [t.done() for t in ts]


def case_acceptors(p):
    """Several threads in accept on one listener: one connection, one thread."""
    s, (host, port) = p.listener()
    ts = [Waiter(lambda: s.accept()[0].fileno() > 0) for _ in range(3)]
    numbers = [p.do("dial", host, port) for _ in range(3)]
    out = [t.done() for t in ts]
    [p.do(k, "close") for k in numbers]
    return out
