namespace NetKernel.Stack.Tests;

/// <summary>Two stacks, a link that does what it likes: every byte arrives, in order, once, and it ends.</summary>
public sealed unsafe class TransferTests
{
    internal static byte[] Bytes(int length, int seed)
    {
        byte[] data = new byte[length];
        new Random(seed).NextBytes(data);
        return data;
    }

    /// <summary>Sends both ways, ends both ways, and looks that nothing is left.</summary>
    internal static void Exchange(Simulation sim, Host a, Host b, byte[] forth, byte[] back, bool v6, Action<nint>? prepare = null, long limit = 3_600_000_000)
    {
        Conn listener = b.Listen(80, v6);
        Conn client = a.Dial(b, 80, v6, prepare);
        Conn? server = null;
        int sent = 0, returned = 0;
        bool clientShut = false, serverShut = false;
        sim.Until(
            () =>
            {
                server ??= b.Accept(listener);
                if (client.State is TcpState.Established or TcpState.CloseWait && !clientShut)
                {
                    sent += client.Write(forth.AsSpan(sent), limit: 1 << 20);
                    if (sent == forth.Length)
                    {
                        client.Shutdown();
                        clientShut = true;
                    }
                }

                if (server != null && !serverShut)
                {
                    returned += server.Write(back.AsSpan(returned), limit: 1 << 20);
                    if (returned == back.Length)
                    {
                        server.Shutdown();
                        serverShut = true;
                    }
                }

                Assert.True(client.Tcb->Error == 0, $"errno {client.Tcb->Error}\n{Describe.Tail(sim, 40)}");
                Assert.Equal(0, server == null ? 0 : server.Tcb->Error);
                return server != null && clientShut && serverShut && client.Tcb->AtEnd && server.Tcb->AtEnd && client.InFlight == 0 && server.InFlight == 0;
            },
            limit, "the transfer");
        Assert.True(forth.AsSpan().SequenceEqual(server!.Received.ToArray()), "what arrived at the server is not what was sent");
        Assert.True(back.AsSpan().SequenceEqual(client.Received.ToArray()), "what arrived at the client is not what was sent");
        client.Close();
        server.Close();
        listener.Close();
        sim.Pass(400_000_000);
        foreach (Host host in (Host[])[a, b])
        {
            Assert.Equal(0u, host.Tcp.Count);
            Assert.Equal((0u, 0u), host.Tcp.Held);
            Assert.Equal(0u, host.Tcp.TimeWaits);
        }
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void CleanLink(bool v6)
    {
        using Simulation sim = new(1);
        Host a = sim.Add("198.18.0.1", "2001:2::1"), b = sim.Add("198.18.0.2", "2001:2::2");
        Exchange(sim, a, b, Bytes(3_000_000, 1), Bytes(1_000_000, 2), v6);
        Assert.Equal(0ul, a.Stack.Counters.Retransmits);
        Assert.Equal(0ul, b.Stack.Counters.Retransmits);
    }

    [Fact]
    public void SegmentationOffload()
    {
        using Simulation sim = new(2);
        Host a = sim.Add("198.18.0.1", "2001:2::1", gso: 65000, offload: true), b = sim.Add("198.18.0.2", "2001:2::2", gso: 65000, offload: true);
        Exchange(sim, a, b, Bytes(5_000_000, 1), Bytes(2_000_000, 2), v6: false);
        Assert.True(sim.Capture.Count < 2000, $"{sim.Capture.Count} frames");
    }

    public static TheoryData<int> Seeds()
    {
        TheoryData<int> seeds = [];
        for (int i = 0; i < 40; i++)
        {
            seeds.Add(i);
        }

        return seeds;
    }

    [Theory]
    [MemberData(nameof(Seeds))]
    public void ImpairedLink(int seed)
    {
        Random random = new(seed * 7919);
        using Simulation sim = new(seed);
        string[] names = CongestionControl.Names();
        StackOptions Options() => new()
        {
            MaxConnections = 64,
            MaxTimeWait = 64,
            MaxSegments = 1 << 16,
            MaxBlocks = 1 << 13,
            Congestion = CongestionControl.Find(names[random.Next(names.Length)])!,
            RequestEcn = random.Next(2) == 0,
            AlwaysCookies = random.Next(6) == 0,
        };
        bool offload = random.Next(3) == 0;
        uint mtu = random.Next(3) == 0 ? (uint)random.Next(1280, 9000) : 1500;
        Host a = sim.Add("198.18.0.1", "2001:2::1", Options(), mtu, offload ? 60000u : 0, offload);
        Host b = sim.Add("198.18.0.2", "2001:2::2", Options(), mtu, offload ? 60000u : 0, offload);
        foreach (Host h in (Host[])[a, b])
        {
            h.Impairment = new Impairment
            {
                Loss = random.Next(3) switch { 0 => 0, 1 => 0.01, _ => 0.05 },
                Duplicate = random.Next(3) == 0 ? 0.03 : 0,
                Corrupt = random.Next(3) == 0 ? 0.02 : 0,
                Reorder = random.Next(2) == 0 ? 0.05 : 0,
                ReorderDelay = random.Next(1, 30_000),
                MarkCe = random.Next(3) == 0 ? 0.02 : 0,
                Delay = random.Next(10, 60_000),
                Jitter = random.Next(3) == 0 ? random.Next(1, 5_000) : 0,
                Rate = random.Next(3) == 0 ? random.Next(2_000_000, 100_000_000) : 0,
                QueueBytes = random.Next(20_000, 300_000),
            };
        }

        Exchange(sim, a, b, Bytes(random.Next(1, 300_000), seed), Bytes(random.Next(1, 300_000), seed + 1), random.Next(2) == 0);
    }
}
