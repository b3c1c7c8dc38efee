"""Processes that are killed in the middle of a certain call, again and again. victims_calls.py ADDRESS PORT KIND CYCLES SEED

KIND: exec, fork, pass (fds over AF_UNIX), epoll (epoll_ctl on a set that the parent has too), accept, datagram, or all of them in turn. ADDRESS PORT is
processes/peer.py's. Each cycle forks a child, the leader of a process group, which makes the call as often as it can with a connection that it has inherited, and kills
the group after a random time. What goes wrong because the network goes away meanwhile is tried again. Prints how many were killed."""
import os, random, select, signal, socket, sys, threading, time

address, port, kind, cycles = sys.argv[1], int(sys.argv[2]), sys.argv[3], int(sys.argv[4])
KINDS = ("exec", "fork", "pass", "epoll", "accept", "datagram")


def connect(line=b"echo\n", patience=60):
    deadline = time.monotonic() + patience
    while True:
        try:
            c = socket.create_connection((address, port), timeout=20)
            c.settimeout(None)
            c.sendall(line)
            return c
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.02)


def execs(c, ep, s):
    c.set_inheritable(True)
    os.execv(sys.executable, [sys.executable, "-S", __file__, address, str(port), "again", str(c.fileno()), "0"])


def again(fd):
    """A program that executes itself over and over, with a socket."""
    c = socket.socket(fileno=fd)
    try:
        c.send(b"x", socket.MSG_DONTWAIT)
    except OSError:
        pass
    execs(c, None, None)


def forks(c, ep, s):
    while True:
        pid = os.fork()
        if pid == 0:
            try:
                c.send(b"x", socket.MSG_DONTWAIT)
            except OSError:
                pass
            os._exit(0)
        os.waitpid(pid, 0)


def passes(c, ep, s):
    a, b = socket.socketpair()
    own = [connect() for _ in range(3)]
    if os.fork() == 0:
        while True:
            _, fds, _, _ = socket.recv_fds(b, 1, 4)
            for fd in fds:
                os.close(fd)
    while True:
        socket.send_fds(a, [b"x"], [c.fileno(), own[0].fileno()])
        own.append(own.pop(0))


def changes(c, ep, s):
    own = [c] + [connect() for _ in range(3)]
    while True:
        for o in own:
            for call in (lambda: ep.register(o, select.EPOLLIN | select.EPOLLET), lambda: ep.modify(o, select.EPOLLOUT | select.EPOLLONESHOT), lambda: ep.unregister(o)):
                try:
                    call()
                except OSError:
                    pass
                ep.poll(0)


def accepts(c, ep, s):
    def dials():
        while True:
            with connect(f"dials 10 {c.getsockname()[0]} {s.getsockname()[1]} x\n".encode()) as d:
                d.recv(1000)
    threading.Thread(target=dials, daemon=True).start()
    while True:
        s.accept()[0].close()


def datagrams(c, ep, s):
    u = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    data = b"d" * 30000
    while True:
        for n in 1, 1400, 9000, 30000:
            try:
                u.sendto(data[:n], (address, 9))
            except OSError:
                pass


CALLS = dict(zip(KINDS, (execs, forks, passes, changes, accepts, datagrams)))


def end(group):
    """Until nobody of the group is left."""
    while True:
        try:
            os.killpg(group, signal.SIGKILL)
        except ProcessLookupError:
            return
        try:
            while os.waitpid(-group, os.WNOHANG)[0]:
                pass
        except ChildProcessError:
            pass
        time.sleep(0.001)


def main():
    rnd = random.Random(int(sys.argv[5]))
    killed = 0
    for i in range(cycles):
        c, ep, s = connect(), select.epoll(), None
        ep.register(c, select.EPOLLIN)
        while s is None:
            try:
                s = socket.create_server(("", 0))
            except OSError:
                time.sleep(0.02)
        group = os.fork()
        if group == 0:
            try:
                os.setpgid(0, 0)
                CALLS[KINDS[i % len(KINDS)] if kind == "all" else kind](c, ep, s)
            finally:
                os._exit(1)
        try:
            os.setpgid(group, group)
        except OSError:
            pass                        # it has done so itself
        time.sleep(rnd.random() * rnd.choice((0.005, 0.05, 0.2)))
        end(group)
        killed += 1
        for f in c, ep, s:
            f.close()
    print("killed", killed, flush=True)


if kind == "again":
    again(cycles)
import ctypes
ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)  # PR_SET_CHILD_SUBREAPER: what the children leave is reaped here
main()
