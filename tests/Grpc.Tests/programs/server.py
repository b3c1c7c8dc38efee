"""A python3-grpcio server for our client: prints its port. server.py"""
from concurrent import futures
import sys, time
import grpc


def unary(request, context):
    if b"fail" in request:
        context.abort(grpc.StatusCode.ALREADY_EXISTS, "ünique: 100%")
    if b"sleep" in request:
        time.sleep(20)
    context.send_initial_metadata((("x-text", dict(context.invocation_metadata()).get("x-text", "none")),))
    context.set_trailing_metadata((("x-end-bin", b"\x00\xfe"),))
    return request


def collect(requests, context):
    return b"\x10" + bytes([sum(1 for _ in requests)])


def count(request, context):
    for i in range(1, 101):
        yield b"\x10" + bytes([i])
    context.abort(grpc.StatusCode.DATA_LOSS, "end")


def talk(requests, context):
    for request in requests:
        yield request


class Handler(grpc.GenericRpcHandler):
    def service(self, details):
        return {
            "/netkernel.test.Probe/Unary": grpc.unary_unary_rpc_method_handler(unary),
            "/netkernel.test.Probe/Collect": grpc.stream_unary_rpc_method_handler(collect),
            "/netkernel.test.Probe/Count": grpc.unary_stream_rpc_method_handler(count),
            "/netkernel.test.Probe/Talk": grpc.stream_stream_rpc_method_handler(talk),
        }.get(details.method)


server = grpc.server(futures.ThreadPoolExecutor(max_workers=8), handlers=(Handler(),))
port = server.add_insecure_port("127.0.0.1:0")
server.start()
print("port", port, flush=True)
sys.stdin.read()
server.stop(0)
