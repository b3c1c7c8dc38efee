namespace NetKernel.Stack.Tests;

/// <summary>Opening, closing and resetting: RFC 9293, 5961, 6191, 7323, 4987, 1122.</summary>
public sealed class ConnectionScripts
{
    internal const string Established = """
        +0 listen 80
        +0 < S 0:0 win 65535 mss 1460
        +0 > SA 0:0 ack 1 mss 1460
        +0.1 < . 1:0 ack 1 win 65535
        +0 accept
        +0 state Established

        """;

    /// <summary>The same with all options, a peer's window scale of 7 and SACK.</summary>
    internal const string WithOptions = """
        +0 listen 80
        +0 < S 0:0 win 65535 mss 1460 sackok ts 100 0 ws 7
        +0 > SA 0:0 ack 1 mss 1460 sackok ts 100 ws 7
        +0.1 < . 1:0 ack 1 win 512 ts 200 last
        +0 accept

        """;

    [Fact]
    public void PassiveOpenAndCloseByThePeer() => PacketScript.Run(Established + """
        +0.1 < F. 1:0 ack 1
        +0 > . 1:0 ack 2
        +0 state CloseWait
        +0 shutdown
        +0 > F. 1:0 ack 2
        +0 state LastAck
        +0.1 < . 2:0 ack 2
        +0 state Closed
        +0 error 0
        """);

    /// <summary>TCP_DEFER_ACCEPT: the bare ACK is not enough; data is, and so is the ACK of the last SYN-ACK.</summary>
    [Fact]
    public void DeferredAcceptWaitsForData() => PacketScript.Run("""
        +0 listen 80
        +0 defer 5
        +0 < S 0:0 win 65535 mss 1460
        +0 > SA 0:0 ack 1 mss 1460
        +0.1 < . 1:0 ack 1 win 65535
        +0 acceptable 0
        +1.5 none
        +0.5 < P. 1:10 ack 1 win 65535
        +0 acceptable 1
        +0 accept
        +0 state Established
        +0 read 10
        """);

    [Fact]
    public void DeferredAcceptEndsWithoutData() => PacketScript.Run("""
        +0 listen 80
        +0 defer 3
        +0 < S 0:0 win 65535 mss 1460
        +0 > SA 0:0 ack 1 mss 1460
        +0.1 < . 1:0 ack 1 win 65535
        +0 acceptable 0
        +2.9 > SA 0:0 ack 1 mss 1460
        +0.1 < . 1:0 ack 1 win 65535
        +0 acceptable 1
        +0 accept
        +0 state Established
        """);

    [Fact]
    public void ActiveOpen() => PacketScript.Run("""
        +0 connect
        +0 > S 0:0 mss 1460 sackok ts 0 ws 7
        +0 state SynSent
        +0.05 < SA 0:0 ack 1 mss 1000 win 4000
        +0 > . 1:0 ack 1 nots
        +0 state Established
        +0 write 1500
        +0 > . 1:1000 ack 1
        +0 > P. 1001:500 ack 1
        """);

    /// <summary>RFC 9293, 3.10.7.3: no SYN is acknowledged wrongly; RST with an acceptable ACK refuses.</summary>
    [Fact]
    public void RefusedAndHalfOpen() => PacketScript.Run("""
        +0 connect
        +0 > S 0:0
        +0 < . 300:0 ack 100
        +0 > R 100:0
        +0 state SynSent
        +0 < R 0:0
        +0 state SynSent
        +0 < RA 0:0 ack 1
        +0 state Closed
        +0 error 111
        """);

    /// <summary>RFC 9293, 3.5, figure 8.</summary>
    [Fact]
    public void SimultaneousOpen() => PacketScript.Run("""
        +0 connect
        +0 > S 0:0
        +0.01 < S 0:0 win 65535 mss 1460
        +0 > SA 0:0 ack 1
        +0 state SynReceived
        +0.01 < SA 0:0 ack 1 win 65535 mss 1460
        +0 state Established
        """);

