using System.Net;
using System.Net.Sockets;
using System.Security.Cryptography;
using NetKernel.Channel;
using NetKernel.Channel.Host;
using NetKernel.ServiceLib.Testing;

namespace NetKernel.Nsm.Kernel.Tests;

public sealed class ConnectionTests
{
    [Theory]
    [InlineData("127.0.0.1", Libc.AF_INET)]
    [InlineData("::1", Libc.AF_INET6)]
    [InlineData("127.0.0.1", Libc.AF_INET6)]
    public void Connects_accepts_echoes_and_closes(string address, int domain)
    {
        using KernelNsm nsm = new();
        FakeSocket listener = nsm.Listener(out int port, address, domain: domain);
        FakeSocket client = nsm.Guest.Socket(domain);
        Assert.Equal(0, client.Connect(address, port, NqeFlags.None, out IPEndPoint local));
        FakeSocket server = listener.Accept(out IPEndPoint peer);
        Assert.Equal(local, peer);

        client.Send("hello"u8);
        Assert.Equal("hello"u8.ToArray(), server.Receive(5));
        server.Send("world"u8);
        Assert.Equal("world"u8.ToArray(), client.Receive(5));

        client.Shutdown(1);
        server.Ended();
        Assert.True(server.PeerClosed);
        server.Send("after half-close"u8);
        Assert.Equal(16, client.Receive(16).Length);
        server.Close();
        client.Ended();
        Assert.True(client.PeerClosed);
        client.Close();
        listener.Close();
        Assert.Equal(nsm.Guest.Layout.Tx.Total, (uint)nsm.Guest.FreeTx);
        Assert.Equal(0, nsm.Engine.Strays);
    }

