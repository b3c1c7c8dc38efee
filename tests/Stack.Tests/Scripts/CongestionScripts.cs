using System.Globalization;
using System.Text;

namespace NetKernel.Stack.Tests;

/// <summary>What congestion controls do to the window, step by step: RFC 9438, BBR. Curves over seconds are for CongestionTests.</summary>
public sealed class CongestionScripts
{
    private static readonly StackOptions Cubic = Small("cubic"), Bbr = Small("bbr");

    /// <summary>A window of ten, of which the first segment is lost; it ends at seven (beta is 0.7).</summary>
    private const string Reduced = ConnectionScripts.WithOptions + """
        +0 write 14480

        """ + LossScripts.TenLargest + """
        +0.1 < . 1:0 ack 1 win 512 ts 300 last sack 1449-14481
        +0 > . 1:1448
        +0.1 < . 1:0 ack 14481 win 512 ts 400 last
        +0 cwnd 7

        """;

    /// <summary>RFC 9438, 4.6: seven tenths of the window, again after the next loss.</summary>
    [Fact]
    public void CubicReducesBySevenTenths() => PacketScript.Run(Reduced + """
        +0 write 10136
        +0 > . 14481:1448
        +0 > . 15929:1448
        +0 > . 17377:1448
        +0 > . 18825:1448
        +0 > . 20273:1448
        +0 > . 21721:1448
        +0 > P. 23169:1448
        +0.1 < . 1:0 ack 14481 win 512 ts 500 last sack 15929-24617
        +0 > . 14481:1448
        +0.1 < . 1:0 ack 24617 win 512 ts 600 last
        +0 cwnd 4
        """, Cubic);

    /// <summary>
    /// RFC 9438, 4.3: where the curve is still flat the window is what Reno's would be, with 3 (1 - 0.7) / (1 + 0.7) = 0.53 segments per round trip: after two of them it is one segment larger.
    /// </summary>
    [Fact]
    public void CubicIsFriendlyToReno() => PacketScript.Run(Reduced + """
        +0 write 33304
        """ + "\n" + Burst(14481, 7) + """
        +0.1 < . 1:0 ack 24617 win 512 ts 500 last
        +0 cwnd 7
        """ + "\n" + Burst(24617, 7) + """
        +0.1 < . 1:0 ack 34753 win 512 ts 600 last
        +0 cwnd 8
        """ + "\n" + Burst(34753, 8), Cubic);

    /// <summary>RFC 9438, 4.8 and RFC 5681, 3.1: after a timeout one segment, then slow start up to seven tenths of the window that was lost.</summary>
    [Fact]
    public void CubicStartsSlowlyAfterATimeout() => PacketScript.Run(ConnectionScripts.Established + """
        +0 write 14600

        """ + SpuriousScripts.TenSegments + """
        +0.3 > . 1:1460
        +0 cwnd 1
        +0.05 < . 1:0 ack 1461
        +0 cwnd 2
        +0 > . 1461:1460
        +0 > . 2921:1460
        +0.1 < . 1:0 ack 4381
        +0 cwnd 4
        +0 > . 4381:1460
        +0 > . 5841:1460
        +0 > . 7301:1460
        +0 > . 8761:1460
        +0.1 < . 1:0 ack 10221
        +0 cwnd 7
        +0 > . 10221:1460
        +0 > . 11681:1460
        +0 > P. 13141:1460
        +0.1 < . 1:0 ack 14601
        +0 cwnd 7
        """, Cubic);

