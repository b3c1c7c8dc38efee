"""No wakeup is lost, whoever waits how.

    wait_stress.py source ADDRESS PORT SOCKETS ROUNDS SEED     prints "ready PORT", later "sent N" or "stuck ..."
    wait_stress.py guest ADDRESS PORT SOCKETS SEED             prints "read N killed K"

The source sends a burst on each of its connections and the next one only when all of it was acknowledged: a wakeup that is lost shows as an acknowledgement that does not
come. On the other side several processes with several threads share all connections. Readers, in all ways to wait in turn (blocking calls, poll, select, epoll level-triggered, edge-triggered
and one-shot in sets of their own, level-triggered in the set that they all inherited), read what there is and acknowledge it by its number of bytes. Watchers wait for the same and
only peek; they are killed at any moment. A native pipe is in every wait, and what comes through it is counted as well."""
import os, random, select, signal, socket, struct, sys, threading, time

PATIENCE = 40
READERS, THREADS, WATCHERS = 3, 3, 3
IN, ET, ONESHOT = select.EPOLLIN, select.EPOLLET, select.EPOLLONESHOT


def source(address, port, sockets, rounds, seed):
    listener = socket.create_server((address, port), backlog=sockets)
    print("ready", listener.getsockname()[1], flush=True)
    sent = [0] * sockets
    def serve(i, c):
        rnd = random.Random(seed * 1000 + i)
        c.settimeout(PATIENCE)
        for turn in range(rounds):
            n = rnd.choice((1, 1, 10, 1000, 5000, 60000))
            left = n
            try:
                c.sendall(b"s" * n)
                rest = b""
                while left > 0:
                    rest += c.recv(4096)
                    while len(rest) >= 4:
                        left -= struct.unpack("!I", rest[:4])[0]
                        rest = rest[4:]
            except OSError as e:
                print(f"stuck: socket {i} round {turn} has {left} of {n} bytes unread: {e}", flush=True)
                os._exit(2)
            sent[i] += n
            if rnd.random() < 0.3:
                time.sleep(rnd.random() * 0.003)     # so that everybody is asleep now and then
        c.shutdown(socket.SHUT_WR)
        c.recv(1)
    threads = [threading.Thread(target=serve, args=(i, listener.accept()[0])) for i in range(sockets)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    print("sent", sum(sent), flush=True)


class Waiter:
    """One thread's ways to wait for all that is not at its end."""
    def __init__(self, socks, pipe, shared, rnd):
        self.fds = {s.fileno(): s for s in socks}
        self.pipe, self.shared, self.rnd = pipe, shared, rnd
        self.level, self.edge, self.once = select.epoll(), select.epoll(), select.epoll()
        for fd in [*self.fds, pipe]:
            self.level.register(fd, IN)
            self.edge.register(fd, IN | ET)
            self.once.register(fd, IN | ONESHOT)
        self.again = set()                            # of the edge-triggered set: not yet read to the end

    def drop(self, fd):
        del self.fds[fd]
        for ep in self.level, self.edge, self.once, self.shared:
            try:
                ep.unregister(fd)
            except OSError:
                pass                                  # of the shared set another one has done so
        self.again.discard(fd)

    def wait(self, how=None):
        how = how or self.rnd.choice(("poll", "select", "level", "edge", "once", "shared"))
        if how == "poll":
            p = select.poll()
            for fd in [*self.fds, self.pipe]:
                p.register(fd, select.POLLIN)
            return [fd for fd, _ in p.poll()]
        if how == "select":
            return select.select([*self.fds, self.pipe], [], [])[0]
        if how == "edge":
            self.again |= {fd for fd, _ in self.edge.poll(0 if self.again else -1)}
            return list(self.again)
        if how == "once":
            ready = [fd for fd, _ in self.once.poll(-1, self.rnd.randrange(1, 5))]
            for fd in ready:
                if fd in self.fds or fd == self.pipe:
                    self.once.modify(fd, IN | ONESHOT)
            return ready
        return [fd for fd, _ in (self.shared if how == "shared" else self.level).poll(-1, self.rnd.randrange(1, 10))]


def read(waiter, count):
    """Until all connections have ended, or the pipe says so."""
    while waiter.fds:
        for fd in waiter.wait():
            if fd == waiter.pipe:
                try:
                    if not os.read(fd, 1):
                        return
                except BlockingIOError:
                    waiter.again.discard(fd)
                continue
            c = waiter.fds.get(fd)
            if c is None:
                continue
            try:
                data = c.recv(waiter.rnd.choice((1, 100, 65536)), socket.MSG_DONTWAIT)
            except BlockingIOError:
                waiter.again.discard(fd)
                continue
            if not data:
                waiter.drop(fd)
                continue
            count[0] += len(data)
            c.sendall(struct.pack("!I", len(data)))


def block(c, count):
    """One connection, by calls that wait."""
    while data := c.recv(3000):
        count[0] += len(data)
        c.sendall(struct.pack("!I", len(data)))


def reader(socks, pipe, shared, out, seed):
    counts = [[0] for _ in range(THREADS + 1)]
    threads = [threading.Thread(target=read, args=(Waiter(socks, pipe, shared, random.Random(seed * 100 + t)), counts[t])) for t in range(THREADS)]
    threads.append(threading.Thread(target=block, args=(socks[seed % len(socks)], counts[THREADS])))
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    os.write(out, struct.pack("!Q", sum(c[0] for c in counts)))


def watch(waiter):
    while waiter.fds:
        for fd in waiter.wait(waiter.rnd.choice(("poll", "select", "level", "shared"))):
            c = waiter.fds.get(fd)
            try:
                if c is not None and not c.recv(100, socket.MSG_PEEK | socket.MSG_DONTWAIT):
                    del waiter.fds[fd]                # not out of the shared set: others may not have seen the end
                    waiter.level.unregister(fd)
            except BlockingIOError:
                pass
        time.sleep(0.0005)                            # it would be busy as long as nobody reads


def watcher(socks, pipe, shared, seed):
    threads = [threading.Thread(target=watch, args=(Waiter(socks, pipe, shared, random.Random(seed * 100 + t)),)) for t in range(2)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()


def fork(body, *arguments):
    pid = os.fork()
    if pid == 0:
        try:
            body(*arguments)
        finally:
            os._exit(0)
    return pid


def guest(address, port, sockets, seed):
    rnd = random.Random(seed)
    socks = [socket.create_connection((address, port)) for _ in range(sockets)]
    shared = select.epoll()
    pipe, feed = os.pipe()
    result, out = os.pipe()
    os.set_blocking(pipe, False)
    for fd in [*[s.fileno() for s in socks], pipe]:
        shared.register(fd, IN)
    readers = [fork(reader, socks, pipe, shared, out, i) for i in range(READERS)]
    watchers = [fork(watcher, socks, pipe, shared, 10 + i) for i in range(WATCHERS)]
    killed, done, total = 0, 0, 0
    while done < READERS:
        if select.select([result], [], [], rnd.random() * 0.05)[0]:
            total += struct.unpack("!Q", os.read(result, 8))[0]
            done += 1
            continue
        os.write(feed, b".")
        i = rnd.randrange(WATCHERS)
        os.kill(watchers[i], signal.SIGKILL)
        os.waitpid(watchers[i], 0)
        killed += 1
        watchers[i] = fork(watcher, socks, pipe, shared, 10 + killed)
    for pid in watchers:
        os.kill(pid, signal.SIGKILL)
    for pid in readers + watchers:
        os.waitpid(pid, 0)
    for s in socks:
        s.close()
    print(f"read {total} killed {killed}", flush=True)


if sys.argv[1] == "source":
    source(sys.argv[2], *map(int, sys.argv[3:]))
else:
    guest(sys.argv[2], *map(int, sys.argv[3:]))
