using System.Net.Sockets;
using System.Security.Cryptography;
using NetKernel.Channel;
using NetKernel.ServiceLib;
using NetKernel.ServiceLib.Testing;

namespace NetKernel.Nsm.Kernel.Tests;

public sealed class FlowTests
{
    [Fact]
    public void A_guest_that_does_not_read_stops_the_peer_and_loses_nothing()
    {
        using KernelNsm nsm = new(pool: PoolLayout.Default);
        FakeSocket listener = nsm.Listener(out int port);
        using Socket peer = nsm.Dial("127.0.0.1", port);
        FakeSocket server = listener.Accept(out _);
        byte[] data = RandomNumberGenerator.GetBytes(32 << 20);
        Thread writer = new(() => peer.Send(data));
        writer.Start();
        nsm.Engine.Until(() => server.Waiting >= 512 << 10, "the byte limit");

        // Another connection of the same guest is served all the while.
        using Socket other = nsm.Dial("127.0.0.1", port);
        FakeSocket second = listener.Accept(out _);
        for (int i = 0; i < 100; i++)
        {
            other.Send("ping"u8);
            Assert.Equal("ping"u8.ToArray(), second.Receive(4));
        }

        Assert.InRange(server.Waiting, 512 << 10, 640 << 10);
        Assert.True(server.MostOut <= SocketSlot.RxEntries);
        byte[] got = server.Receive(data.Length);
        Assert.True(writer.Join(30_000));
        Assert.Equal(SHA256.HashData(data), SHA256.HashData(got));
        server.Close();
        second.Close();
    }

    [Fact]
    public void No_more_than_64_entries_are_out()
    {
        using KernelNsm nsm = new();
        FakeSocket listener = nsm.Listener(out int port);
        using Socket peer = nsm.Dial("127.0.0.1", port, s => s.NoDelay = true);
        FakeSocket server = listener.Accept(out _);
        for (int i = 0; i < 200; i++)
        {
            peer.Send([(byte)i]);
            if (i < 64)
            {
                long before = i;
                nsm.Engine.Until(() => server.Waiting > before, "a byte");
            }
        }

        Assert.Equal(64, server.Waiting);
        byte[] got = server.Receive(200);
        Assert.Equal(Enumerable.Range(0, 200).Select(i => (byte)i), got);
        server.Close();
    }

    [Fact]
    public void Slow_readers_do_not_take_the_whole_pool()
    {
        // 2 MB of RX pool and ten readers that do not read: the eleventh is still served.
        PoolLayout pool = FakeEngine.SmallPool;
        pool.Rx.Small = 256;
        pool.Rx.Medium = 32;
        pool.Rx.Large = 16;
        using KernelNsm nsm = new(pool: pool);
        FakeSocket listener = nsm.Listener(out int port);
        List<Socket> peers = [];
        List<FakeSocket> slow = [];
        byte[] block = new byte[256 << 10];
        for (int i = 0; i < 10; i++)
        {
            Socket peer = nsm.Dial("127.0.0.1", port, s => s.Blocking = true);
            peers.Add(peer);
            slow.Add(listener.Accept(out _));
            peer.Blocking = false;
            _ = peer.Send(block, SocketFlags.None, out _);
        }

        using Socket quick = nsm.Dial("127.0.0.1", port);
        FakeSocket reader = listener.Accept(out _);
        for (int i = 0; i < 200; i++)
        {
            quick.Send(block.AsSpan(0, 3000));
            Assert.Equal(3000, reader.Receive(3000).Length);
        }

        foreach (FakeSocket socket in slow)
        {
            Assert.True(socket.Waiting > 0);
            socket.Close();
        }

        peers.ForEach(p => p.Dispose());
        reader.Close();
    }

    [Fact]
    public void A_closed_socket_with_unread_data_gives_its_chunks_back()
    {
        PoolLayout pool = FakeEngine.SmallPool;
        pool.Rx.Small = 64;
        pool.Rx.Medium = 0;
        pool.Rx.Large = 0;
        using KernelNsm nsm = new(pool: pool);
        FakeSocket listener = nsm.Listener(out int port);
        for (int i = 0; i < 50; i++)
        {
            using Socket peer = nsm.Dial("127.0.0.1", port);
            FakeSocket server = listener.Accept(out _);
            peer.Send(new byte[16000]);
            nsm.Engine.Until(() => server.Waiting > 8000, "data");
            server.Close(abort: true);
        }

        listener.Close();
    }

