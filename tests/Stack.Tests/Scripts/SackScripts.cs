namespace NetKernel.Stack.Tests;

/// <summary>RFC 6675, with RFC 8985's judgement of what is lost: which segment goes next, and how much is in flight.</summary>
public sealed class SackScripts
{
    private const string Ten = ConnectionScripts.WithOptions + """
        +0 write 28960

        """ + LossScripts.TenLargest;

    /// <summary>RFC 6675, 4, SetPipe and NextSeg: what SACK tells of is not in flight, so new data takes its place as long as nothing is lost (RFC 3042).</summary>
    [Fact]
    public void WhatHasArrivedMakesRoom() => PacketScript.Run(Ten + """
        +0.1 < . 1:0 ack 1 win 512 ts 300 last sack 1449-2897
        +0 > . 14481:1448
        +0 none
        +0 < . 1:0 ack 1 win 512 ts 300 last sack 1449-4345
        +0 > . 15929:1448
        +0 none
        """, Scripted.Reno);

    /// <summary>RFC 6675, 4, NextSeg (1) and (2): the lowest hole first, then the next one, then new data.</summary>
    [Fact]
    public void HolesInTheirOrderThenNewData() => PacketScript.Run(Ten + """
        +0.1 < . 1:0 ack 1 win 512 ts 300 last sack 5793-14481 1449-4345
        +0 > . 1:1448
        +0 > . 4345:1448
        +0 > . 14481:1448
        +0 > . 15929:1448
        +0 > . 17377:1448
        +0 none
        +0.1 < . 1:0 ack 14481 win 512 ts 400 last
        +0 cwnd 5
        """, Scripted.Reno);

    /// <summary>RFC 6675, 5, step C: a partial acknowledgement is not the end; what was not lost does not go again, and the window is half at the end only.</summary>
    [Fact]
    public void RecoveryLastsUntilTheRecoveryPoint() => PacketScript.Run(ConnectionScripts.WithOptions + """
        +0 write 14480

        """ + LossScripts.TenLargest + """
        +0.1 < . 1:0 ack 1 win 512 ts 300 last sack 7241-14481 1449-5793
        +0 > . 1:1448
        +0 > . 5793:1448
        +0.1 < . 1:0 ack 5793 win 512 ts 400 last sack 7241-14481
        +0 none
        +0.01 < . 1:0 ack 14481 win 512 ts 410 last
        +0 cwnd 5
        +5 none
        """, Scripted.Reno);

    /// <summary>RFC 6675, 5.1: after a timeout what SACK had told of does not go again (unless the peer turns out to have thrown it away: LossScripts.Reneging).</summary>
    [Fact]
    public void ATimeoutRemembersWhatArrived() => PacketScript.Run(ConnectionScripts.WithOptions + """
        +0 write 5792
        +0 > . 1:1448
        +0 > . 1449:1448
        +0 > . 2897:1448
        +0 > P. 4345:1448
        +0.1 < . 1:0 ack 1 win 512 ts 300 last sack 1449-5793
        +0 > . 1:1448
        +0.3 > . 1:1448
        +0.1 < . 1:0 ack 5793 win 512 ts 700 last
        +5 none
        """, Scripted.Reno);
}
