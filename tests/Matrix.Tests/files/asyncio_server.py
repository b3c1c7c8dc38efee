"""asyncio: an echo server that half-closes, a TLS echo server, and a server that reports what it sees; ends on SIGTERM."""
import asyncio
import signal
import ssl
import sys


async def echo(reader, writer):
    while data := await reader.read(65536):
        writer.write(data)
        await writer.drain()
    if writer.can_write_eof():
        writer.write_eof()
    writer.close()


async def about(reader, writer):
    line = await reader.readline()
    peer, own = writer.get_extra_info("peername"), writer.get_extra_info("sockname")
    writer.write(f"{line.decode().strip()}: {peer[0]} -> {own[0]}:{own[1]}\n".encode())
    writer.close()


async def main():
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain("cert.pem", "key.pem")
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    servers = [
        await asyncio.start_server(echo, None, 8101, backlog=256),
        await asyncio.start_server(echo, "0.0.0.0", 8102, ssl=context),
        await asyncio.start_server(about, ["0.0.0.0", "::"], 8103),
    ]
    await stop.wait()
    for server in servers:
        server.close()
        await server.wait_closed()
    print("closed", file=sys.stderr)


asyncio.run(main())
