namespace NetKernel.Stack.Tests;

/// <summary>Retransmissions that prove needless, and options that cannot be: RFC 5682, 3522, 3708, 2018, 7323.</summary>
public sealed class SpuriousScripts
{
    internal const string TenSegments = """
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

        """;

    private const string TimedOut = ConnectionScripts.Established + """
        +0 write 20440

        """ + TenSegments + """
        +0.3 > . 1:1460
        +0 cwnd 1

        """;

    /// <summary>RFC 5682, 2.1: after the timeout two new segments; the next acknowledgement is of what was sent once: nothing was lost, the window comes back.</summary>
    [Fact]
    public void ASpuriousTimeoutIsUndone() => PacketScript.Run(TimedOut + """
        +0.05 < . 1:0 ack 1461
        +0 > . 14601:1460
        +0 > . 16061:1460
        +0 none
        +0.01 < . 1:0 ack 2921
        +0 > . 17521:1460
        +0 none
        +0 cwnd 11
        +0.01 < . 1:0 ack 4381
        +0 > P. 18981:1460
        +0.01 < . 1:0 ack 20441
        +5 none
        """, Scripted.Reno);

    /// <summary>RFC 5682, 2.1, step 3 a: a duplicate says that the loss was real; what is lost goes again.</summary>
    [Fact]
    public void AGenuineTimeoutIsNot() => PacketScript.Run(TimedOut + """
        +0.05 < . 1:0 ack 1461
        +0 > . 14601:1460
        +0 > . 16061:1460
        +0.05 < . 1:0 ack 1461
        +0 > . 1461:1460
        +0 none
        +0.05 < . 1:0 ack 2921
        +0 > . 2921:1460
        +0 none
        +0.05 < . 1:0 ack 17521
        +0 > . 17521:1460
        """, Scripted.Reno);

    /// <summary>RFC 3522: the echoed timestamp is that of the original.</summary>
    [Fact]
    public void TimestampsUndoAFastRetransmit() => PacketScript.Run(ConnectionScripts.WithOptions + """
        +0 write 14480
        +0 > . 1:1448
        +0 > . 1449:1448
        +0 > . 2897:1448
        +0 > . 4345:1448
        +0 > . 5793:1448
        +0 > . 7241:1448
        +0 > . 8689:1448
        +0 > . 10137:1448
        +0 > . 11585:1448
        +0 > P. 13033:1448
        +0 keepts
        +0.1 < . 1:0 ack 1 win 512 ts 300 last sack 1449-5793
        +0 > . 1:1448
        +0.01 < . 1:0 ack 5793 win 512 ts 301 kept
        +0 atleast 10
        +0.1 < . 1:0 ack 14481 win 512 ts 302 last
        +5 none
        """, Scripted.Reno);

    /// <summary>RFC 3708: the only retransmission arrived twice.</summary>
    [Fact]
    public void DuplicatesUndoAFastRetransmit() => PacketScript.Run("""
        +0 listen 80
        +0 < S 0:0 win 65535 mss 1460 sackok
        +0 > SA 0:0 ack 1
        +0.1 < . 1:0 ack 1 win 65535
        +0 accept
        +0 write 14600

        """ + TenSegments + """
        +0.1 < . 1:0 ack 1 sack 1461-5841
        +0 > . 1:1460
        +0.01 < . 1:0 ack 5841 sack 1-1461
        +0 atleast 10
        +0.1 < . 1:0 ack 14601
        +5 none
        """, Scripted.Reno);

    /// <summary>RFC 2018: blocks beyond what was sent, behind what was acknowledged, or turned round tell nothing.</summary>
    [Fact]
    public void ImpossibleSacksTellNothing() => PacketScript.Run(ConnectionScripts.WithOptions + """
        +0 write 2896
        +0 > . 1:1448
        +0 > P. 1449:1448
        +0.1 < . 1:0 ack 1 win 512 ts 300 last sack 90001-91449
        +0 < . 1:0 ack 1 win 512 ts 300 last sack 2897-1449
        +0 none
        +0.01 < . 1:0 ack 2897 win 512 ts 301 last
        +5 none
        """, Scripted.Reno);

    /// <summary>RFC 7323, 2.3: a shift above 14 counts as 14; 3.2: once agreed, a segment without a timestamp is dropped, but for RST.</summary>
    [Fact]
    public void WindowScaleAndMissingTimestamps() => PacketScript.Run("""
        +0 listen 80
        +0 < S 0:0 win 65535 mss 1460 ts 100 0 ws 15
        +0 > SA 0:0 ack 1 ws 7 ts 100
        +0.1 < . 1:0 ack 1 win 1 ts 200 last
        +0 accept
        +0 write 17000
        """ + "\n" + LossScripts.TenLargest + """
        +0.01 < . 1:0 ack 14481 win 1
        +0 none
        +0.01 < . 1:0 ack 14481 win 1 ts 201 last
        +0 > . 14481:1448
        +0 > P. 15929:1072
        +0.01 < R 1:0
        +0 state Closed
        +0 error 104
        """, Scripted.Reno);
}
