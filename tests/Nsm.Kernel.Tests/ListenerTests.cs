using System.Net;
using System.Net.Sockets;
using NetKernel.Channel;
using NetKernel.Channel.Host;
using NetKernel.ServiceLib.Testing;

namespace NetKernel.Nsm.Kernel.Tests;

public sealed class ListenerTests
{
    [Fact]
    public void Announces_32_at_a_time_and_keeps_the_rest_in_the_backlog()
    {
        const int Clients = 100;
        using KernelNsm nsm = new();
        FakeSocket listener = nsm.Listener(out int port);
        List<Socket> clients = [];
        for (int i = 0; i < Clients; i++)
        {
            clients.Add(nsm.Dial("127.0.0.1", port));
        }

        nsm.Engine.Until(() => listener.Announced.Count == 32, "32 announced");
        HashSet<int> ports = [];
        for (int i = 0; i < Clients; i++)
        {
            // Every third one is declined: that makes room as well.
            if (i % 3 == 2)
            {
                listener.Request(RingKind.Send, Op.Decline, listener.NextAnnounced().Size);
                continue;
            }

            FakeSocket server = listener.Accept(out IPEndPoint peer);
            Assert.True(ports.Add(peer.Port));
            server.Close();
        }

        Assert.Equal(Clients - (Clients / 3), ports.Count);
        listener.Close();
        Assert.Equal(0u, nsm.Count);
        clients.ForEach(c => c.Dispose());
    }

    [Fact]
    public void Closing_a_listener_resets_what_nobody_took()
    {
        using KernelNsm nsm = new();
        FakeSocket listener = nsm.Listener(out int port);
        using Socket client = nsm.Dial("127.0.0.1", port);
        uint handle = listener.NextAnnounced().Size;
        listener.Close();
        _ = Assert.Throws<SocketException>(() => client.Receive(new byte[1]));

        FakeSocket late = listener.Accept(handle, nsm.Guest, out int error);
        Assert.Equal(Libc.ECONNABORTED, error);
        nsm.Engine.Until(() => late.ResetError != 0, "Reset");
        late.Close();
    }

    [Fact]
    public void A_handle_is_of_use_only_to_the_guest_that_it_was_announced_to()
    {
        using KernelNsm nsm = new();
        using FakeGuest other = nsm.Engine.AddGuest(2);
        FakeSocket listener = nsm.Listener(out int port);
        using Socket client = nsm.Dial("127.0.0.1", port);
        uint handle = listener.NextAnnounced().Size;
        FakeSocket thief = listener.Accept(handle, other, out int error);
        Assert.Equal(Libc.ECONNABORTED, error);
        Assert.Equal(Libc.ECONNABORTED, listener.Accept(handle ^ 1, nsm.Guest, out error).ResetError | error);
        thief.Close();

        FakeSocket server = listener.Accept(handle, nsm.Guest, out error);
        Assert.Equal(0, error);
        client.Send("mine"u8);
        Assert.Equal("mine"u8.ToArray(), server.Receive(4));
        server.Close();
    }

    [Fact]
    public void Listens_without_bind_and_tells_the_port()
    {
        using KernelNsm nsm = new();
        FakeSocket listener = nsm.Guest.Socket();
        listener.Request(RingKind.Job, Op.Listen, opData: 5);
        Nqe done = listener.Complete(Op.ListenDone);
        Assert.Equal(0u, done.Size);
        using Socket client = nsm.Dial("127.0.0.1", done.Aux);
        listener.Accept(out _).Close();
        listener.Close();
    }

    [Theory]
    [InlineData(NqeFlags.None, true)]
    [InlineData(NqeFlags.V6Only, false)]
    public void An_IPv6_wildcard_hears_IPv4_unless_told_otherwise(NqeFlags flags, bool hears)
    {
        using KernelNsm nsm = new();
        FakeSocket listener = nsm.Listener(out int port, "::", domain: Libc.AF_INET6, flags: flags | NqeFlags.Wildcard);
        using (nsm.Dial("::1", port))
        {
            listener.Accept(out IPEndPoint peer).Close();
            Assert.Equal(AddressFamily.InterNetworkV6, peer.AddressFamily);
        }

        if (hears)
        {
            using Socket client = nsm.Dial("127.0.0.1", port);
            listener.Accept(out IPEndPoint peer).Close();
            Assert.Equal(client.LocalEndPoint, peer);
        }
        else
        {
            _ = Assert.Throws<SocketException>(() => nsm.Dial("127.0.0.1", port));
        }

        listener.Close();
    }
}
