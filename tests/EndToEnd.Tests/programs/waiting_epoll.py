"""epoll(7) over one socket at a time: which bits, when, how often."""
import os, select, socket
from waiting_tools import *

IN, OUT, ET, ONESHOT, EXCLUSIVE = select.EPOLLIN, select.EPOLLOUT, select.EPOLLET, select.EPOLLONESHOT, select.EPOLLEXCLUSIVE
RDHUP = select.EPOLLRDHUP


def both(s):
    """What poll and epoll say of a socket; they must agree."""
    with select.epoll() as ep:
        ep.register(s, ALL)
        a = now(ep).get(s.fileno(), "-")
    return a if a == state(s) else (a, state(s))


def case_states_before_connecting(p):
    s = p.socket()
    out = [both(s)]
    s.bind(("", 0))
    out.append(both(s))
    out.append(attempt(s.shutdown, socket.SHUT_RDWR))
    out.append(both(s))
    s.listen(5)
    out.append(both(s))
    return out


def case_states_of_a_connection(p):
    c, n = p.connect()
    out = [both(c)]
    p.do(n, "send", 3)
    out.append(state_when(c, IN))
    c.recv(3)
    out.append(both(c))
    p.do(n, "shut")
    out.append(state_when(c, RDHUP))
    c.recv(3)
    out.append(both(c))
    c.shutdown(socket.SHUT_WR)
    out.append(both(c))
    return out


def case_states_own_end_first(p):
    c, n = p.connect()
    c.shutdown(socket.SHUT_WR)
    out = [both(c)]
    p.do(n, "send", 3)
    out.append(state_when(c, IN))
    p.do(n, "close")
    out.append(state_when(c, select.EPOLLHUP))
    out.append(c.recv(10))
    out.append(both(c))
    return out


def case_states_shut_read(p):
    c, n = p.connect()
    c.shutdown(socket.SHUT_RD)
    out = [both(c), c.recv(1)]
    p.do(n, "send", 3)
    out.append(state_when(c, IN))
    c.shutdown(socket.SHUT_RDWR)
    out.append(both(c))
    return out


def case_states_after_reset(p):
    c, n = p.connect()
    p.do(n, "reset")
    out = [state_when(c, select.EPOLLERR)]
    out.append(attempt(c.recv, 1))
    out.append(both(c))
    out.append(attempt(c.send, b"x"))
    out.append(attempt(c.recv, 1))
    out.append(both(c))
    return out


def case_states_reset_with_data(p):
    c, n = p.connect()
    p.do(n, "send", 5)
    await_readable(c)
    p.do(n, "reset")
    out = [state_when(c, select.EPOLLERR)]
    out.append(c.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR))
    out.append(both(c))
    return out


def case_states_of_a_refused_connect(p):
    s = p.socket()
    s.setblocking(False)
    out = [attempt(s.connect, (p.address, 9))]
    out.append(state_when(s, select.EPOLLERR))
    out.append(s.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR))
    out.append(both(s))
    out.append(attempt(s.connect, (p.address, 9)))
    out.append(both(s))
    return out


def case_states_of_a_refused_blocking_connect(p):
    s = p.socket()
    out = [attempt(s.connect, (p.address, 9)), both(s)]
    s.connect((p.address, p.port))
    return out + [both(s)]


def case_a_socket_in_the_set_from_the_start(p):
    s = p.socket()
    s.setblocking(False)
    ep = select.epoll()
    ep.register(s, ALL)
    out = [now(ep)[s.fileno()]]
    attempt(s.connect, (p.address, p.port))
    out.append(soon(ep)[s.fileno()])
    s.sendall(b"control\nnew\n")
    while "IN" not in soon(ep)[s.fileno()]:
        pass
    out.append(now(ep)[s.fileno()])
    return out


def case_a_listener_in_the_set_from_the_start(p):
    s = p.socket()
    ep = select.epoll()
    ep.register(s, ALL)
    out = [now(ep)[s.fileno()]]
    s.bind(("", 0))
    s.listen(5)
    out.append(quiet(ep))
    number = p.do("dial", p.control.getsockname()[0], s.getsockname()[1])
    out.append(soon(ep)[s.fileno()])
    a, _ = s.accept()
    out.append(quiet(ep))
    a.close()
    p.do(number, "close")
    return out


