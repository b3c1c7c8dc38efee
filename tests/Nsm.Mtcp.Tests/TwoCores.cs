using System.Net;
using System.Net.Sockets;
using System.Security.Cryptography;
using NetKernel.Channel;
using NetKernel.Channel.Host;
using NetKernel.ServiceLib;
using NetKernel.ServiceLib.Testing;

namespace NetKernel.Nsm.Mtcp.Tests;

/// <summary>An NSM of two cores, and what tests do with it.</summary>
internal static class TwoCores
{
    /// <summary>The NSM; queue set 0 belongs to one core, 1 to the other.</summary>
    public static MtcpNsm Up() => new(loops: 2, options: ["--cores", "2"]);

    /// <summary>A listener of a queue set, at a port of the stack's choice.</summary>
    public static FakeSocket Listener(MtcpNsm nsm, uint queueSet, string address, out int port)
    {
        FakeSocket listener = nsm.Guest.Socket(address == MtcpNsm.Address4 ? Libc.AF_INET : Libc.AF_INET6, queueSet: queueSet);
        Assert.Equal(0, listener.Bind(address, 0, NqeFlags.None, out IPEndPoint bound));
        Assert.Equal(0, listener.Listen());
        port = bound.Port;
        return listener;
    }

    /// <summary>Takes the next announced connection by a queue set.</summary>
    public static FakeSocket Accept(MtcpNsm nsm, FakeSocket listener, uint queueSet, out int error)
    {
        Nqe news = listener.NextAnnounced();
        FakeSocket socket = nsm.Engine.NewSocket(nsm.Guest, queueSet);
        socket.Request(RingKind.Send, Op.Accept, opData: news.Size, dataPtr: listener.Id);
        error = (int)socket.Complete(Op.AcceptDone).Size;
        return socket;
    }

    /// <summary>That many bytes each way, then the end.</summary>
    public static void Exchange(Socket outside, FakeSocket inside, int bytes)
    {
        byte[] data = RandomNumberGenerator.GetBytes(bytes);
        Thread writer = new(() =>
        {
            _ = outside.Send(data);
            outside.Shutdown(SocketShutdown.Send);
        });
        writer.Start();
        Assert.Equal(data, inside.Receive(bytes));
        writer.Join();
        inside.Ended();
        Assert.True(inside.PeerClosed);
        byte[] got = new byte[bytes];
        Thread reader = new(() =>
        {
            for (int at = 0, n; at < bytes && (n = outside.Receive(got.AsSpan(at))) > 0; at += n)
            {
            }
        });
        reader.Start();
        inside.Send(data);
        inside.Flushed();
        reader.Join();
        Assert.Equal(data, got);
    }
}