    /// <summary>
    /// BBR, 4.2.1 and 4.3.2.2: the first rate is 2/ln 2 = 2.885 times the window over the round trip. Ten segments in 0.9 s of round trip: one each 31.2 ms.
    /// </summary>
    [Fact]
    public void BbrPacesFromTheStart() => PacketScript.Run("""
        +0 listen 80
        +0 < S 0:0 win 65535 mss 1460 sackok ts 100 0 ws 7
        +0 > SA 0:0 ack 1 mss 1460 sackok ts 100 ws 7
        +0.9 < . 1:0 ack 1 win 512 ts 200 last
        +0 accept
        +0 write 8688
        +0 > . 1:1448
        +0.0312 > . 1449:1448
        +0.0312 > . 2897:1448
        +0.0312 > . 4345:1448
        +0.0312 > . 5793:1448
        +0.0312 > P. 7241:1448
        """, Bbr);

    /// <summary>BBR, 4.2.3.2: a loss is no reason for a smaller window than what is in flight and arriving, and after the recovery it is what it was.</summary>
    [Fact]
    public void BbrKeepsItsWindowAfterALoss() => PacketScript.Run(ConnectionScripts.WithOptions + """
        +0 write 5792
        +0 > . 1:1448
        +0.0035 > . 1449:1448
        +0.0035 > . 2897:1448
        +0.0035 > P. 4345:1448
        +0.0895 < . 1:0 ack 1 win 512 ts 300 last sack 1449-5793
        +0 > . 1:1448
        +0.1 < . 1:0 ack 5793 win 512 ts 400 last
        +0 atleast 10
        """, Bbr);

    /// <summary>
    /// BBR, 4.3.5: a connection that has not seen its least round trip for ten seconds goes down to four segments, for 200 ms and a round trip, to see it again. There is always one in flight, so it
    /// is no pause.
    /// </summary>
    [Fact]
    public void BbrProbesForTheLeastRoundTrip() => PacketScript.Run(Slowly(19) + """
        +0 atleast 10
        """ + "\n" + Round(19) + """
        +0 cwnd 4
        """ + "\n" + Round(20) + """
        +0 cwnd 4
        """ + "\n" + Round(21) + """
        +0 atleast 10
        """, Bbr);

    /// <summary>BBR, 4.3.5: after a pause as long it does not: there was nobody to measure.</summary>
    [Fact]
    public void BbrDoesNotProbeAfterAPause() => PacketScript.Run(ConnectionScripts.WithOptions + """
        +0 write 1448
        +0 > P. 1:1448
        +0.12 < . 1:0 ack 1449 win 512 ts 300 last
        +11 write 1448
        +0 > P. 1449:1448
        +0.12 < . 1:0 ack 2897 win 512 ts 301 last
        +0 atleast 10
        """, Bbr);

    private static StackOptions Small(string control) => new()
    {
        Congestion = CongestionControl.Find(control)!,
        MaxConnections = 64,
        MaxTimeWait = 64,
        MaxSegments = 1024,
        MaxBlocks = 1024,
    };

    private static string Burst(int from, int count)
    {
        StringBuilder text = new();
        for (int i = 0; i < count; i++)
        {
            text.Append(CultureInfo.InvariantCulture, $"+0 > . {from + (i * 1448)}:1448\n");
        }

        return text.ToString();
    }

    /// <summary>A handshake of 0.9 s; then a segment each half second, acknowledged after a second.</summary>
    private static string Slowly(int rounds) => """
        +0 listen 80
        +0 < S 0:0 win 65535 mss 1460 sackok ts 100 0 ws 7
        +0 > SA 0:0 ack 1 mss 1460 sackok ts 100 ws 7
        +0.9 < . 1:0 ack 1 win 512 ts 200 last
        +0 accept
        +0 nodelay
        +0 write 1448
        +0 > P. 1:1448
        +0.5 write 1448
        +0 > P. 1449:1448

        """ + string.Concat(Enumerable.Range(0, rounds).Select(Round));

    private static string Round(int i) => string.Create(CultureInfo.InvariantCulture, $"""
        +0.5 < . 1:0 ack {1 + ((i + 1) * 1448)} win 512 ts {300 + i} last
        +0 write 1448
        +0 > P. {1 + ((i + 2) * 1448)}:1448

        """);
}
