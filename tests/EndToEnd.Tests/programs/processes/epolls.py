"""epoll sets that several processes have: by fork, by exec, in messages over AF_UNIX. See common.py."""
import fcntl, os, select, signal, socket, subprocess, sys, threading, time
from common import *

HELPER = os.path.abspath(__file__)
IN, OUT, ET, ONESHOT, EXCLUSIVE = select.EPOLLIN, select.EPOLLOUT, select.EPOLLET, select.EPOLLONESHOT, 1 << 28


class Steps:
    """Two processes that take turns: step(n) waits until the other has come to it."""
    def __init__(self):
        self.mine, self.others = socket.socketpair()

    def child(self):
        self.mine, self.others = self.others, self.mine

    def say(self, text="."):
        self.mine.sendall(text.encode() + b"\n")

    def hear(self):
        line = b""
        while not line.endswith(b"\n"):
            b = self.mine.recv(1)
            if not b:
                return "gone"
            line += b
        return line.decode().strip()


def fork(body):
    steps = Steps()
    def child():
        steps.child()
        return body(steps)
    return in_child(child), steps


PATIENCE = 100  # seconds for what is to come in any case


def events(ep, fds, timeout=PATIENCE, most=16):
    return sorted((fds.get(fd, "?"), e) for fd, e in ep.poll(timeout, most))


def waiting(c):
    """Makes something wait at a connection to the echo peer."""
    c.sendall(b"x")


@case
def what_the_child_adds_the_parent_sees():
    c, ep = connect("echo"), select.epoll()
    def body(steps):
        ep.register(c, IN)
        steps.say()
        return 0
    pid, steps = fork(body)
    steps.hear()
    code = reap(pid)
    waiting(c)
    return code, events(ep, {c.fileno(): "c"})


@case
def what_the_parent_adds_the_child_sees_while_it_waits():
    c, ep = connect("echo"), select.epoll()
    waiting(c)
    select.select([c], [], [])
    def body(steps):
        steps.say()
        steps.say(str(events(ep, {c.fileno(): "c"})))
        return 0
    pid, steps = fork(body)
    steps.hear()
    asleep(pid)
    ep.register(c, IN)
    return steps.hear(), reap(pid)


@case
def one_of_many_threads_of_the_child_waits():
    c, ep = connect("echo"), select.epoll()
    waiting(c)
    select.select([c], [], [])
    def body(steps):
        quiet = [connect("echo") for _ in range(2)]
        for q in quiet:
            threading.Thread(target=lambda q=q: q.recv(1), daemon=True).start()
        said = threading.Thread(target=lambda: steps.say(str(events(ep, {c.fileno(): "c"}))))
        said.start()
        steps.say()
        said.join()
        return 0
    pid, steps = fork(body)
    steps.hear()
    asleep(pid)
    ep.register(c, IN)
    return steps.hear(), reap(pid)


@case
def what_the_child_removes_is_gone():
    c, d, ep = connect("echo"), connect("echo"), select.epoll()
    ep.register(c, IN)
    ep.register(d, IN)
    code = reap(in_child(lambda: ep.unregister(c)))
    waiting(c)
    waiting(d)
    select.select([c], [], [])
    select.select([d], [], [])
    first = events(ep, {c.fileno(): "c", d.fileno(): "d"})
    ep.register(c, IN)
    return code, first, events(ep, {c.fileno(): "c", d.fileno(): "d"})


@case
def what_the_child_modifies_is_modified():
    c, ep = connect("echo"), select.epoll()
    ep.register(c, OUT)
    code = reap(in_child(lambda: ep.modify(c, IN)))
    first = events(ep, {c.fileno(): "c"}, 0)
    waiting(c)
    return code, first, events(ep, {c.fileno(): "c"})


@case
def added_twice_by_two_processes():
    c, ep = connect("echo"), select.epoll()
    def body():
        ep.register(c, IN)
    code = reap(in_child(body))
    try:
        ep.register(c, IN)
    except OSError as e:
        return code, describe(e)
    return code, "added"


@case
def a_child_that_closes_its_copy_of_a_socket_leaves_it_in_the_set():
    c, ep = connect("echo"), select.epoll()
    ep.register(c, IN)
    code = reap(in_child(c.close))
    waiting(c)
    return code, events(ep, {c.fileno(): "c"})


@case
def a_child_that_closes_its_copy_of_a_listener_leaves_both_halves_in_the_set():
    s, port = listener()
    ep = select.epoll()
    ep.register(s, IN)
    code = reap(in_child(s.close))
    with socket.create_connection(("127.0.0.1", port)):
        near = events(ep, {s.fileno(): "s"})
        s.accept()[0].close()
    thread = threading.Thread(target=dial, args=(port, "hello"))
    thread.start()
    far = events(ep, {s.fileno(): "s"})
    s.accept()[0].close()
    thread.join()
    return code, near, far


