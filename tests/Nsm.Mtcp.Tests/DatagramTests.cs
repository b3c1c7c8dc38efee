using System.Net;
using System.Net.Sockets;
using System.Runtime.InteropServices;
using System.Security.Cryptography;
using NetKernel.Channel;
using NetKernel.Channel.Host;
using NetKernel.ServiceLib.Testing;
using static NetKernel.ServiceLib.Testing.Datagrams;

namespace NetKernel.Nsm.Mtcp.Tests;

/// <summary>Datagram sockets of guests on our stack, the kernel's UDP or another guest at the other end.</summary>
public sealed class DatagramTests
{
    private const int ProtocolIp = 0, RecvErr = 11, EACCES = 13, EDESTADDRREQ = 89, EMSGSIZE = 90, EOPNOTSUPP = 95;

    private static bool CanRun => Environment.IsPrivilegedProcess;

    [Theory]
    [InlineData(MtcpNsm.Outside4, Libc.AF_INET, 65507)]
    [InlineData(MtcpNsm.Outside4, Libc.AF_INET6, 65507)]
    [InlineData(MtcpNsm.Outside6, Libc.AF_INET6, 65000)]
    public void Datagrams_keep_their_bytes_and_boundaries(string address, int domain, int largest)
    {
        if (!CanRun)
        {
            return;
        }

        using MtcpNsm nsm = new(pool: PoolLayout.Default);
        using Socket outside = Outside(nsm, address, out int port);
        FakeSocket socket = nsm.Guest.Socket(domain, Libc.SOCK_DGRAM);
        byte[] buffer = new byte[70000];
        foreach (int size in (int[])[1, 0, 1400, 1472, 1473, 5000, 60000, largest])
        {
            byte[] data = RandomNumberGenerator.GetBytes(size);
            Send(socket, data, address, port);
            EndPoint from = new IPEndPoint(outside.AddressFamily == AddressFamily.InterNetwork ? IPAddress.Any : IPAddress.IPv6Any, 0);
            int got = outside.ReceiveFrom(buffer, ref from);
            Assert.Equal(data, buffer[..got]);
            Assert.Equal(0, SendResult(socket));
            data = RandomNumberGenerator.GetBytes(size);
            Assert.Equal(size, outside.SendTo(data, from));
            (DatagramHeader header, byte[] payload) = Receive(socket, size);
            Assert.Equal(data, payload);
            Assert.Equal(port, header.PeerPort);
            Assert.Equal(64, header.Ttl);
            Assert.Equal(IPAddress.Parse(address).MapToIPv6(), AddressOf(header.PeerLow, header.PeerHigh));
        }

        Send(socket, new byte[domain == Libc.AF_INET6 && address == MtcpNsm.Outside6 ? 65527 : 65508], address, port);
        Assert.Equal(EMSGSIZE, SendResult(socket));
        socket.Close();
        Assert.Equal(nsm.Guest.Layout.Tx.Total, (uint)nsm.Guest.FreeTx);
        Assert.Equal(0u, nsm.Count);
    }

