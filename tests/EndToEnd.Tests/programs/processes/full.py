"""More processes with sockets than a guest can have. full.py ADDRESS PORT; prints what those beyond get, and that a place is free again at once."""
import os, signal
from common import *

c = connect("echo")
ready, go = os.pipe(), os.pipe()


def body():
    try:
        own = connect("echo")
        said = b"+" if echo(own, "x") == "x" else b"?"
    except OSError as e:
        said = describe(e).encode()
    try:
        c.send(b"y")
    except OSError as e:
        said += b" " + describe(e).encode()
    os.write(ready[1], said.ljust(32))
    os.read(go[0], 1)


pids, says = [], []
for i in range(258):
    pids.append(in_child(body))
    says.append(os.read(ready[0], 32).decode().strip())
print("served", sum(s == "+" for s in says), "then", sorted(set(s for s in says if s != "+")), flush=True)
again = []
for i in range(20):
    victim = pids.pop(0)
    os.kill(victim, signal.SIGKILL)
    os.waitpid(victim, 0)
    pids.append(in_child(body))
    again.append(os.read(ready[0], 32).decode().strip())
print("again", sorted(set(again)), flush=True)
for pid in pids:
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
