using System.Net;
using System.Net.Sockets;
using System.Security.Cryptography;
using NetKernel.Channel;
using NetKernel.Channel.Host;
using NetKernel.ServiceLib;
using NetKernel.ServiceLib.Testing;

namespace NetKernel.Nsm.Mtcp.Tests;

/// <summary>An NSM of two cores: sockets by both queue sets, Linux's TCP at the other end of the link, or another guest.</summary>
public sealed class ShardTests
{
    private static bool CanRun => Environment.IsPrivilegedProcess;

    [Theory]
    [InlineData(0u, 0u, MtcpNsm.Address4)]
    [InlineData(0u, 1u, MtcpNsm.Address4)]
    [InlineData(1u, 0u, MtcpNsm.Address6)]
    [InlineData(1u, 1u, MtcpNsm.Address6)]
    public void The_kernel_connects(uint listens, uint accepts, string address)
    {
        if (!CanRun)
        {
            return;
        }

        using MtcpNsm nsm = TwoCores.Up();
        FakeSocket listener = TwoCores.Listener(nsm, listens, address, out int port);
        for (int i = 0; i < 12; i++)
        {
            using Socket client = nsm.Dial(address, port);
            FakeSocket server = TwoCores.Accept(nsm, listener, accepts, out int error);
            Assert.Equal(0, error);
            TwoCores.Exchange(client, server, 300_000);
            server.Close();
        }

        listener.Close();
        Assert.Equal(0u, nsm.Count);
    }

    [Theory]
    [InlineData(MtcpNsm.Outside4)]
    [InlineData(MtcpNsm.Outside6)]
    public void The_kernel_is_connected_to(string address)
    {
        if (!CanRun)
        {
            return;
        }

        using MtcpNsm nsm = TwoCores.Up();
        using Socket listener = nsm.OutsideListener(out int port, address);
        for (uint i = 0; i < 12; i++)
        {
            FakeSocket client = nsm.Guest.Socket(address == MtcpNsm.Outside4 ? Libc.AF_INET : Libc.AF_INET6, queueSet: i % 2);
            Assert.Equal(0, client.Connect(address, port));
            using Socket server = listener.Accept();
            TwoCores.Exchange(server, client, 300_000);
            client.Close();
        }
    }

    [Theory]
    [InlineData(0u, 1u, 0u)]
    [InlineData(0u, 1u, 1u)]
    [InlineData(1u, 0u, 1u)]
    public void Guests_on_two_cores_reach_each_other(uint listens, uint connects, uint accepts)
    {
        if (!CanRun)
        {
            return;
        }

        using MtcpNsm nsm = TwoCores.Up();
        FakeSocket listener = TwoCores.Listener(nsm, listens, MtcpNsm.Address4, out int port);
        FakeSocket client = nsm.Guest.Socket(queueSet: connects);
        Assert.Equal(0, client.Connect(MtcpNsm.Address4, port));
        FakeSocket server = TwoCores.Accept(nsm, listener, accepts, out int error);
        Assert.Equal(0, error);
        byte[] data = RandomNumberGenerator.GetBytes(100_000);
        client.Send(data);
        Assert.Equal(data, server.Receive(data.Length));
        server.Send(data);
        Assert.Equal(data, client.Receive(data.Length));
        client.Close();
        server.Ended();
        Assert.True(server.PeerClosed);
        server.Close();
    }

    [Fact]
    public void Both_cores_sleep_and_are_woken_by_each_other()
    {
        if (!CanRun)
        {
            return;
        }

        using MtcpNsm nsm = TwoCores.Up();
        FakeSocket listener = TwoCores.Listener(nsm, 0, MtcpNsm.Address4, out int port);
        FakeSocket client = nsm.Guest.Socket(queueSet: 1);
        Assert.Equal(0, client.Connect(MtcpNsm.Address4, port));
        FakeSocket server = TwoCores.Accept(nsm, listener, 0, out _);
        for (int i = 0; i < 50; i++)
        {
            nsm.Engine.Until(() => nsm.Engine.NsmSleepsAt(0) && nsm.Engine.NsmSleepsAt(1), "sleep of both");
            client.Send("ping"u8);
            Assert.Equal("ping"u8.ToArray(), server.Receive(4));
        }
    }

    [Fact]
    public void Datagrams_come_to_the_core_of_their_socket()
    {
        if (!CanRun)
        {
            return;
        }

        using MtcpNsm nsm = TwoCores.Up();
        for (uint q = 0; q < 2; q++)
        {
            FakeSocket socket = nsm.Guest.Socket(type: Libc.SOCK_DGRAM, queueSet: q);
            Assert.Equal(0, socket.Bind(MtcpNsm.Address4, 0, NqeFlags.None, out IPEndPoint at));
            FakeSocket same = nsm.Guest.Socket(type: Libc.SOCK_DGRAM, queueSet: 1 - q);
            Assert.Equal(Libc.EADDRINUSE, same.Bind(MtcpNsm.Address4, at.Port));
            for (int i = 0; i < 8; i++)
            {
                // Other source ports hash to other cores.
                byte[] payload = RandomNumberGenerator.GetBytes(700);
                _ = nsm.Outside(() =>
                {
                    using Socket from = new(AddressFamily.InterNetwork, SocketType.Dgram, ProtocolType.Udp);
                    return from.SendTo(payload, at);
                });
                Assert.Equal(payload, Datagrams.Receive(socket, payload.Length).Payload);
            }
        }
    }

    [Fact]
    public void Every_connection_is_reported_whichever_core_has_it()
    {
        if (!CanRun)
        {
            return;
        }

        using MtcpNsm nsm = TwoCores.Up();
        FakeSocket listener = TwoCores.Listener(nsm, 0, MtcpNsm.Address4, out int port);
        using Socket first = nsm.Dial(MtcpNsm.Address4, port);
        FakeSocket a = TwoCores.Accept(nsm, listener, 0, out _);
        using Socket second = nsm.Dial(MtcpNsm.Address4, port);
        FakeSocket b = TwoCores.Accept(nsm, listener, 1, out _);
        Assert.Equal([(0u, a.Id), (1u, b.Id)], [.. nsm.Reports().Select(report => (report.Loop, report.Id)).Order()]);
    }

    [Fact]
    public void More_cores_than_loops_are_refused()
    {
        if (CanRun)
        {
            Xunit.Sdk.TrueException refused = Assert.Throws<Xunit.Sdk.TrueException>(() => new MtcpNsm(loops: 2, options: ["--cores", "3"]));
            Assert.Contains("CoreEngine has 2 loops", refused.Message, StringComparison.Ordinal);
        }
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void The_end_ends_both_cores(bool engineDies)
    {
        if (!CanRun)
        {
            return;
        }

        using MtcpNsm nsm = TwoCores.Up();
        _ = TwoCores.Listener(nsm, 1, MtcpNsm.Address4, out int port);
        using Socket client = nsm.Dial(MtcpNsm.Address4, port);
        if (engineDies)
        {
            nsm.Engine.Die();
            nsm.WaitExit();
            Assert.Equal(HostExit.EngineGone, nsm.Exit);
        }

        // Else by the end of the test.
    }
}