    [Theory]
    [InlineData(MtcpNsm.Outside4, Libc.AF_INET)]
    [InlineData(MtcpNsm.Outside6, Libc.AF_INET6)]
    [InlineData(MtcpNsm.Other4, Libc.AF_INET)]
    [InlineData(MtcpNsm.Other6, Libc.AF_INET6)]
    public void A_refusal_comes_to_the_socket(string address, int domain)
    {
        if (!CanRun)
        {
            return;
        }

        using MtcpNsm nsm = new();
        using FakeGuest other = nsm.Engine.AddGuest(2, MtcpNsm.Other4, MtcpNsm.Other6); // of the same stack
        const int port = 9;
        FakeSocket socket = nsm.Guest.Socket(domain, Libc.SOCK_DGRAM);
        Assert.Equal(0, socket.Connect(address, port));
        Send(socket, new byte[10]);
        Nqe error = socket.Complete(Op.Error);
        Assert.Equal((ulong)Libc.ECONNREFUSED, error.OpData);
        Assert.Equal(0u, error.Size);
        socket.Close();

        // Not connected, the socket hears of it only with IP_RECVERR.
        socket = nsm.Guest.Socket(domain, Libc.SOCK_DGRAM);
        bool v6 = domain == Libc.AF_INET6;
        Assert.Equal(0, socket.SetOption(v6 ? 41 : ProtocolIp, v6 ? 25 : RecvErr, 1));
        Assert.Equal(Libc.EAGAIN, socket.GetOption(StackOption.Level, StackOption.ErrorQueue, 500, out _));
        byte[] data = RandomNumberGenerator.GetBytes(20);
        Send(socket, data, address, port);
        error = socket.Complete(Op.Error);
        Assert.Equal((ulong)Libc.ECONNREFUSED, error.OpData);
        Assert.NotEqual(0u, error.Size);
        Assert.Equal(0, socket.GetOption(StackOption.Level, StackOption.ErrorQueue, 500, out byte[] value));
        ErrorRecord record = MemoryMarshal.Read<ErrorRecord>(value);
        Assert.Equal((uint)Libc.ECONNREFUSED, record.Error.Errno);
        Assert.Equal(v6 ? (3, 1, 4) : (2, 3, 3), (record.Error.Origin, record.Error.Type, record.Error.Code));
        Assert.Equal(port, record.Datagram.PeerPort);
        Assert.Equal(IPAddress.Parse(address).MapToIPv6(), AddressOf(record.Datagram.LocalLow, record.Datagram.LocalHigh));
        Assert.Equal(data, value[ErrorRecord.Bytes..]);
        Assert.Equal(Libc.EAGAIN, socket.GetOption(StackOption.Level, StackOption.ErrorQueue, 500, out _));
        socket.Close();
    }

    [Fact]
    public void A_connected_socket_hears_its_peer_only_and_others_are_told()
    {
        if (!CanRun)
        {
            return;
        }

        using MtcpNsm nsm = new();
        using Socket friend = Outside(nsm, MtcpNsm.Outside4, out int port);
        using Socket stranger = Outside(nsm, MtcpNsm.Outside4, out _);
        FakeSocket socket = nsm.Guest.Socket(Libc.AF_INET, Libc.SOCK_DGRAM);
        Assert.Equal(0, socket.Bind(MtcpNsm.Address4, 0, NqeFlags.None, out IPEndPoint bound));
        Assert.Equal(0, socket.Connect(MtcpNsm.Outside4, port, NqeFlags.None, out IPEndPoint local));
        Assert.Equal(bound, local);
        stranger.Connect(bound);
        _ = stranger.Send("no"u8);
        SocketException refused = Assert.Throws<SocketException>(() => stranger.Receive(new byte[10]));
        Assert.Equal(SocketError.ConnectionRefused, refused.SocketErrorCode);
        _ = friend.SendTo("yes"u8, bound);
        Assert.Equal("yes"u8.ToArray(), Receive(socket, 3).Payload);

        // connect(AF_UNSPEC) keeps the port that the program chose.
        Assert.Equal(0, socket.Connect("0.0.0.0", 0, NqeFlags.Abort | NqeFlags.Bound, out local));
        Assert.Equal(bound, local);
        _ = stranger.Send("now"u8);
        Assert.Equal("now"u8.ToArray(), Receive(socket, 3).Payload);
        socket.Close();
        _ = stranger.Send("gone"u8);
        refused = Assert.Throws<SocketException>(() => stranger.Receive(new byte[10]));
        Assert.Equal(SocketError.ConnectionRefused, refused.SocketErrorCode);
    }

