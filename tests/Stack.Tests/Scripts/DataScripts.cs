namespace NetKernel.Stack.Tests;

/// <summary>Windows, acknowledgements, retransmission, recovery: RFC 9293, 1122, 5681, 6298, 2018, 2883, 6675, 8985, 6937, 3168, 6928.</summary>
public sealed class DataScripts
{
    /// <summary>RFC 6928, 2: ten segments; RFC 5681, 3.1: slow start.</summary>
    [Fact]
    public void InitialWindow() => PacketScript.Run(ConnectionScripts.Established + """
        +0 write 30000
        +0 > . 1:1460
        +0 > . 1461:1460
        +0 > . 2921:1460
        +0 > . 4381:1460
        +0 > . 5841:1460
        +0 > . 7301:1460
        +0 > . 8761:1460
        +0 > . 10221:1460
        +0 > . 11681:1460
        +0 > . 13141:1460
        +0 none
        +0.1 < . 1:0 ack 2921
        +0 > . 14601:1460
        +0 > . 16061:1460
        +0 > . 17521:1460
        +0 > . 18981:1460
        +0 none
        """, Scripted.Reno);

    /// <summary>RFC 9293, 3.7.4: a small segment waits for the acknowledgement of the one before; TCP_NODELAY lets it go.</summary>
    [Fact]
    public void NagleAndNoDelay() => PacketScript.Run(ConnectionScripts.Established + """
        +0 write 100
        +0 > P. 1:100
        +0 write 100
        +0 write 100
        +0 none
        +0.05 < . 1:0 ack 101
        +0 > P. 101:200
        +0 nodelay
        +0 write 50
        +0 > P. 301:50
        """);

    /// <summary>tcp(7): a cork holds what is not full, for 200 ms.</summary>
    [Fact]
    public void Cork() => PacketScript.Run(ConnectionScripts.Established + """
        +0 cork
        +0 write 1560
        +0 > . 1:1460
        +0 none
        +0.05 < . 1:0 ack 1461
        +0 uncork
        +0 > P. 1461:100
        +0.05 < . 1:0 ack 1561
        +0 cork
        +0 write 10
        +0 none
        +0.2 > P. 1561:10
        """);

    /// <summary>RFC 9293, 3.8.6.3: every second segment at once, a single one later; out of order and duplicates at once.</summary>
    [Fact]
    public void DelayedAcks() => PacketScript.Run(ConnectionScripts.WithOptions + """
        +0.01 < . 1:1000 ack 1 win 512 ts 201 last
        +0 > . 1:0 ack 1001
        +0.01 < . 3001:1000 ack 1 win 512 ts 202 last
        +0 > . 1:0 ack 1001 sack 3001-4001
        +0.01 < . 5001:1000 ack 1 win 512 ts 203 last
        +0 > . 1:0 ack 1001 sack 5001-6001 3001-4001
        +0.01 < . 1001:1000 ack 1 win 512 ts 204 last
        +0 > . 1:0 ack 2001 sack 5001-6001 3001-4001
        +0.01 < . 2001:1000 ack 1 win 512 ts 205 last
        +0 > . 1:0 ack 4001 sack 5001-6001
        +0.01 < . 2001:1000 ack 1 win 512 ts 206 last       # RFC 2883: a duplicate is told first
        +0 > . 1:0 ack 4001 sack 2001-3001 5001-6001
        +0.01 < . 4001:1000 ack 1 win 512 ts 207 last
        +0 > . 1:0 ack 6001
        +0 read 6000
        """);

    /// <summary>RFC 9293, 3.8.6.3: a small request is acknowledged with its answer, or after a millisecond.</summary>
    [Fact]
    public void ARequestIsAcknowledgedWithItsAnswer() => PacketScript.Run(ConnectionScripts.Established + """
        +0.1 < P. 1:64 ack 1
        +0 none
        +0.0005 write 64
        +0 > P. 1:64 ack 65
        +0.1 < P. 65:64 ack 65
        +0.0009 none
        +0.0001 > . 65:0 ack 129
        +1 none
        """);

    /// <summary>RFC 6298, 5.4 to 5.6: the first segment again, at RTO, twice RTO, with a window of one.</summary>
    [Fact]
    public void Timeouts() => PacketScript.Run(ConnectionScripts.Established + """
        +0 write 2920
        +0 > . 1:1460
        +0 > P. 1461:1460
        +0.3 > . 1:1460
        +0 cwnd 1
        +0.6 > . 1:1460
        +0.1 < . 1:0 ack 1461
        +0 > P. 1461:1460
        +0.1 < . 1:0 ack 2921
        +5 none
        """);

    /// <summary>RFC 5681, 3.2 and RFC 6582: without SACK three duplicates, then one hole per round trip.</summary>
    [Fact]
    public void FastRetransmitWithoutSack() => PacketScript.Run(ConnectionScripts.Established + """
        +0 write 8760
        +0 > . 1:1460
        +0 > . 1461:1460
        +0 > . 2921:1460
        +0 > . 4381:1460
        +0 > . 5841:1460
        +0 > P. 7301:1460
        +0.1 < . 1:0 ack 1
        +0 < . 1:0 ack 1
        +0 none
        +0 < . 1:0 ack 1
        +0 > . 1:1460
        +0 none
        +0.1 < . 1:0 ack 2921
        +0 > . 2921:1460
        +0.1 < . 1:0 ack 8761
        +0 cwnd 5
        """, Scripted.Reno);

