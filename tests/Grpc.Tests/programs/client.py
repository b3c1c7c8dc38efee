"""Debian's python3-grpcio against our server: client.py TARGET. Messages are written by hand, so that nothing has to be generated."""
import sys, threading
import grpc


def note(text="", number=0, data=b""):
    out = b""
    if text:
        raw = text.encode()
        out += b"\x0a" + varint(len(raw)) + raw
    if number:
        out += b"\x10" + varint(number)
    if data:
        out += b"\x1a" + varint(len(data)) + data
    return out


def varint(n):
    out = b""
    while n > 127:
        out += bytes([n & 127 | 128])
        n >>= 7
    return out + bytes([n])


def read(message):
    result = {1: b"", 2: 0, 3: b""}
    i = 0

    def number():
        nonlocal i
        value = shift = 0
        while True:
            b = message[i]
            i += 1
            value |= (b & 127) << shift
            shift += 7
            if b < 128:
                return value

    while i < len(message):
        tag = number()
        if tag & 7 == 0:
            result[tag >> 3] = number()
        else:
            length = number()
            result[tag >> 3] = message[i:i + length]
            i += length
    return result[1].decode(), result[2], result[3]


def check(what, ok):
    print(("ok " if ok else "WRONG ") + what, flush=True)


def same(x):
    return x


target = sys.argv[1]
channel = grpc.insecure_channel(target)
base = "/netkernel.test.Probe/"
unary = channel.unary_unary(base + "Unary", same, same)
collect = channel.stream_unary(base + "Collect", same, same)
count = channel.unary_stream(base + "Count", same, same)
talk = channel.stream_stream(base + "Talk", same, same)

check("unary", read(unary(note("hello", 7), timeout=10)) == ("hello", 7, b""))
check("client stream", read(collect(iter([note("a", i) for i in range(1, 101)]), timeout=10)) == ("a" * 100, 5050, b""))
check("server stream", [read(m)[1] for m in count(note(number=500), timeout=10)] == list(range(1, 501)))
check("duplex", [read(m)[0] for m in talk(iter([note("abc"), note("def")]), timeout=10)] == ["ABC", "DEF"])
try:
    unary(note("fail NotFound 100% ünknown"), timeout=10)
    check("status", False)
except grpc.RpcError as e:
    check("status", (e.code(), e.details()) == (grpc.StatusCode.NOT_FOUND, "100% ünknown"))
try:
    unary(note("sleep"), timeout=0.3)
    check("deadline", False)
except grpc.RpcError as e:
    check("deadline", e.code() == grpc.StatusCode.DEADLINE_EXCEEDED)
response, call = unary.with_call(note("metadata"), metadata=(("x-text", "t"), ("x-bytes-bin", b"\x00\xff")), timeout=10)
check("headers", dict(call.initial_metadata())["x-bytes-bin"] == b"\x00\xff" and dict(call.initial_metadata())["x-text"] == "t")
check("trailers", dict(call.trailing_metadata())["x-end-bin"] == b"\x00\xff")
try:
    unary(note("details"), timeout=10)
    check("details", False)
except grpc.RpcError as e:
    check("details", b"google.rpc.BadRequest" in dict(e.trailing_metadata())["grpc-status-details-bin"])
try:
    channel.unary_unary("/netkernel.test.Probe/Nothing", same, same)(b"", timeout=10)
    check("unknown method", False)
except grpc.RpcError as e:
    check("unknown method", e.code() == grpc.StatusCode.UNIMPLEMENTED)
zipped = grpc.insecure_channel(target, options=[("grpc.use_local_subchannel_pool", 1)], compression=grpc.Compression.Gzip)
try:
    zipped.unary_unary(base + "Unary", same, same)(note("x" * 10000), timeout=10)
    check("compression refused", False)
except grpc.RpcError as e:
    check("compression refused", e.code() == grpc.StatusCode.UNIMPLEMENTED)
try:
    unary(note(data=b"x" * (5 << 20)), timeout=10)
    check("too big", False)
except grpc.RpcError as e:
    check("too big", e.code() == grpc.StatusCode.RESOURCE_EXHAUSTED)
stream = count(note(number=1000000, data=b"y" * 1000))
next(stream)
stream.cancel()
check("cancel", read(unary(note("after"), timeout=10))[0] == "after")

# A client that does not read holds up itself only.
slow = count(note(number=100000, data=b"z" * 10000))
next(slow)
check("slow client", all(read(unary(note(str(i)), timeout=10))[0] == str(i) for i in range(200)))
slow.cancel()
results = []
threads = [threading.Thread(target=lambda k=k: results.append(read(unary(note(str(k)), timeout=20))[0] == str(k))) for k in range(50)]
[t.start() for t in threads]
[t.join() for t in threads]
check("50 at once", results == [True] * 50)
health = channel.unary_unary("/grpc.health.v1.Health/Check", same, same)
check("health", health(b"", timeout=10) == b"\x08\x01")
reflect = channel.stream_stream("/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo", same, same)
answer = next(reflect(iter([b"\x3a\x01*"]), timeout=10))
check("reflection lists", b"netkernel.test.Probe" in answer)
answer = next(reflect(iter([b"\x22\x14netkernel.test.Probe"]), timeout=10))
check("reflection describes", b"probe.proto" in answer and b"Collect" in answer)
