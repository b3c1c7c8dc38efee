"""TCP through a router that sends errors: a path that takes smaller packets, and an address that nobody has any more.

  routed.py server PORT               reads what comes, up to the line feed that ends it, and answers with its hash; prints "ready"
  routed.py client PORT LIVE DEAD ... connects to the live addresses, and begins to connect to the dead ones; prints "ready"; on SIGUSR1 sends 300,000 bytes over each connection, prints
                                      "carried N" with the largest segment (tcpi_snd_mss) when all hashes are right, and then the errors of the dead ones
"""
import errno, hashlib, select, signal, socket, struct, sys, threading

DATA = bytes(range(48, 123)) * 4000 + b"\n"


def family(address):
    return socket.AF_INET6 if ":" in address else socket.AF_INET


def serve(c):
    got = bytearray()
    while not got.endswith(b"\n"):
        data = c.recv(65536)
        if not data:
            return
        got += data
        if got == b"first\n":
            got = bytearray()
            c.sendall(b"first\n")
    c.sendall(hashlib.sha256(got).digest())


def server(port):
    s = socket.create_server(("::", port), family=socket.AF_INET6, dualstack_ipv6=True)
    print("ready", flush=True)
    while True:
        threading.Thread(target=serve, args=(s.accept()[0],), daemon=True).start()


def client(port, *addresses):
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1])
    live, dead = [], []
    for i, address in enumerate(addresses):
        c = socket.socket(family(address), socket.SOCK_STREAM)
        if i % 2 == 0:
            c.settimeout(30)
            c.connect((address, port))
            c.sendall(b"first\n")
            assert c.recv(9) == b"first\n"
            live.append(c)
        else:
            c.setblocking(False)
            assert c.connect_ex((address, port)) == errno.EINPROGRESS
            dead.append(c)
    print("ready", flush=True)
    signal.sigwait([signal.SIGUSR1])
    sizes = []
    for c in live:
        c.sendall(DATA)
        got = b""
        while len(got) < 32:
            got += c.recv(32 - len(got))
        assert got == hashlib.sha256(DATA).digest()
        sizes.append(struct.unpack_from("I", c.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 104), 16)[0])
    print("carried", *sizes, flush=True)
    answers = []
    for c in dead:
        poller = select.poll()
        poller.register(c, select.POLLOUT)
        poller.poll(60000)
        answers.append(errno.errorcode.get(c.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR), "nothing"))
    print(*answers, flush=True)


{"server": server, "client": client}[sys.argv[1]](int(sys.argv[2]), *sys.argv[3:])
