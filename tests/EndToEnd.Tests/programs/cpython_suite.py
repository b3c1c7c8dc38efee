"""Runs one of CPython's own test modules and prints a line per test: ok, skipped or failed, and the test's name.

    cpython_suite.py MODULE [TEST...] [--without TEST...]       the whole module, or the tests of these names

The tests run in a worker process. One that hangs or kills its worker has failed; a new worker goes on behind it. Why a test failed, and which ones took
long, goes to standard error.
"""
import os, select, shutil, signal, subprocess, sys, tempfile, time

PATIENCE = 180                                  # seconds for one test, the fixtures before it included; some take ten by themselves, and a busy machine ten times as long
MAX_WORKERS = 20


def worker(module, only, skip, out):
    """Runs the tests but for those in skip; writes "start NAME" and "STATE NAME" to the pipe."""
    import unittest
    from test import support

    # "network" is what test_socketserver calls loopback. What truly needs the Internet is skipped by its own means: no name resolves here.
    support.use_resources = ["network"]
    report = os.fdopen(out, "w", buffering=1)

    class Result(unittest.TestResult):
        def startTest(self, test):
            super().startTest(test)
            self.state, self.began = "ok", time.monotonic()
            print("start", test.id(), file=report)

        def stopTest(self, test):
            super().stopTest(test)
            print(self.state, test.id(), file=report)
            took = time.monotonic() - self.began
            if took > 1:
                print(f"{took:.1f} s {test.id()}", file=sys.stderr, flush=True)

        def addSkip(self, test, reason):
            if isinstance(test, unittest.TestCase):
                self.state = "skipped" if self.state == "ok" else self.state
            else:
                self.fixture("skipped", test)   # a whole class or module, raised by its fixture

        def wrong(self, test, error):
            self.state = "failed"
            print(test.id(), self._exc_info_to_string(error, test), sep="\n", file=sys.stderr, flush=True)
            if not isinstance(test, unittest.TestCase):
                self.fixture("failed", test)

        def fixture(self, state, test):
            print("fixture", state, test.id(), file=report)

        addError = addFailure = wrong

        def addSubTest(self, test, subtest, error):
            if error is not None:
                self.state = "failed"
                print(subtest.id(), self._exc_info_to_string(error, test), sep="\n", file=sys.stderr, flush=True)

    def flat(suite):
        for test in suite:
            yield from flat(test) if isinstance(test, unittest.TestSuite) else [test]

    tests = list(flat(unittest.defaultTestLoader.loadTestsFromName("test." + module)))
    tests = [t for t in tests if t.id() not in skip and (not only or t.id() in only)]
    unittest.TestSuite(tests).run(Result())
    support.reap_children()
    print("end", file=report)


def run_worker(module, only, done):
    """True when the worker came to its end, False when a test was its end; fills done (name to state)."""
    read, write = os.pipe()
    folder = tempfile.mkdtemp(prefix="cpython-suite-")
    child = subprocess.Popen(
        [sys.executable, os.path.abspath(__file__), "--worker", str(write), module, *only], pass_fds=[write], start_new_session=True, cwd=folder,
        stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)
    child.stdin.write("\n".join(done).encode())
    child.stdin.close()
    os.close(write)
    rest, current, ended = b"", None, False
    last = time.monotonic()
    while not ended:
        over = child.poll() is not None         # asked first: what it wrote before its end is then in the pipe
        ready, _, _ = select.select([read], [], [], 0 if over else 0.2)
        data = os.read(read, 65536) if ready else b""
        *lines, rest = (rest + data).split(b"\n")
        for line in lines:
            last = time.monotonic()
            kind, _, name = line.decode().partition(" ")
            if kind == "start":
                current = name
            elif kind == "end":
                ended = True
            elif kind == "fixture":
                state, _, name = name.partition(" ")
                tell(done, state, name)
            else:
                tell(done, kind, name)
                current = None
        if not data and (over or time.monotonic() - last > PATIENCE):
            break
    try:
        os.killpg(child.pid, signal.SIGKILL)    # also what a test has left behind
    except ProcessLookupError:
        pass
    child.wait()
    os.close(read)
    shutil.rmtree(folder, ignore_errors=True)
    if not ended:
        print(current, "killed its worker" if over else "hung", file=sys.stderr, flush=True)
        if current is None:
            sys.exit(1)
        tell(done, "failed", current)
    return ended


def tell(done, state, name):
    if name not in done:
        done[name] = state
        print(state, name, flush=True)


def main():
    if sys.argv[1] == "--worker":
        done = set(sys.stdin.read().split("\n"))
        worker(sys.argv[3], set(sys.argv[4:]), done, int(sys.argv[2]))
        os._exit(0)                             # whatever threads and finalizers the tests have left
    module, *only = sys.argv[1:]
    done = {}
    if "--without" in only:
        cut = only.index("--without")
        done = dict.fromkeys(only[cut + 1:], "left out")
        only = only[:cut]
    for _ in range(MAX_WORKERS):
        if run_worker(module, only, done):
            print("end")
            return
    sys.exit("too many workers died")


if __name__ == "__main__":
    main()
