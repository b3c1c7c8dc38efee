using System.Net;
using System.Net.Sockets;
using System.Security.Cryptography;
using NetKernel.Channel;
using NetKernel.Channel.Host;
using NetKernel.ServiceLib.Testing;

namespace NetKernel.Nsm.Mtcp.Tests;

/// <summary>How connections fail and end, and what is left then.</summary>
public sealed class EndTests
{
    private static bool CanRun => Environment.IsPrivilegedProcess;

    [Fact]
    public void Resets_travel_both_ways()
    {
        if (!CanRun)
        {
            return;
        }

        using MtcpNsm nsm = new();
        FakeSocket listener = nsm.Listener(out int port);
        Socket peer = nsm.Dial(MtcpNsm.Address4, port);
        FakeSocket server = listener.Accept(out _);
        peer.LingerState = new LingerOption(true, 0);
        peer.Dispose();
        server.Ended();
        Assert.Equal(Libc.ECONNRESET, server.ResetError);
        server.Close();

        using Socket second = nsm.Dial(MtcpNsm.Address4, port);
        server = listener.Accept(out _);
        server.Close(abort: true);
        SocketException reset = Assert.Throws<SocketException>(() => second.Receive(new byte[1]));
        Assert.Equal(SocketError.ConnectionReset, reset.SocketErrorCode);
        listener.Close();
        Assert.Equal(0u, nsm.Count);
    }

    [Fact]
    public void A_refused_connection_says_so_and_the_socket_can_try_again()
    {
        if (!CanRun)
        {
            return;
        }

        using MtcpNsm nsm = new();
        Socket outside = nsm.OutsideListener(out int port);
        outside.Dispose();
        FakeSocket client = nsm.Guest.Socket();
        Assert.Equal(Libc.ECONNREFUSED, client.Connect(MtcpNsm.Outside4, port));
        Assert.Equal(Libc.ECONNREFUSED, client.Connect(MtcpNsm.Outside4, port));
        FakeSocket listener = nsm.Listener(out port);
        Assert.Equal(0, client.Connect(MtcpNsm.Address4, port));
        Assert.Equal(106, client.Connect(MtcpNsm.Address4, port));
        client.Close();
        listener.Close();
    }

    [Fact]
    public void Nobody_at_an_address_is_told_after_three_questions()
    {
        if (CanRun)
        {
            using MtcpNsm nsm = new();
            Assert.Equal(113, nsm.Guest.Socket().Connect("198.18.0.99", 80));
            Assert.Equal(Libc.ENETUNREACH, nsm.Guest.Socket().Connect("198.19.0.99", 80));
            Assert.Equal(Libc.ENETUNREACH, nsm.Guest.Socket().Connect("127.0.0.1", 80));
            Assert.Equal(Libc.EADDRNOTAVAIL, nsm.Guest.Socket().Bind(MtcpNsm.Other4, 80));
        }
    }

    [Fact]
    public void What_was_sent_before_close_arrives()
    {
        if (!CanRun)
        {
            return;
        }

        using MtcpNsm nsm = new(pool: PoolLayout.Default);
        FakeSocket listener = nsm.Listener(out int port);
        using Socket peer = nsm.Dial(MtcpNsm.Address4, port);
        FakeSocket server = listener.Accept(out _);
        byte[] data = RandomNumberGenerator.GetBytes(1 << 20);
        server.Send(data);
        server.StartClose();
        byte[] got = new byte[data.Length];
        for (int at = 0, n; at < got.Length; at += n)
        {
            n = peer.Receive(got, at, got.Length - at, SocketFlags.None);
            Assert.NotEqual(0, n);
            nsm.Engine.Pump();
        }

        Assert.Equal(0, peer.Receive(new byte[1]));
        Assert.Equal(SHA256.HashData(data), SHA256.HashData(got));
        server.WaitClosed();
        listener.Close();
    }

    [Fact]
    public void Many_short_connections()
    {
        if (!CanRun)
        {
            return;
        }

        using MtcpNsm nsm = new();
        FakeSocket listener = nsm.Listener(out int port);
        for (int i = 0; i < 300; i++)
        {
            using Socket peer = nsm.Dial(MtcpNsm.Address4, port);
            FakeSocket server = listener.Accept(out _);
            _ = peer.Send(new byte[64]);
            _ = server.Receive(64);
            server.Send(new byte[64]);
            server.StartClose();
            byte[] back = new byte[64];
            for (int at = 0, n; at < 64; at += n)
            {
                n = peer.Receive(back, at, 64 - at, SocketFlags.None);
                Assert.NotEqual(0, n);
            }

            Assert.Equal(0, peer.Receive(back));
            server.WaitClosed();
        }

        listener.Close();
        Assert.Equal(0u, nsm.Count);
    }

    [Fact]
    public void A_guest_that_goes_leaves_nothing()
    {
        if (!CanRun)
        {
            return;
        }

        using MtcpNsm nsm = new();
        FakeGuest other = nsm.Engine.AddGuest(2, MtcpNsm.Other4, MtcpNsm.Other6);
        FakeSocket listener = other.Socket();
        Assert.Equal(0, listener.Bind(MtcpNsm.Other4, 80));
        Assert.Equal(0, listener.Listen());
        using Socket accepted = nsm.Dial(MtcpNsm.Other4, 80);
        _ = listener.Accept(out _);
        using Socket announced = nsm.Dial(MtcpNsm.Other4, 80);
        _ = listener.NextAnnounced();
        _ = announced.Send(new byte[100]);
        nsm.Engine.RemoveGuest(other);
        Assert.Throws<SocketException>(() => accepted.Receive(new byte[1]));
        Assert.Throws<SocketException>(() => announced.Receive(new byte[1]));
        Assert.Equal(0u, nsm.Count);
        other.Dispose();
    }
}
