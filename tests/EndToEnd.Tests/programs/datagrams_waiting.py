"""Cases: blocking, time-outs, poll, select, epoll."""
import ctypes, os, select, socket, struct, threading, time
from datagrams_base import Base, libc, name


class Cases(Base):
    def case_nonblocking(self):
        with self.socket(bind=True) as s:
            out = [self.fails(lambda: s.recv(10, socket.MSG_DONTWAIT))]
            s.setblocking(False)
            out.append(self.fails(lambda: s.recvfrom(10)))
            s.sendto(b"echo", self.peer)
            select.select([s], [], [], 10)
            return out, s.recv(10), self.fails(lambda: s.recv(10))

    def case_receive_timeout(self):
        with socket.socket(self.family, socket.SOCK_DGRAM) as s:
            s.bind(self.any)
            s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("qq", 0, 200_000))
            before = time.monotonic()
            result = self.fails(lambda: s.recv(10))
            took = time.monotonic() - before
            s.sendto(b"echo", self.peer)
            return result, took >= 0.19, s.recv(10), self.fails(lambda: s.recv(10))

    def case_poll(self):
        with self.socket(bind=True) as s:
            p = select.poll()
            p.register(s, select.POLLIN | select.POLLOUT)
            out = [[e for _, e in p.poll(0)]]
            p.modify(s, select.POLLIN)
            out.append(p.poll(50))
            s.sendto(b"many2 10", self.peer)
            out.append([e for _, e in p.poll(10000)])
            s.recv(10)
            out.append([e for _, e in p.poll(10000)])
            s.recv(10)
            return out, p.poll(0)

    def case_poll_both_halves(self):
        with self.socket(bind=True) as s, self.socket() as local:
            p = select.poll()
            p.register(s, select.POLLIN)
            out = [p.poll(0)]
            for i in range(5):
                local.sendto(b"local", (self.loopback, s.getsockname()[1]))
                out.append(([e for _, e in p.poll(10000)], s.recv(10)))
                s.sendto(b"far", self.peer)
                out.append(([e for _, e in p.poll(10000)], s.recv(10)))
            return out, p.poll(0), select.select([s], [s], [s], 0)[0]

    def case_epoll_level(self):
        with self.socket(bind=True) as s, self.socket() as local, select.epoll() as e:
            e.register(s, select.EPOLLIN)
            out = [e.poll(0)]
            s.sendto(b"far", self.peer)
            out.append([v for _, v in e.poll(10)])
            out.append([v for _, v in e.poll(0)])
            out.append((s.recv(10), e.poll(0)))
            local.sendto(b"local", (self.loopback, s.getsockname()[1]))
            out.append(([v for _, v in e.poll(10)], [v for _, v in e.poll(10)], s.recv(10), e.poll(0)))
            e.modify(s, select.EPOLLIN | select.EPOLLOUT)
            out.append([v for _, v in e.poll(10)])
            local.sendto(b"local", (self.loopback, s.getsockname()[1]))
            s.sendto(b"far", self.peer)
            s.recv(10), s.recv(10)
            out.append([v for _, v in e.poll(10)])
            return out

    def case_epoll_edge(self):
        with self.socket(bind=True) as s, self.socket() as local, select.epoll() as e:
            e.register(s, select.EPOLLIN | select.EPOLLET)
            out = [e.poll(0)]
            for send in (lambda: s.sendto(b"far", self.peer), lambda: local.sendto(b"local", (self.loopback, s.getsockname()[1]))) * 2:
                send()
                out.append([v for _, v in e.poll(10)])  # each arrival is an event, though nothing was read
                out.append(e.poll(0))
            out.append(sorted(s.recv(10) for _ in range(4)))
            return out, e.poll(0)

    def case_epoll_oneshot(self):
        with self.socket(bind=True) as s, self.socket() as local, select.epoll() as e:
            e.register(s, select.EPOLLIN | select.EPOLLONESHOT)
            out = []
            for send in (lambda: s.sendto(b"far", self.peer), lambda: local.sendto(b"local", (self.loopback, s.getsockname()[1]))):
                send()
                out.append(([v for _, v in e.poll(10)], e.poll(0)))
                s.recv(10)
                send()
                time.sleep(0.1)
                out.append(e.poll(0))
                e.modify(s, select.EPOLLIN | select.EPOLLONESHOT)
                out.append([v for _, v in e.poll(10)])
                s.recv(10)
                e.modify(s, select.EPOLLIN | select.EPOLLONESHOT)
            return out

    def case_epoll_before_bind(self):
        with self.socket() as s, self.socket() as local, select.epoll() as e:
            local.bind((self.loopback, 0))
            e.register(s, select.EPOLLIN)
            s.bind(self.any)
            local.sendto(b"local", (self.loopback, s.getsockname()[1]))
            out = [[v for _, v in e.poll(10)], s.recv(10)]
            s.sendto(b"far", self.peer)
            out += [[v for _, v in e.poll(10)], s.recv(10)]
            s.connect(self.peer)
            s.send(b"connected")
            out += [[v for _, v in e.poll(10)], s.recv(10), e.poll(0)]
            self.disconnect(s)
            s.connect(local.getsockname())
            local.sendto(b"near", s.getsockname())
            out += [[v for _, v in e.poll(10)], s.recv(10), e.poll(0)]
            return out

    def case_epoll_autobind(self):
        with self.socket() as s, self.socket() as local, select.epoll() as e:
            e.register(s, select.EPOLLIN)
            local.bind((self.loopback, 0))
            s.sendto(b"hello", local.getsockname())
            d, a = local.recvfrom(100)
            local.sendto(b"back", a)
            out = [[v for _, v in e.poll(10)], s.recv(10)]
            s.sendto(b"far", self.peer)
            return out, [v for _, v in e.poll(10)], s.recv(10)

    def case_wakes_a_thread(self):
        out = []
        for half in ("far", "local"):
            with self.socket(bind=True) as s, self.socket() as local:
                got = []
                t = threading.Thread(target=lambda: got.append(s.recv(10)))
                t.start()
                time.sleep(0.1)
                if half == "far":
                    s.sendto(b"far", self.peer)
                else:
                    local.sendto(b"local", (self.loopback, s.getsockname()[1]))
                t.join(20)
                out += got
        return out

    def case_shutdown_wakes(self):
        with self.socket(connect=True) as s:
            got = []
            t = threading.Thread(target=lambda: got.append(s.recv(10)))
            t.start()
            time.sleep(0.1)
            s.shutdown(socket.SHUT_RD)
            t.join(20)
            return got

    def case_writable_under_load(self):
        with self.socket(connect=True) as s:
            s.setblocking(False)
            sent, full = 0, 0
            p = select.poll()
            p.register(s, select.POLLOUT)
            while sent < 3000:
                try:
                    s.send(b"mute" + bytes(1000))
                    sent += 1
                except BlockingIOError:
                    full += 1
                    if not p.poll(10000):
                        return "stuck", sent
            s.setblocking(True)
            s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("qq", 1, 0))
            for _ in range(20):
                s.send(b"echo end")
                try:
                    return sent, s.recv(100)
                except BlockingIOError:
                    pass
