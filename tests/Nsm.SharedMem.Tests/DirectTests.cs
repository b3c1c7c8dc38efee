using NetKernel.Channel;
using NetKernel.Channel.Host;
using NetKernel.ServiceLib.Testing;

namespace NetKernel.Nsm.SharedMem.Tests;

/// <summary>The direct form, from the stack's side: when guests are told of it, what their kicks do, and how it ends. The guests' side is played with a mapping of the region.</summary>
public sealed unsafe class DirectTests
{
    [Fact]
    public void Only_a_connection_that_may_and_moves_data_goes_direct()
    {
        using SharedMemNsm nsm = new();
        (FakeSocket client, FakeSocket server) = nsm.Pair(120);
        Talk(client, server, 20);
        Assert.Equal(0ul, client.DirectPlaceTold);
        (FakeSocket willing, FakeSocket other) = nsm.Pair(121, flags: NqeFlags.Direct);
        Talk(willing, other, 4);
        Assert.Equal(0ul, willing.DirectPlaceTold);
        Talk(willing, other, 10);
        nsm.Engine.Until(() => willing.DirectPlaceTold != 0 && other.DirectPlaceTold != 0, "Direct");
        Assert.Equal((uint)willing.DirectPlaceTold, (uint)other.DirectPlaceTold);
        Assert.Equal((0u, 1u), (DirectPlace.SideOf((uint)(willing.DirectPlaceTold >> 32)), DirectPlace.SideOf((uint)(other.DirectPlaceTold >> 32))));
        Assert.Equal(-1, nsm.Regions.Open((uint)willing.DirectPlaceTold, 3)); // a guest that is no side of it
        Assert.Equal(-1, nsm.Regions.Open((uint)willing.DirectPlaceTold + 65536, 1)); // another life
        Assert.Equal(-1, nsm.Regions.Open(uint.MaxValue, 1));
        foreach (FakeSocket socket in new[] { client, server, willing, other })
        {
            socket.Close();
        }

        nsm.AssertEmpty();
    }

    [Fact]
    public void Closing_with_unread_data_in_the_ring_resets_and_without_it_ends()
    {
        using SharedMemNsm nsm = new(directAfter: 0);
        foreach (bool read in new[] { true, false })
        {
            using DirectPair two = new(nsm, 122);
            two.Ends(client: true)->Tail = 1000;
            two.Ends(client: false)->Head = read ? 1000u : 999;
            two.Server.Close();
            two.Client.Ended();
            Assert.Equal(read, two.Client.PeerClosed);
            Assert.Equal(read ? 0 : Libc.ECONNRESET, two.Client.ResetError);
            Assert.Equal(1u, two.Ends(client: false)->Gone);
            two.Client.Close();
            Assert.Equal((1000ul, 0ul), two.Client.Moved);
            Assert.Equal(read ? 1000ul : 999, two.Server.Moved.Received);
        }

        nsm.AssertEmpty();
    }

    [Fact]
    public void A_kick_reaches_the_peer_and_one_for_data_that_nobody_reads_resets()
    {
        using SharedMemNsm nsm = new(directAfter: 0);
        using DirectPair two = new(nsm, 123);
        two.Client.Request(RingKind.Send, Op.Kick, opData: 1);
        nsm.Engine.Until(() => two.Server.DirectNews == 1, "DirectNews");
        two.Server.Close();
        two.Client.Ended();
        Assert.True(two.Client.PeerClosed);
        two.Client.Request(RingKind.Send, Op.Kick, opData: 0); // that there is room
        two.Client.Request(RingKind.Send, Op.Kick, opData: 1); // data: written in the moment in which the other end closed
        nsm.Engine.Until(() => two.Client.ResetError != 0, "Reset");
        Assert.Equal(Libc.EPIPE, two.Client.ResetError); // tcp_reset in CLOSE-WAIT
        two.Client.Close();
        nsm.AssertEmpty();
    }

    [Fact]
    public void Half_close_and_buffers_are_as_in_the_strict_form()
    {
        using SharedMemNsm nsm = new(directAfter: 0);
        using DirectPair two = new(nsm, 124);
        Assert.Equal(0, two.Server.SetOption(Libc.SOL_SOCKET, 8, 10_000));
        Assert.Equal(10_000u, two.Ends(client: false)->ReceiveLimit);
        two.Client.Shutdown(1);
        two.Server.Ended();
        Assert.True(two.Server.PeerClosed);
        Assert.Equal(0u, two.Ends(client: false)->Gone);
        two.Server.Shutdown(0);
        nsm.Engine.Until(() => two.Ends(client: false)->Gone == 1, "Gone"); // what still comes is judged by the stack
        two.Server.Close();
        two.Client.Close();
        nsm.AssertEmpty();
    }

