"""asyncio: a hundred echoes at once, twenty over TLS, a cancelled wait, a refused connection, a time-out."""
import asyncio
import hashlib
import ssl
import sys

host = sys.argv[1]


async def one(n, port, context=None):
    data = hashlib.sha512(str(n).encode()).digest() * 1024
    reader, writer = await asyncio.open_connection(host, port, ssl=context)
    writer.write(data)
    if context is None:
        writer.write_eof()
        back = await reader.read()
    else:
        back = await reader.readexactly(len(data))
    writer.close()
    await writer.wait_closed()
    return back == data


async def main():
    print(sum(await asyncio.gather(*(one(n, 8101) for n in range(100)))), "echoed")
    context = ssl.create_default_context(cafile="cert.pem")
    context.check_hostname = False
    print(sum(await asyncio.gather(*(one(n, 8102, context) for n in range(20)))), "echoed over TLS")
    reader, writer = await asyncio.open_connection(host, 8103)
    writer.write(b"about\n")
    print((await reader.read()).decode(), end="")
    writer.close()
    reader, writer = await asyncio.open_connection(host, 8101)
    try:
        await asyncio.wait_for(reader.read(1), 0.1)
    except asyncio.TimeoutError:
        print("timed out")
    writer.transport.abort()
    try:
        await asyncio.open_connection(host, 8199)
    except OSError as e:
        print(type(e).__name__)


asyncio.run(asyncio.wait_for(main(), 25))