    [Fact]
    public void Many_connections_over_two_loops()
    {
        const int Pairs = 400;
        using KernelNsm nsm = new(loops: 2);
        FakeSocket listener = nsm.Listener(out int port);
        List<(FakeSocket Client, FakeSocket Server)> pairs = [];
        for (int i = 0; i < Pairs; i++)
        {
            FakeSocket client = nsm.Guest.Socket(queueSet: (uint)i & 1);
            Assert.Equal(0, client.Connect("127.0.0.1", port));
            pairs.Add((client, listener.Accept(out _)));
        }

        Assert.Equal((Pairs * 2u) + 1, nsm.Count);
        for (int round = 0; round < 3; round++)
        {
            foreach ((FakeSocket client, FakeSocket server) in pairs)
            {
                client.Send("question"u8);
                server.Send("answer"u8);
            }

            foreach ((FakeSocket client, FakeSocket server) in pairs)
            {
                Assert.Equal("question"u8.ToArray(), server.Receive(8));
                Assert.Equal("answer"u8.ToArray(), client.Receive(6));
            }
        }

        foreach ((FakeSocket client, FakeSocket server) in pairs)
        {
            client.StartClose();
            server.StartClose();
        }

        foreach ((FakeSocket client, FakeSocket server) in pairs)
        {
            client.WaitClosed();
            server.WaitClosed();
        }

        Assert.Equal(1u, nsm.Count);
    }

    [Fact]
    public void The_loop_allocates_nothing()
    {
        using KernelNsm nsm = new();
        FakeSocket listener = nsm.Listener(out int port);
        long before = 0;
        for (int round = 0; round < 400; round++)
        {
            if (round == 200)
            {
                before = nsm.Allocated;
            }

            FakeSocket client = nsm.Guest.Socket();
            Assert.Equal(0, client.Connect("127.0.0.1", port));
            FakeSocket server = listener.Accept(out _);
            Assert.Equal(0, client.SetOption(6, 1, 1));
            Assert.Equal(0, client.GetOption(6, 1, 4, out _));
            client.Send(new byte[30_000]);
            _ = server.Receive(30_000);
            client.Shutdown(1);
            server.Ended();
            server.Close();
            client.Close();
        }

        Assert.Equal(before, nsm.Allocated);
    }

    [Fact]
    public void The_loop_sleeps_when_idle()
    {
        using KernelNsm nsm = new();
        FakeSocket listener = nsm.Listener(out int port);
        using Socket peer = nsm.Dial("127.0.0.1", port);
        FakeSocket server = listener.Accept(out _);
        int rung = nsm.Engine.Rung;
        for (int i = 0; i < 20; i++)
        {
            nsm.Engine.Until(() => nsm.Engine.NsmSleeps, "the NSM to fall asleep");
            server.Send("x"u8);
            Assert.Equal(1, peer.Receive(new byte[1]));
        }

        Assert.Equal(rung + 20, nsm.Engine.Rung);
        server.Close();
    }

    [Fact]
    public void CoreEngine_gone_ends_the_loop()
    {
        using KernelNsm nsm = new();
        _ = nsm.Listener(out _);
        nsm.Engine.Die();
        nsm.WaitExit();
        Assert.Equal(HostExit.EngineGone, nsm.Exit);
    }

    [Fact]
    public void A_removed_guest_loses_its_sockets_and_others_do_not()
    {
        using KernelNsm nsm = new();
        using FakeGuest second = nsm.Engine.AddGuest(2);
        FakeSocket listener = nsm.Listener(out int port);
        using Socket mine = nsm.Dial("127.0.0.1", port);
        FakeSocket kept = listener.Accept(out _);
        FakeSocket lost = second.Socket();
        Assert.Equal(0, lost.Connect("127.0.0.1", port));
        FakeSocket server = listener.Accept(out _);
        uint count = nsm.Count;
        nsm.Engine.RemoveGuest(second);
        Assert.Equal(count - 1, nsm.Count);
        server.Ended();
        Assert.Equal(Channel.Host.Libc.ECONNRESET, server.ResetError);
        mine.Send("still here"u8);
        Assert.Equal(10, kept.Receive(10).Length);
    }
}
