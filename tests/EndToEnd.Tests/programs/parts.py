"""Datagrams too large for one frame, and to ports where nobody is.

  parts.py echo              echoes datagrams on port 5300; prints "ready"
  parts.py large V4 V6       sends 8000 bytes to each, and prints how many the echoes have
  parts.py ask V4 V6         connects to a closed port of each, prints "ready"; on SIGUSR1 sends there, and prints what the answers are
"""
import errno, random, select, signal, socket, sys

CLOSED = 9


def echo():
    server = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
    server.bind(("::", 5300))
    print("ready", flush=True)
    while True:
        data, peer = server.recvfrom(65535)
        server.sendto(data, peer)


def large(*addresses):
    lengths = []
    for address in addresses:
        sent = random.Random(1).randbytes(8000)
        with socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_DGRAM) as client:
            client.connect((address, 5300))
            client.settimeout(3)
            got = b""
            for _ in range(5):  # datagrams may be lost
                client.send(sent)
                try:
                    got = client.recv(65535)
                    break
                except TimeoutError:
                    pass
        lengths.append(str(len(got)) if got == sent else f"another datagram of {len(got)}")
    print(*lengths)


def ask(*addresses):
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1])
    clients = []
    for address in addresses:
        client = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_DGRAM)
        client.connect((address, CLOSED))
        clients.append(client)
    print("ready", flush=True)
    signal.sigwait([signal.SIGUSR1])
    answers = []
    for client in clients:
        answer = "nothing"
        for _ in range(20):
            try:
                client.send(b"x")
                if select.select([client], [], [], 0.5)[0]:
                    client.recv(9)
            except OSError as error:
                answer = errno.errorcode[error.errno]
                break
        answers.append(answer)
    print(*answers, flush=True)


{"echo": echo, "large": large, "ask": ask}[sys.argv[1]](*sys.argv[2:])
