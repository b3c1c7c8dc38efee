"""exec(3), posix_spawn(3), vfork(2) and sockets. See common.py."""
import ctypes, os, signal, socket, subprocess, threading, time
from common import *

HELPER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "inherited.py")


def helper(what, fd, *arguments):
    return [sys.executable, HELPER, what, str(fd), *arguments]


def executing(*command, env=None):
    """In a forked child."""
    def body():
        if env is None:
            os.execv(command[0], command)
        os.execve(command[0], command, env)
    return body


@case
def an_inheritable_connection_is_found_again():
    c = connect("echo")
    c.set_inheritable(True)
    code = reap(in_child(executing(*helper("echo", c.fileno(), "hello"))))
    return code, echo(c, "still mine")


@case
def without_fork():
    def body():
        c = connect("echo")
        c.set_inheritable(True)
        os.execv(sys.executable, helper("echo", c.fileno(), "same process"))
    return reap(in_child(body))


@case
def closed_by_exec():
    c, name = hold()
    r, w = os.pipe()
    def body():
        os.dup2(r, 0)
        os.execv(sys.executable, helper("wait", 0))
    pid = in_child(body)
    c.close()
    how = ended(name)
    os.close(w)
    return how, reap(pid)


@case
def closed_by_exec_in_the_same_process():
    r, w = os.pipe()
    r2, w2 = os.pipe()
    def body():
        c, name = hold()
        other = connect("echo")
        other.set_inheritable(True)
        os.write(w2, name.encode())
        os.dup2(r, 0)
        os.execv(sys.executable, helper("say", other.fileno(), "x"))
    pid = in_child(body)
    name = os.read(r2, 100).decode()
    how = ended(name)
    os.close(w)
    return how, reap(pid)


@case
def kept_open_by_a_program_that_never_uses_it():
    c, name = hold()
    c.set_inheritable(True)
    r, w = os.pipe()
    def body():
        os.dup2(r, 0)
        os.close(w)
        os.execv(sys.executable, helper("wait", 0))
    pid = in_child(body)
    os.close(r)
    c.close()
    before = ask(f"alive {name}")
    os.close(w)
    return before, reap(pid), ended(name)


@case
def kept_open_by_a_program_without_the_library():
    c, name = hold()
    c.set_inheritable(True)
    r, w = os.pipe()
    p = subprocess.Popen(helper("wait", 0), stdin=r, pass_fds=[c.fileno()], env={"NETKERNEL_ATTACH": ""})
    os.close(r)
    c.close()
    before = ask(f"alive {name}")
    os.close(w)
    return before, p.wait(), ended(name)


@case
def inetd_style():
    c = connect("echo")
    result = subprocess.run(["sh", "-c", "echo through the shell; read x; echo \"$x\" >&2"], stdin=c, stdout=c, stderr=subprocess.PIPE)
    return result.returncode, result.stderr


@case
def inetd_style_with_every_standard_fd():
    s, port = listener()
    def server():
        c, _ = s.accept()
        for fd in range(3):
            os.dup2(c.fileno(), fd)
        os.execvp("sh", ["sh", "-c", "read x; echo \"got $x\"; ls /nowhere 2>/dev/null || echo no such folder >&2"])
    pid = in_child(server)
    return dial(port, "a line"), reap(pid)


@case
def socket_activation():
    s, port = listener()
    def body():
        os.dup2(s.fileno(), 3)
        os.execve(sys.executable, helper("listen", 3, "service"), dict(os.environ, LISTEN_FDS="1", LISTEN_PID=str(os.getpid())))
    pid = in_child(body)
    answer = dial(port, "")
    s.close()
    return answer, reap(pid)


@case
def vfork_and_closed_at_once_by_the_parent():
    results = []
    for _ in range(20):
        c, name = hold()
        p = subprocess.Popen(helper("say", c.fileno(), "from the child"), stdin=subprocess.PIPE, pass_fds=[c.fileno()])
        c.close()
        p.stdin.close()
        results.append((p.wait(), ended(name)))
    return sorted(set(results))


@case
def vfork_does_not_disturb_the_parent():
    cs = [connect("echo") for _ in range(5)]
    s, port = listener()
    for _ in range(20):
        subprocess.run(["true"], close_fds=True)
        subprocess.run(["true"], close_fds=False, stdin=cs[0])
    try:
        subprocess.run(["/no/such/program"])
    except FileNotFoundError:
        pass
    def server():
        c, _ = s.accept()
        with c:
            c.sendall(c.recv(100))
    pid = in_child(server)
    return [echo(c, "fine") for c in cs], dial(port, "x"), reap(pid)


@case
def posix_spawn_and_closed_at_once():
    results = []
    for _ in range(20):
        c, name = hold()
        r, w = os.pipe()
        actions = [(os.POSIX_SPAWN_DUP2, r, 0), (os.POSIX_SPAWN_DUP2, c.fileno(), 99), (os.POSIX_SPAWN_CLOSE, w)]
        pid = os.posix_spawn(sys.executable, helper("say", 99, "spawned"), os.environ, file_actions=actions)
        c.close()
        os.close(r)
        os.close(w)
        results.append((reap(pid), ended(name)))
    return sorted(set(results))


