"""A peer that is there and does nothing: its process is stopped, or its backlog is full. Run natively and through NetKernel: the output must be the same.

    timeouts.py server ADDRESS PORT    prints "ready PORT"; when its stream is over, how it ended
    timeouts.py client ADDRESS PORT    prints "up" when the server is to be stopped, waits for SIGUSR1, then sends until it fails
"""
import errno, select, signal, socket, sys

role, address, port = sys.argv[1], sys.argv[2], int(sys.argv[3])
TCP_USER_TIMEOUT = 18
name = lambda e: errno.errorcode[e.errno]

if role == "server":
    s = socket.create_server((address, port))
    full = socket.create_server((address, 0), backlog=0)  # nobody accepts
    print("ready", s.getsockname()[1], flush=True)
    kept, _ = s.accept()
    c, _ = s.accept()
    c.sendall(b"%d\n" % full.getsockname()[1])
    got = 0
    try:
        while d := c.recv(1 << 16):
            got += len(d)
        print("ended EOF", flush=True)
    except OSError as e:
        print("ended", name(e), flush=True)
    print("read some:", got > 0, "kept:", kept.recv(9), flush=True)
    sys.exit()

signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1])
kept = socket.create_connection((address, port))
for option, value in ((socket.TCP_KEEPIDLE, 1), (socket.TCP_KEEPINTVL, 1), (socket.TCP_KEEPCNT, 1), (TCP_USER_TIMEOUT, 1000)):
    kept.setsockopt(socket.IPPROTO_TCP, option, value)
kept.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
c = socket.create_connection((address, port))
full = int(c.makefile().readline())

first = socket.create_connection((address, full))
late = socket.socket()
late.setsockopt(socket.IPPROTO_TCP, TCP_USER_TIMEOUT, 500)
try:
    late.connect((address, full))
    print("connected")
except OSError as e:
    print("a connect to a full backlog:", name(e))

later = socket.socket()
later.setsockopt(socket.IPPROTO_TCP, TCP_USER_TIMEOUT, 500)
later.setblocking(False)
print("one that does not block:", errno.errorcode[later.connect_ex((address, full))])
select.select([], [later], [])
print("ends with", errno.errorcode[later.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)], flush=True)

print("up", flush=True)
signal.sigwait([signal.SIGUSR1])
c.setsockopt(socket.IPPROTO_TCP, TCP_USER_TIMEOUT, 700)
print("set:", c.getsockopt(socket.IPPROTO_TCP, TCP_USER_TIMEOUT))
try:
    while True:
        c.send(b"x" * 65536)
except OSError as e:
    print("data that is not taken:", name(e))
for call in (lambda: c.send(b"y"), lambda: c.recv(1)):
    try:
        print("then", call())
    except OSError as e:
        print("then", name(e))
print("silent, with keep-alive:", select.select([kept], [], [], 3)[0], flush=True)  # a stopped process's host answers
kept.sendall(b"over")
kept.close()