    /// <summary>RFC 9293, 3.6, figure 13; RFC 6191: a later SYN ends TIME-WAIT.</summary>
    [Fact]
    public void SimultaneousCloseAndReuse() => PacketScript.Run(WithOptions + """
        +0 shutdown
        +0 > F. 1:0 ack 1
        +0.01 < F. 1:0 ack 1 win 512 ts 210 last
        +0 state Closing
        +0 > . 2:0 ack 2
        +0.01 < . 2:0 ack 2 win 512 ts 220 last
        +0 state Closed
        +0.1 < F. 1:0 ack 2 win 512 ts 230 last     # our last ACK was lost
        +0 > . 2:0 ack 2
        +0.1 < S 2:0 win 65535 ts 220 0             # an old timestamp does not end TIME-WAIT
        +0 > . 2:0 ack 2
        +1 < S 5000:0 win 65535 ts 5000 0 mss 1460
        +0 > SA 0:0 ack 5001
        """);

    /// <summary>RFC 9293, 3.6, figure 12, we first; data of the peer still comes.</summary>
    [Fact]
    public void HalfClose() => PacketScript.Run(Established + """
        +0 shutdown
        +0 > F. 1:0 ack 1
        +0 state FinWait1
        +0.1 < . 1:0 ack 2
        +0 state FinWait2
        +0.1 < P. 1:500 ack 2
        +0.001 > . 2:0 ack 501
        +0 read 500
        +0 < F. 501:0 ack 2
        +0 > . 2:0 ack 502
        +0 state Closed
        """);

    /// <summary>RFC 1122, 4.2.2.13: data for a closed program is answered with RST.</summary>
    [Fact]
    public void DataAfterClose() => PacketScript.Run(Established + """
        +0 close
        +0 > F. 1:0 ack 1
        +0.1 < . 1:100 ack 2
        +0 > R. 2:0
        +0 count 1
        """);

    /// <summary>RFC 2525, 2.17: closing with unread data resets.</summary>
    [Fact]
    public void CloseWithUnreadData() => PacketScript.Run(Established + """
        +0 appetite 0
        +0.1 < . 1:100 ack 1
        +0.001 > . 1:0 ack 101
        +0 close
        +0 > R. 1:0
        """);

    /// <summary>RFC 5961, 3.2: a reset must hit the exact number; 4.2: SYN is challenged; 5.2: impossible ACKs are.</summary>
    [Fact]
    public void BlindAttacks() => PacketScript.Run(Established + """
        +0.1 < R 100:0
        +0 > . 1:0 ack 1
        +0 < R 70000:0
        +0 none
        +0 < S 200:0
        +0 > . 1:0 ack 1
        +0 < . 1:10 ack 90000
        +0 > . 1:0 ack 1
        +0 state Established
        +0 < R 1:0
        +0 state Closed
        +0 error 104
        """);

    /// <summary>RFC 7323, 5.3: old timestamps are not acceptable, and the segment is answered.</summary>
    [Fact]
    public void Paws() => PacketScript.Run(WithOptions + """
        +0.1 < . 1:100 ack 1 win 512 ts 150 last
        +0 > . 1:0 ack 1 ts 200
        +0 read 0
        +0 < . 1:100 ack 1 win 512
        +0 none
        +0 read 0
        +0 < . 1:100 ack 1 win 512 ts 200 last
        +0.001 > . 1:0 ack 101 ts 200
        """);

    /// <summary>RFC 6298, 5.5 and 5.7: SYN is sent again at 1, 2, 4 ... seconds; then ETIMEDOUT.</summary>
    [Fact]
    public void SynIsRepeated() => PacketScript.Run("""
        +0 connect
        +0 > S 0:0
        +1 > S 0:0
        +2 > S 0:0
        +4 > S 0:0
        +8 > S 0:0
        +16 > S 0:0
        +32 > S 0:0
        +63 state SynSent
        +2 state Closed
        +0 error 110
        """);

    [Fact]
    public void SynAckIsRepeatedAndForgotten() => PacketScript.Run("""
        +0 listen 80
        +0 < S 0:0 mss 1460
        +0 > SA 0:0 ack 1
        +1 > SA 0:0 ack 1
        +0.5 < S 0:0 mss 1460
        +0 > SA 0:0 ack 1
        +0 count 2
        +200 count 1
        """);

