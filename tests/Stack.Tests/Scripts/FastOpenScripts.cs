namespace NetKernel.Stack.Tests;

/// <summary>RFC 7413.</summary>
public sealed class FastOpenScripts
{
    private const string WithCookie = """
        +0 listen 80
        +0 fastopen 1
        +0 < S 0:0 win 65535 mss 1460 sackok fo
        +0 > SA 0:0 ack 1 fo
        +0.1 < . 1:0 ack 1 win 65535
        +0 accept
        +0 abort
        +0 > RA 1:0

        """;

    /// <summary>4.2.2: a cookie on demand; with it data is taken at once, and may be answered before the handshake is over.</summary>
    [Fact]
    public void ServerTakesDataInASyn() => PacketScript.Run(WithCookie + """
        +1 < S 0:100 win 65535 mss 1460 fo last
        +0 > SA 0:0 ack 101 nofo
        +0 early 1
        +0 accept
        +0 > . 1:0 ack 101                 # the window of a SYN is small, and the data is read
        +0 read 100
        +0 write 200
        +0 > P. 1:200 ack 101
        +0.1 < . 101:0 ack 201
        +0 early 0
        +0 < . 101:50 ack 201
        +0.001 > . 201:0 ack 151
        +0 read 50
        +0 shutdown
        +0 > F. 201:0 ack 151
        +0.1 < F. 151:0 ack 202
        +0 > . 202:0 ack 152
        +0 error 0
        """);

    /// <summary>4.1.2: what is no cookie of ours gets a good one, and its data does not count.</summary>
    [Fact]
    public void AForgedCookieOpensNothing() => PacketScript.Run("""
        +0 listen 80
        +0 fastopen 5
        +0 < S 0:100 win 65535 mss 1460 fo 0011223344556677
        +0 > SA 0:0 ack 1 fo
        +0 early 0
        +0.1 < . 1:100 ack 1
        +0.001 > . 1:0 ack 101
        +0 accept
        +0 read 100
        """);

    /// <summary>Without TCP_FASTOPEN the option is as unknown.</summary>
    [Fact]
    public void NotOffered() => PacketScript.Run("""
        +0 listen 80
        +0 < S 0:0 win 65535 mss 1460 fo
        +0 > SA 0:0 ack 1 nofo
        """);

    /// <summary>The SYN-ACK is lost: it comes again by its timer, and when the SYN is repeated without data (4.1.3.1); then with what it acknowledged before. In the end it is given up.</summary>
    [Fact]
    public void TheSynAckIsRepeated() => PacketScript.Run(WithCookie + """
        +1 < S 0:100 win 65535 mss 1460 fo last
        +0 > SA 0:0 ack 101
        +1 > SA 0:0 ack 101
        +0.5 < S 0:0 win 65535 mss 1460
        +0 > SA 0:0 ack 101
        +0.1 < . 101:0 ack 1
        +0 early 0
        +0 accept
        +0 read 100
        +0 state Established
        """);

    /// <summary>5.1: no more are opened early than the listener says; the next ones do it in the ordinary way.</summary>
    [Fact]
    public void EarlyOnesAreBounded() => PacketScript.Run(WithCookie + """
        +1 < S 0:100 win 65535 mss 1460 fo last
        +0 > SA 0:0 ack 101
        +0 early 1
        +0 peer 5556
        +0 < S 0:100 win 65535 mss 1460 fo last
        +0 > SA 0:0 ack 1
        +0 early 1
        +0 peer 5555
        +0 < R 101:0
        +0 early 0
        """);

    /// <summary>4.2.1: first a request, later the cookie and data; what the SYN-ACK acknowledges is not sent again.</summary>
    [Fact]
    public void ClientSendsDataInItsSyn() => PacketScript.Run("""
        +0 connectfast
        +0 > S 0:0 foreq
        +0.1 < SA 0:0 ack 1 win 65535 mss 1400 fo 0102030405060708
        +0 > . 1:0 ack 1
        +0 abort
        +0 > RA 1:0
        +1 connectfast
        +0 none
        +0 write 500
        +0 > S 0:500 fo
        +0.1 < SA 0:0 ack 501 win 65535 mss 1400
        +0 > . 501:0 ack 1
        +0 write 100
        +0 > P. 501:100 ack 1
        +0.1 < . 1:0 ack 601
        +0 abort
        +0 > RA 601:0
        +1 connectfast
        +0 write 5000
        +0 > S 0:1364 fo                   # as much as the remembered MSS lets in, less the options
        +0.1 < SA 0:0 ack 1 win 65535 mss 1400     # the server takes none of it
        +0 > . 1:1400
        +0 > . 1401:1400
        +0 > . 2801:1400
        +0 > P. 4201:800
        """);

    /// <summary>4.1.3.1: a SYN with data vanishes; the next one is plain, and so are those of the next hour.</summary>
    [Fact]
    public void ABlackHoleIsRemembered() => PacketScript.Run("""
        +0 connectfast
        +0 > S 0:0 foreq
        +0.1 < SA 0:0 ack 1 win 65535 mss 1460 fo 0102030405060708
        +0 > . 1:0
        +0 abort
        +0 > RA 1:0
        +1 connectfast
        +0 write 500
        +0 > S 0:500 fo
        +1 > S 0:0 nofo
        +0.1 < SA 0:0 ack 1 win 65535 mss 1460
        +0 > P. 1:500 ack 1
        +0 abort
        +0 > RA 501:0
        +1 connectfast
        +0 > S 0:0 nofo
        +0 abort
        +3600 connectfast
        +0 write 10
        +0 > S 0:10 fo
        """);
}
