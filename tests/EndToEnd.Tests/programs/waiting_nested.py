"""Sets within sets, and waiting for a set with poll and select."""
import os, select, time
from waiting_tools import *

IN, OUT, ET, ONESHOT = select.EPOLLIN, select.EPOLLOUT, select.EPOLLET, select.EPOLLONESHOT


def chain(n):
    """Sets, each in the next."""
    sets = [select.epoll() for _ in range(n)]
    for inner, outer in zip(sets, sets[1:]):
        outer.register(inner, IN)
    return sets


def case_nested_levels(p):
    c, n = p.connect()
    sets = chain(5)
    sets[0].register(c, IN)
    out = [quiet(sets[-1])]
    p.do(n, "send", 1)
    out.append([list(soon(s).values()) for s in reversed(sets)])
    out.append([list(now(s).values()) for s in sets])
    c.recv(1)
    out.append([list(now(s).values()) for s in reversed(sets)])
    return out


def case_nested_edges(p):
    c, n = p.connect()
    inner, outer = select.epoll(), select.epoll()
    inner.register(c, IN)
    outer.register(inner, IN | ET)
    out = [quiet(outer)]
    p.do(n, "send", 1)
    out += [len(soon(outer)), quiet(outer)]
    p.do(n, "send", 1)                   # the inner one is ready already: still an event
    out += [len(soon(outer)), quiet(outer)]
    out.append(list(now(inner).values()))
    c.recv(10)
    out += [quiet(outer), now(inner)]
    outer.modify(inner, IN | ONESHOT)
    p.do(n, "send", 1)
    out += [list(soon(outer).values()), quiet(outer)]
    outer.modify(inner, IN | ONESHOT)
    out.append(len(now(outer)))
    return out


def case_nested_mixed(p):
    """The inner set has a pipe and a connection: the outer one reports it once, whichever is ready."""
    c, n = p.connect()
    r, w = os.pipe()
    inner, outer = select.epoll(), select.epoll()
    inner.register(c, IN)
    inner.register(r, IN)
    outer.register(inner, IN)
    out = [quiet(outer)]
    os.write(w, b"1")
    out += [outer.poll(20) == [(inner.fileno(), 1)], len(now(inner))]
    p.do(n, "send", 1)
    await_readable(c)
    out += [outer.poll(20) == [(inner.fileno(), 1)], len(now(inner))]
    os.read(r, 1)
    out += [outer.poll(20) == [(inner.fileno(), 1)], len(now(inner))]
    c.recv(1)
    out += [quiet(outer), len(now(inner))]
    os.close(r), os.close(w)
    return out


def case_nested_filled_first(p):
    """Put into the outer set while the inner one is ready; and into the inner one afterwards."""
    c, n = p.connect()
    d, m = p.connect()
    inner, outer = select.epoll(), select.epoll()
    inner.register(c, OUT)
    outer.register(inner, IN)
    out = [len(now(outer))]
    inner.unregister(c)
    out.append(len(now(outer)))
    inner.register(d, IN)
    p.do(m, "send", 1)
    out.append(len(soon(outer)))
    d.close()
    out.append(len(now(outer)))
    inner.register(c, OUT | ONESHOT)
    out += [len(now(outer)), len(now(inner)), len(now(outer))]
    inner.close()
    out.append(now(outer))
    return out


def case_nested_limits(p):
    c, n = p.connect()
    sets = chain(5)
    sets[0].register(c, IN)
    top = select.epoll()
    out = [attempt(top.register, sets[-1], IN)]                # a sixth level
    out.append(attempt(sets[0].register, sets[-1], IN))        # a circle
    out.append(attempt(sets[0].register, sets[0], IN))
    a, b = select.epoll(), select.epoll()
    a.register(c, IN)
    b.register(a, IN)
    out += [attempt(a.register, b, IN), attempt(b.register, a, IN), attempt(b.unregister, a), attempt(b.unregister, a), attempt(a.register, b, IN)]
    return out


def case_nested_after_the_fact(p):
    """Nested first, filled later, level by level."""
    sets = chain(4)
    c, n = p.connect()
    p.do(n, "send", 1)
    await_readable(c)
    sets[0].register(c, IN)
    return [len(now(s)) for s in reversed(sets)]


def case_a_set_in_poll_and_select(p):
    c, n = p.connect()
    with select.epoll() as ep:
        ep.register(c, IN)
        out = [state(ep), select.select([ep], [ep], [ep], SOON)]
        p.do(n, "send", 1)
        out.append(state_when(ep, IN))
        r = select.select([ep], [ep], [ep], 20)
        out.append([len(x) for x in r])
        c.recv(1)
        out += [state(ep), [len(x) for x in select.select([ep], [], [], 0)]]
        out.append(attempt(os.read, ep.fileno(), 1))
        return out


def case_poll_waits_for_a_set(p):
    """Asleep in poll and select on a set until its socket gets something."""
    out = []
    for wait_for in (lambda ep: state_when(ep, IN), lambda ep: len(select.select([ep], [], [], 20)[0])):
        c, n = p.connect()
        with select.epoll() as ep:
            ep.register(c, IN)
            number = p.do("new")
            p.start(n, "send", 1)
            out.append(wait_for(ep))
            p.finish()
    return out
