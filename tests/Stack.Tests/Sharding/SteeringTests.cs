using System.Text;

namespace NetKernel.Stack.Tests.Sharding;

/// <summary>Packets find their socket, whichever shard has it and whichever they come to.</summary>
public sealed unsafe class SteeringTests
{
    [Theory]
    [InlineData(2u, false, false)]
    [InlineData(2u, true, true)]
    [InlineData(3u, true, false)]
    [InlineData(8u, false, true)]
    public void A_listener_of_one_shard_is_reached_through_all(uint shards, bool cookies, bool v6)
    {
        using Fabric fabric = new(shards, cookies);
        Node owner = fabric.Shards[shards - 1];
        Sock listener = owner.Listen(80, v6: v6);
        for (int i = 0; i < 24; i++)
        {
            Serve(fabric, fabric.Peer.Dial(owner, 80, v6), owner, listener);
        }

        uint[] came = [.. fabric.Shards.Select(node => node.Stack.Tcp.Held.Blocks)];
        Assert.All(came, held => Assert.Equal(0u, held));
        Assert.All(fabric.Shards, node => Assert.NotEqual(0ul, node.Stack.Counters.SegmentsIn)); // The link gave each some.
        Assert.Equal(0ul, Dropped(fabric, DropReason.TcpNoSocket));
    }

    [Fact]
    public void A_link_that_scatters_the_packets_of_a_flow_does_no_harm()
    {
        using Fabric fabric = new(3);
        uint next = 0;
        fabric.Choose = _ => next++ % 3;
        Sock listener = fabric.Shards[1].Listen(80);
        for (int i = 0; i < 20; i++)
        {
            Serve(fabric, fabric.Peer.Dial(fabric.Shards[1], 80), fabric.Shards[1], listener);
        }
    }

    [Fact]
    public void Listeners_of_all_shards_share_the_flows_by_the_hash()
    {
        using Fabric fabric = new(4);
        Sock[] listeners = [.. fabric.Shards.Select(node => node.Listen(80, reusePort: true))];
        uint[] counts = new uint[4];
        for (int i = 0; i < 64; i++)
        {
            Sock client = fabric.Peer.Dial(fabric.Shards[0], 80);
            uint home = FlowHash.ShardOf(fabric.Shards[0].Address4, fabric.Peer.Address4, 80, client.Tcb->LocalPort, 0x1234_5678, 4);
            fabric.Until(() => client.State == TcpState.Established, "a connection");
            Assert.Equal([.. Enumerable.Range(0, 4).Select(k => k == home ? 1u : 0)], [.. listeners.Select(listener => listener.Tcb->Acceptable)]);
            Sock server = fabric.Shards[home].Accept(listeners[home])!;
            counts[home]++;
            client.Close();
            fabric.Until(() => server.State == TcpState.CloseWait, "FIN");
            server.Close();
        }

        Assert.All(counts, count => Assert.InRange(count, 4u, 40u));
    }

    [Fact]
    public void What_a_shard_connects_comes_back_to_it()
    {
        using Fabric fabric = new(4);
        Sock listener = fabric.Peer.Listen(80);
        for (uint k = 0; k < 4; k++)
        {
            ulong[] before = [.. fabric.Shards.Select(node => node.Stack.Counters.SegmentsIn)];
            Sock client = fabric.Shards[k].Dial(fabric.Peer, 80);
            Assert.Equal(k, FlowHash.ShardOf(fabric.Shards[k].Address4, fabric.Peer.Address4, client.Tcb->LocalPort, 80, 0x1234_5678, 4));
            fabric.Until(() => client.State == TcpState.Established, "a connection");
            Sock server = fabric.Peer.Accept(listener)!;
            server.Write(new byte[5000]);
            fabric.Until(() => client.Received.Count == 5000, "data");
            ulong[] after = [.. fabric.Shards.Select(node => node.Stack.Counters.SegmentsIn)];
            Assert.All(Enumerable.Range(0, 4), i => Assert.Equal(i == k, after[i] != before[i])); // No other shard saw a packet of it.
        }
    }

    [Fact]
    public void Shards_reach_each_other()
    {
        using Fabric fabric = new(2);
        Sock listener = fabric.Shards[1].Listen(80);
        Sock client = fabric.Shards[0].Dial(fabric.Shards[1], 80);
        fabric.Until(() => listener.Tcb->Acceptable == 1, "a connection");
        Sock server = fabric.Shards[1].Accept(listener)!;
        byte[] data = new byte[200_000];
        new Random(1).NextBytes(data);
        client.Write(data);
        server.Write(data);
        fabric.Until(() => server.Received.Count == data.Length && client.Received.Count == data.Length, "data both ways");
        Assert.Equal(data, server.Received);
        Assert.Equal(data, client.Received);
        Assert.Empty(fabric.Sent); // It stays in the machine.
    }

    [Fact]
    public void A_port_that_nobody_has_is_refused_once()
    {
        using Fabric fabric = new(3);
        Sock client = fabric.Peer.Dial(fabric.Shards[0], 81);
        fabric.Until(() => client.State == TcpState.Closed, "RST");
        Assert.Equal(Errno.ConnectionRefused, client.Tcb->Error);
        Assert.Single(fabric.Sent, frame => frame[12] == 8 && frame[13] == 0);
    }

