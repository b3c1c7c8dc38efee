using Xunit.Abstractions;

namespace NetKernel.Stack.Tests;

/// <summary>Reordering on a long path costs little: what a lossy path carries with it and without it, over simulated time (bench impaired has such a row, beside Linux).</summary>
public sealed unsafe class ReorderingTests(ITestOutputHelper output)
{
    private const long Seconds = 60, Round = 100_000;

    [Theory]
    [InlineData("cubic", 0.95)]
    [InlineData("reno", 0.88)]
    public void Reordering_beside_loss_costs_little(string congestion, double least)
    {
        const int Seeds = 3;
        double with = 0, without = 0;
        for (int seed = 1; seed <= Seeds; seed++)
        {
            without += Goodput(seed, congestion, 0.001, 0);
            with += Goodput(seed, congestion, 0.001, 0.01);
        }

        output.WriteLine($"{congestion}: {with / Seeds:F2} Mbit/s with reordering, {without / Seeds:F2} without");
        Assert.True(with > least * without, $"{with / Seeds:F2} Mbit/s with reordering, {without / Seeds:F2} without");
    }

    private double Goodput(int seed, string congestion, double loss, double reorder)
    {
        using Simulation sim = new(seed) { KeepsCapture = false };
        StackOptions Options() => new() { MaxConnections = 16, MaxTimeWait = 16, MaxSegments = 1 << 16, MaxBlocks = 1 << 13, Congestion = CongestionControl.Find(congestion)! };
        Host a = sim.Add("198.18.0.1", "2001:2::1", Options()), b = sim.Add("198.18.0.2", "2001:2::2", Options());
        a.Impairment = new Impairment { Delay = Round / 2, Loss = loss, Reorder = reorder, ReorderDelay = Round / 4, Rate = 50_000_000, QueueBytes = 625_000 };
        b.Impairment = new Impairment { Delay = Round / 2 };
        Conn listener = b.Listen(80);
        Conn client = a.Dial(b, 80);
        Conn? server = null;
        long end = sim.Now + (Seconds * 1_000_000);
        sim.AfterStep = () =>
        {
            server ??= b.Accept(listener, discard: true);
            if (client.State == TcpState.Established)
            {
                client.Fill();
            }
        };
        sim.Pass(end - sim.Now);
        TcpInfo info = a.Tcp.Info(client.Tcb);
        output.WriteLine($"{congestion} seed {seed} reorder {reorder}: {info.BytesAcked * 8 / 1e6 / Seconds:F2} Mbit/s, retransmitted {info.TotalRetransmits}, duplicates {info.DsackDups}, seen {info.ReorderSeen}, cwnd {info.SndCwnd}");


        // A loss is not taken for reordering: RACK would wait a quarter of a round trip before each repair.
        Assert.True(reorder != 0 || info.ReorderSeen == 0, $"{info.ReorderSeen} seen where there was none");
        Assert.True(reorder == 0 || (info.ReorderSeen != 0 && info.Reordering > 3), $"{info.ReorderSeen} seen, {info.Reordering} segments");
        return info.BytesAcked * 8 / 1e6 / Seconds;
    }
}
