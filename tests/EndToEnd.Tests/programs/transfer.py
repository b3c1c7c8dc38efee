"""Sends checked blocks to an echo server until told to stop (SIGTERM), and compares every byte. transfer.py ADDRESS PORT; prints blocks and bytes."""
import hashlib, signal, socket, sys, threading

stop = threading.Event()
signal.signal(signal.SIGTERM, lambda *_: stop.set())
c = socket.create_connection((sys.argv[1], int(sys.argv[2])), timeout=30)
print("up", flush=True)
blocks = 0
while not stop.is_set():
    block = hashlib.sha256(b"%d" % blocks).digest() * 4096
    t = threading.Thread(target=c.sendall, args=(block,))
    t.start()
    got = bytearray()
    while len(got) < len(block):
        d = c.recv(len(block) - len(got))
        if not d:
            print("connection ended")
            sys.exit(1)
        got += d
    t.join()
    if got != block:
        print("bytes differ in block", blocks)
        sys.exit(1)
    blocks += 1
print("blocks", blocks, "bytes", blocks * 131072, flush=True)