    /// <summary>RFC 8985: SACK of three segments shows the loss of the first; RFC 6937: the window ends at half.</summary>
    [Fact]
    public void RackRecovery() => PacketScript.Run(ConnectionScripts.WithOptions + """
        +0 write 14480
        """ + "\n" + LossScripts.TenLargest + """
        +0.1 < . 1:0 ack 1 win 512 ts 300 last sack 1449-5793
        +0 > . 1:1448
        +0.1 < . 1:0 ack 14481 win 512 ts 400 last
        +0 cwnd 5
        +5 none
        """, Scripted.Reno);

    /// <summary>RFC 8985, 6.2: one SACK is only reordering, until a quarter of a round trip has gone by.</summary>
    [Fact]
    public void ReorderingIsWaitedFor() => PacketScript.Run(ConnectionScripts.WithOptions + """
        +0 write 2896
        +0 > . 1:1448
        +0 > P. 1449:1448
        +0.1 < . 1:0 ack 1 win 512 ts 300 last sack 1449-2897
        +0 none
        +0.025 > . 1:1448
        +0.1 < . 1:0 ack 2897 win 512 ts 400 last
        +5 none
        """);

    /// <summary>RFC 8985, 7: a lost tail is probed for after two round trips, long before the timeout.</summary>
    [Fact]
    public void TailLossProbe() => PacketScript.Run(ConnectionScripts.WithOptions + """
        +0 write 4344
        +0 > . 1:1448
        +0 > . 1449:1448
        +0 > P. 2897:1448
        +0.1 < . 1:0 ack 2897 win 512 ts 300 last
        +0 none
        +0.3 > P. 2897:1448
        +0.1 < . 1:0 ack 4345 win 512 ts 700 last
        +5 none
        """);

    /// <summary>RFC 9293, 3.8.6.1: a closed window is asked about, ever more seldom; RFC 1122, 4.2.2.17.</summary>
    [Fact]
    public void ZeroWindowProbes() => PacketScript.Run(ConnectionScripts.Established + """
        +0 write 1460
        +0 > P. 1:1460
        +0.1 < . 1:0 ack 1461 win 0
        +0 write 1000
        +0 none
        +0.3 > . 1460:0
        +0 < . 1:0 ack 1461 win 0
        +0.6 > . 1460:0
        +0 < . 1:0 ack 1461 win 0
        +1.2 > . 1460:0
        +0.1 < . 1:0 ack 1461 win 5000
        +0 > P. 1461:1000
        """);

    /// <summary>RFC 9293, 3.8.6.2.2: the receiver's window closes as data waits, and opens in one step.</summary>
    [Fact]
    public void WindowClosesAndOpens() => PacketScript.Run(ConnectionScripts.Established + """
        +0 appetite 0
        +0 < . 1:30000 ack 1
        +0 > . 1:0 ack 30001
        +0 < . 30001:30000 ack 1
        +0 > . 1:0 ack 60001
        +0 < . 60001:40000 ack 1
        +0 > . 1:0 ack 100001
        +0 < . 100001:25535 ack 1
        +0 > . 1:0 ack 125536 win 0
        +0 < . 125536:1 ack 1
        +0 > . 1:0 ack 125536 win 0
        +0 pull
        +0 > . 1:0 ack 125536 win 65535
        +0 read 125535
        """);

    /// <summary>RFC 3168, 6.1: a mark is echoed until CWR; an echo slows down once per window.</summary>
    [Fact]
    public void Ecn() => PacketScript.Run("""
        +0 listen 80
        +0 < SEC 0:0 win 65535 mss 1460 sackok
        +0 > SAE 0:0 ack 1 noect
        +0.1 < . 1:0 ack 1
        +0 accept
        +0.01 < . 1:1000 ack 1 ce
        +0 > .E 1:0 ack 1001
        +0.01 < . 1001:1000 ack 1
        +0 > .E 1:0 ack 2001
        +0.01 < .C 2001:1000 ack 1
        +0 > . 1:0 ack 3001
        +0 write 14600
        +0 > . 1:1460 ect
        +0 > . 1461:1460
        +0 > . 2921:1460
        +0 > . 4381:1460
        +0 > . 5841:1460
        +0 > . 7301:1460
        +0 > . 8761:1460
        +0 > . 10221:1460
        +0 > . 11681:1460
        +0 > P. 13141:1460
        +0.1 < .E 3001:0 ack 1461
        +0.01 < .E 3001:0 ack 14601
        +0 cwnd 5
        +0 write 100
        +0 > P.C 14601:100
        +0.01 < .E 3001:0 ack 14701          # sent before CWR arrived
        +0 cwnd 5
        """, Scripted.Reno);

    /// <summary>RFC 7323, 2.2: no scale unless both offer one.</summary>
    [Fact]
    public void NoOptionsUnlessOffered() => PacketScript.Run("""
        +0 listen 80
        +0 < S 0:0 win 65535
        +0 > SA 0:0 ack 1 nots nows nosack mss 1460
        +0.1 < . 1:0 ack 1
        +0 accept
        +0 write 600
        +0 > . 1:536
        +0 > P. 537:64
        """);
}
