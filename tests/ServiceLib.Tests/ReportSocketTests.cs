using System.Net.Sockets;
using System.Runtime.InteropServices;
using NetKernel.Channel.Host;
using NetKernel.ServiceLib.Testing;

namespace NetKernel.ServiceLib.Tests;

/// <summary>The report socket fed with garbage: whoever sends it is hung up on, others get their answers, and traffic goes on.</summary>
public sealed class ReportSocketTests
{
    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    public void Garbage_ends_its_own_connection_only(int seed)
    {
        Random random = new(seed);
        using EchoNsm nsm = new();
        string path = ReportAnswer.PathOf(nsm.Engine.RunDirectory, 7);
        FakeSocket neighbour = nsm.Guest.Socket();
        Assert.Equal(0, neighbour.Connect("198.18.0.5", 80));
        for (int i = 0; i < 500; i++)
        {
            byte[] garbage = new byte[random.Next(1, 64)];
            random.NextBytes(garbage);
            if (random.Next(2) == 0 && garbage.Length >= 8)
            {
                MemoryMarshal.Write(garbage, ReportAnswer.Magic); // right until here
            }

            bool valid = garbage.Length == ReportRequest.Length && MemoryMarshal.Read<ulong>(garbage) == ReportAnswer.Magic;
            using Socket socket = Connect(path);
            _ = socket.Send(garbage);
            if (random.Next(4) == 0)
            {
                continue; // Gone before it is answered.
            }

            byte[] answer = new byte[8192];
            int got = Receive(socket, answer);
            Assert.Equal(valid ? ReportAnswer.Length : 0, got);
            if (i % 20 == 0)
            {
                Assert.True(Ask(path), "an honest question is answered");
                byte[] data = new byte[random.Next(1, 5000)];
                random.NextBytes(data);
                neighbour.Send(data);
                Assert.Equal(data, neighbour.Receive(data.Length));
            }
        }

        neighbour.Close();
        nsm.Engine.Until(() => nsm.Count == 0, "no connection to be left");
    }

    /// <summary>Ids far beyond what there is: an answer that says so.</summary>
    [Theory]
    [InlineData(uint.MaxValue, 0u)]
    [InlineData(0u, uint.MaxValue)]
    [InlineData(uint.MaxValue, uint.MaxValue)]
    public void Questions_beyond_the_end_are_answered_with_nothing(uint queueSet, uint id)
    {
        using EchoNsm nsm = new();
        Assert.True(Ask(ReportAnswer.PathOf(nsm.Engine.RunDirectory, 7), queueSet, id));
    }

    private static bool Ask(string path, uint queueSet = 0, uint id = 0)
    {
        using Socket socket = Connect(path);
        ReportRequest request = new() { Magic = ReportAnswer.Magic, QueueSet = queueSet, Id = id };
        _ = socket.Send(MemoryMarshal.AsBytes(new ReadOnlySpan<ReportRequest>(in request)));
        byte[] buffer = new byte[8192];
        int got = Receive(socket, buffer);
        ReportAnswer answer = MemoryMarshal.Read<ReportAnswer>(buffer);
        return got == ReportAnswer.Length && answer is { Mark: ReportAnswer.Magic, Count: 0, IsLast: 1 };
    }

    private static Socket Connect(string path)
    {
        Socket socket = new(AddressFamily.Unix, SocketType.Seqpacket, ProtocolType.Unspecified) { ReceiveTimeout = 20_000, SendTimeout = 20_000 };
        socket.Connect(new UnixDomainSocketEndPoint(path));
        return socket;
    }

    /// <summary>0: hung up on.</summary>
    private static int Receive(Socket socket, byte[] buffer)
    {
        try
        {
            return socket.Receive(buffer);
        }
        catch (SocketException e) when (e.SocketErrorCode == SocketError.ConnectionReset)
        {
            return 0;
        }
    }
}
