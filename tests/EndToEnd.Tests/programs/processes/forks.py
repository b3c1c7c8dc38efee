"""fork(2) and sockets: used in the parent, in the child, in both; many children; daemons. See common.py."""
import os, resource, signal, socket, threading, time
from common import *


@case
def child_uses_the_parents_connection():
    c = connect("echo")
    pid = in_child(lambda: 0 if echo(c, "child") == "child" else 1)
    return reap(pid), echo(c, "parent")


@case
def child_goes_on_when_the_parent_has_closed():
    c, name = hold()
    go, gone = os.pipe()
    def body():
        os.close(gone)
        os.read(go, 1)
        c.sendall(b"x" * 1000)
    pid = in_child(body)
    c.close()
    os.close(gone)
    return reap(pid), ended(name)


@case
def parent_goes_on_when_the_child_has_ended():
    c, name = hold()
    first = reap(in_child(lambda: c.sendall(b"child")))
    c.sendall(b"parent")
    c.close()
    return first, ended(name)


@case
def closed_only_with_the_last_of_ten():
    c, name = hold()
    ready, go = os.pipe(), os.pipe()
    def body():
        os.close(go[1])
        os.write(ready[1], b".")
        os.read(go[0], 1)
        c.sendall(b"0123456789")
    pids = [in_child(body) for _ in range(10)]
    c.close()
    for _ in pids:
        os.read(ready[0], 1)
    os.close(go[1])
    return [reap(pid) for pid in pids], ended(name)


@case
def both_send_and_receive_at_once():
    c = connect("echo")
    pid = in_child(lambda: [c.sendall(b"c" * 10000) for _ in range(10)] and 0)
    for _ in range(10):
        c.sendall(b"p" * 10000)
    data = read_exactly(c, 200000)
    return reap(pid), len(data), data.count(b"c"), data.count(b"p")


@case
def children_accept_from_the_parents_listener():
    s, port = listener()
    def body():
        while True:
            c, _ = s.accept()
            with c:
                c.sendall(b"got " + read_line(c))
    pids = [in_child(body) for _ in range(4)]
    answer = ask(f"dials 40 {own_address()} {port} hello")
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
    return answer, [reap(pid) for pid in pids]


@case
def a_child_per_connection():
    s, port = listener()
    def server():
        pids = []
        for _ in range(30):
            c, _ = s.accept()
            pids.append(in_child(lambda: c.sendall(b"child says " + read_line(c))))
            c.close()
        return sum(reap(pid) for pid in pids)
    pid = in_child(server)
    s.close()
    answer = ask(f"dials 30 {own_address()} {port} hi")
    return answer, reap(pid)


@case
def a_hundred_and_fifty_children_at_once():
    s, port = listener()
    ready, go = os.pipe(), os.pipe()
    def body():
        os.close(go[1])
        own = connect("echo")
        os.write(ready[1], b"+" if echo(own, "hello") == "hello" else b"-")
        c, _ = s.accept()
        with c:
            c.sendall(b"got " + read_line(c))
        os.read(go[0], 1)
        return 0 if echo(own, "still") == "still" else 1
    pids = [in_child(body) for _ in range(150)]
    states = b"".join(os.read(ready[0], 1) for _ in pids)
    answer = ask(f"dials 150 {own_address()} {port} hi")
    os.close(go[1])
    return states.count(b"+"), answer, sum(reap(pid) for pid in pids)


@case
def grandchildren():
    c = connect("echo")
    def child():
        def grandchild():
            return 0 if echo(c, "grandchild") == "grandchild" else 1
        return reap(in_child(grandchild))
    return reap(in_child(child)), echo(c, "still here")


@case
def fork_while_threads_send_and_receive():
    c = connect("echo")
    got = []
    reader = threading.Thread(target=lambda: got.append(len(read_exactly(c, 1000000))))
    writer = threading.Thread(target=lambda: [c.sendall(b"x" * 1000) for _ in range(1000)])
    reader.start()
    writer.start()
    codes = []
    for _ in range(10):
        def body():
            with connect("echo") as own:
                return 0 if echo(own, "child") == "child" else 1
        codes.append(reap(in_child(body)))
    writer.join()
    reader.join()
    return codes, got


@case
def a_daemon_that_closes_every_fd_but_one():
    c, name = hold()
    r, w = os.pipe()
    def first():
        os.setsid()
        def second():
            for fd in range(resource.getrlimit(resource.RLIMIT_NOFILE)[0]):
                if fd not in (c.fileno(), w):
                    try:
                        os.close(fd)
                    except OSError:
                        pass
            c.sendall(b"from the daemon")
            own = connect("echo")
            os.write(w, echo(own, "own").encode())
        in_child(second)
        return 0
    reap(in_child(first))
    c.close()
    os.close(w)
    said = os.read(r, 100)
    return said, ended(name)


@case
def killed_in_the_middle():
    results = []
    for i in range(10):
        c, name = hold()
        pid = in_child(lambda: [c.sendall(b"y" * 100000) for _ in range(100000)])
        for _ in range(i):
            os.sched_yield()
        c.sendall(b"parent")
        os.kill(pid, signal.SIGKILL)
        results.append(reap(pid))
        c.shutdown(socket.SHUT_WR)
        results.append(ended(name).split()[0])
        c.close()
    return results


@case
def underscore_fork():
    import ctypes
    fork = ctypes.CDLL(None)._Fork
    c = connect("echo")
    pid = fork()
    if pid == 0:
        os._exit(0 if echo(c, "raw") == "raw" else 1)
    return reap(pid), echo(c, "parent")


def read_line(c):
    line = b""
    while not line.endswith(b"\n"):
        b = c.recv(1)
        if not b:
            break
        line += b
    return line.strip()


main()
