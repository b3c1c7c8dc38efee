namespace NetKernel.Stack.Tests;

/// <summary>What programs may ask of a connection: abort, quick acknowledgements, pacing, a buffer that grows.</summary>
public sealed class OptionScripts
{
    /// <summary>RFC 9293, 3.9.1.4 and 3.10.5: an abort (SO_LINGER with no time) resets, and what was not acknowledged is gone.</summary>
    [Fact]
    public void AbortResets() => PacketScript.Run(ConnectionScripts.Established + """
        +0 write 100
        +0 > P. 1:100
        +0 abort
        +0 > R. 101:0 ack 1
        +0 none
        +0.01 < . 1:0 ack 101
        +0 > R 101:0
        """);

    /// <summary>RFC 9293, 3.6: an end that is no abort sends what is left, with FIN behind it.</summary>
    [Fact]
    public void ShutdownSendsWhatIsLeft() => PacketScript.Run(ConnectionScripts.Established + """
        +0 write 20440
        """ + "\n" + SpuriousScripts.TenSegments + """
        +0 shutdown
        +0 none
        +0.1 < . 1:0 ack 14601
        +0 > . 14601:1460
        +0 > . 16061:1460
        +0 > . 17521:1460
        +0 > FP. 18981:1460
        +0.1 < . 1:0 ack 20442
        +0 < F. 1:0 ack 20442
        +0 > . 20442:0 ack 2
        """, Scripted.Reno);

    /// <summary>tcp(7), TCP_QUICKACK: nothing waits for the second segment, or for an answer.</summary>
    [Fact]
    public void QuickAcknowledgements() => PacketScript.Run(ConnectionScripts.Established + """
        +0 quickack
        +0.1 < P. 1:64 ack 1
        +0 > . 1:0 ack 65
        +0.1 < P. 65:64 ack 1
        +0 > . 1:0 ack 129
        """);

    /// <summary>socket(7), SO_MAX_PACING_RATE: 144,800 bytes per second are a segment of 1,448 each 10 ms.</summary>
    [Fact]
    public void NoFasterThanAsked() => PacketScript.Run(ConnectionScripts.WithOptions + """
        +0 write 1448
        +0 > P. 1:1448
        +0 pace 144800
        +0.1 < . 1:0 ack 1449 win 512 ts 300 last
        +0 write 7240
        +0 > . 1449:1448
        +0.01 > . 2897:1448
        +0.01 > . 4345:1448
        +0.01 > . 5793:1448
        +0.01 > P. 7241:1448
        """, Scripted.Reno);

    /// <summary>RFC 9293, 3.8.6 leaves the buffer's size open: what the program takes in a round trip, twice, is what it is to hold; so it grows while a peer in slow start sends ever more.</summary>
    [Fact]
    public void TheReceiveBufferGrows() => PacketScript.Run(ConnectionScripts.WithOptions + """
        +0.1 < . 1:30000 ack 1 win 512 ts 201 last
        +0 > . 1:0 ack 30001
        +0 pull
        +0.1 < . 30001:60000 ack 1 win 512 ts 300 last
        +0 > . 1:0 ack 90001
        +0 pull
        +0.1 < . 90001:60000 ack 1 win 512 ts 400 last
        +0 > . 1:0 ack 150001
        +0 pull
        +0.1 < . 150001:60000 ack 1 win 512 ts 500 last
        +0 > . 1:0 ack 210001
        +0 pull
        +0 < . 210001:60000 ack 1 win 512 ts 500 last
        +0 > . 1:0 ack 270001
        +0 pull
        +0.1 < . 270001:60000 ack 1 win 512 ts 600 last
        +0 > . 1:0 ack 330001
        +0 pull
        +0.1 < . 330001:1 ack 1 win 512 ts 700 last
        +0 buffer 200000
        """);
}
