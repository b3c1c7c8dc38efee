"""Short connections without end, and one that lasts, to a server that may be moved between network stacks meanwhile.

  movers.py server            HTTP on port 80 is nginx's; this echoes on port 81
  movers.py client ADDRESS FILE    prints "up", then "at N" for every tenth short one, and on SIGTERM a JSON line with what it has counted

Every short connection fetches a file from nginx and compares it; the long one echoes random bytes and compares them.
"""
import json, os, signal, socket, sys, threading


def server():
    listener = socket.socket(socket.AF_INET6)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("::", 81))
    listener.listen(16)
    print("ready", flush=True)
    while True:
        connection, _ = listener.accept()
        threading.Thread(target=echo, args=(connection,), daemon=True).start()


def echo(connection):
    try:
        while data := connection.recv(65536):
            connection.sendall(data)
    except OSError:
        pass
    connection.close()


def fetch(address, expected):
    with socket.create_connection((address, 80), timeout=10) as connection:
        connection.sendall(b"GET /file HTTP/1.0\r\n\r\n")
        parts = []
        while data := connection.recv(65536):
            parts.append(data)
    if b"".join(parts).partition(b"\r\n\r\n")[2] != expected:
        raise ValueError("another file")


def client(address, path):
    expected = open(path, "rb").read()
    over = threading.Event()
    result = {"short": 0, "failed": [], "echoed": 0, "long": "open"}

    def last():
        connection = socket.create_connection((address, 81), timeout=30)
        try:
            while not over.is_set():
                sent = os.urandom(4096)
                connection.sendall(sent)
                got = b""
                while len(got) < len(sent):
                    data = connection.recv(65536)
                    if not data:
                        raise EOFError
                    got += data
                if got != sent:
                    result["long"] = "corrupt"
                    return
                result["echoed"] += 1
                over.wait(0.01)
        except OSError as error:
            result["long"] = type(error).__name__
        except EOFError:
            result["long"] = "EOF"

    def short():
        while not over.is_set():
            try:
                fetch(address, expected)
                result["short"] += 1
                if result["short"] % 10 == 0:
                    print("at", result["short"], flush=True)
            except (OSError, ValueError) as error:
                result["failed"].append(repr(error))

    signal.signal(signal.SIGTERM, lambda *_: over.set())
    threads = [threading.Thread(target=run) for run in (last, short)]
    for thread in threads:
        thread.start()
    print("up", flush=True)
    while not over.wait(1):
        pass
    for thread in threads:
        thread.join()
    print(json.dumps(result), flush=True)


server() if sys.argv[1] == "server" else client(*sys.argv[2:])
