using System.Net;
using System.Net.Sockets;
using System.Security.Cryptography;
using NetKernel.Channel;
using NetKernel.Channel.Host;
using NetKernel.ServiceLib.Testing;

namespace NetKernel.Nsm.Mtcp.Tests;

/// <summary>Sockets of guests on our stack, the kernel's TCP or another guest at the other end.</summary>
public sealed class NsmTests
{
    private static void SendAll(Socket socket, byte[] data)
    {
        try
        {
            _ = socket.Send(data);
        }
        catch (SocketException)
        {
            // The test fails for what was not received.
        }
    }

    private static bool CanRun => Environment.IsPrivilegedProcess;

    [Theory]
    [InlineData(MtcpNsm.Address4, Libc.AF_INET)]
    [InlineData(MtcpNsm.Address6, Libc.AF_INET6)]
    [InlineData(MtcpNsm.Address4, Libc.AF_INET6)]
    public void Guests_of_one_stack_reach_each_other(string address, int domain)
    {
        if (!CanRun)
        {
            return;
        }

        using MtcpNsm nsm = new();
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
        Assert.Equal(0u, nsm.Count);
    }

    [Fact]
    public void Bulk_data_both_ways_arrives_unchanged()
    {
        if (!CanRun)
        {
            return;
        }

        using MtcpNsm nsm = new();
        using Socket outside = nsm.OutsideListener(out int port);
        FakeSocket client = nsm.Guest.Socket();
        Assert.Equal(0, client.Connect(MtcpNsm.Outside4, port));
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
        Thread writer = new(() => SendAll(peer, back));
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
    public void A_guest_that_does_not_read_stops_the_peer_and_loses_nothing()
    {
        if (!CanRun)
        {
            return;
        }

        using MtcpNsm nsm = new(pool: PoolLayout.Default);
        FakeSocket listener = nsm.Listener(out int port);
        using Socket peer = nsm.Dial(MtcpNsm.Address4, port);
        FakeSocket server = listener.Accept(out _);
        byte[] data = RandomNumberGenerator.GetBytes(32 << 20);
        Thread writer = new(() => SendAll(peer, data));
        writer.Start();
        nsm.Engine.Until(() => server.Waiting >= 512 << 10, "the byte limit");

        // Another connection of the same guest is served all the while.
        using Socket other = nsm.Dial(MtcpNsm.Address4, port);
        FakeSocket second = listener.Accept(out _);
        for (int i = 0; i < 100; i++)
        {
            _ = other.Send("ping"u8);
            Assert.Equal("ping"u8.ToArray(), second.Receive(4));
        }

        Assert.InRange(server.Waiting, 512 << 10, 640 << 10);
        Assert.True(server.MostOut <= SocketSlot.RxEntries);
        byte[] got = server.Receive(data.Length);
        Assert.True(writer.Join(30_000));
        Assert.Equal(SHA256.HashData(data), SHA256.HashData(got));
        server.Close();
        second.Close();
    }

    [Fact]
    public void No_more_than_64_entries_are_out()
    {
        if (!CanRun)
        {
            return;
        }

        using MtcpNsm nsm = new();
        FakeSocket listener = nsm.Listener(out int port);
        using Socket peer = nsm.Dial(MtcpNsm.Address4, port, s => s.NoDelay = true);
        FakeSocket server = listener.Accept(out _);
        for (int i = 0; i < 200; i++)
        {
            _ = peer.Send([(byte)i]);
            if (i < 40)
            {
                long before = i;
                nsm.Engine.Until(() => server.Waiting > before, "a byte");
            }
        }

        byte[] got = server.Receive(200);
        Assert.Equal(Enumerable.Range(0, 200).Select(i => (byte)i), got);
        Assert.True(server.MostOut <= SocketSlot.RxEntries);
        server.Close();
    }

    [Fact]
    public void Options_are_set_and_read()
    {
        if (!CanRun)
        {
            return;
        }

        using MtcpNsm nsm = new();
        FakeSocket listener = nsm.Listener(out int port);
        FakeSocket client = nsm.Guest.Socket();
        Assert.Equal(0, client.SetOption(6, 1, 1));
        Assert.Equal(0, client.SetOption(6, 13, BitConverter.ToUInt64("bbr\0\0\0\0\0"u8), 4));
        Assert.Equal(Libc.ENOENT, client.SetOption(6, 13, BitConverter.ToUInt64("vegas\0\0\0"u8), 6));
        Assert.Equal(92, client.SetOption(6, 14, 0)); // TCP_MD5SIG (RFC 2385) is refused.
        Assert.Equal(0, client.Connect(MtcpNsm.Address4, port));
        Assert.Equal(0, client.GetOption(6, 1, 4, out byte[] value));
        Assert.Equal(1, BitConverter.ToInt32(value));
        Assert.Equal(0, client.GetOption(6, 13, 16, out value));
        Assert.Equal("bbr", System.Text.Encoding.ASCII.GetString(value).TrimEnd('\0'));
        Assert.Equal(0, client.GetOption(6, 11, 232, out value));
        Assert.Equal(1, value[0]); // TCP_ESTABLISHED
        Assert.InRange(BitConverter.ToInt32(value, 68), 1, 10_000_000); // tcpi_rtt
        client.Close();
        listener.Close();
    }

    [Theory]
    [InlineData(2, 1400, 87)] // TCP_MAXSEG
    [InlineData(2, 0, 87)]
    [InlineData(4, 60, 0)] // TCP_KEEPIDLE
    [InlineData(5, 60, 32768)] // TCP_KEEPINTVL
    [InlineData(6, 7, 0x103)] // TCP_KEEPCNT
    [InlineData(7, 7, 0x103)] // TCP_SYNCNT
    [InlineData(18, 5000, -1)] // TCP_USER_TIMEOUT
    public void A_refused_value_leaves_the_old_one_in_force(int name, int good, int bad)
    {
        if (!CanRun)
        {
            return;
        }

        using MtcpNsm nsm = new();
        FakeSocket client = nsm.Guest.Socket();
        Assert.Equal(0, client.SetOption(6, name, (uint)good));
        Assert.Equal(0, client.GetOption(6, name, 4, out byte[] before));
        Assert.Equal(Libc.EINVAL, client.SetOption(6, name, (uint)bad));
        Assert.Equal(0, client.GetOption(6, name, 4, out byte[] after));
        Assert.Equal(before, after);
        client.Close();
    }

    [Fact]
    public void A_socket_in_both_families_takes_both()
    {
        if (!CanRun)
        {
            return;
        }

        using MtcpNsm nsm = new();
        FakeSocket listener = nsm.Listener(out int port, "::", domain: Libc.AF_INET6, flags: NqeFlags.Wildcard);
        using Socket four = nsm.Dial(MtcpNsm.Address4, port);
        FakeSocket a = listener.Accept(out IPEndPoint peer);
        Assert.Contains(MtcpNsm.Outside4, peer.Address.ToString(), StringComparison.Ordinal);
        using Socket six = nsm.Dial(MtcpNsm.Address6, port);
        FakeSocket b = listener.Accept(out peer);
        Assert.Equal(MtcpNsm.Outside6, peer.Address.ToString());
        a.Close();
        b.Close();
        listener.Close();
        Assert.Equal(0u, nsm.Count);
    }
}