def case_edge_data(p):
    c, n = p.connect()
    with select.epoll() as ep:
        ep.register(c, IN | ET)
        out = [quiet(ep)]
        p.do(n, "send", 10)
        out.append(soon(ep)[c.fileno()])
        out.append(quiet(ep))
        c.recv(4)                        # a part: no event
        out.append(quiet(ep))
        p.do(n, "send", 1)               # more: an event, read or not
        out.append(soon(ep)[c.fileno()])
        c.recv(100)
        out.append(quiet(ep))
        p.do(n, "send", 1)
        out.append(soon(ep)[c.fileno()])
        return out


def case_edge_other_direction(p):
    """Arriving data is no event for who asks for EPOLLOUT alone, nor room for who asks for EPOLLIN."""
    c, n = p.connect()
    with select.epoll() as ep:
        ep.register(c, OUT | ET)
        out = [now(ep)[c.fileno()], quiet(ep)]
        p.do(n, "send", 10)
        await_readable(c)
        out.append(quiet(ep))
        ep.modify(c, IN | ET)
        out.append(now(ep)[c.fileno()])
        c.send(b"abc")
        p.do(n, "read", 3)
        out.append(quiet(ep))
        return out


def case_edge_both_directions(p):
    c, n = p.connect()
    with select.epoll() as ep:
        ep.register(c, IN | OUT | ET)
        out = [now(ep)[c.fileno()], quiet(ep)]
        p.do(n, "send", 1)
        out.append(soon(ep)[c.fileno()])
        out.append(quiet(ep))
        c.send(b"abc")                   # room was there all the time
        p.do(n, "read", 3)
        out.append(quiet(ep))
        p.do(n, "shut")
        out.append(soon(ep)[c.fileno()])
        out.append(quiet(ep))
        return out


def case_edge_room(p):
    c, n = p.connect(blocking=False)
    with select.epoll() as ep:
        ep.register(c, OUT | ET)
        out = [now(ep)[c.fileno()]]
        sent = fill(c)
        now(ep)
        out.append(quiet(ep))
        p.start(n, "read", sent)
        out.append(soon(ep)[c.fileno()])
        out.append(p.finish() == f"ok {sent}")
        return out


def case_edge_accept(p):
    s, (host, port) = p.listener()
    s.setblocking(False)
    with select.epoll() as ep:
        ep.register(s, IN | ET)
        numbers = [p.do("dial", host, port)]
        out = [soon(ep)[s.fileno()], quiet(ep)]
        numbers.append(p.do("dial", host, port))
        out.append(soon(ep)[s.fileno()])
        taken = [s.accept()[0], s.accept()[0]]
        out.append(attempt(s.accept))
        out.append(quiet(ep))
        [t.close() for t in taken]
        [p.do(k, "close") for k in numbers]
        return out


def case_edge_own_shutdown(p):
    c, n = p.connect()
    with select.epoll() as ep:
        ep.register(c, IN | RDHUP | ET)
        out = [quiet(ep)]
        c.shutdown(socket.SHUT_WR)
        out.append(quiet(ep))
        c.shutdown(socket.SHUT_RD)
        out.append(soon(ep)[c.fileno()])
        out.append(quiet(ep))
        return out


def case_edge_accepted_at_once(p):
    """Just accepted: OUT once, although its handshake with the stack is still on its way."""
    s, (host, port) = p.listener()
    number = p.do("dial", host, port)
    a, _ = s.accept()
    p.open.append(a)
    with select.epoll() as ep:
        ep.register(a, IN | OUT | ET)
        out = [now(ep)[a.fileno()], quiet(ep), a.getsockname()[1] == port, quiet(ep)]
        p.do(number, "send", 1)
        out.append(soon(ep)[a.fileno()])
        return out


def case_oneshot(p):
    c, n = p.connect()
    with select.epoll() as ep:
        ep.register(c, IN | ONESHOT)
        p.do(n, "send", 2)
        out = [soon(ep)[c.fileno()], quiet(ep)]
        p.do(n, "send", 2)
        await_readable(c)
        out.append(quiet(ep))
        ep.modify(c, IN | ONESHOT)
        out.append(now(ep)[c.fileno()])
        p.do(n, "shut")
        state_when(c, RDHUP)
        out.append(quiet(ep))            # not even that
        ep.modify(c, RDHUP | OUT | ONESHOT | ET)
        out.append(now(ep)[c.fileno()])
        out.append(quiet(ep))
        return out