    [Fact]
    public void What_cannot_be_is_refused_with_its_errno()
    {
        if (!CanRun)
        {
            return;
        }

        using MtcpNsm nsm = new();
        FakeSocket a = nsm.Guest.Socket(Libc.AF_INET6, Libc.SOCK_DGRAM), b = nsm.Guest.Socket(Libc.AF_INET, Libc.SOCK_DGRAM);
        Send(b, [1]);
        Assert.Equal(EDESTADDRREQ, SendResult(b));
        Assert.Equal(0, a.Bind("::", 0, NqeFlags.Wildcard, out IPEndPoint bound));
        Assert.Equal(Libc.EADDRINUSE, b.Bind(MtcpNsm.Address4, bound.Port));
        Assert.Equal(Libc.EADDRNOTAVAIL, b.Bind(MtcpNsm.Other4, 80));
        Assert.Equal(97, b.Bind(MtcpNsm.Address6, 80));
        Assert.Equal(EOPNOTSUPP, b.Listen());
        foreach ((string address, int port, int error) in new[]
        {
            ("127.0.0.1", 80, Libc.ENETUNREACH), ("0.0.0.0", 80, Libc.ENETUNREACH), ("255.255.255.255", 80, EACCES), (MtcpNsm.Address6, 80, 97),
            (MtcpNsm.Outside4, 0, Libc.EINVAL), ("198.19.0.1", 80, Libc.ENETUNREACH),
        })
        {
            Send(b, [1], address, port);
            Assert.Equal(error, SendResult(b));
        }

        // From an address that is not its own.
        Send(b, [1], MtcpNsm.Outside4, 80, h => h with { Fields = (ushort)(h.Fields | DatagramFields.Local), LocalHigh = 5 });
        Assert.Equal(Libc.EINVAL, SendResult(b));
        Assert.Equal(0, b.SetOption(1, 6, 1)); // SO_BROADCAST: allowed now, but nothing carries it
        Assert.Equal(0, b.GetOption(1, 6, 4, out byte[] broadcasts));
        Assert.Equal(1, BitConverter.ToInt32(broadcasts));
        Send(b, [1], "255.255.255.255", 80);
        Assert.Equal(Libc.ENETUNREACH, SendResult(b));
        Assert.Equal(92, b.SetOption(1, 11, 1)); // SO_NO_CHECK
        Assert.Equal(92, b.SetOption(6, 1, 1)); // TCP_NODELAY
        Assert.Equal(0, b.SetOption(ProtocolIp, 2, 9)); // IP_TTL
        Assert.Equal(0, b.GetOption(ProtocolIp, 2, 4, out byte[] value));
        Assert.Equal(9, BitConverter.ToInt32(value));

        // IP_MTU_DISCOVER: not to be cut.
        Assert.Equal(0, b.SetOption(ProtocolIp, 10, 2));
        Send(b, new byte[1473], MtcpNsm.Outside4, 80);
        Assert.Equal(EMSGSIZE, SendResult(b));
        Send(b, new byte[1472], MtcpNsm.Outside4, 80);
        Assert.Equal(0, SendResult(b));
        Assert.Equal(107, b.GetOption(ProtocolIp, 14, 4, out _));

        // The two halves of a socket for both families share the port.
        foreach (string address in (string[])[MtcpNsm.Address4, MtcpNsm.Address6])
        {
            FakeSocket c = nsm.Guest.Socket(Libc.AF_INET6, Libc.SOCK_DGRAM);
            Send(c, "both"u8.ToArray(), address, bound.Port);
            Assert.Equal("both"u8.ToArray(), Receive(a, 4).Payload);
            c.Close();
        }

        b.Shutdown(1);
        Send(b, [1], MtcpNsm.Outside4, 80);
        Assert.Equal(Libc.EPIPE, SendResult(b));
        a.Close();
        b.Close();
        Assert.Equal(0u, nsm.Count);
    }