    [Fact]
    public void Places_are_given_back_and_a_guest_that_goes_takes_its_regions_along()
    {
        using SharedMemNsm nsm = new(directAfter: 0);
        for (int i = 0; i < 3 * DirectLayout.Connections; i++)
        {
            using DirectPair two = new(nsm, 125);
            two.Client.Close(abort: i % 2 == 0);
            two.Server.Close();
        }

        uint region;
        using (DirectPair last = new(nsm, 126))
        {
            region = (uint)last.Client.DirectPlaceTold;
            nsm.Engine.RemoveGuest(nsm.First);
            last.Server.Ended();
            Assert.Equal(-1, nsm.Regions.Open(region, 2));
            last.Server.Close();
        }

        nsm.Engine.Until(() => nsm.Count == 0, "the end");
    }

    [Fact]
    public void What_a_guest_scribbles_into_the_region_ends_no_more_than_its_own_connections()
    {
        using SharedMemNsm nsm = new(directAfter: 0);
        (FakeSocket client, FakeSocket server) = nsm.Pair(127);
        Random random = new(1);
        for (int i = 0; i < 30; i++)
        {
            using DirectPair two = new(nsm, 128);
            random.NextBytes(new Span<byte>(two.Region.Start, (int)DirectLayout.RingOf(0, 0)));
            two.Client.Request(RingKind.Send, Op.Kick, opData: (uint)random.Next(2));
            random.NextBytes(new Span<byte>(two.Region.Start, (int)DirectLayout.RingOf(0, 0)));
            two.Server.Close();
            two.Client.Close();
        }

        Talk(client, server, 20);
        client.Close();
        server.Close();
        nsm.AssertEmpty();
    }

    [Fact]
    public void A_limit_that_is_set_later_takes_the_direct_form_away_and_who_goes_on_in_the_ring_is_reset()
    {
        using SharedMemNsm nsm = new(directAfter: 0);
        using DirectPair two = new(nsm, 129);
        two.Ends(client: true)->Tail = 1000;
        nsm.Reach.SetLimited(2, true);
        nsm.Engine.Until(() => two.Client.DirectNews != 0 && two.Server.DirectNews != 0, "news for both");
        Assert.Equal((1u, 1u), (two.Ends(client: true)->Withdrawn, two.Ends(client: false)->Withdrawn));
        Talk(two.Client, two.Server, 20); // by copies

        // A last write that was under way is no offence; a ring's worth is.
        two.Ends(client: true)->Tail = 1000 + 4096;
        two.Ends(client: false)->Head = 1000 + 4096;
        nsm.Engine.Until(() => two.Server.Moved.Received == 1000 + 4096, "the count of that");
        Assert.Equal((0, 0), (two.Client.ResetError, two.Server.ResetError));
        two.Ends(client: true)->Tail = 1001 + DirectLayout.RingBytes;
        nsm.Engine.Until(() => two.Client.ResetError != 0 && two.Server.ResetError != 0, "the reset of both");
        Assert.Equal((Libc.ECONNRESET, Libc.ECONNRESET), (two.Client.ResetError, two.Server.ResetError));
        two.Client.Close();
        two.Server.Close();

        // While there is a limit nothing goes over; afterwards it does again.
        (FakeSocket client, FakeSocket server) = nsm.Pair(130, flags: NqeFlags.Direct);
        Talk(client, server, 20);
        Assert.Equal(0ul, client.DirectPlaceTold);
        nsm.Reach.SetLimited(2, false);
        Talk(client, server, 20);
        nsm.Engine.Until(() => client.DirectPlaceTold != 0, "Direct");
        client.Close();
        server.Close();
        nsm.AssertEmpty();
    }

    private static void Talk(FakeSocket client, FakeSocket server, int times)
    {
        for (int i = 0; i < times; i++)
        {
            client.Send("ping"u8);
            Assert.Equal(4, server.Receive(4).Length);
        }
    }
}