@case
def posix_spawnp_of_nothing():
    c = connect("echo")
    try:
        os.posix_spawnp("no-such-program", ["x"], os.environ)
    except OSError as e:
        return describe(e), echo(c, "fine")


@case
def exec_that_fails():
    c, name = hold()
    def body():
        for path in "/nowhere", "/etc/passwd", "/":
            try:
                os.execv(path, [path])
            except OSError as e:
                c.sendall(describe(e).encode())
        d = connect("echo")
        return 0 if echo(d, "x") == "x" else 1
    code = reap(in_child(body))
    c.close()
    return code, ended(name)


@case
def exec_from_one_of_many_threads():
    codes = []
    for i in range(10):
        def body():
            c = connect("echo")
            c.set_inheritable(True)
            others = [connect("echo") for _ in range(3)]
            for o in others:
                threading.Thread(target=lambda o=o: [o.sendall(b"z" * 5000) for _ in range(10000)], daemon=True).start()
                threading.Thread(target=lambda o=o: [o.recv(5000) for _ in range(10000)], daemon=True).start()
            for _ in range(i):
                echo(c, "a little work")
            os.execv(sys.executable, helper("echo", c.fileno(), "after"))
        codes.append(reap(in_child(body)))
    return codes


@case
def a_chain_of_execs():
    c = connect("echo")
    c.set_inheritable(True)
    return reap(in_child(executing(*helper("chain", c.fileno(), "5")))), echo(c, "end")


@case
def fifty_inherited_connections():
    cs = [connect("echo") for _ in range(50)]
    def body():
        for i, c in enumerate(cs):
            os.dup2(c.fileno(), 200 + i)
        os.execv(sys.executable, helper("many", 200, "50"))
    return reap(in_child(body))


@case
def a_new_version_takes_the_listener_over():
    s, port = listener()
    s.set_inheritable(True)
    pid = in_child(executing(*helper("accept", s.fileno(), "new version")))
    first = dial(port, "")
    code = reap(pid)
    pid = in_child(executing(*helper("accept", s.fileno(), "newer")))
    s.close()
    second = dial(port, "")
    return first, code, second, reap(pid)


@case
def a_cleaned_environment():
    c = connect("echo")
    script = f"import socket; c = socket.create_connection(({ADDRESS!r}, {PORT})); c.sendall(b'echo\\nclean'); print(c.recv(5).decode(), end='')"
    out = []
    for env in {}, {"LD_PRELOAD": ""}, {"PATH": "/usr/bin:/bin"}:
        out.append(subprocess.run([sys.executable, "-c", script], env=env, stdout=subprocess.PIPE).stdout)
    def body():
        os.execve(sys.executable, [sys.executable, "-c", script + "; print(flush=True)"], {})
    return out, reap(in_child(body)), subprocess.run(["env", "-i", sys.executable, "-c", script], stdout=subprocess.PIPE).stdout


@case
def popen_and_system():
    c = connect("echo")
    c.set_inheritable(True)
    code = os.system(f"echo from system >&{c.fileno()}")
    first = read_exactly(c, 12)
    libc = ctypes.CDLL(None)
    libc.popen.restype = ctypes.c_void_p
    d, name = hold()
    d.set_inheritable(True)
    p = libc.popen(f"read x; echo $x >&{d.fileno()}".encode(), b"w")
    d.close()
    libc.fputs(b"from popen\n", ctypes.c_void_p(p))
    libc.pclose(ctypes.c_void_p(p))
    return code, first, ended(name)


@case
def a_long_lived_child_keeps_no_connection_that_it_did_not_inherit():
    p = None
    try:
        c, name = hold()
        d, name2 = hold()
        p = subprocess.Popen(helper("wait", 0), stdin=subprocess.PIPE)
        r, w = os.pipe()
        def body():
            os.dup2(r, 0)
            os.close(w)
            os.execv(sys.executable, helper("wait", 0))
        pid = in_child(body)
        c.close()
        d.close()
        ends = ended(name), ended(name2)
        os.close(w)
        return ends, reap(pid)
    finally:
        p.stdin.close()
        p.wait()


@case
def killed_while_executing():
    c = connect("echo")
    c.set_inheritable(True)
    codes = []
    r, w = os.pipe()
    for i in range(20):
        d, name = hold()
        d.set_inheritable(True)
        def body():
            os.dup2(r, 0)
            os.execv(sys.executable, helper("wait", 0))
        pid = in_child(body)
        for _ in range(i):
            echo(c, "x")
        os.kill(pid, signal.SIGKILL)
        codes.append(reap(pid))
        d.close()
        codes.append(ended(name))
    return sorted(set(map(str, codes))), echo(c, "fine")


main()
