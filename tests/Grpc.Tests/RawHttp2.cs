using System.Buffers.Binary;
using System.Net;
using System.Net.Sockets;
using System.Text;
using Google.Protobuf;

namespace NetKernel.Grpc.Tests;

/// <summary>A client that puts HTTP/2 frames (RFC 9113) on the wire by itself, as slowly or as incomplete as a test wants.</summary>
internal sealed class RawHttp2 : IDisposable
{
    public const byte EndStream = 1, EndHeaders = 4;

    private static readonly TimeSpan Deadline = TimeSpan.FromSeconds(60);

    private readonly Socket _socket;

    private RawHttp2(Socket socket) => _socket = socket;

    /// <summary>A frame's type (RFC 9113, 6).</summary>
    public enum Type : byte
    {
        Data = 0,
        Headers = 1,
        Reset = 3,
        Settings = 4,
        Goaway = 7,
        WindowUpdate = 8,
        Continuation = 9,
    }

    /// <summary>The connection preface and the client's settings.</summary>
    public static byte[] Preface { get; } = [.. "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"u8, .. Frame(Type.Settings, 0, 0, [])];

    public static async Task<RawHttp2> ConnectAsync(int port)
    {
        var socket = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp) { NoDelay = true };
        await socket.ConnectAsync(IPAddress.Loopback, port);
        return new RawHttp2(socket);
    }

    public static byte[] Frame(Type type, byte flags, int stream, ReadOnlySpan<byte> payload)
    {
        byte[] frame = new byte[9 + payload.Length];
        BinaryPrimitives.WriteInt32BigEndian(frame, payload.Length << 8);
        frame[3] = (byte)type;
        frame[4] = flags;
        BinaryPrimitives.WriteInt32BigEndian(frame.AsSpan(5), stream);
        payload.CopyTo(frame.AsSpan(9));
        return frame;
    }

    /// <summary>The headers of a call, each a literal of its own (RFC 7541, 6.2.2).</summary>
    public static byte[] Call(string method)
    {
        var block = new MemoryStream();
        foreach ((string name, string value) in new[]
        {
            (":method", "POST"), (":scheme", "http"), (":path", "/netkernel.test.Probe/" + method), (":authority", "localhost"), ("content-type", "application/grpc"), ("te", "trailers"),
        })
        {
            block.WriteByte(0);
            foreach (string text in new[] { name, value })
            {
                block.WriteByte((byte)text.Length);
                block.Write(Encoding.ASCII.GetBytes(text));
            }
        }

        return block.ToArray();
    }

    /// <summary>A message as gRPC puts it into a body.</summary>
    public static byte[] Message(IMessage message)
    {
        byte[] bytes = message.ToByteArray();
        byte[] framed = new byte[5 + bytes.Length];
        BinaryPrimitives.WriteInt32BigEndian(framed.AsSpan(1), bytes.Length);
        bytes.CopyTo(framed, 5);
        return framed;
    }

    public async Task SendAsync(params byte[][] frames)
    {
        byte[] all = [.. frames.SelectMany(frame => frame)];
        for (int sent = 0; sent < all.Length;)
        {
            sent += await _socket.SendAsync(all.AsMemory(sent));
        }
    }

    /// <summary>Each byte for itself.</summary>
    public async Task TrickleAsync(byte[] bytes)
    {
        for (int i = 0; i < bytes.Length; i++)
        {
            _ = await _socket.SendAsync(bytes.AsMemory(i, 1));
        }
    }

    /// <summary>The next frame, or null when the server has ended the connection.</summary>
    public async Task<(Type Type, byte Flags, int Stream, byte[] Payload)?> ReadAsync()
    {
        byte[]? head = await ReadAsync(9);
        if (head is null)
        {
            return null;
        }

        byte[]? payload = await ReadAsync(BinaryPrimitives.ReadInt32BigEndian(head) >>> 8);
        return payload is null ? null : ((Type)head[3], head[4], BinaryPrimitives.ReadInt32BigEndian(head.AsSpan(5)), payload);
    }

    /// <summary>Waits until the server has given up the stream, or the whole connection.</summary>
    public async Task EndAsync(int stream)
    {
        while (await ReadAsync() is { } frame)
        {
            if (frame.Type == Type.Reset && frame.Stream == stream)
            {
                return;
            }
        }
    }

    public void Dispose() => _socket.Dispose();

    private async Task<byte[]?> ReadAsync(int count)
    {
        using var late = new CancellationTokenSource(Deadline);
        byte[] bytes = new byte[count];
        for (int got = 0; got < count;)
        {
            int more;
            try
            {
                more = await _socket.ReceiveAsync(bytes.AsMemory(got), late.Token);
            }
            catch (SocketException)
            {
                return null; // reset
            }

            if (more == 0)
            {
                return null;
            }

            got += more;
        }

        return bytes;
    }
}
