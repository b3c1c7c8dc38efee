"""multiprocessing: four processes accept from one inherited listener; a threading server; a manager that is used over TCP. Ends on SIGTERM."""
import multiprocessing
import multiprocessing.managers
import signal
import socket
import socketserver
import threading


class Shout(socketserver.StreamRequestHandler):
    def handle(self):
        for line in self.rfile:
            self.wfile.write(line.upper())


class Threading(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True
    request_queue_size = 128


class Forking(socketserver.ForkingTCPServer):
    allow_reuse_address = True
    request_queue_size = 128


class Manager(multiprocessing.managers.BaseManager):
    pass


class Counter:
    def __init__(self):
        self.value = 0

    def add(self, n):
        self.value += n
        return self.value


def accept(listener):
    while True:
        connection, _ = listener.accept()
        with connection, connection.makefile("rwb") as f:
            for line in f:
                f.write(line[::-1])
                f.flush()


def main():
    listener = socket.create_server(("0.0.0.0", 8201), backlog=128)
    workers = [multiprocessing.Process(target=accept, args=(listener,), daemon=True) for _ in range(4)]
    for w in workers:
        w.start()
    listener.close()
    servers = [Threading(("0.0.0.0", 8202), Shout), Forking(("0.0.0.0", 8203), Shout)]
    for s in servers:
        threading.Thread(target=s.serve_forever, daemon=True).start()
    counter = Counter()
    Manager.register("counter", callable=lambda: counter)
    manager = Manager(("0.0.0.0", 8204), b"key")
    manager.start()
    signal.sigwait({signal.SIGTERM})
    for s in servers:
        s.shutdown()
        s.server_close()
    manager.shutdown()
    for w in workers:
        w.terminate()
        w.join()
    print("ended", [w.exitcode for w in workers])


signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
unblocked = multiprocessing.Process.run
multiprocessing.Process.run = lambda self: (signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM}), unblocked(self))
main()
