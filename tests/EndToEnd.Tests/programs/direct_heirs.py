"""One connection to an echo server, used by a process, its child, a program that it executes, and one that it passes the fd to. direct_heirs.py ADDRESS PORT"""
import array, os, socket, subprocess, sys


def use(s, who, rounds=30):
    for i in range(rounds):
        data = (b"%s %d " % (who.encode(), i)) * 2000
        sent = 0
        got = b""
        while len(got) < len(data):
            if sent < len(data):
                sent += s.send(data[sent:sent + 20000])
            got += s.recv(65536)
        assert got == data, who
    print(who, "ok", flush=True)


if sys.argv[1] == "heir":
    use(socket.socket(fileno=int(sys.argv[2])), "exec")
elif sys.argv[1] == "receiver":
    way = socket.socket(fileno=int(sys.argv[2]))
    fds = array.array("i")
    _, ancillary, _, _ = way.recvmsg(1, socket.CMSG_LEN(4))
    fds.frombytes(ancillary[0][2][:4])
    use(socket.socket(fileno=fds[0]), "passed")
else:
    s = socket.create_connection((sys.argv[1], int(sys.argv[2])), timeout=20)
    s.settimeout(None)
    use(s, "self")
    child = os.fork()
    if child == 0:
        use(s, "fork")
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    s.set_inheritable(True)
    subprocess.run([sys.executable, __file__, "heir", str(s.fileno())], close_fds=False, check=True)
    ours, theirs = socket.socketpair()
    theirs.set_inheritable(True)
    s.set_inheritable(False)
    receiver = subprocess.Popen([sys.executable, __file__, "receiver", str(theirs.fileno())], pass_fds=[theirs.fileno()])
    ours.sendmsg([b"x"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [s.fileno()]))])
    assert receiver.wait() == 0
    use(s, "self again")