    [Fact]
    public void A_guest_that_does_not_read_loses_the_newest_and_goes_on()
    {
        if (!CanRun)
        {
            return;
        }

        using MtcpNsm nsm = new();
        using Socket outside = Outside(nsm, MtcpNsm.Outside4, out _);
        FakeSocket socket = nsm.Guest.Socket(Libc.AF_INET, Libc.SOCK_DGRAM);
        Assert.Equal(0, socket.Bind(MtcpNsm.Address4, 0, NqeFlags.None, out IPEndPoint bound));

        // The kernel may let later datagrams pass the one for which it asks for the neighbour.
        _ = outside.SendTo("ask"u8, bound);
        _ = Receive(socket, 3);
        for (int i = 0; i < 5000; i++)
        {
            _ = outside.SendTo(BitConverter.GetBytes(i), bound);
        }

        // What waits comes in order and whole; then new ones do.
        nsm.Engine.Until(() => socket.Waiting >= 68, "a datagram");
        int last = -1;
        byte[] one = new byte[68];
        bool ended = false;
        for (int turns = 0; turns < 10000 && !ended; turns++)
        {
            _ = outside.SendTo(BitConverter.GetBytes(-2), bound);
            nsm.Engine.Until(() => socket.Waiting >= 68, "a datagram");
            Assert.Equal(68, socket.Read(one));
            int number = BitConverter.ToInt32(one, 64);
            ended = number == -2;
            Assert.True(ended || number > last, $"{number} after {last}");
            last = number;
        }

        Assert.True(ended);
        Assert.True(socket.MostOut <= SocketSlot.RxEntries);
        socket.Close();
    }

    [Fact]
    public void Hostile_headers_harm_nobody()
    {
        if (!CanRun)
        {
            return;
        }

        using MtcpNsm nsm = new();
        using Socket outside = Outside(nsm, MtcpNsm.Outside4, out int port);
        FakeGuest other = nsm.Engine.AddGuest(2, MtcpNsm.Other4, MtcpNsm.Other6);
        FakeSocket good = other.Socket(Libc.AF_INET, Libc.SOCK_DGRAM);
        byte[] buffer = new byte[100];
        for (int seed = 0; seed < 200; seed++)
        {
            Random random = new(seed);
            FakeSocket bad = nsm.Guest.Socket(random.Next(2) == 0 ? Libc.AF_INET : Libc.AF_INET6, Libc.SOCK_DGRAM);
            for (int i = 0; i < 20; i++)
            {
                byte[] bytes = new byte[random.Next(1, 300)];
                random.NextBytes(bytes);
                if (bytes.Length >= DatagramHeader.Bytes && random.Next(2) == 0)
                {
                    MemoryMarshal.Write(bytes, Header(bytes.Length - DatagramHeader.Bytes + (random.Next(3) == 0 ? random.Next(-100, 100) : 0), MtcpNsm.Address4, 9));
                    bytes[random.Next(64)] = (byte)random.Next(256);
                }

                NqeFlags flags = (random.Next(5) == 0 ? NqeFlags.More : NqeFlags.None) | (random.Next(5) == 0 ? NqeFlags.Continued : NqeFlags.None);
                bad.Send(bytes, flags: flags);
            }

            bad.Close(); // Every Send is completed, or this fails.
            Send(good, BitConverter.GetBytes(seed), MtcpNsm.Outside4, port);
            do
            {
                Assert.Equal(4, outside.Receive(buffer)); // The hostile guest's own datagrams do not go there.
            }
            while (BitConverter.ToInt32(buffer) != seed);
        }

        good.Close();
        Assert.Equal(0, nsm.Engine.Strays);
        Assert.Equal(0u, nsm.Count);
        Assert.Equal(nsm.Guest.Layout.Tx.Total, (uint)nsm.Guest.FreeTx);
        other.Dispose();
    }

    private static Socket Outside(MtcpNsm nsm, string address, out int port)
    {
        Socket socket = nsm.Outside(() =>
        {
            IPAddress ip = IPAddress.Parse(address);
            Socket made = new(ip.AddressFamily, SocketType.Dgram, ProtocolType.Udp) { ReceiveTimeout = 20_000 };
            made.Bind(new IPEndPoint(ip, 0));
            return made;
        });
        port = ((IPEndPoint)socket.LocalEndPoint!).Port;
        return socket;
    }

    private static IPAddress AddressOf(ulong low, ulong high) => new([.. BitConverter.GetBytes(low), .. BitConverter.GetBytes(high)]);
}