@case
def a_child_that_closes_the_set_leaves_it_to_the_parent():
    c, ep = connect("echo"), select.epoll()
    ep.register(c, IN)
    code = reap(in_child(ep.close))
    waiting(c)
    return code, events(ep, {c.fileno(): "c"})


@case
def the_child_alone_uses_the_set():
    c, ep = connect("echo"), select.epoll()
    ep.register(c, IN | ET)
    def body(steps):
        steps.hear()
        waiting(c)
        got = events(ep, {c.fileno(): "c"})
        c.recv(1)
        waiting(c)
        steps.say(str((got, events(ep, {c.fileno(): "c"}), events(ep, {}, 0))))
        return 0
    pid, steps = fork(body)
    ep.close()
    steps.say()
    return steps.hear(), reap(pid), echo(c, "y")


@case
def an_edge_is_told_once():
    c, ep = connect("echo"), select.epoll()
    ep.register(c, IN | ET)
    first = events(ep, {c.fileno(): "c"}, 0)
    waiting(c)
    select.select([c], [], [])
    second = events(ep, {c.fileno(): "c"})
    def body(steps):
        steps.say(str(events(ep, {c.fileno(): "c"}, 0)))
        steps.hear()
        steps.say(str(events(ep, {c.fileno(): "c"})))
        return 0
    pid, steps = fork(body)
    third = steps.hear()
    waiting(c)
    while fionread(c) < 2:
        time.sleep(0.001)
    steps.say()
    return first, second, third, steps.hear(), reap(pid), events(ep, {}, 0)


@case
def one_shot_fires_once_and_is_armed_again_by_another():
    c, ep = connect("echo"), select.epoll()
    ep.register(c, IN | ONESHOT)
    waiting(c)
    fds = {c.fileno(): "c"}
    first = events(ep, fds)
    def body(steps):
        steps.say(str(events(ep, fds, 0)))
        ep.modify(c, IN | ONESHOT)
        steps.say("armed")
        steps.hear()
        steps.say(str(events(ep, fds, 0)))
        return 0
    pid, steps = fork(body)
    second = steps.hear()
    steps.hear()
    third = events(ep, fds)
    steps.say()
    return first, second, third, steps.hear(), reap(pid)


@case
def one_shot_among_eight_processes_that_wait():
    c, ep = connect("echo"), select.epoll()
    ep.register(c, IN | ONESHOT)
    fds, children = {c.fileno(): "c"}, []
    for _ in range(8):
        def body(steps):
            steps.say()
            steps.say(str(len(events(ep, fds))))
            return 0
        children.append(fork(body))
    for pid, steps in children:
        steps.hear()
        asleep(pid)
    turns = []
    for i in range(8):
        waiting(c)
        ready = select.select([steps.mine for _, steps in children], [], [], PATIENCE)[0]
        turns.append(len(ready))
        for pid, steps in [child for child in children if child[1].mine in ready]:
            turns.append(steps.hear())
            reap(pid)
            children.remove((pid, steps))
        ep.modify(c, IN | ONESHOT if i % 2 else IN | ET | ONESHOT) if children else None
    return turns


@case
def exclusive_children_on_one_listener():
    s, port = listener()
    def body():
        ep = select.epoll()
        ep.register(s, IN | EXCLUSIVE)
        s.setblocking(False)
        while True:
            ep.poll()
            try:
                with s.accept()[0] as c:
                    c.setblocking(True)
                    c.sendall(b"got " + c.recv(100).strip())
            except BlockingIOError:
                pass
    pids = [in_child(body) for _ in range(4)]
    answer = ask(f"dials 60 {own_address()} {port} hello")
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
    return answer, [reap(pid) for pid in pids]


@case
def one_inherited_set_for_all_workers():
    s, port = listener()
    s.setblocking(False)
    ep = select.epoll()
    ep.register(s, IN)
    def body():
        while True:
            ep.poll()
            try:
                with s.accept()[0] as c:
                    c.setblocking(True)
                    c.sendall(b"got " + c.recv(100).strip())
            except BlockingIOError:
                pass
    pids = [in_child(body) for _ in range(4)]
    answers = [ask(f"dials 30 {own_address()} {port} hello")]
    for pid in pids[:3]:
        os.kill(pid, signal.SIGKILL)
        reap(pid)
    answers.append(ask(f"dials 30 {own_address()} {port} still"))
    os.kill(pids[3], signal.SIGKILL)
    return answers, reap(pids[3])


@case
def children_that_make_sets_of_their_own_do_not_disturb():
    s, port = listener()
    ep = select.epoll()
    ep.register(s, IN)
    def body():
        ep.close()
        own = select.epoll()
        c = connect("echo")
        own.register(c, IN)
        waiting(c)
        return 0 if own.poll(PATIENCE) else 1
    codes = [reap(in_child(body)) for _ in range(5)]
    return codes, dial_async(port, ep, s)


