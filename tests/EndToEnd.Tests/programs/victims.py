"""Processes that are killed at any moment, with connections in full use. victims.py ADDRESS PORT CYCLES SEED

Each cycle forks a child that talks on a connection inherited from its parent and on some of its own, in two threads, and kills it after
a random time. Every tenth child is a program of its own (exec). Prints how many were killed."""
import os, random, signal, socket, subprocess, sys, threading, time

address, port, cycles = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])


def talk(c, n):
    def reader():
        try:
            while c.recv(65536):
                pass
        except OSError:
            pass
    threading.Thread(target=reader, daemon=True).start()
    data = b"v" * n
    while True:
        c.sendall(data)


def victim(inherited, seed):
    rnd = random.Random(seed)
    if inherited is not None:
        threading.Thread(target=talk, args=(inherited, 333), daemon=True).start()
    listener = socket.create_server(("", 0))
    while True:
        c = socket.create_connection((address, port))
        threading.Thread(target=talk, args=(c, rnd.choice((64, 5000, 70000))), daemon=True).start()
        time.sleep(rnd.random() / 50)


if len(sys.argv) > 5:
    victim(None, int(sys.argv[4]))

rnd = random.Random(int(sys.argv[4]))
killed = 0
for i in range(cycles):
    if i % 10 == 9:
        p = subprocess.Popen([sys.executable, __file__, address, str(port), "1", str(i), "own"])
        time.sleep(rnd.random() / 5)
        p.kill()
        p.wait()
    else:
        c = socket.create_connection((address, port))
        pid = os.fork()
        if pid == 0:
            try:
                victim(c, i)
            finally:
                os._exit(1)
        c.close()
        time.sleep(rnd.random() / 30)
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
    killed += 1
print("killed", killed, flush=True)
