"""What the cases of datagrams.py share."""
import ctypes, errno, socket, struct
from datagrams import family_of, pattern, wildcard

libc = ctypes.CDLL(None, use_errno=True)


def name(number):
    return errno.errorcode.get(number, str(number))


class Base:
    def __init__(self, address, port):
        self.address, self.port, self.family = address, port, family_of(address)
        self.six = self.family == socket.AF_INET6
        self.peer = (address, port)
        self.any = (wildcard(self.family), 0)
        self.loopback = "::1" if self.six else "127.0.0.1"

    def socket(self, connect=False, bind=False, family=None):
        s = socket.socket(family or self.family, socket.SOCK_DGRAM)
        s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("qq", 20, 0))  # blocking, but not for ever
        if bind:
            s.bind(self.any)
        if connect:
            s.connect(self.peer)
        return s

    def closed_port(self):
        """A port of the server's machine on which nobody listens."""
        with self.socket() as s:
            s.sendto(b"closed", self.peer)
            return int(s.recv(100))

    def disconnect(self, s):
        """connect(AF_UNSPEC)."""
        return libc.connect(s.fileno(), ctypes.create_string_buffer(16), 16)

    @staticmethod
    def fails(action):
        try:
            result = action()
            return "ok" if result is None or result is socket else f"ok {result}"
        except OSError as e:
            return name(e.errno) if e.errno else type(e).__name__