    [Fact]
    public void A_segment_of_a_connection_that_is_no_more_is_reset_by_the_listeners_shard()
    {
        using Fabric fabric = new(3);
        Sock listener = fabric.Shards[2].Listen(80);
        Sock client = fabric.Peer.Dial(fabric.Shards[0], 80);
        fabric.Until(() => listener.Tcb->Acceptable == 1, "a connection");
        Sock server = fabric.Shards[2].Accept(listener)!;
        fabric.Drop = _ => true;
        fabric.Shards[2].Forget(server);
        fabric.Shards[2].Stack.Tcp.Abort(server.Tcb);
        server.Free();
        fabric.Settle();
        fabric.Drop = null;
        client.Write("anybody?"u8);
        fabric.Until(() => client.State == TcpState.Closed, "RST");
        Assert.Equal(104, client.Tcb->Error); // ECONNRESET
    }

    [Fact]
    public void Datagrams_fragments_and_their_errors_find_their_socket()
    {
        using Fabric fabric = new(2);
        Node owner = fabric.Shards[1];
        UdpSocket* socket = owner.Stack.Udp.Open((void*)1, owner.Budget);
        Assert.Equal(0, owner.Stack.Udp.Bind(socket, owner.Address4, 53, false, false));
        UdpSocket* peer = fabric.Peer.Stack.Udp.Open((void*)1, fabric.Peer.Budget);
        Assert.Equal(0, fabric.Peer.Stack.Udp.Bind(peer, fabric.Peer.Address4, 1053, false, false));
        byte[] payload = new byte[4000]; // three fragments, which have no ports, and so come to the first shard
        new Random(2).NextBytes(payload);
        foreach (int length in (int[])[100, 4000])
        {
            fixed (byte* p = payload)
            {
                Extent piece = new() { Start = p, Length = (ulong)length };
                Assert.Equal(0, fabric.Peer.Stack.Udp.Send(peer, owner.Address4, 53, 0, 64, &piece, 1, (uint)length));
            }

            fabric.Until(() => socket->First != null, "the datagram");
            Assert.Equal(payload[..length], new ReadOnlySpan<byte>(UdpItem.PayloadOf(socket->First), (int)socket->First->Length).ToArray());
            UdpLayer.Pop(socket);
        }

        // The peer says that nobody is at port 9: ICMP has no ports either.
        UdpLayer.Connect(socket, fabric.Peer.Address4, 9);
        Extent nothing = default;
        Assert.Equal(0, owner.Stack.Udp.Send(socket, fabric.Peer.Address4, 9, 0, 64, &nothing, 1, 0));
        fabric.Until(() => socket->Error != 0, "port unreachable");
        Assert.Equal(Errno.ConnectionRefused, socket->Error);
        owner.Stack.Udp.Close(socket);
        fabric.Peer.Stack.Udp.Close(peer);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void What_neighbours_say_to_the_first_shard_all_of_them_learn(bool v6)
    {
        using Fabric fabric = new(3);
        Sock listener = fabric.Peer.Listen(80, v6: v6);
        Sock client = fabric.Shards[2].Dial(fabric.Peer, 80, v6); // asks; the answer comes to the first
        fabric.Until(() => client.State == TcpState.Established, "a connection");
        Assert.Equal(1u, listener.Tcb->Acceptable);

        // And one that is asked answers once.
        fabric.Sent.Clear();
        fabric.Shards[2].Listen(81, v6: v6);
        Node other = fabric.Peer;
        other.Stack.Solicit(v6 ? fabric.Shards[0].Address6 : fabric.Shards[0].Address4, v6 ? other.Address6 : other.Address4, 0);
        fabric.Settle();
        Assert.Single(fabric.Sent);
    }

    [Fact]
    public void Passing_on_allocates_nothing()
    {
        using Fabric fabric = new(2);
        Sock listener = fabric.Shards[1].Listen(80);
        Sock client = fabric.Shards[0].Dial(fabric.Shards[1], 80);
        fabric.Until(() => listener.Tcb->Acceptable == 1, "a connection");
        Sock server = fabric.Shards[1].Accept(listener)!;
        Node a = fabric.Shards[0], b = fabric.Shards[1];
        server.Received.Capacity = client.Received.Capacity = 1 << 16;
        byte[] data = Encoding.ASCII.GetBytes("0123456789abcdef");
        long now = fabric.Now;
        Exchange(50);
        long before = GC.GetAllocatedBytesForCurrentThread();
        Exchange(200);

        Assert.Equal(before, GC.GetAllocatedBytesForCurrentThread());
        fabric.Until(() => server.Received.Count == 250 * 16, "what Nagle has held back");

        void Exchange(int rounds)
        {
            for (int i = 0; i < rounds; i++)
            {
                client.Write(data);
                for (int turn = 0; turn < 3; turn++)
                {
                    _ = a.Turn(now);
                    _ = b.Turn(now);
                }

                now += 100;
            }
        }
    }

    private static void Serve(Fabric fabric, Sock client, Node owner, Sock listener)
    {
        byte[] question = new byte[3000], answer = new byte[7000];
        new Random(3).NextBytes(question);
        new Random(4).NextBytes(answer);
        client.Write(question);
        fabric.Until(() => listener.Tcb->Acceptable == 1, "a connection");
        Sock server = owner.Accept(listener)!;
        fabric.Until(() => server.Received.Count == question.Length, "the question");
        server.Write(answer);
        server.Shutdown();
        fabric.Until(() => client.Tcb->AtEnd, "the answer and FIN");
        Assert.Equal(question, server.Received);
        Assert.Equal(answer, client.Received);
        client.Close();
        fabric.Until(() => server.Tcb->State == TcpState.Closed, "the end");
        server.Close();
    }

    private static ulong Dropped(Fabric fabric, DropReason reason) => fabric.Shards.Aggregate(0ul, (sum, node) => sum + node.Stack.Counters.Dropped(reason));
}
