"""Cases: ICMP errors, the error queue, shutdown, refusals."""
import errno, select, socket, struct, threading, time
from datagrams_base import Base, name

IP_RECVERR, IPV6_RECVERR, MSG_ERRQUEUE = 11, 25, 0x2000


class Cases(Base):
    def provoke(self, s, mask, send):
        """Sends until an error is there: ICMP messages are limited in number per second (icmp(7), icmp_ratelimit)."""
        p = select.poll()
        p.register(s, mask)
        for _ in range(20):
            send()
            if events := p.poll(1200):
                return [e for _, e in events]

    def case_refused_recv(self):
        port = self.closed_port()
        with self.socket() as s:
            s.connect((self.address, port))
            self.provoke(s, 0, lambda: s.send(b"x"))
            out = [self.fails(lambda: s.recv(10))]
            s.setblocking(False)
            return out, self.fails(lambda: s.recv(10))

    def case_refused_send(self):
        port = self.closed_port()
        with self.socket() as s:
            s.connect((self.address, port))
            events = self.provoke(s, 0, lambda: s.send(b"x"))
            return events, self.fails(lambda: s.send(b"y"))

    def case_refused_so_error(self):
        port = self.closed_port()
        with self.socket() as s:
            s.connect((self.address, port))
            events = self.provoke(s, select.POLLIN, lambda: s.send(b"x"))
            first = s.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            s.setblocking(False)
            return [e & select.POLLERR != 0 for e in events], name(first), s.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR), self.fails(lambda: s.recv(10))

    def case_refused_epoll(self):
        port = self.closed_port()
        with self.socket() as s, select.epoll() as e:
            s.connect((self.address, port))
            e.register(s, select.EPOLLIN | select.EPOLLET)
            self.provoke(s, 0, lambda: s.send(b"x"))
            events = e.poll(10)
            s.setblocking(False)
            return [v & (select.EPOLLERR | select.EPOLLIN) for _, v in events], self.fails(lambda: s.recv(10)), e.poll(0)

    def case_refused_unconnected(self):
        port = self.closed_port()
        with self.socket() as s:
            s.sendto(b"x", (self.address, port))
            s.sendto(b"echo", self.peer)
            return s.recv(100), s.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)

    def case_error_queue(self):
        port = self.closed_port()
        with self.socket() as s:
            level, option = (socket.IPPROTO_IPV6, IPV6_RECVERR) if self.six else (socket.IPPROTO_IP, IP_RECVERR)
            s.setsockopt(level, option, 1)
            before = self.fails(lambda: s.recvmsg(100, 512, MSG_ERRQUEUE))
            events = self.provoke(s, 0, lambda: s.sendto(b"lost words", (self.address, port)))
            d, control, flags, to = s.recvmsg(100, 512, MSG_ERRQUEUE)
            (lv, kind, value), = control
            number, origin, type_, code, _, info, data = struct.unpack_from("IBBBBII", value)
            offender = socket.inet_ntop(self.family, value[24:40] if self.six else value[20:24])
            out = [before, [e & select.POLLERR != 0 for e in events], d, to[:2] == (self.address, port), (lv, kind) == (level, option), flags & MSG_ERRQUEUE != 0,
                   name(number), origin, type_, code, info, offender == self.address]
            s.setblocking(False)
            out += [self.fails(lambda: s.recvmsg(100, 512, MSG_ERRQUEUE)), self.fails(lambda: s.recv(10)), [e for _, e in self.poll_now(s)]]
            return out

    def case_error_queue_several(self):
        port = self.closed_port()
        with self.socket() as s:
            level, option = (socket.IPPROTO_IPV6, IPV6_RECVERR) if self.six else (socket.IPPROTO_IP, IP_RECVERR)
            s.setsockopt(level, option, 1)
            got = []
            for i in range(3):
                self.provoke(s, 0, lambda: s.sendto(b"lost %d" % i, (self.address, port)))
                name_ = self.fails(lambda: s.sendto(b"not sent", (self.address, port)))  # the pending error; the record stays
                got.append((name_, s.recvmsg(100, 512, MSG_ERRQUEUE | socket.MSG_DONTWAIT)[0]))
            return got, s.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)

    def case_error_queue_that_nobody_reads(self):
        """A receive waits beside it, for a datagram from either side or the next error, and costs nothing meanwhile."""
        level, option = (socket.IPPROTO_IPV6, IPV6_RECVERR) if self.six else (socket.IPPROTO_IP, IP_RECVERR)
        out = []
        for host, port in ((self.loopback, self.closed_loopback_port()), (self.address, self.closed_port())):
            with self.socket() as s:
                s.setsockopt(level, option, 1)
                self.provoke(s, 0, lambda: s.sendto(b"x", (host, port)))
                out.append(self.fails(lambda: s.recv(10)))
                s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("qq", 1, 0))
                began = time.thread_time()
                out += [self.fails(lambda: s.recv(10)), time.thread_time() - began < 0.3]
                s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("qq", 20, 0))
                for where in (self.loopback, None):
                    later = threading.Thread(target=self.send_when_asleep, args=(threading.get_native_id(), s, where))
                    later.start()
                    out.append(self.fails(lambda: s.recv(10)))
                    later.join()
                out += [self.fails(lambda: s.recvmsg(10, 512, MSG_ERRQUEUE)[0]), self.fails(lambda: s.recvmsg(10, 512, MSG_ERRQUEUE)[0])]
        return out

    def closed_loopback_port(self):
        with self.socket() as s:
            s.bind((self.loopback, 0))
            return s.getsockname()[1]

    def send_when_asleep(self, thread, s, where):
        """A datagram for a socket, once a thread sleeps in its call: from loopback, or from the peer."""
        while open(f"/proc/self/task/{thread}/stat").read().rsplit(")", 1)[1].split()[0] != "S":
            time.sleep(0.01)
        if where:
            with self.socket() as t:
                t.sendto(b"near", (where, s.getsockname()[1]))
        else:
            s.sendto(b"far", self.peer)

    def poll_now(self, s):
        p = select.poll()
        p.register(s, select.POLLIN | select.POLLOUT)
        return p.poll(0)

    def case_broadcast(self):
        if self.six:
            return "none"
        with self.socket() as s, self.socket() as t:
            return [self.fails(lambda: s.sendto(b"x", ("255.255.255.255", 9))), self.fails(lambda: t.connect(("255.255.255.255", 9)))]

    def case_shutdown_unconnected(self):
        with self.socket(bind=True) as s:
            out = [self.fails(lambda: s.shutdown(socket.SHUT_WR)), self.fails(lambda: s.sendto(b"x", self.peer))]
        with self.socket(bind=True) as s:
            out += [self.fails(lambda: s.shutdown(socket.SHUT_RD)), s.recv(10), [e for _, e in self.poll_now(s)]]
            s.setblocking(False)
            return out, self.fails(lambda: s.recv(10))

    def case_shutdown_connected(self):
        with self.socket(connect=True) as s:
            out = [self.fails(lambda: s.shutdown(9)), self.fails(lambda: s.shutdown(socket.SHUT_WR)), self.fails(lambda: s.send(b"x"))]
            out += [[e for _, e in self.poll_now(s)], self.fails(lambda: s.shutdown(socket.SHUT_RD)), s.recv(10), [e for _, e in self.poll_now(s)]]
            return out

    def case_shutdown_keeps_queue(self):
        with self.socket(connect=True) as s:
            s.send(b"echo")
            s.recv(1, socket.MSG_PEEK)
            s.shutdown(socket.SHUT_RD)
            return s.recv(10), s.recv(10)

    def case_flags(self):
        with self.socket(connect=True) as s:
            out = [self.fails(lambda: s.send(b"x", socket.MSG_OOB)), self.fails(lambda: s.send(b"mute", socket.MSG_NOSIGNAL | 0x800 | 0x80))]
            s.send(b"echo")
            return out, s.recv(10, socket.MSG_WAITALL), self.fails(lambda: s.sendto(b"mute", self.peer)), s.type == socket.SOCK_DGRAM
