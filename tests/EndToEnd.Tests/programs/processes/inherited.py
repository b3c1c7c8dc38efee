"""A program that finds sockets open when it starts. inherited.py WHAT FD [ARGUMENT]"""
import os, signal, socket, sys

what, fd = sys.argv[1], int(sys.argv[2])
argument = sys.argv[3] if len(sys.argv) > 3 else ""
if what == "wait":                      # does nothing with it until its standard input ends
    sys.stdin.read()
    sys.exit(0)
s = socket.socket(fileno=fd)
if what == "echo":                      # through a connection for "echo"
    s.sendall(argument.encode())
    data = b""
    while len(data) < len(argument):
        d = s.recv(100)
        if not d:
            break
        data += d
    print("echoed", data.decode(), s.getpeername()[1] != 0, flush=True)
elif what == "say":                     # once its standard input ends
    sys.stdin.read()
    s.sendall(argument.encode())
elif what == "accept":                  # one connection
    c, _ = s.accept()
    c.makefile().readline()
    c.sendall(argument.encode())
    c.close()
elif what == "listen":                  # as systemd starts one
    assert os.environ["LISTEN_FDS"] == "1" and int(os.environ["LISTEN_PID"]) == os.getpid()
    c, _ = s.accept()
    c.makefile().readline()
    c.sendall(b"activated " + argument.encode())
    c.close()
elif what == "chain":                   # executes itself a few times more
    s.set_inheritable(True)
    n = int(argument)
    s.sendall(b"%d" % n)
    assert s.recv(10) == b"%d" % n
    if n > 0:
        os.execv(sys.executable, [sys.executable, __file__, "chain", str(fd), str(n - 1)])
    print("end of the chain", flush=True)
elif what == "many":                    # FD to FD + N - 1
    for i in range(fd, fd + int(argument)):
        c = s if i == fd else socket.socket(fileno=i)
        c.sendall(b"%d" % i)
        assert c.recv(10) == b"%d" % i
    print("all", argument, flush=True)
