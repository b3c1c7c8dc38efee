"""talk.py server PORT | client ADDRESS PORT BYTES CONNECTIONS: the client sends, over some connections, and each is answered with as many bytes as it brought."""
import socket
import sys
import threading


def serve(connection):
    got = 0
    while data := connection.recv(65536):
        got += len(data)
    while got:
        got -= connection.send(b"b" * min(got, 65536))
    connection.close()


def server(port):
    listener = socket.create_server(("", port))
    print("ready", flush=True)
    while True:
        threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()


def client(address, port, count, connections):
    for _ in range(connections):
        with socket.create_connection((address, port)) as connection:
            connection.sendall(b"a" * count)
            connection.shutdown(socket.SHUT_WR)
            got = 0
            while data := connection.recv(65536):
                got += len(data)
            assert got == count, got
    print("done", flush=True)


if sys.argv[1] == "server":
    server(int(sys.argv[2]))
else:
    client(sys.argv[2], *map(int, sys.argv[3:6]))
