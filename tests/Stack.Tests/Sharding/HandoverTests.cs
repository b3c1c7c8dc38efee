namespace NetKernel.Stack.Tests.Sharding;

/// <summary>A connection changes shards when a process at another one accepts it.</summary>
public sealed unsafe class HandoverTests
{
    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    [InlineData(30_000)]
    public void Nothing_is_lost_on_the_way(int before)
    {
        using Fabric fabric = new(2);
        Sock listener = fabric.Shards[0].Listen(80);
        Sock client = fabric.Peer.Dial(fabric.Shards[0], 80);
        byte[] data = new byte[before + 20_000];
        new Random(before).NextBytes(data);
        client.Write(data.AsSpan(0, before));
        fabric.Until(() => listener.Tcb->Acceptable == 1 && client.Acked == before, "a connection, and what is sent at once");

        Sock server = Move(fabric, TcpLayer.Accept(listener.Tcb));
        Assert.Equal(data[..before], server.Received);
        client.Write(data.AsSpan(before));
        fabric.Until(() => server.Received.Count == data.Length, "the rest");
        Assert.Equal(data, server.Received);
        server.Write(data);
        server.Shutdown();
        fabric.Until(() => client.Tcb->AtEnd, "the answer and FIN");
        Assert.Equal(data, client.Received);
        client.Close();
        fabric.Until(() => server.State == TcpState.Closed, "the end");
        Assert.Equal(0u, fabric.Shards[0].Stack.Tcp.Held.Blocks + fabric.Shards[1].Stack.Tcp.Held.Blocks);
        Assert.Equal(1u, fabric.Shards[0].Stack.Tcp.Count); // the listener
    }

    [Fact]
    public void Data_with_a_hole_and_FIN_move_as_well()
    {
        using Fabric fabric = new(2);
        Sock listener = fabric.Shards[0].Listen(80);
        Sock client = fabric.Peer.Dial(fabric.Shards[0], 80);
        fabric.Until(() => listener.Tcb->Acceptable == 1, "a connection");
        byte[] data = new byte[10_000];
        new Random(5).NextBytes(data);
        int full = 0;
        fabric.Drop = frame => frame.Length > 1000 && full++ == 1; // the second segment
        client.Write(data);
        client.Shutdown();
        fabric.Settle();
        Sock server = Move(fabric, TcpLayer.Accept(listener.Tcb));
        fabric.Until(() => server.Tcb->AtEnd, "what was lost, and FIN");
        Assert.Equal(data, server.Received);
    }

    [Fact]
    public void Timers_run_on()
    {
        using Fabric fabric = new(2);
        Sock listener = fabric.Shards[0].Listen(80);
        fabric.Shards[0].Stack.Tcp.SetKeepAlive(listener.Tcb, true);
        listener.Tcb->KeepIdle = 2;
        Sock client = fabric.Peer.Dial(fabric.Shards[0], 80);
        fabric.Until(() => listener.Tcb->Acceptable == 1, "a connection");
        Sock server = Move(fabric, TcpLayer.Accept(listener.Tcb));
        uint segments = server.Tcb->SegmentsOut;
        fabric.Until(() => server.Tcb->SegmentsOut > segments, "a keep-alive probe");
        Assert.Equal(TcpState.Established, client.State);
    }

    [Fact]
    public void One_that_has_been_reset_meanwhile_says_so()
    {
        using Fabric fabric = new(2);
        Sock listener = fabric.Shards[0].Listen(80);
        Sock client = fabric.Peer.Dial(fabric.Shards[0], 80);
        fabric.Until(() => listener.Tcb->Acceptable == 1, "a connection");
        Tcb* t = TcpLayer.Accept(listener.Tcb);
        t->User = (void*)1;
        fabric.Peer.Forget(client);
        fabric.Peer.Stack.Tcp.Abort(client.Tcb);
        client.Free();
        fabric.Until(() => t->State == TcpState.Closed, "RST");
        Sock server = Move(fabric, t);
        Assert.Equal((TcpState.Closed, 104), (server.State, server.Tcb->Error));
        server.Close();
        Assert.Equal(0u, fabric.Shards[1].Stack.Tcp.Count);
    }

    private static Sock Move(Fabric fabric, Tcb* t)
    {
        Shard from = fabric.Shards[0].Shard!;
        ShardItem* item = from.TryReserve(1, TcpLayer.ExportLength(t));
        Assert.True(item != null);
        fabric.Shards[0].Stack.Tcp.Export(t, (byte*)(item + 1));
        from.Commit(1);
        fabric.Settle();
        byte[] message = Assert.Single(fabric.Shards[1].Messages);
        fixed (byte* p = message)
        {
            return fabric.Shards[1].Adopt(fabric.Shards[1].Stack.Tcp.Import(p, (void*)1));
        }
    }
}
