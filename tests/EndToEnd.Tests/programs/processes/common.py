"""What the process tests share: PROGRAM ADDRESS PORT [CASE...] runs the cases and prints a line each; peer.py is at ADDRESS PORT."""
import errno, os, signal, socket, sys, traceback

ADDRESS, PORT = (sys.argv[1], int(sys.argv[2])) if len(sys.argv) > 2 else ("", 0)
_cases = []
_names = iter(range(1 << 30))


def connect(line=None):
    c = socket.create_connection((ADDRESS, PORT), timeout=200)
    c.settimeout(None)
    if line is not None:
        c.sendall(line.encode() + b"\n")
    return c


def read_all(c):
    data = b""
    while True:
        d = c.recv(65536)
        if not d:
            return data
        data += d


def read_exactly(c, n):
    data = b""
    while len(data) < n:
        d = c.recv(n - len(data))
        if not d:
            break
        data += d
    return data


def ask(line):
    with connect(line) as c:
        return read_all(c).decode()


def own_address():
    with connect("echo") as c:
        return c.getsockname()[0]


def listener(address=""):
    """A listening socket and its port."""
    s = socket.create_server((address, 0), backlog=512)
    return s, s.getsockname()[1]


def dial(port, text):
    """The peer connects to a port of ours, sends a line, and says what it got."""
    return ask(f"dial {own_address()} {port} {text}")


def hold():
    """A connection whose end the peer watches, and its name."""
    name = f"{os.getpid()}-{next(_names)}"
    c = connect(f"hold {name}")
    assert read_exactly(c, 5) == b"held\n"
    return c, name


def ended(name):
    return ask(f"ended {name}")


def echo(c, text):
    """Sends something through a connection for "echo"; what comes back."""
    c.sendall(text.encode())
    return read_exactly(c, len(text)).decode()


def in_child(body):
    """Forks; the child runs the body and ends. The pid."""
    sys.stdout.flush()
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            result = body()
            code = result if isinstance(result, int) else 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(code)
    return pid


def reap(pid):
    """Waits for a child: its exit code, or minus its signal."""
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def case(body):
    _cases.append(body)
    return body


def describe(e):
    return errno.errorcode.get(e.errno, str(e.errno)) if isinstance(e, OSError) and e.errno else type(e).__name__


def main():
    chosen = sys.argv[3:]
    for body in _cases:
        if chosen and body.__name__ not in chosen:
            continue
        signal.alarm(300)
        try:
            result = body()
        except Exception as e:
            traceback.print_exc()
            result = f"{describe(e)} {e}"
        print(f"{body.__name__}: {result}", flush=True)
        signal.alarm(0)
