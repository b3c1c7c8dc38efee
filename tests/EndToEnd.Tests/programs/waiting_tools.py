"""What the cases of waiting_*.py share."""
import ctypes, errno, os, select, time

libc = ctypes.CDLL(None, use_errno=True)

ALL = (select.EPOLLIN | select.EPOLLPRI | select.EPOLLOUT | select.EPOLLRDNORM | select.EPOLLRDBAND | select.EPOLLWRNORM | select.EPOLLWRBAND
       | select.EPOLLRDHUP)
NAMES = ((1, "IN"), (2, "PRI"), (4, "OUT"), (8, "ERR"), (0x10, "HUP"), (0x20, "NVAL"), (0x40, "RDNORM"), (0x80, "RDBAND"), (0x100, "WRNORM"),
         (0x200, "WRBAND"), (0x400, "MSG"), (0x2000, "RDHUP"))
SOON = 0.05


def bits(mask):
    """A mask of events by name."""
    return "|".join(name for bit, name in NAMES if mask & bit) or "-"


def state(s):
    """What poll says of a socket now, with every bit asked for."""
    p = select.poll()
    p.register(s, ALL)
    return bits(p.poll(0)[0][1]) if p.poll(0) else "-"


def state_when(s, want, seconds=20):
    """As state, once a bit of it is there."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        p = select.poll()
        p.register(s, want)
        if any(ev & want for _, ev in p.poll(20000)):
            break
    return state(s)


def await_readable(s):
    p = select.poll()
    p.register(s, select.POLLIN)
    assert p.poll(20000), "nothing came"


def now(ep, n=-1):
    """What a set reports at once: {fd: bits}."""
    return {fd: bits(ev) for fd, ev in ep.poll(0, n)}


def soon(ep, n=-1, seconds=20):
    """What a set reports, waiting for it."""
    return {fd: bits(ev) for fd, ev in ep.poll(seconds, n)}


def quiet(ep):
    """Whether a set reports nothing for a moment."""
    return ep.poll(SOON) == []


def attempt(f, *args):
    """The result of a call, or the name of its errno."""
    try:
        r = f(*args)
        return "ok" if r is None else r
    except OSError as e:
        return errno.errorcode[e.errno]


class Event(ctypes.Structure):
    _pack_ = 1
    _fields_ = [("events", ctypes.c_uint32), ("data", ctypes.c_uint64)]


def call(f, *args):
    """A libc call: its result, or the name of its errno."""
    r = f(*args)
    return r if r >= 0 else errno.errorcode[ctypes.get_errno()]


def ctl(ep, op, fd, events, data=0):
    """epoll_ctl as it is: op is 1 (ADD), 2 (DEL), 3 (MOD)."""
    e = Event(events, data)
    return call(libc.epoll_ctl, ep, op, fd, ctypes.byref(e))


def wait(ep, most=16, timeout=0):
    """epoll_wait as it is: [(data, bits)], or the name of the errno."""
    es = (Event * most)()
    n = call(libc.epoll_wait, ep, es, most, timeout)
    return n if isinstance(n, str) else sorted((es[i].data, bits(es[i].events)) for i in range(n))


def fill(c):
    """Sends until there is no room, and the peer takes no more either; how much it was."""
    total = 0
    p = select.poll()
    p.register(c, select.POLLOUT)
    while p.poll(300):
        try:
            while True:
                total += c.send(b"y" * 65536)
        except BlockingIOError:
            pass
    return total
