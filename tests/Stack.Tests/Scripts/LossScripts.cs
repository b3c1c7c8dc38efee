namespace NetKernel.Stack.Tests;

/// <summary>Loss and marks, step by step: RFC 3042, 6937, 2018, 8257.</summary>
public sealed class LossScripts
{
    /// <summary>The first window, with timestamps.</summary>
    internal const string TenLargest = """
        +0 > . 1:1448
        +0 > . 1449:1448
        +0 > . 2897:1448
        +0 > . 4345:1448
        +0 > . 5793:1448
        +0 > . 7241:1448
        +0 > . 8689:1448
        +0 > . 10137:1448
        +0 > . 11585:1448
        +0 > . 13033:1448

        """;

    private static readonly StackOptions Dctcp = new()
    {
        Congestion = CongestionControl.Find("dctcp")!,
        MaxConnections = 64,
        MaxTimeWait = 64,
        MaxSegments = 1024,
        MaxBlocks = 1024,
    };

    /// <summary>RFC 3042, 2: each of the first two duplicates lets one new segment go, beyond the window; the third shows a loss.</summary>
    [Fact]
    public void LimitedTransmit() => PacketScript.Run(ConnectionScripts.Established + """
        +0 write 20440
        """ + "\n" + SpuriousScripts.TenSegments + """
        +0.02 < . 1:0 ack 1
        +0 > . 14601:1460
        +0 none
        +0 < . 1:0 ack 1
        +0 > . 16061:1460
        +0 none
        +0 < . 1:0 ack 1
        +0 > . 1:1460
        +0 none
        """, Scripted.Reno);

    /// <summary>RFC 6937, 3: while ten segments become five, one goes for each two that have arrived.</summary>
    [Fact]
    public void ProportionalReduction() => PacketScript.Run(ConnectionScripts.WithOptions + """
        +0 write 28960
        """ + "\n" + TenLargest + """
        +0.1 < . 1:0 ack 1 win 512 ts 300 last sack 1449-5793
        +0 > . 1:1448
        +0 none
        +0 < . 1:0 ack 1 win 512 ts 300 last sack 1449-7241
        +0 > . 14481:1448
        +0 none
        +0 < . 1:0 ack 1 win 512 ts 300 last sack 1449-8689
        +0 none
        +0 < . 1:0 ack 1 win 512 ts 300 last sack 1449-10137
        +0 none                                     # as many in flight as ssthresh says
        +0 < . 1:0 ack 1 win 512 ts 300 last sack 1449-11585
        +0 > . 15929:1448
        +0 none
        """, Scripted.Reno);

    /// <summary>RFC 2018, 8: a peer may throw away what it said it has: after a timeout it goes again.</summary>
    [Fact]
    public void Reneging() => PacketScript.Run(ConnectionScripts.WithOptions + """
        +0 write 2896
        +0 > . 1:1448
        +0 > P. 1449:1448
        +0.1 < . 1:0 ack 1 win 512 ts 300 last sack 1449-2897
        +0 none
        +0.025 > . 1:1448
        +0.1 < . 1:0 ack 1449 win 512 ts 400 last
        +0.3 > P. 1449:1448
        +0.1 < . 1:0 ack 2897 win 512 ts 800 last
        +5 none
        """);

    /// <summary>RFC 8257, 3.2: the echo says of each segment whether it was marked, and needs no CWR.</summary>
    [Fact]
    public void DctcpEchoesExactly() => PacketScript.Run("""
        +0 listen 80
        +0 < SEC 0:0 win 65535 mss 1460 sackok
        +0 > SAE 0:0 ack 1
        +0.1 < . 1:0 ack 1
        +0 accept
        +0.01 < . 1:1460 ack 1 ce
        +0 > .E 1:0 ack 1461
        +0.01 < . 1461:1460 ack 1
        +0 > . 1:0 ack 2921
        +0.01 < . 2921:1460 ack 1 ce
        +0 > .E 1:0 ack 4381
        """, Dctcp);
}
