"""What BSD sockets do, case by case, as a program sees it. Run natively and through NetKernel: the output must be the same.

    semantics.py server ADDRESS PORT            serves until it is ended
    semantics.py client ADDRESS PORT            runs every case, prints one line each
"""
import array, errno, fcntl, hashlib, os, select, signal, socket, struct, sys, termios, threading, time

signal.signal(signal.SIGPIPE, signal.SIG_IGN)


def family_of(address):
    return socket.AF_INET6 if ":" in address else socket.AF_INET


def read_line(c):
    line = b""
    while not line.endswith(b"\n"):
        b = c.recv(1)
        if not b:
            return None
        line += b
    return line.decode().strip()


def pattern(n, seed=1):
    block = hashlib.sha256(str(seed).encode()).digest() * 2048
    return (block * (n // len(block) + 1))[:n]


def serve_one(c):
    with c:
        line = read_line(c)
        if not line:
            return
        cmd, *args = line.split()
        if cmd == "echo":
            while True:
                d = c.recv(65536)
                if not d:
                    break
                c.sendall(d)
        elif cmd == "source":
            c.sendall(pattern(int(args[0])))
        elif cmd == "sink":
            h, n = hashlib.sha256(), 0
            while True:
                d = c.recv(1 << 20)
                if not d:
                    break
                h.update(d)
                n += len(d)
            c.sendall(f"{n} {h.hexdigest()}\n".encode())
        elif cmd == "close":
            pass
        elif cmd == "reset":
            c.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        elif cmd == "unread":          # leaves data unread: the close must reset
            c.sendall(b"!")
            time.sleep(0.3)
        elif cmd == "halfclose":       # shuts its write side, then reads on
            c.sendall(b"bye")
            c.shutdown(socket.SHUT_WR)
            n = 0
            while True:
                d = c.recv(65536)
                if not d:
                    break
                n += len(d)
        elif cmd == "slow":            # reads nothing for a while
            time.sleep(3)
            n = 0
            while True:
                d = c.recv(1 << 16)
                if not d:
                    break
                n += len(d)
            c.sendall(str(n).encode())
        elif cmd == "who":
            peer, own = c.getpeername(), c.getsockname()
            c.sendall(f"{peer[0]} {peer[1]} {own[0]} {own[1]}\n".encode())


def server(address, port):
    family = family_of(address)
    s = socket.socket(family, socket.SOCK_STREAM)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    s.bind(("::" if family == socket.AF_INET6 else "0.0.0.0", port))
    s.listen(128)
    print("ready", s.getsockname()[1], flush=True)

    def loop():
        while True:
            c, _ = s.accept()
            threading.Thread(target=serve_one, args=(c,), daemon=True).start()

    threading.Thread(target=loop, daemon=True).start()
    signal.pause()


class Client:
    def __init__(self, address, port):
        self.address, self.port, self.family = address, port, family_of(address)

    def connect(self, cmd):
        c = socket.create_connection((self.address, self.port), timeout=20)
        c.settimeout(20)
        c.sendall(cmd.encode() + b"\n")
        return c

    # each case returns something printable that must not depend on timing

    def case_echo_small(self):
        with self.connect("echo") as c:
            out = []
            for i in range(50):
                c.sendall(f"msg{i}".encode())
                out.append(c.recv(100).decode())
            return out[-1], len(out)

    def case_source_16mb(self):
        with self.connect("source 16777216") as c:
            h, n = hashlib.sha256(), 0
            while True:
                d = c.recv(1 << 17)
                if not d:
                    break
                h.update(d)
                n += len(d)
            return n, h.hexdigest() == hashlib.sha256(pattern(16777216)).hexdigest()

    def case_sink_16mb(self):
        data = pattern(16777216, 7)
        with self.connect("sink") as c:
            c.sendall(data)
            c.shutdown(socket.SHUT_WR)
            return read_line(c) == f"{len(data)} {hashlib.sha256(data).hexdigest()}"

    def case_odd_sizes(self):
        with self.connect("echo") as c:
            ok = True
            for n in (1, 2, 3, 2047, 2048, 2049, 16383, 16384, 16385, 65535, 65536, 65537, 200001):
                d = pattern(n, n)
                t = threading.Thread(target=c.sendall, args=(d,))
                t.start()
                got = b""
                while len(got) < n:
                    got += c.recv(n - len(got))
                t.join()
                ok = ok and got == d
            return ok

    def case_peer_close(self):
        with self.connect("close") as c:
            return c.recv(10), c.recv(10)

    def case_peer_reset(self):
        with self.connect("reset") as c:
            try:
                while c.recv(10):
                    pass
                return "eof"
            except OSError as e:
                return errno.errorcode[e.errno]

    def case_send_after_reset(self):
        with self.connect("reset") as c:
            select.select([c], [], [], 20)
            try:
                c.recv(1)
            except OSError:
                pass
            try:
                for _ in range(10):
                    c.send(b"x" * 1000)
                return "sent"
            except OSError as e:
                return errno.errorcode[e.errno]

    def case_unread_resets(self):
        with self.connect("unread") as c:
            c.recv(1)
            c.sendall(b"z" * 100000)
            try:
                while c.recv(10):
                    pass
                return "eof"
            except OSError as e:
                return errno.errorcode[e.errno]

    def case_linger(self):
        c = self.connect("slow")
        c.setblocking(False)
        w = [c]
        while w:                       # until the peer's buffer is full too
            try:
                while True:
                    c.send(b"y" * 65536)
            except BlockingIOError:
                _, w, _ = select.select([], [c], [], 0.3)
        c.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 1))
        start = time.monotonic()
        c.close()                      # waits, though the socket is non-blocking, for a peer that does not read
        return time.monotonic() - start > 0.9

    def case_half_close(self):
        with self.connect("halfclose") as c:
            got = b""
            while True:
                d = c.recv(10)
                if not d:
                    break
                got += d
            c.sendall(b"more" * 1000)
            c.shutdown(socket.SHUT_WR)
            return got, c.recv(1)

    def case_refused(self):
        s = socket.socket(self.family)
        s.settimeout(20)
        try:
            s.connect((self.address, 9))
            return "connected"
        except OSError as e:
            return errno.errorcode[e.errno]
        finally:
            s.close()

    def case_refused_nonblocking(self):
        s = socket.socket(self.family)
        s.setblocking(False)
        first = errno.errorcode[s.connect_ex((self.address, 9))]
        p = select.poll()
        p.register(s, select.POLLOUT)
        ready = p.poll(20000)
        err = s.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        again = s.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        s.close()
        return first, bool(ready[0][1] & select.POLLERR or err), errno.errorcode[err], again

    def case_connect_nonblocking(self):
        s = socket.socket(self.family)
        s.setblocking(False)
        first = errno.errorcode.get(s.connect_ex((self.address, self.port)), 0)
        _, w, _ = select.select([], [s], [], 20)
        err = s.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        again = s.connect_ex((self.address, self.port))
        s.close()
        return first, len(w), err, errno.errorcode.get(again, again)

    def case_nonblocking_recv(self):
        with self.connect("echo") as c:
            c.setblocking(False)
            try:
                c.recv(1)
                return "data"
            except BlockingIOError as e:
                return errno.errorcode[e.errno]

    def case_would_block_on_full(self):
        with self.connect("slow") as c:
            c.setblocking(False)
            n = 0
            w = [c]
            while w:                   # until the peer's buffer is full too
                try:
                    while n < 1 << 30:
                        n += c.send(b"y" * 65536)
                    return "never"
                except BlockingIOError:
                    _, w, _ = select.select([], [c], [], 0.3)
            c.setblocking(True)
            c.settimeout(20)
            c.shutdown(socket.SHUT_WR)
            return len(w), int(c.recv(100)) == n

    def case_peek_waitall_dontwait(self):
        with self.connect("echo") as c:
            c.settimeout(None)
            c.sendall(b"0123456789")
            peeked = c.recv(4, socket.MSG_PEEK)
            all_of_it = c.recv(10, socket.MSG_WAITALL)
            try:
                c.recv(1, socket.MSG_DONTWAIT)
                rest = "data"
            except BlockingIOError:
                rest = "EAGAIN"
            return peeked, all_of_it, rest

    def case_fionread(self):
        with self.connect("echo") as c:
            c.sendall(b"a" * 1234)
            c.recv(1, socket.MSG_PEEK)
            deadline = time.time() + 10
            n = array.array("i", [0])
            while n[0] != 1234 and time.time() < deadline:
                fcntl.ioctl(c, termios.FIONREAD, n)
            first = n[0]
            c.recv(234)
            fcntl.ioctl(c, termios.FIONREAD, n)
            return first, n[0]

    def case_timeout(self):
        with self.connect("echo") as c:
            c.settimeout(None)
            c.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("ll", 0, 100000))
            start = time.time()
            try:
                c.recv(1)
                return "data"
            except OSError as e:
                return errno.errorcode[e.errno], 0.09 < time.time() - start < 5

    def case_sendmsg_recvmsg(self):
        with self.connect("echo") as c:
            c.sendmsg([b"abc", b"", b"defgh"])
            a, b = bytearray(3), bytearray(5)
            got = 0
            while got < 8:
                n, anc, flags, addr = c.recvmsg_into([memoryview(a)[min(got, 3):], memoryview(b)[max(0, got - 3):]])
                got += n
            return bytes(a), bytes(b)

    def case_names(self):
        with self.connect("who") as c:
            own, peer = c.getsockname(), c.getpeername()
            seen = read_line(c).split()
            return (own[0], str(own[1])) == (seen[0], seen[1]), (peer[0], str(peer[1])) == (seen[2], seen[3]), peer[0] == self.address

    def case_options(self):
        with self.connect("echo") as c:
            out = []
            for level, name in ((socket.IPPROTO_TCP, socket.TCP_NODELAY), (socket.SOL_SOCKET, socket.SO_KEEPALIVE)):
                c.setsockopt(level, name, 1)
                out.append(c.getsockopt(level, name))
            c.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 77)
            out.append(c.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE))
            out.append(c.getsockopt(socket.SOL_SOCKET, socket.SO_TYPE) == socket.SOCK_STREAM)
            out.append(c.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR))
            info = c.getsockopt(socket.IPPROTO_TCP, 11, 104)
            out.append((len(info), info[0]))  # tcpi_state 1: ESTABLISHED
            try:
                c.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 0)
                out.append("accepted")
            except OSError as e:
                out.append(errno.errorcode[e.errno])
            return out

    def case_epoll_edge(self):
        with self.connect("echo") as c:
            c.setblocking(False)
            ep = select.epoll()
            ep.register(c, select.EPOLLIN | select.EPOLLOUT | select.EPOLLET)
            out = [ev & select.EPOLLOUT for _, ev in ep.poll(5)]
            c.send(b"hello")
            ev = ep.poll(10)
            while ev and not ev[0][1] & select.EPOLLIN:
                ev = ep.poll(10)
            nothing = [e for e in ep.poll(0.1) if e[1] & select.EPOLLIN]
            data = c.recv(100)
            ep.close()
            return out, len(ev), nothing, data

    def case_epoll_level_oneshot(self):
        with self.connect("echo") as c:
            ep = select.epoll()
            ep.register(c, select.EPOLLIN)
            c.send(b"x")
            a = ep.poll(10)
            b = ep.poll(10)
            ep.modify(c, select.EPOLLIN | select.EPOLLONESHOT)
            d = ep.poll(10)
            e = ep.poll(0.1)
            ep.modify(c, select.EPOLLIN | select.EPOLLONESHOT)
            f = ep.poll(10)
            ep.unregister(c)
            try:
                ep.unregister(c)
                g = "twice"
            except OSError as err:
                g = errno.errorcode[err.errno]
            return [len(x) for x in (a, b, d, e, f)], g

    def case_epoll_rdhup(self):
        with self.connect("close") as c:
            ep = select.epoll()
            ep.register(c, select.EPOLLIN | select.EPOLLRDHUP)
            got = 0
            deadline = time.time() + 10
            while not got & select.EPOLLRDHUP and time.time() < deadline:
                for _, ev in ep.poll(1):
                    got |= ev
            return bool(got & select.EPOLLRDHUP), bool(got & select.EPOLLIN), bool(got & select.EPOLLHUP)

    def case_mixed_wait(self):
        r, w = os.pipe()
        with self.connect("echo") as c:
            a = select.select([r, c], [], [], 0.05)[0]
            os.write(w, b"1")
            b = select.select([r, c], [], [], 10)[0] == [r]
            c.send(b"2")
            ready = set()
            deadline = time.time() + 10
            while len(ready) < 2 and time.time() < deadline:
                ready |= {x if isinstance(x, int) else "c" for x in select.select([r, c], [], [], 1)[0]}
            os.close(r)
            os.close(w)
            return a, b, len(ready)

    def case_dup(self):
        c = self.connect("echo")
        d = socket.socket(fileno=os.dup(c.fileno()))
        c.close()
        d.settimeout(20)
        d.sendall(b"still")
        out = d.recv(5)
        d.close()
        return out

    def case_fork_child_uses(self):
        c = self.connect("echo")
        pid = os.fork()
        if pid == 0:
            code = 1
            try:
                c.sendall(b"child")
                code = 0 if c.recv(5) == b"child" else 2
            finally:
                os._exit(code)
        _, status = os.waitpid(pid, 0)
        c.sendall(b"parent")
        out = c.recv(6)
        c.close()
        return status, out

    def case_fork_parent_closes(self):
        c = self.connect("echo")
        r, w = os.pipe()
        pid = os.fork()
        if pid == 0:
            code = 1
            try:
                os.read(r, 1)
                c.sendall(b"orphan")
                code = 0 if c.recv(6) == b"orphan" else 2
            finally:
                os._exit(code)
        c.close()
        os.write(w, b"1")
        _, status = os.waitpid(pid, 0)
        os.close(r)
        os.close(w)
        return status

    def case_threads_both_ways(self):
        with self.connect("echo") as c:
            c.settimeout(20)
            data = pattern(3 << 20, 5)
            t = threading.Thread(target=c.sendall, args=(data,))
            t.start()
            got = bytearray()
            while len(got) < len(data):
                d = c.recv(1 << 16)
                if not d:
                    break
                got += d
            t.join()
            return bytes(got) == data

    def case_many_threads(self):
        results = []

        def one(i):
            with self.connect("echo") as c:
                for k in range(20):
                    m = f"{i}-{k}".encode()
                    c.sendall(m)
                    if c.recv(100) != m:
                        return
                results.append(i)

        ts = [threading.Thread(target=one, args=(i,)) for i in range(20)]
        [t.start() for t in ts]
        [t.join() for t in ts]
        return sorted(results) == list(range(20))

    def case_loopback_stays(self):
        s = socket.socket(self.family)
        s.bind(("::1" if self.family == socket.AF_INET6 else "127.0.0.1", 0))
        s.listen(1)
        c = socket.create_connection(s.getsockname()[:2], timeout=10)
        a, _ = s.accept()
        c.sendall(b"loop")
        out = a.recv(10)
        [x.close() for x in (a, c, s)]
        return out

    def case_wildcard_serves_loopback(self):
        s = socket.socket(self.family)
        s.bind(("::" if self.family == socket.AF_INET6 else "0.0.0.0", 0))
        s.listen(5)
        port = s.getsockname()[1]
        c = socket.create_connection(("::1" if self.family == socket.AF_INET6 else "127.0.0.1", port), timeout=10)
        a, peer = s.accept()
        c.sendall(b"x")
        out = a.recv(1), port > 0
        [x.close() for x in (a, c, s)]
        return out

    def case_port_taken(self):
        a = socket.socket(self.family)
        a.bind(("", 0))
        a.listen(1)
        b = socket.socket(self.family)
        try:
            b.bind(("", a.getsockname()[1]))
            return "bound"
        except OSError as e:
            return errno.errorcode[e.errno]
        finally:
            a.close()
            b.close()

    def case_rebind_at_once(self):
        port, failed = 0, 0
        for _ in range(50):
            s = socket.socket(self.family)
            s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                s.bind(("", port))
                port = s.getsockname()[1]
                s.listen(5)
            except OSError:
                failed += 1
            s.close()
        return failed

    def case_child_closes_all_fds(self):
        pid = os.fork()
        if pid == 0:
            code = 1
            try:
                os.closerange(3, 4096)
                with self.connect("echo") as c:
                    c.sendall(b"fresh")
                    code = 0 if c.recv(5) == b"fresh" else 2
            finally:
                os._exit(code)
        return os.waitpid(pid, 0)[1]

    def case_eintr_restarts(self):
        with self.connect("echo") as c:
            c.settimeout(None)
            hits = []
            signal.signal(signal.SIGALRM, lambda *_: (hits or c.sendall(b"sig"), hits.append(1)))
            # Again and again: one that comes just before the call sleeps is seen by Python only when the call ends.
            signal.setitimer(signal.ITIMER_REAL, 0.1, 0.5)
            out = c.recv(3)
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, signal.SIG_DFL)
            return out, bool(hits)

    def case_not_connected(self):
        s = socket.socket(self.family)
        out = []
        for f in (lambda: s.recv(1), lambda: s.send(b"x"), lambda: s.getpeername(), lambda: s.shutdown(socket.SHUT_RDWR), lambda: s.accept()):
            try:
                f()
                out.append("ok")
            except OSError as e:
                out.append(errno.errorcode[e.errno])
        s.close()
        return out

    def case_wrong_options(self):
        s = socket.socket(self.family)
        out = []
        for level, name in ((socket.SOL_SOCKET, 9999), (socket.IPPROTO_TCP, 9999)):
            try:
                s.setsockopt(level, name, 1)
                out.append("ok")
            except OSError as e:
                out.append(errno.errorcode[e.errno])
        s.close()
        return out


def client(address, port, only):
    c = Client(address, port)
    for name in [n for n in dir(c) if n.startswith("case_") and (not only or n[5:] in only)]:
        try:
            print(name[5:], getattr(c, name)(), flush=True)
        except Exception as e:
            print(name[5:], "raised", type(e).__name__, e, flush=True)


if __name__ == "__main__":
    if sys.argv[1] == "server":
        server(sys.argv[2], int(sys.argv[3]))
    else:
        client(sys.argv[2], int(sys.argv[3]), sys.argv[4:])
