"""Holds connections while something on the way dies. survivor.py ADDRESS PORT N

Opens N connections to an echo server, uses them, prints "up", and waits on all of them; prints "errno NAME after S ms" when all have ended (the
time from the first to the last), then tries new connections until one works and prints "again"."""
import errno, select, socket, sys, time

address, port, n = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
conns = [socket.create_connection((address, port), timeout=20) for _ in range(n)]
for i, c in enumerate(conns):
    c.sendall(b"%d" % i)
    assert c.recv(20) == b"%d" % i
    c.setblocking(False)
print("up", flush=True)
ends = {}
ep = select.epoll()
for c in conns:
    ep.register(c, select.EPOLLIN)
by_fd = {c.fileno(): c for c in conns}
first = None
while by_fd:
    for fd, _ in ep.poll(30):
        try:
            d = by_fd[fd].recv(100)
            end = "EOF" if not d else "DATA"
        except OSError as e:
            end = errno.errorcode[e.errno]
        ends[end] = ends.get(end, 0) + 1
        ep.unregister(fd)
        by_fd.pop(fd).close()
        first = first or time.time()
print("ended", " ".join(f"{k}={v}" for k, v in sorted(ends.items())), f"within {1000 * (time.time() - first):.1f} ms, at {time.time():.3f}", flush=True)
deadline = time.time() + 30
while time.time() < deadline:
    try:
        with socket.create_connection((address, port), timeout=30) as c:
            c.settimeout(30)
            c.sendall(b"again")
            if c.recv(5) == b"again":
                print("again", flush=True)
                break
    except OSError:
        time.sleep(0.02)
