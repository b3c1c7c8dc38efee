using System.Globalization;
using System.Net;
using System.Net.Sockets;
using System.Net.WebSockets;
using System.Security.Cryptography;
using Microsoft.AspNetCore.Server.Kestrel.Core;

namespace NetKernel.Matrix.Kestrel;

/// <summary>Kestrel with HTTP/1.1 on 9601, HTTP/2 without TLS on 9602; a plain socket server on 9603. SIGTERM ends it.</summary>
internal static class Server
{
    public static async Task<int> Run()
    {
        WebApplicationBuilder builder = WebApplication.CreateSlimBuilder();
        _ = builder.Logging.ClearProviders();
        _ = builder.WebHost.ConfigureKestrel(options =>
        {
            options.Limits.MaxRequestBodySize = null;
            options.Listen(IPAddress.Any, 9601);
            options.Listen(IPAddress.IPv6Any, 9602, listen => listen.Protocols = HttpProtocols.Http2);
        });
        await using WebApplication app = builder.Build();
        _ = app.UseWebSockets();
        _ = app.MapGet("/page/{n}", (HttpContext context, int n) => $"{context.Request.Protocol} page {n} for {context.Connection.RemoteIpAddress?.MapToIPv4()}");
        _ = app.MapPost("/sum", (Delegate)(async (HttpContext context) => Convert.ToHexString(await SHA256.HashDataAsync(context.Request.Body))));
        _ = app.MapGet("/stream", (RequestDelegate)Stream);
        app.Map("/socket", (RequestDelegate)Echo);
        using var plain = new TcpListener(IPAddress.Any, 9603);
        plain.Start();
        Task available = Available(plain);
        await app.RunAsync();
        plain.Stop();
        await available;
        Console.WriteLine("ended");
        return 0;
    }

    private static async Task Stream(HttpContext context)
    {
        byte[] part = new byte[100_000];
        for (int n = 0; n < 40; n++)
        {
            part.AsSpan().Fill((byte)n);
            await context.Response.Body.WriteAsync(part, context.RequestAborted);
        }
    }

    private static async Task Echo(HttpContext context)
    {
        using WebSocket socket = await context.WebSockets.AcceptWebSocketAsync();
        byte[] buffer = new byte[65536];
        while (await socket.ReceiveAsync(buffer, context.RequestAborted) is { MessageType: not WebSocketMessageType.Close } message)
        {
            await socket.SendAsync(buffer.AsMemory(0, message.Count), message.MessageType, message.EndOfMessage, context.RequestAborted);
        }

        await socket.CloseAsync(WebSocketCloseStatus.NormalClosure, "bye", CancellationToken.None);
    }

    // Waits until so many bytes are there as the first four bytes say, without reading them, and answers with how many Available names then.
    private static async Task Available(TcpListener listener)
    {
        while (true)
        {
            try
            {
                using Socket socket = await listener.AcceptSocketAsync();
                byte[] head = new byte[4];
                _ = await socket.ReceiveAsync(head);
                int wanted = BitConverter.ToInt32(head);
                for (int turn = 0; turn < 1000 && socket.Available < wanted; turn++)
                {
                    await Task.Delay(10);
                }

                _ = await socket.SendAsync(System.Text.Encoding.ASCII.GetBytes(socket.Available.ToString(CultureInfo.InvariantCulture)));
            }
            catch (SocketException e) when (e.SocketErrorCode is SocketError.OperationAborted or SocketError.Interrupted)
            {
                return;
            }
            catch (ObjectDisposedException)
            {
                return;
            }
        }
    }
}
