namespace NetKernel.Cli.Demo;

/// <summary>The files that the demo's programs read.</summary>
public sealed partial class DemoSteps
{
    private const string NginxConfig = """
        daemon on;
        worker_processes 2;
        user www-data;
        pid @/nginx.pid;
        error_log @/error.log;
        events { worker_connections 512; }
        http {
            access_log off;
            sendfile on;
            keepalive_requests 1000000;
            client_body_temp_path @/tmp-body;
            proxy_temp_path @/tmp-proxy;
            fastcgi_temp_path @/tmp-fastcgi;
            uwsgi_temp_path @/tmp-uwsgi;
            scgi_temp_path @/tmp-scgi;
            server {
                listen 80;
                listen [::]:80;
                root @/www;
            }
        }
        """;

    private const string EchoServer = """
        import asyncio

        async def serve(reader, writer):
            while data := await reader.read(65536):
                writer.write(data)
                await writer.drain()
            writer.close()

        async def main():
            async with await asyncio.start_server(serve, "0.0.0.0", 7777, backlog=256) as server:
                await server.serve_forever()

        asyncio.run(main())
        """;

    private const string EchoClient = """
        import asyncio, os, sys

        async def one(host):
            data = os.urandom(65536)
            reader, writer = await asyncio.open_connection(host, 7777)
            writer.write(data)
            back = await reader.readexactly(len(data))
            writer.close()
            await writer.wait_closed()
            return back == data

        async def main():
            results = await asyncio.wait_for(asyncio.gather(*(one(sys.argv[1]) for _ in range(100))), 15)
            print(sum(results), "of", len(results), "echoed")

        asyncio.run(main())
        """;
}
