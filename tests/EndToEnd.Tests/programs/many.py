"""Many connections at once.

many.py server ADDRESS PORT          echoes lines; prints "ready PORT"
many.py client ADDRESS PORT COUNT    opens COUNT connections, then one message of its own on each, three rounds in another order each time,
                                     prints "open COUNT", after the rounds "echoed N wrong M"; closes all when a line comes on the pipe PIPE
                                     (argument 5) and prints "closed"
"""
import random, resource, selectors, socket, sys

_, most = resource.getrlimit(resource.RLIMIT_NOFILE)
resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def server(address, port):
    s = socket.create_server((address, port), backlog=1024)
    s.setblocking(False)
    poller = selectors.DefaultSelector()
    poller.register(s, selectors.EVENT_READ)
    print("ready", s.getsockname()[1], flush=True)
    while True:
        for key, _ in poller.select():
            if key.fileobj is s:
                try:
                    while True:
                        c, _ = s.accept()
                        c.setblocking(False)
                        poller.register(c, selectors.EVENT_READ)
                except BlockingIOError:
                    pass
                continue
            data = key.fileobj.recv(4096)
            if data:
                key.fileobj.sendall(data)
            else:
                poller.unregister(key.fileobj)
                key.fileobj.close()


def client(address, port, count, pipe):
    connections = []
    for i in range(count):
        connections.append(socket.create_connection((address, port), timeout=20))
    print("open", len(connections), flush=True)
    echoed = wrong = 0
    order = list(range(count))
    rng = random.Random(count)
    for turn in range(3):
        rng.shuffle(order)
        for start in range(0, count, 500):
            part = order[start:start + 500]
            for i in part:
                connections[i].sendall(b"%d:%d" % (turn, i))
            for i in part:
                expected = b"%d:%d" % (turn, i)
                got = b""
                while len(got) < len(expected):
                    data = connections[i].recv(100)
                    if not data:
                        break
                    got += data
                echoed += 1
                wrong += got != expected
    print("echoed", echoed, "wrong", wrong, flush=True)
    open(pipe).readline()
    for c in connections:
        c.close()
    print("closed", flush=True)


if sys.argv[1] == "server":
    server(sys.argv[2], int(sys.argv[3]))
else:
    client(sys.argv[2], int(sys.argv[3]), int(sys.argv[4]), sys.argv[5])
