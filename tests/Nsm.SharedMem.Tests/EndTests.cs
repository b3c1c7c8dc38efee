using NetKernel.Channel;
using NetKernel.Channel.Host;
using NetKernel.ServiceLib.Testing;

namespace NetKernel.Nsm.SharedMem.Tests;

/// <summary>How connections end, and what the other side is told: as Linux's TCP does it.</summary>
public sealed class EndTests
{
    [Fact]
    public void Half_close_lets_the_other_half_go_on()
    {
        using SharedMemNsm nsm = new();
        (FakeSocket client, FakeSocket server) = nsm.Pair(90);
        client.Send("last"u8);
        client.Shutdown(1);
        Assert.Equal(4, server.Receive(4).Length);
        server.Ended();
        Assert.True(server.PeerClosed);
        server.Send("after half-close"u8);
        Assert.Equal(16, client.Receive(16).Length);
        client.Send("more"u8);
        client.Flushed();
        Assert.Equal(Libc.EPIPE, client.SendError);
        server.Close();
        client.Ended();
        Assert.True(client.PeerClosed);
        client.Close();
        nsm.AssertEmpty();
    }

    [Fact]
    public void Close_with_unread_data_resets()
    {
        using SharedMemNsm nsm = new();
        (FakeSocket client, FakeSocket server) = nsm.Pair(91);
        client.Send("unread"u8);
        nsm.Engine.Until(() => server.Waiting == 6, "data");
        server.Close();
        client.Ended();
        Assert.Equal(Libc.ECONNRESET, client.ResetError);
        client.Close();
        nsm.AssertEmpty();
    }

    [Fact]
    public void Linger_with_zero_seconds_resets()
    {
        using SharedMemNsm nsm = new();
        (FakeSocket client, FakeSocket server) = nsm.Pair(92);
        Assert.Equal(0, client.SetOption(Libc.SOL_SOCKET, 13, 1, 8));
        client.Close();
        server.Ended();
        Assert.Equal(Libc.ECONNRESET, server.ResetError);
        server.Close();
        nsm.AssertEmpty();
    }

    [Fact]
    public void Sending_to_who_has_closed_is_taken_and_then_a_broken_pipe()
    {
        using SharedMemNsm nsm = new();
        (FakeSocket client, FakeSocket server) = nsm.Pair(93);
        server.Close();
        client.Ended();
        Assert.True(client.PeerClosed);
        client.Send("into the void"u8);
        client.Flushed();
        Assert.Equal(0, client.SendError);
        nsm.Engine.Until(() => client.ResetError != 0, "reset");
        Assert.Equal(Libc.EPIPE, client.ResetError);
        client.Close();
        nsm.AssertEmpty();
    }

    [Fact]
    public void A_reset_after_both_ends_of_data_is_heard_by_nobody()
    {
        using SharedMemNsm nsm = new();
        (FakeSocket client, FakeSocket server) = nsm.Pair(94);
        client.Shutdown(1);
        server.Ended();
        server.Shutdown(1);
        client.Ended();
        server.Close(abort: true);
        client.Close();
        Assert.Equal(0, client.ResetError);
        nsm.AssertEmpty();
    }

    [Fact]
    public void What_is_queued_is_delivered_before_the_end_and_before_a_reset()
    {
        using SharedMemNsm nsm = new();
        foreach (bool abort in new[] { false, true })
        {
            (FakeSocket client, FakeSocket server) = nsm.Pair(95);
            client.Send(new byte[100_000], 8192);
            client.StartClose(abort);
            Assert.Equal(100_000, server.Receive(100_000).Length);
            server.Ended();
            Assert.Equal(abort ? Libc.ECONNRESET : 0, server.ResetError);
            client.WaitClosed();
            server.Close();
        }

        nsm.AssertEmpty();
    }

    [Fact]
    public void A_close_that_waits_for_a_reader_ends_when_the_reader_sends_or_closes()
    {
        using SharedMemNsm nsm = new();
        foreach (bool sends in new[] { true, false })
        {
            (FakeSocket client, FakeSocket server) = nsm.Pair(96);
            client.Send(new byte[2 << 20]); // more than the receiver may hold
            client.StartClose();
            nsm.Engine.Until(() => server.Waiting >= 300_000, "what the receiver holds");
            Assert.False(client.IsClosed);
            if (sends)
            {
                server.Send("for nobody"u8);
                nsm.Engine.Until(() => server.ResetError != 0, "reset");
                Assert.Equal(Libc.ECONNRESET, server.ResetError);
            }

            server.Close();
            client.WaitClosed();
        }

        nsm.AssertEmpty();
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void A_guest_that_vanishes_resets_its_peers_and_leaves_nothing(bool accepted)
    {
        using SharedMemNsm nsm = new();
        FakeSocket listener = nsm.Listener(97);
        List<FakeSocket> servers = [];
        for (int i = 0; i < 20; i++)
        {
            FakeSocket client = nsm.First.Socket();
            Assert.Equal(0, client.Connect(SharedMemNsm.Address2, 97));
            client.Send(new byte[30_000]);
            if (accepted)
            {
                servers.Add(listener.Accept(out _));
            }
        }

        nsm.Engine.RemoveGuest(nsm.First);
        while (servers.Count < 20)
        {
            servers.Add(listener.Accept(out _));
        }

        foreach (FakeSocket server in servers)
        {
            server.Ended();
            Assert.Equal(Libc.ECONNRESET, server.ResetError);
            server.Close();
        }

        listener.Close();
        nsm.Engine.Until(() => nsm.Count == 0, "the end of all");
        Assert.Equal(nsm.Second.Layout.Tx.Total, (uint)nsm.Second.FreeTx);
    }

    [Fact]
    public void The_listening_guest_that_vanishes_resets_clients_and_later_ones_are_refused()
    {
        using SharedMemNsm nsm = new();
        FakeSocket listener = nsm.Listener(98);
        FakeSocket accepted = nsm.First.Socket();
        Assert.Equal(0, accepted.Connect(SharedMemNsm.Address2, 98));
        _ = listener.Accept(out _);
        FakeSocket queued = nsm.First.Socket();
        Assert.Equal(0, queued.Connect(SharedMemNsm.Address2, 98));
        nsm.Engine.RemoveGuest(nsm.Second);
        foreach (FakeSocket socket in new[] { accepted, queued })
        {
            socket.Ended();
            Assert.Equal(Libc.ECONNRESET, socket.ResetError);
            socket.Close();
        }

        Assert.Equal(Libc.ENETUNREACH, nsm.First.Socket().Connect(SharedMemNsm.Address2, 98));
    }
}
