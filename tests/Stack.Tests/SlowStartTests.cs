using System.Globalization;

namespace NetKernel.Stack.Tests;

/// <summary>Slow start and its end: RFC 9406, and how fast a long path fills.</summary>
public sealed unsafe class SlowStartTests
{
    private const long Second = 1_000_000;

    /// <summary>A queue that grows is seen by the round trip, and slow start ends before it overflows (RFC 9406, 4.2).</summary>
    [Theory]
    [InlineData(20_000_000, 40_000)]
    [InlineData(50_000_000, 60_000)]
    public void AGrowingQueueEndsIt(long rate, long rtt)
    {
        using Simulation sim = new(1);
        Conn client = Bulk(sim, new Impairment { Delay = rtt / 2, Rate = rate, QueueBytes = rate / 8 * rtt / Second * 8 }, receiveBuffer: 6 << 20);
        long end = 0;
        sim.AfterStep = () => end = end == 0 && client.Tcb->Ssthresh != int.MaxValue ? sim.Now : end;
        sim.Until(() => end != 0, 20 * Second, "the end of slow start");
        double bdp = rate / 8.0 * rtt / Second;
        Assert.Equal(0ul, client.Host.Stack.Counters.Retransmits);
        Assert.InRange(client.Tcb->Cwnd, bdp, 8.5 * bdp); // Seen at twice what the path holds, and five rounds of a quarter; doubling would have lost packets at nine times.
    }

    /// <summary>4.2, the way back: a round that was long for another reason does not end slow start.</summary>
    [Fact]
    public void JitterDoesNot()
    {
        using Simulation sim = new(1);
        Impairment way = new() { Delay = 20_000 };
        Conn client = Bulk(sim, way);
        sim.Until(() => client.Tcb->Cwnd > 60 * client.Tcb->Mss, what: "growth");
        way.Delay = 60_000; // for a round
        sim.Pass(70_000);
        uint during = client.Tcb->Cwnd;
        way.Delay = 20_000; // What comes now overtakes what is on its way: a recovery that proves needless costs a round trip.
        sim.Pass(400_000);
        Assert.Equal((uint)int.MaxValue, client.Tcb->Ssthresh);
        Assert.True(client.Tcb->Cwnd > 4 * during, $"{client.Tcb->Cwnd} after {during}");
    }

    /// <summary>
    /// A path of 200 ms is filled as fast as doubling each round trip allows: neither the receiver's window, nor an early end of slow start, nor delayed acknowledgements hold it up.
    /// </summary>
    [Theory]
    [InlineData("cubic")]
    [InlineData("reno")]
    [InlineData("bbr")]
    public void ALongPathIsFilled(string control)
    {
        const long Rate = 50_000_000, Rtt = 200_000;
        using Simulation sim = new(1);
        Conn client = Bulk(sim, new Impairment { Delay = Rtt / 2, Rate = Rate, QueueBytes = Rate / 8 * Rtt / Second }, control);
        sim.Pass(8 * Second);
        double share = client.Tcb->BytesAcked * 8 / 8.0 / Rate;
        Assert.True(share > 0.65, string.Create(CultureInfo.InvariantCulture, $"{share:F2} of the rate, window {client.Tcb->Cwnd}, ssthresh {client.Tcb->Ssthresh}, peer's window {client.Tcb->SndWnd}, retransmits {client.Host.Stack.Counters.Retransmits}"));
    }

    private static Conn Bulk(Simulation sim, Impairment way, string control = "cubic", uint receiveBuffer = 128 << 10)
    {
        StackOptions options = new()
        {
            Congestion = CongestionControl.Find(control)!,
            MaxConnections = 64,
            MaxTimeWait = 64,
            MaxSegments = 1 << 16,
            MaxBlocks = 1 << 13,
            InitialReceiveBuffer = receiveBuffer,
        };
        Host a = sim.Add("198.18.0.1", "2001:2::1", options), b = sim.Add("198.18.0.2", "2001:2::2", options);
        a.Impairment = way;
        b.Impairment = new Impairment { Delay = way.Delay };
        sim.KeepsCapture = false;
        Conn listener = b.Listen(80), client = a.Dial(b, 80);
        sim.Until(() => b.Accept(listener, discard: true) != null, what: "the connection");
        client.IsEndless = true;
        client.Fill();
        return client;
    }
}
