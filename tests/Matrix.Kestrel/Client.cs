using System.Net;
using System.Net.Sockets;
using System.Net.WebSockets;
using System.Security.Cryptography;
using System.Text;

namespace NetKernel.Matrix.Kestrel;

/// <summary>HttpClient by HTTP/1.1 and HTTP/2, a web socket, and Socket.Available.</summary>
internal static class Client
{
    public static async Task<int> Run(string host)
    {
        string literal = host.Contains(':', StringComparison.Ordinal) ? $"[{host}]" : host;
        byte[] post = new byte[4 << 20];
        new Random(1).NextBytes(post);
        using var http = new HttpClient { Timeout = TimeSpan.FromSeconds(25) };
        foreach ((Version version, int port) in new[] { (HttpVersion.Version11, 9601), (HttpVersion.Version20, 9602) })
        {
            async Task<byte[]> Ask(string path, HttpContent? content = null)
            {
                using var request = new HttpRequestMessage(content is null ? HttpMethod.Get : HttpMethod.Post, $"http://{literal}:{port}{path}")
                {
                    Version = version,
                    VersionPolicy = HttpVersionPolicy.RequestVersionExact,
                    Content = content,
                };
                using HttpResponseMessage response = await http.SendAsync(request);
                return await response.Content.ReadAsByteArrayAsync();
            }

            byte[][] pages = await Task.WhenAll(Enumerable.Range(0, 60).Select(n => Ask($"/page/{n}")));
            Console.WriteLine($"{pages.Length} {Encoding.UTF8.GetString(pages[59])}");
            byte[] sum = await Ask("/sum", new ByteArrayContent(post));
            Console.WriteLine(Encoding.ASCII.GetString(sum) == Convert.ToHexString(SHA256.HashData(post)));
            Console.WriteLine(Convert.ToHexString(SHA256.HashData(await Ask("/stream"))));
        }

        await WebSockets(literal);
        await Available(host);
        try
        {
            _ = await http.GetStringAsync(new Uri($"http://{literal}:9699/"));
        }
        catch (HttpRequestException e)
        {
            Console.WriteLine($"{e.HttpRequestError}: {(e.InnerException as SocketException)?.SocketErrorCode}");
        }

        return 0;
    }

    private static async Task WebSockets(string host)
    {
        using var socket = new ClientWebSocket();
        await socket.ConnectAsync(new Uri($"ws://{host}:9601/socket"), CancellationToken.None);
        byte[] buffer = new byte[1000];
        for (int n = 0; n < 50; n++)
        {
            await socket.SendAsync(Encoding.ASCII.GetBytes($"message {n}"), WebSocketMessageType.Text, true, CancellationToken.None);
            ValueWebSocketReceiveResult result = await socket.ReceiveAsync(buffer.AsMemory(), CancellationToken.None);
            if (n == 49)
            {
                Console.WriteLine(Encoding.ASCII.GetString(buffer, 0, result.Count));
            }
        }

        await socket.CloseAsync(WebSocketCloseStatus.NormalClosure, null, CancellationToken.None);
        Console.WriteLine(socket.CloseStatusDescription);
    }

    private static async Task Available(string host)
    {
        using var socket = new Socket(SocketType.Stream, ProtocolType.Tcp);
        await socket.ConnectAsync(host, 9603);
        const int Count = 54321;
        _ = await socket.SendAsync(BitConverter.GetBytes(Count));
        _ = await socket.SendAsync(new byte[Count]);
        Console.WriteLine(socket.Poll(TimeSpan.FromSeconds(20), SelectMode.SelectRead));
        byte[] answer = new byte[100];
        Console.WriteLine($"{socket.Available} here");
        int size = await socket.ReceiveAsync(answer);
        Console.WriteLine($"{Encoding.ASCII.GetString(answer, 0, size)} there, {socket.Available} here");
    }
}
