"""Moves a volume of bytes over one TCP connection.

volume.py server ADDRESS PORT          serves one volume per connection, as the client asks
volume.py send|receive ADDRESS PORT N  moves N bytes to or from the server, prints "begun" once some have moved, and at the end "done SECONDS"
"""
import socket
import sys
import threading
import time

PIECE = 65536


def take(connection, count, begun=lambda: None):
    while count:
        piece = connection.recv(min(count, PIECE))
        if not piece:
            raise EOFError(f"{count} bytes are missing")
        count -= len(piece)
        begun()


def give(connection, count, begun=lambda: None):
    piece = bytes(PIECE)
    while count:
        some = piece[:min(count, PIECE)]
        connection.sendall(some)
        count -= len(some)
        begun()


def serve(connection):
    with connection:
        mode, count = connection.recv(64).decode().split()
        connection.sendall(b"k")
        if mode == "send":
            take(connection, int(count))
            connection.sendall(b"k")
        else:
            give(connection, int(count))
            connection.recv(1)


def server(address, port):
    with socket.create_server((address, port)) as listener:
        print("ready", flush=True)
        while True:
            connection, _ = listener.accept()
            threading.Thread(target=serve, args=(connection,), daemon=True).start()


def client(mode, address, port, count):
    told = []

    def begun():
        if not told:
            told.append(True)
            print("begun", flush=True)

    with socket.create_connection((address, port)) as connection:
        connection.sendall(f"{mode} {count}".encode())
        take(connection, 1)
        start = time.monotonic()
        if mode == "send":
            give(connection, count, begun)
            take(connection, 1)
        else:
            take(connection, count, begun)
        print(f"done {time.monotonic() - start:.2f}", flush=True)


if sys.argv[1] == "server":
    server(sys.argv[2], int(sys.argv[3]))
else:
    client(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
