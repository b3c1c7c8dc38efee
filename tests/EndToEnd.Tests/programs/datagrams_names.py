"""Cases: bind, connect, names, and the two halves of a wildcard socket."""
import ctypes, os, socket, struct, threading
from datagrams_base import Base, libc, name


class Cases(Base):
    def case_connected(self):
        with self.socket(connect=True) as s:
            s.send(b"echo a")
            first = s.recv(100)
            s.sendto(b"echo b", self.peer)
            second = s.recvfrom(100)
            s.send(b"other")
            third = s.recv(100)
            return first, second[0], second[1][:2] == self.peer, third, s.getpeername()[:2] == self.peer, s.getsockname()[1] != 0

    def case_unconnected_hears_all(self):
        with self.socket(bind=True) as s:
            s.sendto(b"other", self.peer)
            return s.recv(100), s.recv(100)

    def case_unconnected_errors(self):
        short = ctypes.create_string_buffer(struct.pack("H", self.family) + b"\0\0")
        with self.socket() as s:
            return (self.fails(lambda: s.send(b"x")), self.fails(lambda: s.sendto(b"x", (self.address, 0))), self.fails(s.getpeername),
                    libc.sendto(s.fileno(), b"x", 1, 0, short, 4), name(ctypes.get_errno()),
                    libc.sendto(s.fileno(), b"x", 1, 0, ctypes.create_string_buffer(struct.pack("H", 33) + bytes(30)), 28), name(ctypes.get_errno()),
                    libc.connect(s.fileno(), ctypes.create_string_buffer(struct.pack("H", 33) + bytes(30)), 28), name(ctypes.get_errno()),
                    libc.connect(s.fileno(), short, 1), name(ctypes.get_errno()), self.fails(lambda: s.listen(1)), self.fails(s.accept))

    def case_autobind(self):
        with self.socket() as s:
            before = s.getsockname()[:2]
            s.sendto(b"who", self.peer)
            _, port = s.recv(100).decode().split()
            return before == self.any, s.getsockname()[0] == self.any[0], s.getsockname()[1] == int(port), self.fails(lambda: s.bind(self.any))

    def case_bind_zero(self):
        with self.socket(bind=True) as s, self.socket(bind=True) as t:
            port = s.getsockname()[1]
            s.sendto(b"who", self.peer)
            seen = s.recv(100).decode().split()
            return s.getsockname()[0] == self.any[0], port != 0, port == int(seen[1]), port != t.getsockname()[1], self.fails(lambda: s.bind(self.any))

    def case_bind_own_address(self):
        with self.socket(connect=True) as s:
            own = s.getsockname()[0]
        with self.socket() as s:
            s.bind((own, 0))
            s.sendto(b"who", self.peer)
            seen = s.recv(100).decode().split()
            return seen[0] == own, int(seen[1]) == s.getsockname()[1], s.getsockname()[0] == own

    def case_bind_errors(self):
        foreign = "2001:2:0:ffff::9" if self.six else "198.19.255.9"
        with self.socket(bind=True) as s, self.socket() as t, self.socket() as u:
            return self.fails(lambda: t.bind(s.getsockname())), self.fails(lambda: u.bind((foreign, 0)))

    def case_port_is_free_after_close(self):
        with self.socket(bind=True) as s:
            port = s.getsockname()[1]
        out = []
        for _ in range(20):
            with self.socket() as t:
                out.append(self.fails(lambda: t.bind((self.any[0], port))))
                t.sendto(b"echo", self.peer)
                out.append(t.recv(10))
        return len(out), sorted(set(map(str, out)))

    def case_reuse(self):
        out = []
        for option in (socket.SO_REUSEADDR, socket.SO_REUSEPORT):
            with self.socket() as s, self.socket() as t, self.socket() as u:
                s.setsockopt(socket.SOL_SOCKET, option, 1)
                s.bind(self.any)
                t.setsockopt(socket.SOL_SOCKET, option, 1)
                out.append(self.fails(lambda: t.bind((self.any[0], s.getsockname()[1]))))
                out.append(self.fails(lambda: u.bind((self.any[0], s.getsockname()[1]))))
        return out

    def case_reconnect(self):
        with self.socket() as a, self.socket() as s:
            a.bind((self.loopback, 0))
            s.connect(a.getsockname())
            s.send(b"to loopback")
            out = [a.recv(100), s.getpeername()[:2] == a.getsockname()[:2]]
            a.sendto(b"back", s.getsockname())
            out.append(s.recv(100))
            out.append(self.disconnect(s))  # or the kernel keeps 127.0.0.1 as the source
            s.connect(self.peer)
            s.send(b"to the server")
            out += [s.recv(100), s.getpeername()[:2] == self.peer]
            out.append(self.disconnect(s))
            s.connect(a.getsockname())
            s.send(b"again")
            out.append(a.recv(100))
            return out

    def case_disconnect(self):
        with self.socket(connect=True) as s:
            out = [self.disconnect(s), self.fails(s.getpeername), self.fails(lambda: s.send(b"x")), s.getsockname()[:2] == self.any]
            s.sendto(b"echo", self.peer)
            out += [s.recv(100), self.disconnect(s)]
            s.connect(self.peer)
            s.send(b"once more")
            out.append(s.recv(100))
        with self.socket(bind=True) as t:
            port = t.getsockname()[1]
        with self.socket() as s:
            s.bind((self.any[0], port))
            s.connect(self.peer)
            out += [s.getsockname()[1] == port, self.disconnect(s), s.getsockname()[:2] == (self.any[0], port)]
            s.sendto(b"who", self.peer)
            out.append(int(s.recv(100).split()[1]) == port)
            return out

    def case_both_halves(self):
        with self.socket(bind=True) as s, self.socket() as local:
            port = s.getsockname()[1]
            got = []
            for i in range(10):
                local.sendto(b"local %d" % i, (self.loopback, port))
                s.sendto(b"far %d" % i, self.peer)
                got += [s.recvfrom(100), s.recvfrom(100)]
            near = [(d, a) for d, a in got if d.startswith(b"local")]
            s.sendto(b"reply", near[0][1])
            d, a = local.recvfrom(100)
            return sorted(d.decode() for d, _ in got), all(a[0] == self.loopback for _, a in near), d, a[:2] == (self.loopback, port)

    def case_loopback_first(self):
        with self.socket() as s, self.socket() as local:
            local.bind((self.loopback, 0))
            s.sendto(b"hello", local.getsockname())
            d, a = local.recvfrom(100)
            local.sendto(b"back", a)
            back = s.recv(100)
            s.sendto(b"who", self.peer)
            return d, back, int(s.recv(100).split()[1]) == a[1], s.getsockname()[1] == a[1]

    def case_neither_starves(self):
        with self.socket(bind=True) as s, self.socket() as local:
            s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
            port = s.getsockname()[1]
            for i in range(50):
                local.sendto(b"local", (self.loopback, port))
            s.sendto(b"many50 100", self.peer)
            got = [s.recv(200) for _ in range(100)]
            return sum(d == b"local" for d in got), sum(len(d) == 100 for d in got)

    def case_to_oneself(self):
        with self.socket(bind=True) as s, self.socket(connect=True) as t:
            own = t.getsockname()[0]
            port = s.getsockname()[1]
            s.sendto(b"me", (own, port))
            d, a = s.recvfrom(100)
            s.sendto(b"me too", self.any[:1] + (port,))
            return d, a[1] == port, s.recv(100)

    def case_mapped(self):
        if self.six:
            with self.socket(bind=True) as s:
                return self.fails(lambda: s.sendto(b"x", ("::ffff:198.19.255.9", 0)))
        with self.socket(family=socket.AF_INET6) as s, self.socket(family=socket.AF_INET6) as t:
            s.sendto(b"who", ("::ffff:" + self.address, self.port))
            d, a = s.recvfrom(100)
            out = [int(d.split()[1]) == s.getsockname()[1], a[:2] == ("::ffff:" + self.address, self.port), s.getsockname()[0]]
            s.connect(("::ffff:" + self.address, self.port))
            s.send(b"echo")
            out += [s.recv(100), s.getpeername()[0] == "::ffff:" + self.address]
            t.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            return out, self.fails(lambda: t.sendto(b"x", ("::ffff:" + self.address, self.port))), self.fails(lambda: t.connect(("::ffff:" + self.address, self.port)))

    def case_dup_and_inherit(self):
        with self.socket(connect=True) as s:
            t = s.dup()
            s.send(b"echo dup")
            out = [t.recv(100)]
            s.close()
            t.send(b"echo after")
            out.append(t.recv(100))
            t.close()
            return out
