namespace NetKernel.Stack.Tests;

/// <summary>Paths that carry less than the link: RFC 1191, RFC 8201, RFC 4821.</summary>
public sealed class PathScripts
{
    private const string Established = ConnectionScripts.Established;

    /// <summary>Two segments of 1,460 vanish; the third timeout in a row tries smaller ones, and they arrive.</summary>
    private const string Smaller = """
        +0.3 > . 1:1460
        +0.6 > . 1:1460
        +1.2 > . 1:710
        +0.1 < . 1:0 ack 711
        +0 > . 711:710
        +0 > . 1421:40
        +0 > . 1461:710
        +0.1 < . 1:0 ack 1461
        +0 > . 2171:710
        +0 > P. 2881:40
        +0.1 < . 1:0 ack 2921

        """;

    /// <summary>A black hole was suspected, what was lost has arrived in pieces of 710, and the window is 3,630; ten thousand bytes more: a probe of the old size, and three small segments behind it.</summary>
    private const string Searching = """
        +0 listen 80
        +0 < S 0:0 win 65535 mss 1460 sackok
        +0 > SA 0:0 ack 1 mss 1460 sackok
        +0.1 < . 1:0 ack 1 win 65535
        +0 accept
        +0 write 2920
        +0 > . 1:1460
        +0 > P. 1461:1460
        +0.202 > P. 1461:1460

        """ + Smaller + """
        +0 write 10000
        +0 > . 2921:1460
        +0 > . 4381:710
        +0 > . 5091:710
        +0 > . 5801:710

        """;

    /// <summary>RFC 1191, 6.4: what was too large goes again in smaller pieces, without a smaller window; RFC 5927, 4: only what is in flight is believed.</summary>
    [Fact]
    public void PathMtu() => PacketScript.Run(Established + """
        +0 write 2920
        +0 > . 1:1460
        +0 > P. 1461:1460
        +0.01 toobig 1000 90000
        +0 none
        +0 toobig 1000 1
        +0 > . 1:960
        +0 > . 961:500
        +0 > . 1461:960
        +0 > P. 2421:500
        +0 none
        +0 atleast 10
        +0.1 < . 1:0 ack 2921
        +0 write 1920
        +0 > . 2921:960
        +0 > P. 3881:960
        +0.1 < . 1:0 ack 4841
        +600 write 1460
        +0 > . 4841:960                    # the connection keeps what it learnt; new ones try again
        +0 > P. 5801:500
        """, Scripted.Reno);

    /// <summary>RFC 8201, 4 and 5.4: as over IPv4; nothing below 1,280 is believed, nor what quotes a segment that is not in flight.</summary>
    [Fact]
    public void PathMtuOverIpv6() => PacketScript.Run("ipv6\n" + """
        +0 listen 80
        +0 < S 0:0 win 65535 mss 1440
        +0 > SA 0:0 ack 1 mss 1440
        +0.1 < . 1:0 ack 1 win 65535
        +0 accept
        +0 write 2880
        +0 > . 1:1440
        +0 > P. 1441:1440
        +0.01 toobig 1300 90000
        +0 none
        +0 toobig 1000 1
        +0 none
        +0 toobig 1300 1
        +0 > . 1:1240
        +0 > . 1241:200
        +0 > . 1441:1240
        +0 > P. 2681:200
        +0 none
        +0 atleast 10
        +0.1 < . 1:0 ack 2881
        +0 write 2480
        +0 > . 2881:1240
        +0 > P. 4121:1240
        """, Scripted.Reno);

    /// <summary>RFC 8201, 4: an IPv6 link of 1,280 is as narrow as one can be.</summary>
    [Fact]
    public void TheLeastPathOverIpv6() => PacketScript.Run("ipv6\n" + """
        +0 connect
        +0 > S 0:0 mss 1440 sackok ts 0 ws 7
        +0.05 < SA 0:0 ack 1 mss 1440 win 65535
        +0 > . 1:0 ack 1 nots
        +0 write 1440
        +0 > P. 1:1440
        +0.01 toobig 1280 1
        +0 > . 1:1220
        +0 > P. 1221:220
        """, Scripted.Reno);

    /// <summary>RFC 4821, 7.7: large segments vanish and nobody says why: the third timeout in a row tries smaller ones.</summary>
    [Fact]
    public void ABlackHoleIsFound() => PacketScript.Run(Established + """
        +0 write 2920
        +0 > . 1:1460
        +0 > P. 1461:1460
        """ + "\n" + Smaller + """
        +0 write 1420
        +0 > . 2921:710
        +0 > P. 3631:710
        """, Scripted.Reno);

    /// <summary>RFC 4821, 7.6.1: the probe arrives, and segments have the old size again.</summary>
    [Fact]
    public void AProbeThatArrivesEndsTheSearch() => PacketScript.Run(Searching + """
        +0.1 < . 1:0 ack 6511
        +0 > . 6511:1460
        +0 > . 7971:1460
        +0 > . 9431:1460
        +0 > . 10891:1460
        +0 > P. 12351:570
        +0 none
        """, Scripted.Reno);

    /// <summary>RFC 4821, 7.6.2: a probe that alone is lost goes again in pieces that are known to pass, and the window stays; the next one is half-way.</summary>
    [Fact]
    public void AProbeThatIsLostIsNoCongestion() => PacketScript.Run(Searching + """
        +0.1 < . 1:0 ack 2921 sack 4381-6511
        +0 > . 2921:710
        +0 > . 3631:710
        +0 > . 4341:40
        +0 > . 6511:710
        +0 > . 7221:710
        +0 > . 7931:710
        +0 none
        +0.1 < . 1:0 ack 8641
        +0 > . 8641:1085
        +0 > . 9726:710
        +0 > . 10436:710
        +0 > . 11146:710
        +0 > . 11856:710
        +0 > P. 12566:355
        """, Scripted.Reno);

    /// <summary>A small segment is not lost for its size: it goes again as it is.</summary>
    [Fact]
    public void ASmallSegmentSuspectsNothing() => PacketScript.Run(Established + """
        +0 write 100
        +0 > P. 1:100
        +0.3 > P. 1:100
        +0.6 > P. 1:100
        +1.2 > P. 1:100
        +2.4 > P. 1:100
        +0.1 < . 1:0 ack 101
        +0 write 1460
        +0 > P. 101:1460
        """, Scripted.Reno);
}
