"""Cases: options and control messages."""
import socket, struct, time
from datagrams import meta, want_meta
from datagrams_base import Base, name

SO_TIMESTAMP, SO_TIMESTAMPNS, IP_PKTINFO, IP_RECVTTL, IP_RECVTOS = 29, 35, 8, 12, 13


class Cases(Base):
    def case_received(self):
        with self.socket(bind=True) as s, self.socket(connect=True) as t:
            own = t.getsockname()[0]
            want_meta(s, self.six)
            out = []
            for request in (b"echo", b"tos16", b"tos184"):
                s.sendto(request, self.peer)
                d, peer, found, flags = meta(s, self.six)
                address = found.pop("to6" if self.six else "to4", None)
                found.pop("index4", None), found.pop("index6", None)
                out.append((d, address == own, sorted(found.items()), flags))
            return out

    def case_received_local(self):
        with self.socket(bind=True) as s, self.socket() as local:
            want_meta(s, self.six)
            local.sendto(b"local", (self.loopback, s.getsockname()[1]))
            d, peer, found, flags = meta(s, self.six)
            return d, found.get("to6" if self.six else "to4"), found.get("ttl"), found.get("tos")

    def case_sent(self):
        with self.socket(connect=True) as s:
            out = []
            tos, ttl = ((socket.IPPROTO_IPV6, socket.IPV6_TCLASS), (socket.IPPROTO_IPV6, socket.IPV6_HOPLIMIT)) if self.six \
                else ((socket.IPPROTO_IP, socket.IP_TOS), (socket.IPPROTO_IP, socket.IP_TTL))
            for control in ([], [(*tos, struct.pack("i", 32))], [(*ttl, struct.pack("i", 33))], [(*tos, struct.pack("i", 40)), (*ttl, struct.pack("i", 41))]):
                s.sendmsg([b"meta"], control)
                out.append(s.recv(100))
            s.setsockopt(*((socket.IPPROTO_IPV6, socket.IPV6_UNICAST_HOPS) if self.six else (socket.IPPROTO_IP, socket.IP_TTL)), 77)
            s.setsockopt(*tos, 8)
            s.send(b"meta")
            return out, s.recv(100)

    def case_sent_errors(self):
        with self.socket(connect=True) as s:
            level = socket.IPPROTO_IPV6 if self.six else socket.IPPROTO_IP
            tos, ttl = (socket.IPV6_TCLASS, socket.IPV6_HOPLIMIT) if self.six else (socket.IP_TOS, socket.IP_TTL)
            out = []
            for control in ((level, 200, b"1234"), (level, tos, b"12"), (level, tos, struct.pack("i", 300)), (level, ttl, struct.pack("i", 256)), (level, ttl, b"1"),
                            (socket.SOL_SOCKET, 200, b"1234"), (99, 1, b"1234")):
                out.append(self.fails(lambda: s.sendmsg([b"mute"], [control])))
            return out

    def case_source_address(self):
        with self.socket(bind=True) as s, self.socket(connect=True) as t:
            own = socket.inet_pton(self.family, t.getsockname()[0])
            foreign = socket.inet_pton(self.family, "2001:2:0:ffff::9" if self.six else "198.19.255.9")

            def info(address, index=0):
                return [(socket.IPPROTO_IPV6, socket.IPV6_PKTINFO, address + struct.pack("I", index))] if self.six \
                    else [(socket.IPPROTO_IP, IP_PKTINFO, struct.pack("I", index) + address + bytes(4))]

            s.sendmsg([b"who"], info(own), 0, self.peer)
            out = [s.recv(100).split()[0].decode() == t.getsockname()[0]]
            s.sendmsg([b"echo"], info(bytes(16 if self.six else 4)), 0, self.peer)
            out.append(s.recv(100))
            return out, self.fails(lambda: s.sendmsg([b"x"], info(foreign), 0, self.peer)), self.fails(lambda: s.sendmsg([b"x"], info(own, 12345), 0, self.peer))

    def case_truncated_control(self):
        with self.socket(connect=True) as s:
            want_meta(s, self.six)
            out = []
            for room in (0, 8, 16, 20, 24, 40, 48, 512):
                s.send(b"echo")
                d, control, flags, _ = s.recvmsg(100, room)
                out.append((room, d, [(lv, kind, len(v)) for lv, kind, v in control], flags))
            return out

    def case_timestamps(self):
        out = []
        for option in (SO_TIMESTAMP, SO_TIMESTAMPNS):
            with self.socket(connect=True) as s:
                s.setsockopt(socket.SOL_SOCKET, option, 1)
                s.send(b"echo")
                s.recv(10)
                before = time.time()
                s.send(b"echo")
                d, control, flags, _ = s.recvmsg(100, 100)
                (level, kind, value), = control
                seconds, fraction = struct.unpack("qq", value)
                at = seconds + fraction / (1e9 if option == SO_TIMESTAMPNS else 1e6)
                out.append((d, level == socket.SOL_SOCKET, kind == option, before - 0.1 <= at <= time.time() + 0.1))
                s.setsockopt(socket.SOL_SOCKET, option, 0)
                s.send(b"echo")
                out.append(s.recvmsg(100, 100)[1])
        return out

    def case_options(self):
        """Sets and reads back what every NSM honours; datagram_options.py has the rest."""
        ip, six, so = socket.IPPROTO_IP, socket.IPPROTO_IPV6, socket.SOL_SOCKET
        table = [(so, socket.SO_RCVBUF, 50000), (so, socket.SO_SNDBUF, 50000), (so, socket.SO_RCVBUF, 1), (so, socket.SO_SNDBUF, 1),
                 (so, socket.SO_REUSEADDR, 1), (so, socket.SO_REUSEPORT, 1), (so, socket.SO_KEEPALIVE, 1), (so, socket.SO_RCVLOWAT, 5),
                 (ip, socket.IP_TOS, 40), (ip, socket.IP_TTL, 5), (ip, socket.IP_TTL, 0), (ip, socket.IP_TTL, 256), (ip, 10, 2), (ip, 10, 77), (ip, 11, 1), (ip, IP_RECVTOS, 1),
                 (ip, IP_RECVTTL, 1), (ip, IP_PKTINFO, 1), (so, SO_TIMESTAMP, 1), (so, SO_TIMESTAMPNS, 1)]
        if self.six:
            table += [(six, o, v) for o, v in ((16, 9), (16, 999), (67, 12), (67, 999), (23, 2), (25, 1), (49, 1), (51, 1), (66, 1), (62, 1))]
        out = []
        for connected in (False, True):
            with self.socket(connect=connected) as s:
                for level, option, value in table:
                    out.append((option, self.fails(lambda: s.setsockopt(level, option, value)), self.fails(lambda: s.getsockopt(level, option))))
                out.append([s.getsockopt(so, o) for o in (socket.SO_TYPE, socket.SO_DOMAIN, socket.SO_PROTOCOL, socket.SO_ERROR, socket.SO_ACCEPTCONN)])
                out.append([self.fails(lambda: s.setsockopt(so, socket.SO_RCVBUF, b"12")), self.fails(lambda: s.setsockopt(socket.IPPROTO_TCP, 1, 1))])
        return out

    def case_receive_buffer(self):
        """A small buffer loses datagrams when nobody reads, and takes new ones when it is empty."""
        with self.socket(connect=True) as s:
            s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8192)
            s.send(b"many400 1000")
            s.recv(1, socket.MSG_PEEK)
            time.sleep(0.5)
            s.setblocking(False)
            got = 0
            while self.fails(lambda: s.recv(2000, socket.MSG_PEEK)) != "EAGAIN":
                s.recv(2000)
                got += 1
            s.setblocking(True)
            s.send(b"echo afterwards")
            while (d := s.recv(2000)) and d != b"echo afterwards" and got < 100:
                got += 1  # what another stage of the way still held
            return 0 < got < 100, d