@case
def executed_with_a_set():
    c, ep = connect("echo"), select.epoll()
    ep.register(c, IN)
    waiting(c)
    def body():
        for fd in c.fileno(), ep.fileno():
            os.set_inheritable(fd, True)
        os.execv(sys.executable, [sys.executable, HELPER, "--wait", str(ep.fileno()), str(c.fileno())])
    pid = in_child(body)
    return reap(pid), echo(c, "")


@case
def executed_in_the_same_process():
    r, w = os.pipe()
    def body():
        c, ep = connect("echo"), select.epoll()
        ep.register(c, IN | ET)
        for fd in c.fileno(), ep.fileno(), w:
            os.set_inheritable(fd, True)
        os.dup2(w, 1)
        os.execv(sys.executable, [sys.executable, HELPER, "--changes", str(ep.fileno()), str(c.fileno())])
    pid = in_child(body)
    os.close(w)
    with open(r) as f:
        said = f.read()
    return said, reap(pid)


@case
def spawned_with_a_set():
    c, ep = connect("echo"), select.epoll()
    ep.register(c, IN)
    waiting(c)
    for fd in c.fileno(), ep.fileno():
        os.set_inheritable(fd, True)
    pid = os.posix_spawn(sys.executable, [sys.executable, HELPER, "--wait", str(ep.fileno()), str(c.fileno())], os.environ)
    return reap(pid)


@case
def subprocess_with_a_set():
    c, ep = connect("echo"), select.epoll()
    ep.register(c, IN)
    waiting(c)
    done = subprocess.run([sys.executable, HELPER, "--wait", str(ep.fileno()), str(c.fileno())], pass_fds=(c.fileno(), ep.fileno()))
    return done.returncode


@case
def passed_over_af_unix():
    a, b = socket.socketpair()
    c = connect("echo")
    def body():
        ep = select.epoll()
        ep.register(c, IN)
        socket.send_fds(a, [b"x"], [ep.fileno()])
        return 0 if a.recv(1) == b"z" else 1
    pid = in_child(body)
    _, (fd,), _, _ = socket.recv_fds(b, 1, 1)
    ep = select.epoll.fromfd(fd)
    waiting(c)
    got = events(ep, {c.fileno(): "c"})
    b.sendall(b"z")
    return got, reap(pid), events(ep, {c.fileno(): "c"})


@case
def killed_while_the_others_go_on():
    c, ep = connect("echo"), select.epoll()
    for turn in range(20):
        def body():
            while True:
                ep.register(c, IN)
                ep.modify(c, IN | ET)
                ep.unregister(c)
        pid = in_child(body)
        for _ in range(turn * 50):
            os.sched_yield()
        os.kill(pid, signal.SIGKILL)
        reap(pid)
        try:
            ep.unregister(c)
        except FileNotFoundError:
            pass
    ep.register(c, IN)
    waiting(c)
    return events(ep, {c.fileno(): "c"})


@case
def many_sets_and_many_children():
    """More than there is room for at a time, if any were left behind."""
    c = connect("echo")
    for _ in range(60):
        sets = [select.epoll() for _ in range(30)]
        for ep in sets:
            ep.register(c, IN)
        reap(in_child(lambda: 0))
        for ep in sets:
            ep.close()
    ep = select.epoll()
    code = reap(in_child(lambda: ep.register(c, IN)))
    waiting(c)
    return code, events(ep, {c.fileno(): "c"})


def dial_async(port, ep, s):
    thread = threading.Thread(target=dial, args=(port, "hello"))
    thread.start()
    got = events(ep, {s.fileno(): "s"})
    s.accept()[0].close()
    thread.join()
    return got


def fionread(c):
    return int.from_bytes(fcntl.ioctl(c, 0x541B, bytes(4)), "little")


def asleep(pid):
    """Until every thread of a process sleeps, twice in a row."""
    seen = 0
    while seen < 3:
        states = []
        for task in os.listdir(f"/proc/{pid}/task"):
            with open(f"/proc/{pid}/task/{task}/stat") as f:
                states.append(f.read().rsplit(")", 1)[1].split()[0])
        seen = seen + 1 if all(state == "S" for state in states) else 0
        time.sleep(0.002)


def as_helper(what, epoll, fd):
    """Programs that are executed with a set and a connection."""
    ep, c = select.epoll.fromfd(int(epoll)), socket.socket(fileno=int(fd))
    if what == "--wait":
        ok = [(f, e) for f, e in ep.poll(PATIENCE)] == [(c.fileno(), IN)] and c.recv(10) == b"x"
        c.detach()
        os._exit(0 if ok else 1)
    waiting(c)
    first = [(f == c.fileno(), e) for f, e in ep.poll(PATIENCE)]
    ep.modify(c, IN | OUT)
    second = [(f == c.fileno(), e) for f, e in ep.poll(PATIENCE)]
    ep.unregister(c)
    print(first, second, ep.poll(0))


if sys.argv[1].startswith("--"):
    as_helper(*sys.argv[1:])
else:
    main()
