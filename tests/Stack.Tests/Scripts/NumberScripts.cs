namespace NetKernel.Stack.Tests;

/// <summary>Initial sequence numbers (RFC 6528), and signatures, which nobody here asks for (RFC 2385). More about the numbers: NumbersTests.</summary>
public sealed class NumberScripts
{
    /// <summary>A SYN that is given up, and the same one again.</summary>
    private const string Again = """
        +0 listen 80
        +0 < S 0:0 win 65535 mss 1460
        +0 > SA 0:0 ack 1
        +0 iss keep
        +0 < R 1:0
        +0.5 < S 0:0 win 65535 mss 1460
        +0 > SA 0:0 ack 1

        """;

    /// <summary>RFC 6528, 3: for one pair of endpoints the numbers only grow, so that what is left of an older connection is none of a newer one.</summary>
    [Fact]
    public void ALaterConnectionHasALaterNumber() => PacketScript.Run(Again + """
        +0 iss later
        """);

    /// <summary>RFC 6528, 3: they do so by a clock of 4 microseconds.</summary>
    [Fact]
    public void TheClockTicksEveryFourMicroseconds() => PacketScript.Run(Again + """
        +0 iss clock 500000
        """);

    /// <summary>RFC 6528, 3: another port, another place: from its own connections nobody learns the numbers of others.</summary>
    [Fact]
    public void AnotherPeerSeesOtherNumbers() => PacketScript.Run("""
        +0 listen 80
        +0 < S 0:0 win 65535 mss 1460
        +0 > SA 0:0 ack 1
        +0 iss keep
        +0 peer 5556
        +0 < S 0:0 win 65535 mss 1460
        +0 > SA 0:0 ack 1
        +0 iss another
        """);

    /// <summary>RFC 2385: a signed SYN is not answered, because whoever signs drops what is not signed.</summary>
    [Fact]
    public void ASignedSynIsRefused() => PacketScript.Run("""
        +0 listen 80
        +0 < S 0:0 win 65535 mss 1460 md5
        +0 none
        +0 dropped TcpSigned 1
        +0.1 < S 0:0 win 65535 mss 1460
        +0 > SA 0:0 ack 1 mss 1460
        """);

    /// <summary>RFC 2385: on a connection without signatures a signed segment is no data, no acknowledgement and no reset.</summary>
    [Fact]
    public void ASignedSegmentIsDropped() => PacketScript.Run(ConnectionScripts.Established + """
        +0.1 < P. 1:100 ack 1 md5
        +0 < R 1:0 md5
        +0 none
        +0 dropped TcpSigned 2
        +0 state Established
        +0 read 0
        +0 write 100
        +0 > P. 1:100 ack 1
        """);
}
