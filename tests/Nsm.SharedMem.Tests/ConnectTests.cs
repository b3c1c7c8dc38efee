using System.Net;
using NetKernel.Channel;
using NetKernel.Channel.Host;
using NetKernel.ServiceLib.Testing;

namespace NetKernel.Nsm.SharedMem.Tests;

/// <summary>Listening, connecting, accepting, and what they are told of addresses.</summary>
public sealed class ConnectTests
{
    [Theory]
    [InlineData(SharedMemNsm.Address2, Libc.AF_INET, Libc.AF_INET)]
    [InlineData(SharedMemNsm.Address2, Libc.AF_INET, Libc.AF_INET6)]
    [InlineData(SharedMemNsm.SixOf2, Libc.AF_INET6, Libc.AF_INET6)]
    [InlineData(SharedMemNsm.Address2, Libc.AF_INET6, Libc.AF_INET)]
    public void Both_ends_see_each_others_own_addresses(string address, int clientDomain, int listenerDomain)
    {
        using SharedMemNsm nsm = new();
        FakeSocket listener = nsm.Listener(80, domain: listenerDomain);
        FakeSocket client = nsm.First.Socket(clientDomain);
        Assert.Equal(0, client.Connect(address, 80, NqeFlags.None, out IPEndPoint local));
        Assert.Equal(address == SharedMemNsm.Address2 ? SharedMemNsm.Address1 : SharedMemNsm.SixOf1, local.Address.ToString());
        FakeSocket server = listener.Accept(out IPEndPoint peer);
        Assert.Equal(local, peer);
        client.Send("hello"u8);
        Assert.Equal("hello"u8.ToArray(), server.Receive(5));
        server.Send("world"u8);
        Assert.Equal("world"u8.ToArray(), client.Receive(5));
        client.Close();
        server.Ended();
        Assert.True(server.PeerClosed);
        server.Close();
        listener.Close();
        nsm.AssertEmpty();
    }

    [Fact]
    public void Nobody_listening_is_refused_and_the_socket_may_try_again()
    {
        using SharedMemNsm nsm = new();
        FakeSocket client = nsm.First.Socket();
        Assert.Equal(Libc.ECONNREFUSED, client.Connect(SharedMemNsm.Address2, 81));
        FakeSocket six = nsm.Listener(81, domain: Libc.AF_INET6, flags: NqeFlags.Wildcard | NqeFlags.V6Only);
        Assert.Equal(Libc.ECONNREFUSED, client.Connect(SharedMemNsm.Address2, 81));
        FakeSocket four = nsm.Listener(81);
        Assert.Equal(0, client.Connect(SharedMemNsm.Address2, 81));
        Assert.Equal(Libc.ENETUNREACH, nsm.First.Socket().Connect("198.18.0.99", 81));
        Assert.Empty(six.Announced);
        _ = four.Accept(out _);
    }

    [Fact]
    public void A_bound_client_keeps_its_port_and_cannot_connect_twice_to_one_peer()
    {
        using SharedMemNsm nsm = new();
        FakeSocket listener = nsm.Listener(82);
        FakeSocket client = nsm.First.Socket();
        Assert.Equal(0, client.Bind("0.0.0.0", 4711, NqeFlags.Wildcard));
        Assert.Equal(0, client.Connect(SharedMemNsm.Address2, 82, NqeFlags.Bound, out IPEndPoint local));
        Assert.Equal(4711, local.Port);
        FakeSocket other = nsm.First.Socket();
        Assert.Equal(0, other.Bind("0.0.0.0", 4711, NqeFlags.Wildcard));
        Assert.Equal(Libc.EADDRNOTAVAIL, other.Connect(SharedMemNsm.Address2, 82, NqeFlags.Bound));
        client.StartClose(); // ends when it has been accepted
        listener.Accept(out IPEndPoint peer).Close();
        client.WaitClosed();
        Assert.Equal(4711, peer.Port);
        Assert.Equal(0, other.Connect(SharedMemNsm.Address2, 82, NqeFlags.Bound));
    }