    /// <summary>RFC 9293, 3.10.7.1.</summary>
    [Fact]
    public void NobodyListens() => PacketScript.Run("""
        +0 < S 0:0
        +0 > RA *:0 ack 1
        +0 < . 5:10 ack 77
        +0 > R 77:0
        +0 < R 5:0
        +0 none
        """);

    /// <summary>RFC 4987, 3.6: nothing is kept until the third segment, and the options survive.</summary>
    [Fact]
    public void SynCookies() => PacketScript.Run("""
        +0 listen 80
        +0 < S 0:0 win 65535 mss 1400 sackok ts 100 0 ws 7
        +0 > SA 0:0 ack 1 sackok ts 100 ws 7
        +0 count 1
        +0.1 < . 1:0 ack 1 win 512 ts 200 last
        +0 accept
        +0 state Established
        +0 write 3000
        +0 > . 1:1348 ack 1 ts 200
        +0 > . 1349:1348 ack 1
        +0 > P. 2697:304 ack 1
        """, Scripted.Cookies);

    /// <summary>While cookies are out, what overtook the segment that answers one is no reason for a reset: it comes again.</summary>
    [Fact]
    public void DataMayOvertakeTheAnswerToACookie() => PacketScript.Run("""
        +0 listen 80
        +0 < S 0:0 win 65535 mss 1460 sackok ts 100 0 ws 7
        +0 > SA 0:0 ack 1 sackok ts 100 ws 7
        +0.1 < . 1001:1000 ack 1 win 512 ts 200 last
        +0 none
        +0 < . 1:1000 ack 1 win 512 ts 200 last
        +0 accept
        +0 > . 1:0 ack 1001
        +0 < . 1001:1000 ack 1 win 512 ts 201 last
        +0 > . 1:0 ack 2001
        +130 < . 1:0 ack 12345
        +0 none
        """, Scripted.Cookies);

    [Fact]
    public void ForgedCookieIsReset() => PacketScript.Run("""
        +0 listen 80
        +0 < . 1:0 ack 12345
        +0 > R 12345:0
        +0 count 1
        """);

    /// <summary>RFC 1122, 4.2.3.6: probes when idle, and the end when none is answered.</summary>
    [Fact]
    public void KeepAlive() => PacketScript.Run(Established + """
        +0 keepalive
        +10 > . 0:0 ack 1
        +0.1 < . 1:0 ack 1
        +10 > . 0:0 ack 1
        +5 > . 0:0 ack 1
        +5 > . 0:0 ack 1
        +5 > R. 1:0
        +0 state Closed
        +0 error 110
        """);

    /// <summary>tcp(7): TCP_KEEPIDLE of a connection that is idle already counts from what came last.</summary>
    [Fact]
    public void KeepIdleWhileIdle() => PacketScript.Run(Established + """
        +0 keepalive
        +1 keepidle 3
        +2 > . 0:0 ack 1
        +0.1 < . 1:0 ack 1
        """);

    /// <summary>RFC 9293, 3.9.1.1: TCP_USER_TIMEOUT.</summary>
    [Fact]
    public void UserTimeout() => PacketScript.Run(Established + """
        +0 usertimeout 2000
        +0 write 100
        +0 > P. 1:100
        +5 state Closed
        +0 error 110
        """);

    /// <summary>listen(2): a backlog of none lets one wait, one of one lets two; the next SYN is dropped until somebody is accepted.</summary>
    [Fact]
    public void OneMoreThanTheBacklog() => PacketScript.Run("""
        +0 listen 80 0
        +0 < S 0:0 win 65535 mss 1460
        +0 > SA 0:0 ack 1
        +0 < . 1:0 ack 1
        +0 acceptable 1
        +0 peer 5556
        +0 < S 0:0 win 65535 mss 1460
        +0 none
        +0 accept
        +0 < S 0:0 win 65535 mss 1460
        +0 > SA 0:0 ack 1
        """);

    /// <summary>A full accept queue drops the last ACK; the SYN-ACK is sent again.</summary>
    [Fact]
    public void BacklogFull() => PacketScript.Run("""
        +0 listen 80 1
        +0 < S 0:0 mss 1460
        +0 > SA 0:0 ack 1
        +0 < . 1:0 ack 1
        +0 accept
        +0 count 2
        """);
}
