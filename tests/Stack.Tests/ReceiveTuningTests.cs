namespace NetKernel.Stack.Tests;

/// <summary>The receive buffer: what the window counts, and how large tuning makes it.</summary>
public sealed unsafe class ReceiveTuningTests
{
    private const uint Unit = 128; // of the window scale 7 that a buffer of 6 MB at most asks for

    /// <summary>What the owner has taken and its program has not read is in the way of more; when it has been read, the window opens by itself.</summary>
    [Fact]
    public void WhatNobodyHasReadCounts()
    {
        using Simulation sim = new(1);
        (Conn client, Conn server) = Pair(sim);
        uint buffer = server.Host.Tcp.ReceiveBufferOf(server.Tcb);

        // The window never moves back, so it closes by what arrives.
        server.Untaken = buffer;
        client.IsEndless = true;
        client.Fill();
        sim.Pass(2_000_000);
        Assert.InRange(client.Tcb->SndWnd, 0u, Unit);
        long before = server.Taken;
        sim.Pass(60_000_000);
        Assert.Equal(before, server.Taken);
        Assert.Equal(0u, server.Tcb->Unread);

        server.Untaken = 0;
        server.Host.Tcp.Reopen(server.Tcb);
        sim.Pass(1_000_000);
        Assert.True(server.Taken > before + buffer, $"{server.Taken - before} bytes");
    }

    /// <summary>A program that reads late makes no buffer larger than its owner holds for it; one that keeps up does.</summary>
    [Theory]
    [InlineData(0u, false)]
    [InlineData(1000u, true)]
    public void OnlyWhoKeepsUpGetsMore(uint untaken, bool bounded)
    {
        using Simulation sim = new(2);
        (Conn client, Conn server) = Pair(sim);
        server.Untaken = untaken;
        client.IsEndless = true;
        client.Fill();
        sim.Pass(5_000_000);
        uint buffer = server.Host.Tcp.ReceiveBufferOf(server.Tcb), holds = new StackOptions().OwnerHolds;
        Assert.True(bounded ? buffer <= holds : buffer > 2 * holds, $"{buffer} bytes");
    }

    /// <summary>When data waits here all the time, the buffer is larger than it has to be, and shrinks; what had been promised is still taken.</summary>
    [Fact]
    public void AQueueThatNeverEndsShrinksTheBuffer()
    {
        using Simulation sim = new(3);
        (Conn client, Conn server) = Pair(sim);
        client.IsEndless = true;
        client.Fill();
        sim.Pass(5_000_000);
        uint grown = server.Host.Tcp.ReceiveBufferOf(server.Tcb);

        // 10 KB per 10 ms from now on, which is a tenth of what the link carries.
        server.Appetite = 0;
        for (int i = 0; i < 3_000; i++)
        {
            sim.Pass(10_000);
            server.Read(10_000);
        }

        uint holds = new StackOptions().OwnerHolds;
        Assert.True(grown > 2 * holds, $"{grown} bytes");
        Assert.InRange(server.Host.Tcp.ReceiveBufferOf(server.Tcb), holds, holds + (holds / 4));
        Assert.InRange(server.Tcb->Unread, 1u, holds + (holds / 4));
        Assert.Equal(0ul, server.Host.Stack.Counters.Dropped(DropReason.NoMemory));
        Assert.Equal(0ul, client.Host.Stack.Counters.Retransmits);
    }

    private static (Conn Client, Conn Server) Pair(Simulation sim)
    {
        sim.KeepsCapture = false;
        Host a = sim.Add("198.18.0.1", "2001:2::1"), b = sim.Add("198.18.0.2", "2001:2::2");
        a.Impairment = new Impairment { Delay = 20_000, Rate = 80_000_000, QueueBytes = 4 << 20 };
        b.Impairment = new Impairment { Delay = 20_000 };
        Conn listener = b.Listen(80), client = a.Dial(b, 80);
        Conn? server = null;
        sim.Until(() => (server ??= b.Accept(listener, discard: true)) != null, what: "the connection");
        return (client, server!);
    }
}
