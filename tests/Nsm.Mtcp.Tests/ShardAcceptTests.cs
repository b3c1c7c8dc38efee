using System.Net;
using System.Net.Sockets;
using System.Security.Cryptography;
using NetKernel.Channel;
using NetKernel.Channel.Host;
using NetKernel.ServiceLib;
using NetKernel.ServiceLib.Testing;

namespace NetKernel.Nsm.Mtcp.Tests;

/// <summary>Connections that one core announces and a process at the other one accepts.</summary>
public sealed class ShardAcceptTests
{
    private const int IPPROTO_TCP = 6, TCP_NODELAY = 1;

    private static bool CanRun => Environment.IsPrivilegedProcess;

    [Fact]
    public void What_the_program_asks_for_before_its_connection_has_come_is_done_then()
    {
        if (!CanRun)
        {
            return;
        }

        using MtcpNsm nsm = TwoCores.Up();
        FakeSocket listener = TwoCores.Listener(nsm, 0, MtcpNsm.Address4, out int port);
        using Socket client = nsm.Dial(MtcpNsm.Address4, port);
        Nqe news = listener.NextAnnounced();
        FakeSocket server = nsm.Engine.NewSocket(nsm.Guest, 1);
        server.Request(RingKind.Send, Op.Accept, opData: news.Size, dataPtr: listener.Id);
        server.Request(RingKind.Send, Op.SetOption, opData: 1, dataPtr: IPPROTO_TCP | ((ulong)TCP_NODELAY << 32), size: 4);
        server.Send("early"u8);
        server.Shutdown(1);
        Assert.Equal(0u, server.Complete(Op.AcceptDone).Size);
        byte[] got = new byte[6];
        Assert.Equal(5, client.Receive(got));
        Assert.Equal("early"u8.ToArray(), got[..5]);
        Assert.Equal(0, client.Receive(got));
        Assert.Equal(0, server.GetOption(IPPROTO_TCP, TCP_NODELAY, 4, out byte[] value));
        Assert.Equal(1, BitConverter.ToInt32(value));
    }

    [Fact]
    public void A_handle_is_good_once_and_for_its_guest_only()
    {
        if (!CanRun)
        {
            return;
        }

        using MtcpNsm nsm = TwoCores.Up();
        using FakeGuest other = nsm.Engine.AddGuest(2, MtcpNsm.Other4, MtcpNsm.Other6);
        FakeSocket listener = TwoCores.Listener(nsm, 0, MtcpNsm.Address4, out int port);
        using Socket client = nsm.Dial(MtcpNsm.Address4, port);
        Nqe news = listener.NextAnnounced();
        Assert.Equal(Libc.ECONNABORTED, Take(nsm, listener, news.Size, other));
        Assert.Equal(0, Take(nsm, listener, news.Size, nsm.Guest));
        Assert.Equal(Libc.ECONNABORTED, Take(nsm, listener, news.Size, nsm.Guest));
        foreach (uint handle in (uint[])[1, 7u << 15, 0x1FFF_FFFF, 3u << 15 | 1u << 18])
        {
            Assert.Equal(Libc.ECONNABORTED, Take(nsm, listener, handle, nsm.Guest));
        }
    }

    [Fact]
    public void A_connection_that_is_declined_or_closed_under_way_is_reset()
    {
        if (!CanRun)
        {
            return;
        }

        using MtcpNsm nsm = TwoCores.Up();
        FakeSocket listener = TwoCores.Listener(nsm, 0, MtcpNsm.Address4, out int port);
        for (int i = 0; i < 20; i++)
        {
            using Socket client = nsm.Dial(MtcpNsm.Address4, port);
            Nqe news = listener.NextAnnounced();
            FakeSocket server = nsm.Engine.NewSocket(nsm.Guest, 1);
            if (i % 2 == 0)
            {
                server.Request(RingKind.Send, Op.Decline, opData: news.Size, dataPtr: listener.Id);
            }
            else
            {
                server.Request(RingKind.Send, Op.Accept, opData: news.Size, dataPtr: listener.Id);
                server.Close(abort: true);
            }

            SocketException reset = Assert.Throws<SocketException>(() => client.Receive(new byte[1]));
            Assert.Equal(SocketError.ConnectionReset, reset.SocketErrorCode);
        }

        listener.Close();
        Assert.Equal(0u, nsm.Count);
    }

    [Fact]
    public void Guests_come_and_go_while_connections_move()
    {
        if (!CanRun)
        {
            return;
        }

        using MtcpNsm nsm = TwoCores.Up();
        for (uint round = 2; round < 8; round++)
        {
            using FakeGuest guest = nsm.Engine.AddGuest(round, MtcpNsm.Other4, MtcpNsm.Other6);
            FakeSocket listener = guest.Socket(queueSet: round % 2);
            Assert.Equal(0, listener.Bind(MtcpNsm.Other4, 80));
            Assert.Equal(0, listener.Listen());
            using Socket client = nsm.Dial(MtcpNsm.Other4, 80);
            Nqe news = listener.NextAnnounced();
            FakeSocket server = nsm.Engine.NewSocket(guest, 1 - (round % 2));
            server.Request(RingKind.Send, Op.Accept, opData: news.Size, dataPtr: listener.Id);
            nsm.Engine.RemoveGuest(guest);
            _ = Assert.Throws<SocketException>(() => client.Receive(new byte[1]));
        }

        Assert.Equal(0u, nsm.Count);
    }

    /// <summary>Another process takes what a handle stands for; the errno.</summary>
    private static int Take(MtcpNsm nsm, FakeSocket listener, uint handle, FakeGuest guest)
    {
        FakeSocket socket = nsm.Engine.NewSocket(guest, 1);
        socket.Request(RingKind.Send, Op.Accept, opData: handle, dataPtr: listener.Id);
        return (int)socket.Complete(Op.AcceptDone).Size;
    }
}
