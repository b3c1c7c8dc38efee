"""A guest that writes garbage into everything it shares. hostile.py ATTACH_SOCKET SEED SECONDS

Attaches as a guest process does, maps its regions, and scribbles: headers, ring indices, ring slots, owner words, socket slots; half-valid
requests too, so that the garbage gets deep. Ends when it is detached (prints "detached") or when the time is up (prints "still there")."""
import array, mmap, os, random, select, socket, struct, sys, time

path, seed, seconds, layout = sys.argv[1], int(sys.argv[2]), float(sys.argv[3]), int(sys.argv[4])
rnd = random.Random(seed)
s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
s.connect(path)
r, w = os.pipe()
hello = bytearray(256)
struct.pack_into("<IiIIIIII", hello, 0, 48, 0, layout, 0, 0, 0, 0, 1)
hello[56:63] = b"hostile"
s.sendmsg([hello], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [w]))])
os.close(w)
data, anc, _, _ = s.recvmsg(256, 1024)
if struct.unpack_from("<i", data, 4)[0] != 0:
    print("refused", data[128:].split(b"\0")[0].decode(), flush=True)
    sys.exit(0)
slot = struct.unpack_from("<I", data, 20)[0]
fds = array.array("i")
fds.frombytes(anc[0][2][: len(anc[0][2]) // 4 * 4])
control = mmap.mmap(fds[0], os.fstat(fds[0]).st_size)
pool_len = os.fstat(fds[1]).st_size
queue_sets, ring_slots, sockets, tx_chunks, loops = struct.unpack_from("<5I", control, 28)
ring = 256 + ring_slots * 32
set_bytes = 512 + 4 * ring
sets = 4096 + 256 * queue_sets
sockets_at = sets + set_bytes * queue_sets
owners_at = sockets_at + 1536 * sockets


def ring_at(q, kind):
    return sets + set_bytes * q + 512 + ring * kind


def u32(at, v):
    struct.pack_into("<I", control, at, v & 0xFFFFFFFF)


def bell():
    control[256 + 128 : 256 + 160] = ((1 << queue_sets) - 1 if rnd.random() < 0.2 else 1 << slot).to_bytes(32, "little")
    u32(256, 0)
    os.write(fds[2], struct.pack("<Q", 1))


def request():
    kind = rnd.choice((0, 2))
    at = ring_at(slot, kind)
    tail = struct.unpack_from("<I", control, at)[0]
    for _ in range(rnd.randint(1, 40)):
        op = rnd.choice((1, 2, 3, 4, 5, 10) if kind == 0 else (8, 9, 10, 11, 12, 13, 14)) if rnd.random() < 0.97 else rnd.randrange(256)
        sock = rnd.randrange(32) if rnd.random() < 0.97 else rnd.randrange(1 << 32)
        opdata = rnd.choice((2 | 1 << 16 | 6 << 32, 10 | 1 << 16, 0, 1, 5, 6 | 1 << 32, rnd.randrange(1 << 64)))
        ptr = rnd.choice((0, 2 << 20, (2 << 20) + 2048 * rnd.randrange(4096), 0xFA0012C6 << 32 | 0xFFFF0000, rnd.randrange(pool_len), rnd.randrange(1 << 64)))
        size = rnd.choice((0, 1, 4, 8, 64, 2048, 65536, rnd.randrange(1 << 32)))
        e = struct.pack("<BBBIQQIHHB", op, rnd.randrange(256), rnd.randrange(256), sock, opdata, ptr, size, rnd.randrange(65536), rnd.choice((0, 9, 80, 7777)), rnd.choice((0, 0, 2, 16, rnd.randrange(256))))
        control[at + 256 + (tail % ring_slots) * 32: at + 288 + (tail % ring_slots) * 32] = e
        tail += 1
    u32(at, tail)


def scribble():
    what = rnd.random()
    if what < 0.70:
        request()
    elif what < 0.78:   # consume, or pretend to
        for kind in (1, 3):
            at = ring_at(slot, kind)
            u32(at + 128, struct.unpack_from("<I", control, at)[0] if rnd.random() < 0.995 else rnd.randrange(1 << 32))
    elif what < 0.84:
        u32(owners_at + 4 * rnd.randrange(tx_chunks), rnd.randrange(1 << 32))
    elif what < 0.93:
        at = sockets_at + 1536 * rnd.randrange(64) + rnd.choice((0, 4, 8, 12, 16, 64, 72, 88, 320, 328, 336))
        u32(at, rnd.choice((0, 1, 2, rnd.randrange(1 << 32))))
    elif what < 0.96:
        control[4096 + rnd.randrange(256 * queue_sets)] = rnd.randrange(256)
    elif what < 0.99:
        u32(sets + set_bytes * rnd.randrange(queue_sets) + rnd.choice((0, 4, 24, 32, 128, 256, 384)), rnd.randrange(1 << 32))
    elif what < 0.997:
        control[rnd.randrange(4096)] = rnd.randrange(256)
    else:               # impossible indices
        u32(ring_at(rnd.randrange(queue_sets), rnd.choice((0, 2))), rnd.randrange(1 << 32))


end = time.time() + seconds
p = select.poll()
p.register(r, select.POLLIN)
rounds = 0
while time.time() < end:
    for _ in range(rnd.randint(1, 20)):
        scribble()
        rounds += 1
    bell()
    for _, ev in p.poll(0):
        if ev & select.POLLHUP:
            print("detached after", rounds, flush=True)
            sys.exit(0)
        if ev & select.POLLIN:
            os.read(r, 100)
print("still there after", rounds, flush=True)