    [Fact]
    public void Bulk_data_both_ways_arrives_unchanged()
    {
        using KernelNsm nsm = new();
        using Socket outside = new(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
        outside.Bind(new IPEndPoint(IPAddress.Loopback, 0));
        outside.Listen();
        FakeSocket client = nsm.Guest.Socket();
        Assert.Equal(0, client.Connect("127.0.0.1", ((IPEndPoint)outside.LocalEndPoint!).Port));
        using Socket peer = outside.Accept();

        const int Total = 16 << 20;
        byte[] there = RandomNumberGenerator.GetBytes(Total);
        byte[] back = RandomNumberGenerator.GetBytes(Total);
        byte[] got = new byte[Total];
        Thread reader = new(() =>
        {
            for (int at = 0, n; at < Total && (n = peer.Receive(got, at, Total - at, SocketFlags.None)) > 0; at += n)
            {
            }
        });
        Thread writer = new(() => peer.Send(back));
        reader.Start();
        writer.Start();
        client.Send(there, messageSize: 50_000);
        byte[] received = client.Receive(Total);
        client.Flushed();
        Assert.True(reader.Join(30_000) && writer.Join(30_000));
        Assert.Equal(SHA256.HashData(there), SHA256.HashData(got));
        Assert.Equal(SHA256.HashData(back), SHA256.HashData(received));
        client.Close();
    }

    [Fact]
    public void A_refused_connection_says_so_and_the_socket_can_try_again()
    {
        using KernelNsm nsm = new();
        using Socket taken = new(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
        taken.Bind(new IPEndPoint(IPAddress.Loopback, 0));
        int port = ((IPEndPoint)taken.LocalEndPoint!).Port;
        FakeSocket client = nsm.Guest.Socket();
        Assert.Equal(Libc.ECONNREFUSED, client.Connect("127.0.0.1", port));
        taken.Listen();
        Assert.Equal(0, client.Connect("127.0.0.1", port));
        Assert.Equal(Sys.EISCONN, client.Connect("127.0.0.1", port));
        client.Close();
    }

    [Fact]
    public void A_reset_by_the_peer_is_told_with_its_errno()
    {
        using KernelNsm nsm = new();
        FakeSocket listener = nsm.Listener(out int port);
        using Socket peer = new(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
        peer.Connect(IPAddress.Loopback, port);
        FakeSocket server = listener.Accept(out _);
        peer.LingerState = new LingerOption(true, 0);
        peer.Close();
        server.Ended();
        Assert.Equal(Libc.ECONNRESET, server.ResetError);
        server.Send("too late"u8);
        server.Flushed();
        Assert.NotEqual(0, server.SendError);
        server.Close();
    }

    [Fact]
    public void An_aborting_close_resets_the_peer()
    {
        using KernelNsm nsm = new();
        FakeSocket listener = nsm.Listener(out int port);
        using Socket peer = new(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
        peer.Connect(IPAddress.Loopback, port);
        FakeSocket server = listener.Accept(out _);
        server.Close(abort: true);
        SocketException e = Assert.Throws<SocketException>(() => peer.Receive(new byte[1]));
        Assert.Equal(SocketError.ConnectionReset, e.SocketErrorCode);
    }

    [Fact]
    public void Close_delivers_what_was_sent_before()
    {
        using KernelNsm nsm = new();
        FakeSocket listener = nsm.Listener(out int port);
        using Socket peer = new(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp) { ReceiveBufferSize = 8192 };
        peer.Connect(IPAddress.Loopback, port);
        FakeSocket server = listener.Accept(out _);
        byte[] data = RandomNumberGenerator.GetBytes(4 << 20);
        Assert.Equal(0, server.SetOption(1, 7, 16384)); // SO_SNDBUF: most stays in the NSM.
        server.Send(data.AsSpan(0, 3 << 20));
        Thread? reader = null;
        byte[] got = new byte[3 << 20];
        int read = 0;
        reader = new Thread(() =>
        {
            for (int n; read < got.Length && (n = peer.Receive(got, read, got.Length - read, SocketFlags.None)) > 0; read += n)
            {
            }
        });
        server.StartClose();
        reader.Start();
        server.WaitClosed();
        Assert.True(reader.Join(30_000));
        Assert.Equal(got.Length, read);
        Assert.Equal(data[..got.Length], got);
    }

    [Fact]
    public void A_socket_of_another_type_is_refused_with_its_next_request()
    {
        using KernelNsm nsm = new();
        Assert.Equal(Sys.ESOCKTNOSUPPORT, nsm.Guest.Socket(type: Libc.SOCK_SEQPACKET).Bind("127.0.0.1", 0));
        Assert.Equal(Sys.EPROTONOSUPPORT, nsm.Guest.Socket(protocol: 132).Listen());
        FakeSocket unix = nsm.Guest.Socket(domain: 1);
        Assert.Equal(Sys.EAFNOSUPPORT, unix.Connect("127.0.0.1", 1));
        unix.Close();
    }

    [Fact]
    public void A_taken_port_is_in_use()
    {
        using KernelNsm nsm = new();
        FakeSocket listener = nsm.Listener(out int port);
        Assert.Equal(Libc.EADDRINUSE, nsm.Guest.Socket().Bind("127.0.0.1", port));
        listener.Close();
    }

    [Fact]
    public void A_reset_after_the_peers_end_is_told_too()
    {
        using KernelNsm nsm = new();
        FakeSocket listener = nsm.Listener(out int port);
        using Socket peer = nsm.Dial("127.0.0.1", port);
        FakeSocket server = listener.Accept(out _);
        peer.Shutdown(SocketShutdown.Send);
        server.Ended();
        Assert.True(server.PeerClosed);
        peer.LingerState = new LingerOption(true, 0);
        peer.Close();
        nsm.Engine.Until(() => server.ResetError != 0, "Reset");
        Assert.Equal(Libc.EPIPE, server.ResetError); // As the kernel says in CLOSE-WAIT.
        server.Close();
    }

    /// <summary>Closed with more under way than the peer and the kernel take: the guest's chunks come back at once, and the peer gets all of it when it reads.</summary>
    [Fact]
    public void A_closed_socket_holds_no_chunks_and_loses_nothing()
    {
        using KernelNsm nsm = new();
        FakeSocket listener = nsm.Listener(out int port);
        using Socket peer = nsm.Dial("127.0.0.1", port, s => s.ReceiveBufferSize = 4096);
        FakeSocket server = listener.Accept(out _);
        Assert.Equal(0, server.SetOption(1, 7, 16384)); // SO_SNDBUF
        byte[] sent = new byte[60 * 16384];
        new Random(1).NextBytes(sent);
        server.Send(sent, messageSize: 16384);
        FakeSocket other = nsm.Guest.Socket();
        Assert.Equal(0, other.SetOption(6, 1, 1, ring: RingKind.Send)); // By now the NSM has them all.
        Assert.NotEqual(0, server.SendsOut);
        server.StartClose();
        server.WaitClosed();
        Assert.Equal((0, 0), (server.SendsOut, server.SendError));
        byte[] got = new byte[sent.Length + 1];
        int count = 0;
        for (int n = 1; n > 0; count += n)
        {
            n = peer.Receive(got.AsSpan(count));
        }

        Assert.Equal(sent, got[..count]);
        Assert.Equal(nsm.Guest.Layout.Tx.Total, (uint)nsm.Guest.FreeTx);
    }

    [Fact]
    public void Sends_that_cannot_be_delivered_come_back()
    {
        using KernelNsm nsm = new();
        FakeSocket listener = nsm.Listener(out int port);
        using Socket peer = nsm.Dial("127.0.0.1", port, s => s.ReceiveBufferSize = 4096);
        FakeSocket server = listener.Accept(out _);
        Assert.Equal(0, server.SetOption(1, 7, 16384)); // SO_SNDBUF
        byte[] block = new byte[16384];
        for (int i = 0; i < 60; i++)
        {
            server.Send(block);
        }

        FakeSocket other = nsm.Guest.Socket();
        Assert.Equal(0, other.SetOption(6, 1, 1, ring: RingKind.Send)); // By now the NSM has them all.
        Assert.NotEqual(0, server.SendsOut);
        peer.LingerState = new LingerOption(true, 0);
        peer.Close();
        server.Flushed();
        Assert.Equal(Libc.ECONNRESET, server.SendError);
        nsm.Engine.Until(() => server.ResetError == Libc.ECONNRESET, "Reset");
        server.StartClose();
        server.WaitClosed();
        Assert.Equal(nsm.Guest.Layout.Tx.Total, (uint)nsm.Guest.FreeTx);
    }

    [Fact]
    public void Linger_0_resets()
    {
        using KernelNsm nsm = new();
        FakeSocket listener = nsm.Listener(out int port);
        using Socket peer = nsm.Dial("127.0.0.1", port);
        FakeSocket server = listener.Accept(out _);
        Assert.Equal(0, server.SetOption(1, 13, 1, 8));
        server.Close();
        SocketException e = Assert.Throws<SocketException>(() => peer.Receive(new byte[1]));
        Assert.Equal(SocketError.ConnectionReset, e.SocketErrorCode);
    }

    [Fact]
    public void Urgent_data_does_not_stop_the_stream()
    {
        using KernelNsm nsm = new();
        FakeSocket listener = nsm.Listener(out int port);
        using Socket peer = nsm.Dial("127.0.0.1", port);
        FakeSocket server = listener.Accept(out _);
        _ = peer.Send("before"u8);
        _ = peer.Send("!"u8, SocketFlags.OutOfBand);
        _ = peer.Send("after"u8);
        Assert.Equal("beforeafter"u8.ToArray(), server.Receive(11)); // The urgent byte is not in line, as by default.
        server.Close();
    }
}
