"""One process of a fuzz script, told by a coordinator over an AF_UNIX socket what to call.

    fuzz_agent.py SOCKET HOST         waits there as "nursery HOST" and forks a fresh process for each actor of a script

To the nursery:  spawn NAME KEY=VALUE...      a fresh process, which connects by itself as "actor NAME PID"
To an actor:     do STEP THREAD CALL ARG...   makes the call in that thread; answers "done STEP RESULT" when it returns
                 fork STEP NAME               a child with all fds; it connects as "actor NAME PID"
                 state                        answers "state ..." with what poll and FIONREAD say of every fd, asked by this thread
                 sigpipe STEP dfl|ign
                 exit CODE
"""
import ctypes, os, queue, signal, socket, sys, threading
import fuzz_calls as calls

CONTROL = 900                     # out of the way: the numbers that scripts see are the lowest
ASKED = 1 | 2 | 4 | 64 | 128 | 256 | 512 | 0x2000


class Control:
    def __init__(self, path, hello):
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as s:
            s.connect(path)
            os.dup2(s.fileno(), CONTROL, inheritable=False)
        self.lock, self.rest = threading.Lock(), b""
        self.tell(hello)

    def tell(self, line):
        with self.lock:
            data = line.encode() + b"\n"
            while data:
                data = data[os.write(CONTROL, data):]

    def read(self):
        while b"\n" not in self.rest:
            data = os.read(CONTROL, 65536)
            if not data:
                os._exit(0)           # the coordinator is gone
            self.rest += data
        line, self.rest = self.rest.split(b"\n", 1)
        return line.decode().split()


class Actor:
    def __init__(self, path, name, table):
        self.path, self.table = path, table
        self.begin(name)

    def begin(self, name):
        self.workers = {}
        self.control = Control(self.path, f"actor {name} {os.getpid()}")

    def worker(self, thread):
        if thread not in self.workers:
            self.workers[thread] = queue.SimpleQueue()
            threading.Thread(target=self.work, args=(self.workers[thread], self.control), daemon=True).start()
        return self.workers[thread]

    def work(self, jobs, control):
        while True:
            step, call, args = jobs.get()
            try:
                result = calls.CALLS[call](self.table, int(step), *args)
            except Exception as e:        # a mistake in the script or here: it must not look like a result
                result = f"broken: {e!r}"
            control.tell(f"done {step} {result}")

    def state(self):
        t = self.table
        open_names = sorted(n for n in t.fds if 0 <= t.fds[n] != calls.NOBODY)
        fds = (calls.PollFd * max(1, len(open_names)))(*[calls.PollFd(t.fds[n], ASKED, 0) for n in open_names])
        calls.libc.poll(fds, len(open_names), 0)
        words = []
        for i, name in enumerate(open_names):
            count = ctypes.c_int(-1)
            r = calls.libc.ioctl(fds[i].fd, ctypes.c_ulong(calls.FIONREAD), ctypes.byref(count)) if t.kinds[name] == "socket" else -1
            words.append(f"{name}={calls.names(fds[i].revents & 0xFFFF)}" + (f",{count.value}" if r == 0 else ""))
        return " ".join(words)

    def fork(self, step, name):
        if os.fork() == 0:
            os.close(CONTROL)
            for inherited in [n for n, kind in self.table.kinds.items() if kind == "epoll"]:
                self.table.fds[inherited] = calls.NOBODY      # NetKernel's sets are each process's own after a fork
            self.begin(name)
        else:
            self.control.tell(f"done {step} 0")

    def run(self):
        while True:
            what, *words = self.control.read()
            if what == "do":
                step, thread, call, *args = words
                self.worker(thread).put((step, call, args))
            elif what == "state":
                self.control.tell("state " + self.state())
            elif what == "fork":
                self.fork(*words)
            elif what == "sigpipe":
                signal.signal(signal.SIGPIPE, signal.SIG_DFL if words[1] == "dfl" else signal.SIG_IGN)
                self.control.tell(f"done {words[0]} 0")
            elif what == "exit":
                os._exit(int(words[0]))


def main(path, host):
    os.closerange(3, CONTROL)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    control = Control(path, f"nursery {host} {os.getpid()}")
    while True:
        _, name, *words = control.read()
        if os.fork() == 0:
            os.close(CONTROL)
            Actor(path, name, calls.Table(dict(word.split("=") for word in words))).run()


main(*sys.argv[1:])
