namespace NetKernel.Stack.Tests;

/// <summary>TCP_INFO tells what happened on a path whose every packet is known.</summary>
public sealed unsafe class TcpInfoTests
{
    private const long Second = 1_000_000, Round = 20_000;

    /// <summary>tcpi_busy_time, tcpi_rwnd_limited: sending, waiting for a reader, and having nothing to do.</summary>
    [Fact]
    public void Time_busy_and_time_held_up_by_the_peers_window()
    {
        using Pair pair = new(1);
        pair.Server.Appetite = 0;
        _ = pair.Client.Write(new byte[3_000_000]);
        pair.Sim.Pass(5 * Second);
        TcpInfo held = pair.Info;
        Assert.InRange(held.RwndLimited, 4_000_000ul, 5_000_000ul);
        Assert.InRange(held.BusyTime - held.RwndLimited, 1ul, 1_000_000ul); // until the window was full
        pair.Server.Read(long.MaxValue / 2);
        pair.Sim.Until(() => pair.Client.InFlight == 0);
        TcpInfo done = pair.Info;
        Assert.True(done.BusyTime > held.BusyTime);
        pair.Sim.Pass(10 * Second);
        Assert.Equal((done.BusyTime, done.RwndLimited), (pair.Info.BusyTime, pair.Info.RwndLimited));
    }

    /// <summary>tcpi_rcv_ooopack, tcpi_delivered, tcpi_rcv_wnd: the second of ten segments is lost once.</summary>
    [Fact]
    public void Segments_out_of_order_and_segments_delivered()
    {
        using Pair pair = new(2);
        int data = 0;
        pair.A.Impairment.Drop = frame => frame.Length > 1000 && ++data == 2;
        _ = pair.Client.Write(new byte[10 * pair.Info.SndMss]);
        pair.Sim.Until(() => pair.Client.InFlight == 0);
        Assert.Equal(8u, pair.ServerInfo.RcvOooPack);
        Assert.Equal((10u, 11u, 1u), (pair.Info.Delivered, pair.Info.DataSegsOut, pair.Info.TotalRetransmits));
        Assert.Equal(0u, pair.Info.ReorderSeen);
        Assert.InRange(pair.ServerInfo.RcvWnd, 1u, 10_000_000u);
    }

    /// <summary>With segmentation offload a frame is many segments, and counts as many.</summary>
    [Fact]
    public void Segments_delivered_are_counted_one_by_one()
    {
        using Pair pair = new(3, gso: 60_000);
        _ = pair.Client.Write(new byte[1_000_000]);
        pair.Sim.Until(() => pair.Client.InFlight == 0);
        Assert.Equal(pair.Info.DataSegsOut, pair.Info.Delivered);
        Assert.Equal(pair.ServerInfo.DataSegsIn, pair.Info.Delivered);
    }

    /// <summary>tcpi_delivered_ce and TCPI_OPT_ECN_SEEN: DCTCP, whose receiver echoes each mark.</summary>
    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    public void Marks_of_congestion(double share)
    {
        const byte EcnSeen = 16;
        using Pair pair = new(4, congestion: "dctcp");
        pair.A.Impairment.MarkCe = share;
        _ = pair.Client.Write(new byte[500_000]);
        pair.Sim.Until(() => pair.Client.InFlight == 0);
        Assert.Equal(share == 0 ? 0 : pair.Info.Delivered, pair.Info.DeliveredCe);
        Assert.Equal((EcnSeen, 0), (pair.ServerInfo.Options & EcnSeen, pair.Info.Options & EcnSeen));
    }

    /// <summary>tcpi_reord_seen, tcpi_reordering: one segment comes late, behind five others.</summary>
    [Fact]
    public void Reordering()
    {
        using Pair pair = new(5);
        int data = 0;
        pair.A.Impairment.ReorderDelay = 2_000; // within RACK's window, a quarter of a round trip
        pair.A.Impairment.Rate = 50_000_000;
        pair.A.Impairment.ReorderNow = frame => frame.Length > 1000 && ++data == 3;
        Assert.Equal((0u, 3u), (pair.Info.ReorderSeen, pair.Info.Reordering));
        _ = pair.Client.Write(new byte[10 * pair.Info.SndMss]);
        pair.Sim.Until(() => pair.Client.InFlight == 0);
        Assert.Equal(1u, pair.Info.ReorderSeen);
        Assert.InRange(pair.Info.Reordering, 5u, 10u);
    }

    /// <summary>tcpi_total_rto, tcpi_total_rto_recoveries, tcpi_total_rto_time.</summary>
    [Fact]
    public void Timeouts_and_how_long_they_took()
    {
        using Pair pair = new(6);
        pair.A.Impairment.Loss = 1;
        _ = pair.Client.Write(new byte[50_000]);
        pair.Sim.Pass(2 * Second);
        Assert.True(pair.Info.TotalRto >= 2);
        Assert.Equal(0, pair.Info.TotalRtoRecoveries);
        pair.A.Impairment.Loss = 0;
        pair.Sim.Until(() => pair.Client.InFlight == 0);
        TcpInfo info = pair.Info;
        Assert.Equal(1, info.TotalRtoRecoveries);
        Assert.InRange(info.TotalRtoTime, 1_000u, 5_000u);
        pair.Sim.Pass(10 * Second);
        Assert.Equal(info.TotalRtoTime, pair.Info.TotalRtoTime);
    }

    /// <summary>A connection of two hosts; nothing is written yet.</summary>
    private sealed class Pair : IDisposable
    {
        public Pair(int seed, uint gso = 0, string congestion = "cubic")
        {
            Sim = new Simulation(seed);
            StackOptions Options() => new() { MaxConnections = 16, MaxTimeWait = 16, MaxSegments = 1 << 14, MaxBlocks = 1 << 13, Congestion = CongestionControl.Find(congestion)! };
            A = Sim.Add("198.18.0.1", "2001:2::1", Options(), gso: gso, offload: gso != 0);
            B = Sim.Add("198.18.0.2", "2001:2::2", Options(), gso: gso, offload: gso != 0);
            A.Impairment.Delay = B.Impairment.Delay = Round / 2;
            Conn listener = B.Listen(80);
            Client = A.Dial(B, 80);
            Conn? server = null;
            Sim.Until(() => (server ??= B.Accept(listener)) != null && Client.State == TcpState.Established);
            Server = server!;
        }

        public Simulation Sim { get; }

        public Host A { get; }

        public Host B { get; }

        public Conn Client { get; }

        public Conn Server { get; }

        public TcpInfo Info => A.Tcp.Info(Client.Tcb);

        public TcpInfo ServerInfo => B.Tcp.Info(Server.Tcb);

        public void Dispose() => Sim.Dispose();
    }
}
