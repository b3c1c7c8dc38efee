"""The other end for programs that test socket calls: the first byte that a client sends says what this end does with the connection.

    peer.py ADDRESS PORT        prints "ready PORT" and serves until it is ended
"""
import signal, socket, struct, sys, threading, time

held = []


def exactly(c, n):
    data = b""
    while len(data) < n:
        d = c.recv(n - len(data))
        if not d:
            return None
        data += d
    return data


def chunks(c, sizes):
    """Sends pieces that arrive as segments of their own: each waits for the client's byte."""
    c.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    for size in sizes:
        c.sendall(bytes(ord("a") + i % 26 for i in range(size)))
        if not exactly(c, 1):
            return


def segments(c):
    """Tells how many segments with data came: 'SEGS n bytes' (tcpi_data_segs_in and tcpi_bytes_received of tcp_info)."""
    while c.recv(65536):
        pass
    info = c.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 232)
    c.sendall(b"%d %d\n" % (struct.unpack_from("I", info, 152)[0], struct.unpack_from("Q", info, 128)[0]))


def segments_in(c):
    return struct.unpack_from("I", c.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 232), 140)[0]  # tcpi_segs_in


def serve(c):
    mode = c.recv(1)
    if mode == b"e":                    # echo
        while d := c.recv(65536):
            c.sendall(d)
    elif mode == b"d":                  # discard, then say how much came
        n = 0
        while d := c.recv(1 << 20):
            n += len(d)
        c.sendall(b"%d\n" % n)
    elif mode == b"n":                  # never read: hold it as it is
        held.append(c)
        return
    elif mode == b"w":                  # read nothing until a second connection says 'W'
        release.wait(60)
        release.clear()
        while c.recv(1 << 20):
            pass
    elif mode == b"W":
        release.set()
    elif mode == b"f":                  # ten bytes, then FIN
        c.sendall(b"0123456789")
        c.shutdown(socket.SHUT_WR)
        while c.recv(65536):
            pass
    elif mode == b"t":                  # ten bytes, and stay
        c.sendall(b"0123456789")
        while c.recv(65536):
            pass
    elif mode == b"c":                  # FIN at once
        pass
    elif mode == b"r":                  # RST at once
        c.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    elif mode == b"p":                  # pieces on demand
        chunks(c, [3, 4, 5, 6])
    elif mode == b"b":                  # as many bytes as four bytes say
        n = struct.unpack("I", exactly(c, 4))[0]
        block = bytes(range(256)) * 256
        while n > 0:
            c.sendall(block[:n])
            n -= len(block)
    elif mode == b"s":                  # count segments
        segments(c)
    elif mode == b"y":                  # TOS and TTL of the SYN, and the MSS that it offered
        syn = c.getsockopt(socket.IPPROTO_TCP, 28, 256)  # TCP_SAVED_SYN
        tcp = syn[(syn[0] & 15) * 4:]
        mss = next(struct.unpack_from("!H", tcp, i + 2)[0] for i in range(20, 40) if tcp[i:i + 2] == b"\2\4")
        c.sendall(b"%d %d %d\n" % (syn[1], syn[8], mss))
    elif mode == b"u":                  # "ab", one urgent byte, "cd"
        c.sendall(b"ab")
        c.send(b"!", socket.MSG_OOB)
        exactly(c, 1)
        c.sendall(b"cd")
        exactly(c, 1)
    elif mode == b"k":                  # connects back to the port that two bytes say, sends ten bytes, and holds it
        port = struct.unpack("!H", exactly(c, 2))[0]
        back = socket.create_connection((c.getpeername()[0], port), timeout=20)
        back.sendall(b"0123456789")
        c.sendall(b"k")
        held.append(back)
    elif mode == b"K":                  # tells whether keep-alive probes come: segments without data
        before, answer = segments_in(c), b"silent"
        for _ in range(exactly(c, 1)[0] * 20):
            time.sleep(0.05)
            if segments_in(c) >= before + 3:  # the byte that says how long, and two probes
                answer = b"probed"
                break
        c.sendall(answer + b"\n")
    elif mode == b"q":                  # connects back to the port that two bytes say, and is silent there until a third byte comes
        port = struct.unpack("!H", exactly(c, 2))[0]
        back = socket.create_connection((c.getpeername()[0], port), timeout=20)
        c.sendall(b"q")
        exactly(c, 1)
        back.sendall(b"0123456789")
        held.append(back)
    elif mode == b"o":                  # connects twice by MSG_FASTOPEN to the port that two bytes say, and sends ten bytes each: the second time with a cookie
        address = c.getpeername()[0], struct.unpack("!H", exactly(c, 2))[0]
        for _ in range(2):
            back = socket.socket(c.family)
            back.sendto(b"0123456789", socket.MSG_FASTOPEN, address)
            exactly(c, 1)
            back.close()
    elif mode == b"z":                  # how the client ended: FIN or RST
        try:
            while c.recv(65536):
                pass
            ended.append("fin")
        except ConnectionResetError:
            ended.append("reset")
        event.set()
    elif mode == b"Z":                  # tells how the last 'z' ended
        event.wait(20)
        event.clear()
        c.sendall(ended.pop().encode() + b"\n")
    c.close()


release, event, ended = threading.Event(), threading.Event(), []


def run(c):
    try:
        serve(c)
    except OSError:
        c.close()


def main(address, port):
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    s = socket.socket(family)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    s.bind((address, port))
    s.setsockopt(socket.IPPROTO_TCP, 27, 1)  # TCP_SAVE_SYN
    s.setsockopt(socket.IPPROTO_TCP, 23, 128)  # TCP_FASTOPEN
    s.listen(128)
    print("ready", s.getsockname()[1], flush=True)
    while True:
        c, _ = s.accept()
        threading.Thread(target=run, args=(c,), daemon=True).start()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