    [Fact]
    public void A_full_backlog_makes_clients_wait_until_somebody_accepts()
    {
        using SharedMemNsm nsm = new();
        FakeSocket listener = nsm.Listener(83, backlog: 1);
        FakeSocket[] first = [nsm.First.Socket(), nsm.First.Socket()];
        Assert.All(first, socket => Assert.Equal(0, socket.Connect(SharedMemNsm.Address2, 83)));
        FakeSocket late = nsm.First.Socket();
        late.StartConnect(SharedMemNsm.Address2, 83);
        FakeSocket given = nsm.First.Socket(); // answered behind it in the same ring: the late one has been seen by then
        Assert.Equal(Libc.ECONNREFUSED, given.Connect(SharedMemNsm.Address2, 9));
        Assert.Equal(2, listener.Announced.Count);
        Assert.Equal(SharedMemNsm.Address1, late.ConnectsFrom?.Address.ToString());
        FakeSocket server = listener.Accept(out _);
        Nqe done = late.Complete(Op.ConnectDone);
        Assert.Equal((0u, late.ConnectsFrom!.Port), (done.Size, (int)done.Aux));
        server.Close();
    }

    [Fact]
    public void A_listener_that_closes_resets_who_was_not_accepted_and_refuses_who_waits()
    {
        using SharedMemNsm nsm = new();
        FakeSocket listener = nsm.Listener(84, backlog: 0);
        FakeSocket connected = nsm.First.Socket();
        Assert.Equal(0, connected.Connect(SharedMemNsm.Address2, 84));
        FakeSocket waiting = nsm.First.Socket();
        waiting.StartConnect(SharedMemNsm.Address2, 84);
        FakeSocket marker = nsm.First.Socket();
        Assert.Equal(Libc.ECONNREFUSED, marker.Connect(SharedMemNsm.Address2, 9));
        listener.Close();
        connected.Ended();
        Assert.Equal(Libc.ECONNRESET, connected.ResetError);
        Assert.Equal(Libc.ECONNREFUSED, (int)waiting.Complete(Op.ConnectDone).Size);
        connected.Close();
        waiting.Close();
        marker.Close();
        nsm.AssertEmpty();
    }

    [Fact]
    public void What_a_client_sends_before_it_is_accepted_and_its_close_wait_for_accept()
    {
        using SharedMemNsm nsm = new();
        FakeSocket listener = nsm.Listener(85);
        FakeSocket client = nsm.First.Socket();
        Assert.Equal(0, client.Connect(SharedMemNsm.Address2, 85));
        client.Send("early"u8);
        client.StartClose();
        FakeSocket server = listener.Accept(out _);
        Assert.Equal("early"u8.ToArray(), server.Receive(5));
        server.Ended();
        Assert.True(server.PeerClosed);
        client.WaitClosed();
        server.Close();
        listener.Close();
        nsm.AssertEmpty();
    }

    [Fact]
    public void A_client_that_aborts_before_it_is_accepted_is_accepted_and_reset()
    {
        using SharedMemNsm nsm = new();
        FakeSocket listener = nsm.Listener(86);
        FakeSocket client = nsm.First.Socket();
        Assert.Equal(0, client.Connect(SharedMemNsm.Address2, 86));
        _ = listener.NextAnnounced() is var handle;
        client.Close(abort: true);
        FakeSocket server = listener.Accept(handle.Size, nsm.Second, out int error);
        Assert.Equal(0, error);
        server.Ended();
        Assert.Equal(Libc.ECONNRESET, server.ResetError);
        server.Close();
        listener.Close();
        nsm.AssertEmpty();
    }

    [Fact]
    public void Listeners_that_share_a_port_share_the_clients()
    {
        using SharedMemNsm nsm = new();
        FakeSocket one = nsm.Listener(87, flags: NqeFlags.Wildcard | NqeFlags.ReusePort);
        FakeSocket two = nsm.Listener(87, flags: NqeFlags.Wildcard | NqeFlags.ReusePort);
        for (int i = 0; i < 24; i++)
        {
            Assert.Equal(0, nsm.First.Socket().Connect(SharedMemNsm.Address2, 87));
        }

        nsm.Engine.Until(() => one.Announced.Count + two.Announced.Count == 24, "all announcements");
        Assert.NotEmpty(one.Announced);
        Assert.NotEmpty(two.Announced);
    }

    [Fact]
    public void A_guest_can_take_only_connections_of_its_own()
    {
        using SharedMemNsm nsm = new();
        FakeSocket listener = nsm.Listener(88);
        FakeSocket client = nsm.First.Socket();
        Assert.Equal(0, client.Connect(SharedMemNsm.Address2, 88));
        Nqe announced = listener.NextAnnounced();
        _ = listener.Accept(announced.Size, nsm.First, out int stolen);
        Assert.Equal(Libc.ECONNABORTED, stolen);
        _ = listener.Accept(announced.Size, nsm.Second, out int error);
        Assert.Equal(0, error);
    }
}