def case_oneshot_listener(p):
    s, (host, port) = p.listener()
    with select.epoll() as ep:
        ep.register(s, IN | ONESHOT)
        numbers = [p.do("dial", host, port)]
        out = [soon(ep)[s.fileno()], quiet(ep)]
        loop = socket.create_connection(("::1" if ":" in host else "127.0.0.1", port))
        out.append(quiet(ep))
        ep.modify(s, IN | ONESHOT)
        out.append(now(ep)[s.fileno()])
        out.append(quiet(ep))
        taken = [s.accept()[0], s.accept()[0]]
        [t.close() for t in taken + [loop]]
        [p.do(k, "close") for k in numbers]
        return out


def case_modify(p):
    c, n = p.connect()
    with select.epoll() as ep:
        ep.register(c, 0)                # nothing but ERR and HUP
        out = [now(ep)]
        p.do(n, "send", 1)
        await_readable(c)
        out.append(now(ep))
        ep.modify(c, IN | ET)            # what holds now is an event
        out.append(now(ep)[c.fileno()])
        out.append(now(ep))
        ep.modify(c, IN | ET)            # and again
        out.append(now(ep)[c.fileno()])
        ep.modify(c, OUT)
        out += [now(ep)[c.fileno()], now(ep)[c.fileno()]]
        ep.modify(c, 0)
        out.append(now(ep))
        p.do(n, "reset")
        out.append(soon(ep)[c.fileno()])
        return out


def case_modify_the_data(p):
    c, n = p.connect()
    ep = select.epoll()
    out = [ctl(ep.fileno(), 1, c.fileno(), OUT, 7), wait(ep.fileno()), ctl(ep.fileno(), 3, c.fileno(), OUT, 1 << 63), wait(ep.fileno())]
    ep.close()
    return out


def case_exclusive(p):
    c, n = p.connect()
    inner = select.epoll()
    with select.epoll() as ep:
        e, f = ep.fileno(), c.fileno()
        out = [ctl(e, 1, f, IN | EXCLUSIVE | extra) for extra in (RDHUP, ONESHOT, select.EPOLLPRI, select.EPOLLRDNORM)]
        out.append(ctl(e, 1, inner.fileno(), IN | EXCLUSIVE))
        out.append(ctl(e, 1, f, IN | OUT | ET | EXCLUSIVE | select.EPOLLERR | select.EPOLLHUP))
        out += [ctl(e, 3, f, IN), ctl(e, 3, f, IN | EXCLUSIVE), list(now(ep).values()), quiet(ep)]
        p.do(n, "send", 1)
        out += soon(ep).values()
        out += [ctl(e, 2, f, 0), ctl(e, 1, f, IN), ctl(e, 3, f, IN | EXCLUSIVE), ctl(e, 3, f, OUT), list(now(ep).values())]
        return out


def case_errors(p):
    c, n = p.connect()
    r, w = os.pipe()
    file = os.open(__file__, os.O_RDONLY)
    ep = select.epoll()
    e, f = ep.fileno(), c.fileno()
    bad = ctypes.c_void_p(8)
    out = {
        "bad epfd": [ctl(-1, 1, f, IN), ctl(999, 1, f, IN)],
        "bad fd": [ctl(e, 1, -1, IN), ctl(e, 1, 999, IN), ctl(e, 2, 999, IN)],
        "not a set": [ctl(r, 1, f, IN), ctl(f, 1, r, IN), ctl(f, 1, f, IN), wait(f), wait(r), wait(-1)],
        "itself": ctl(e, 1, e, IN),
        "file": ctl(e, 1, file, IN),
        "operation": [ctl(e, 9, f, IN), ctl(e, 0, f, IN), ctl(e, 9, r, IN)],
        "not there": [ctl(e, 2, f, 0), ctl(e, 3, f, IN)],
        "twice": [ctl(e, 1, f, IN), ctl(e, 1, f, OUT), wait(e), ctl(e, 2, f, 0), ctl(e, 2, f, 0)],
        "pointer": [call(libc.epoll_ctl, e, op, f, ptr) for ptr in (None, bad) for op in (1, 3)],
        "pointer at delete": [ctl(e, 1, f, OUT), call(libc.epoll_ctl, e, 2, f, None)],
        "wait": [ctl(e, 1, f, OUT), call(libc.epoll_wait, e, None, 4, 0), call(libc.epoll_wait, e, bad, 4, 0),
                 call(libc.epoll_wait, e, (Event * 4)(), 0, 0), call(libc.epoll_wait, e, (Event * 4)(), -1, 0)],
        "wakeup": [ctl(e, 2, f, 0), ctl(e, 1, f, OUT | select.EPOLLWAKEUP if hasattr(select, "EPOLLWAKEUP") else OUT | 1 << 29), wait(e)],
    }
    ep.close()
    [os.close(x) for x in (r, w, file)]
    return out
