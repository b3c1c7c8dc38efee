"""poll, ppoll, select, pselect: bits, limits, errors, timeouts."""
import ctypes, os, resource, select, signal, socket, threading, time
from waiting_tools import *


class PollFd(ctypes.Structure):
    _fields_ = [("fd", ctypes.c_int), ("events", ctypes.c_short), ("revents", ctypes.c_short)]


class TimeVal(ctypes.Structure):
    _fields_ = [("sec", ctypes.c_long), ("usec", ctypes.c_long)]


def poll(fds, timeout=0, count=None):
    """[(fd, events)] -> what poll returns, and the bits of each."""
    array = (PollFd * max(1, len(fds)))(*[PollFd(fd, ev, -1) for fd, ev in fds])
    n = call(libc.poll, array, len(fds) if count is None else count, timeout)
    return n, [bits(array[i].revents & 0xFFFF) for i in range(len(fds))]


def fdset(fds, size):
    words = (ctypes.c_ulong * (size // 64))()
    for fd in fds:
        words[fd // 64] |= 1 << (fd % 64)
    return words


def members(words):
    return [64 * i + b for i, w in enumerate(words) for b in range(64) if w >> b & 1]


def selects(nfds, reads, writes, excepts, timeout=(0, 0), size=1024):
    """select as it is: result, the three sets afterwards, and the time left."""
    sets = [fdset(x, size) if x is not None else None for x in (reads, writes, excepts)]
    t = TimeVal(*timeout) if timeout is not None else None
    n = call(libc.select, nfds, *sets, ctypes.byref(t) if t else None)
    return n, [members(s) if s is not None else None for s in sets], (t.sec, t.usec) if t else None


def case_poll_bits(p):
    c, n = p.connect()
    f = c.fileno()
    out = [poll([(f, ALL)]), poll([(f, 0)]), poll([(f, select.POLLPRI)]), poll([(f, select.POLLWRNORM)]), poll([(f, select.POLLWRBAND)])]
    p.do(n, "send", 1)
    await_readable(c)
    out += [poll([(f, ALL)]), poll([(f, select.POLLRDNORM)]), poll([(f, select.POLLRDBAND)]), poll([(f, select.POLLRDHUP)])]
    p.do(n, "reset")
    out += [state_when(c, select.POLLERR), poll([(f, 0)]), poll([(f, select.POLLOUT)])]
    return out


def case_poll_odd_fds(p):
    c, n = p.connect()
    r, w = os.pipe()
    closed = os.dup(r)
    os.close(closed)
    f, IN, OUT = c.fileno(), select.POLLIN, select.POLLOUT
    out = [poll([(-1, IN), (f, OUT), (-5, OUT)]), poll([(closed, IN), (f, OUT)]), poll([(closed, 0)]), poll([(f, OUT), (f, OUT), (f, IN)])]
    out += [poll([(r, IN), (f, IN), (w, OUT)]), poll([(f, OUT), (r, IN), (w, OUT)]), poll([(1 << 30, IN), (f, IN)])]
    file = os.open(__file__, os.O_RDONLY)
    out.append(poll([(file, IN | OUT), (f, OUT)]))
    out = [str(x).replace(str(1 << 30), "big") for x in out]
    [os.close(x) for x in (r, w, file)]
    return out


def case_poll_limits(p):
    c, n = p.connect()
    f = c.fileno()
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    fds = [(f, select.POLLOUT)] * 300
    out = [poll(fds)[0], poll(fds, count=0)[0]]
    resource.setrlimit(resource.RLIMIT_NOFILE, (256, hard))
    out.append(poll(fds)[0])
    out.append(poll([(-1, 0)] * 300)[0])
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    array = (PollFd * 1)(PollFd(f, select.POLLOUT, 0))
    out += [call(libc.poll, array, -1, 0), call(libc.poll, None, 1, 0), call(libc.poll, ctypes.c_void_p(8), 1, 0), call(libc.poll, None, 0, 0)]
    return out


def case_fds_above_1023(p):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (4096, hard))
    c, n = p.connect()
    r, w = os.pipe()
    high, pipe = 3000, 3001
    os.dup2(c.fileno(), high)
    os.dup2(r, pipe)
    out = [poll([(high, select.POLLOUT | select.POLLIN), (pipe, select.POLLIN)])]
    p.do(n, "send", 1)
    await_readable(c)
    os.write(w, b"1")
    out.append(poll([(high, select.POLLIN), (pipe, select.POLLIN)], 20000))
    # A program that allocates larger sets: the kernel takes them.
    out.append(selects(pipe + 1, [high, pipe, c.fileno()], [high], [], size=4096)[:2] == (4, [[c.fileno(), high, pipe], [high], []]))
    c.recv(1)
    out.append(selects(pipe + 1, [high, pipe], [], [], size=4096)[:2])
    out.append(selects(high, [high], [], [], size=4096)[0])
    with select.epoll() as ep:
        out.append(ctl(ep.fileno(), 1, high, select.EPOLLOUT, 1))
        out.append(wait(ep.fileno()))
    [os.close(x) for x in (high, pipe, r, w)]
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    return out


def case_select_sets(p):
    c, n = p.connect()
    f = c.fileno()
    out = [selects(f + 1, [f], [f], [f])[0], selects(f + 1, [f], None, None)[0], selects(f, [], [f], [])[0]]
    p.do(n, "send", 1)
    await_readable(c)
    out.append([len(x) for x in selects(f + 1, [f], [f], [f])[1]])
    p.do(n, "reset")
    state_when(c, select.POLLERR)
    out.append([len(x) for x in selects(f + 1, [f], [f], [f])[1]])
    out += [selects(-1, [], [], [])[0], selects(f + 1, [f], [], [], (-1, 0))[0], selects(f + 1, [f], [], [], (0, -1))[0]]
    closed = os.dup(f)
    os.close(closed)
    out.append(selects(closed + 1, [f, closed], [], [])[0])
    out.append(selects(1 << 20, [f], [], [], size=1 << 20)[0])
    out.append(call(libc.select, f + 1, ctypes.c_void_p(8), None, None, None))
    out.append(selects(f + 1, [f], [], [], (0, 3000000))[0])
    return out


def case_select_time_left(p):
    c, n = p.connect()
    f = c.fileno()
    out = [selects(f + 1, [], [f], [], (0, 0))[2], selects(f + 1, [f], [], [], (0, 20000))]
    m, _, left = selects(f + 1, [], [f], [], (1000, 5))
    out.append((m, 990 <= left[0] <= 1000))
    m, _, left = selects(f + 1, [f], [], [], (0, 20000))
    return out + [m, left]


def case_timeouts(p):
    c, n = p.connect()
    f = c.fileno()
    ep = select.epoll()
    ep.register(c, select.EPOLLIN)
    out = []
    for what in (lambda: poll([(f, 1)], 60)[0], lambda: len(wait(ep.fileno(), timeout=60)), lambda: selects(f + 1, [f], None, None, (0, 60000))[0]):
        start = time.monotonic()
        out.append((what(), time.monotonic() - start >= 0.059))
    ep.close()
    return out


def case_interrupted(p):
    """A signal ends every kind of wait, SA_RESTART or not; and a wait for a set of signals."""
    c, n = p.connect()
    f = c.fileno()
    ep = select.epoll()
    ep.register(c, select.EPOLLIN)
    signal.signal(signal.SIGALRM, lambda *_: None)
    out = []
    for restart in (True, False):
        signal.siginterrupt(signal.SIGALRM, not restart)
        for what in (lambda: poll([(f, 1)], -1)[0], lambda: wait(ep.fileno(), timeout=-1), lambda: selects(f + 1, [f], None, None, None)[0]):
            signal.setitimer(signal.ITIMER_REAL, 0.05, 0.05)
            out.append(what())
            signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    ep.close()
    return out


def case_mixed_poll(p):
    c, n = p.connect()
    r, w = os.pipe()
    f, IN = c.fileno(), select.POLLIN
    out = [poll([(r, IN), (f, IN)], 20)]
    os.write(w, b"1")
    out.append(poll([(r, IN), (f, IN)], 20000))
    p.do(n, "send", 1)
    await_readable(c)
    out += [poll([(r, IN), (f, IN)], 20000), [len(x) for x in selects(max(r, f) + 1, [r, f], [f], [])[1]]]
    os.read(r, 1)
    out += [poll([(r, IN), (f, IN)], 20000), len(selects(max(r, f) + 1, [r, f], [], [])[1][0])]
    os.close(w)
    out += [poll([(r, IN), (f, IN)]), poll([(r, 0), (f, 0)])]
    os.close(r)
    return out


def starve(p, waiter, flood_pipe):
    """One side is flooded, the other quiet; how many waits until the quiet one is reported, at most."""
    c, n = p.connect()
    r, w = os.pipe()
    os.set_blocking(w, False)
    stop = []

    def flood():
        while not stop:
            try:
                os.write(w, b"z" * 512)
            except BlockingIOError:
                time.sleep(0)

    if flood_pipe:
        t = threading.Thread(target=flood)
        t.start()
        quiet_fd = c.fileno()
    else:
        p.start(n, "send", 64 << 20)
        quiet_fd = r
    worst = 0
    for _ in range(5):
        if flood_pipe:
            p.do(n, "send", 1)
        else:
            os.write(w, b"1")
        turns = 0
        while turns < 100000:
            turns += 1
            ready = waiter(c.fileno(), r)
            if not flood_pipe and c.fileno() in ready:
                c.recv(1000)
            if flood_pipe and r in ready:
                os.read(r, 100)
            if quiet_fd in ready:
                os.read(r, 1) if quiet_fd == r else c.recv(1)
                break
        worst = max(worst, turns)
    stop.append(1)
    if flood_pipe:
        t.join()
    else:
        left = (64 << 20)
        c.close()
        p.finish()
    os.close(r), os.close(w)
    return worst


def flooded(p, make):
    out = []
    for flood_pipe in (True, False):
        worst = starve(p, make(), flood_pipe)
        out.append(worst < 20000)
    return out


def case_starved_in_poll(p):
    return flooded(p, lambda: lambda a, b: [fd for fd, ev in zip((a, b), poll([(a, 1), (b, 1)], 20000)[1]) if "IN" in ev])


def case_starved_in_select(p):
    return flooded(p, lambda: lambda a, b: select.select([a, b], [], [], 20)[0])


def case_starved_in_epoll(p):
    def make(most):
        ep = select.epoll()

        def waiter(a, b):
            if not seen:
                ep.register(a, 1)
                ep.register(b, 1)
                seen.append(1)
            return [fd for fd, _ in ep.poll(20, most)]
        seen = []
        return waiter
    return flooded(p, lambda: make(1)) + flooded(p, lambda: make(16))
