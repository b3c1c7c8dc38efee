using System.Net;
using System.Net.Sockets;
using System.Runtime.InteropServices;
using NetKernel.Channel;
using NetKernel.Channel.Host;
using NetKernel.ServiceLib.Testing;
using static NetKernel.ServiceLib.Testing.Datagrams;

namespace NetKernel.Nsm.Kernel.Tests;

/// <summary>Datagrams of guests at the kernel NSM: their borders, and what hostile guests make of them. Without root there is no namespace, and these tests pass unseen.</summary>
public sealed class DatagramTests
{
    private const int EINVAL = 22, EMSGSIZE = 90, EDESTADDRREQ = 89;

    [Theory]
    [InlineData(KernelNsm.Outside4, Libc.AF_INET, 65507)]
    [InlineData(KernelNsm.Outside6, Libc.AF_INET6, 65527)]
    public void Borders_stay_whatever_the_size(string outside, int domain, int most)
    {
        if (!KernelNsm.CanBridge)
        {
            return;
        }

        using KernelNsm nsm = new(bridge: true);
        using Socket peer = Outside(nsm, outside, out int port);
        FakeSocket socket = nsm.Guest.Socket(domain, Libc.SOCK_DGRAM);
        byte[] buffer = new byte[70_000];
        Random random = new(most);
        EndPoint from = new IPEndPoint(peer.AddressFamily == AddressFamily.InterNetwork ? IPAddress.Any : IPAddress.IPv6Any, 0);
        foreach (int size in new[] { 0, 1, 1400, 1500, 65536 - DatagramHeader.Bytes - 1, 65536 - DatagramHeader.Bytes, 65536 - DatagramHeader.Bytes + 1, most })
        {
            byte[] data = new byte[size];
            random.NextBytes(data);
            Send(socket, data, outside, port);
            Assert.Equal(0, SendResult(socket));
            Assert.Equal(size, peer.ReceiveFrom(buffer, ref from));
            Assert.True(data.AsSpan().SequenceEqual(buffer.AsSpan(0, size)), $"{size} bytes");
            _ = peer.SendTo(data, from);
            (DatagramHeader header, byte[] back) = Receive(socket, size);
            Assert.True(data.AsSpan().SequenceEqual(back), $"{size} bytes back");
            Assert.Equal((port, Halves(outside)), (header.PeerPort, (header.PeerLow, header.PeerHigh)));
        }

        socket.Close();
        Assert.Equal(nsm.Guest.Layout.Tx.Total, (uint)nsm.Guest.FreeTx);
    }

    [Fact]
    public void What_makes_no_sense_fails_and_the_next_one_goes()
    {
        if (!KernelNsm.CanBridge)
        {
            return;
        }

        using KernelNsm nsm = new(bridge: true);
        using Socket peer = Outside(nsm, KernelNsm.Outside4, out int port);
        using FakeGuest other = nsm.Engine.AddGuest(2, KernelNsm.Other4, KernelNsm.Other6);
        FakeSocket socket = nsm.Guest.Socket(Libc.AF_INET, Libc.SOCK_DGRAM);
        byte[] whole = [.. new byte[DatagramHeader.Bytes + 4]];
        (int Error, Action Send)[] cases =
        [
            (EINVAL, () => Send(socket, new byte[4], KernelNsm.Outside4, port, header => header with { Length = 5 })),
            (EINVAL, () => Send(socket, new byte[4], KernelNsm.Outside4, port, header => header with { Length = 3 })),
            (EINVAL, () => Send(socket, new byte[4], KernelNsm.Outside4, port, header => header with { Length = uint.MaxValue })),
            (EINVAL, () => socket.Send(new byte[DatagramHeader.Bytes - 1])), // no whole header
            (EINVAL, () => socket.Send(new byte[1])),
            (EINVAL, () => socket.Send(whole, flags: NqeFlags.Continued)), // the rest of nothing
            (EINVAL, () => { socket.Send(whole, flags: NqeFlags.More); socket.Send(whole); }), // without a rest
            (EINVAL, () => { socket.Send(whole, flags: NqeFlags.More); socket.Send(whole, flags: NqeFlags.Continued | NqeFlags.More); socket.Send(whole, flags: NqeFlags.Continued); }),
            (EMSGSIZE, () => Send(socket, new byte[65508], KernelNsm.Outside4, port)),
            (EDESTADDRREQ, () => Send(socket, new byte[4])),

            // From an address that is another guest's, or nobody's.
            (EINVAL, () => Send(socket, new byte[4], KernelNsm.Outside4, port, header => From(header, KernelNsm.Other4))),
            (EINVAL, () => Send(socket, new byte[4], KernelNsm.Outside4, port, header => From(header, KernelNsm.Outside4))),
        ];
        byte[] buffer = new byte[100];
        for (int i = 0; i < cases.Length; i++)
        {
            cases[i].Send();
            Assert.Equal((i, cases[i].Error), (i, SendResult(socket)));
            Send(socket, BitConverter.GetBytes(i), KernelNsm.Outside4, port, header => From(header, KernelNsm.Address4));
            Assert.Equal((i, 0), (i, SendResult(socket)));
            EndPoint from = new IPEndPoint(IPAddress.Any, 0);
            Assert.Equal(4, peer.ReceiveFrom(buffer, ref from));
            Assert.Equal((i, KernelNsm.Address4), (BitConverter.ToInt32(buffer), ((IPEndPoint)from).Address.ToString()));
        }

        socket.Close();
        Assert.Equal(nsm.Guest.Layout.Tx.Total, (uint)nsm.Guest.FreeTx);
    }

    /// <summary>Credits for what a socket does not have, or has given back, take nothing from anybody.</summary>
    [Fact]
    public void Forged_credits_take_nothing_away()
    {
        if (!KernelNsm.CanBridge)
        {
            return;
        }

        using KernelNsm nsm = new(bridge: true);
        using Socket peer = Outside(nsm, KernelNsm.Outside4, out int port);
        FakeSocket victim = nsm.Guest.Socket(Libc.AF_INET, Libc.SOCK_DGRAM);
        FakeSocket forger = nsm.Guest.Socket(Libc.AF_INET, Libc.SOCK_DGRAM);
        Assert.Equal(0, victim.Connect(KernelNsm.Outside4, port, NqeFlags.None, out IPEndPoint local));
        Random random = new(3);
        PoolHalf rx = nsm.Guest.Layout.RxHalf;
        for (int round = 0; round < 50; round++)
        {
            byte[] data = new byte[100];
            random.NextBytes(data);
            _ = peer.SendTo(data, local);
            nsm.Engine.Until(() => victim.Waiting != 0, "the datagram");
            for (int i = 0; i < 20; i++)
            {
                ulong place = random.Next(2) == 0 ? rx.OffsetOf((uint)random.Next(64)) : (ulong)random.NextInt64();
                forger.Request(RingKind.Send, Op.RxCredit, dataPtr: place, size: (uint)random.Next(1, 5000));
            }

            _ = peer.SendTo(new byte[100], local); // would lie in the same place, had it been given back
            nsm.Engine.Until(() => victim.Waiting == 2 * (DatagramHeader.Bytes + 100), "the second one");
            byte[] both = victim.Receive(2 * (DatagramHeader.Bytes + 100));
            Assert.Equal(data, both[DatagramHeader.Bytes..(DatagramHeader.Bytes + 100)]);
            Assert.Equal(new byte[100], both[^100..]);
        }

        forger.Close();
        victim.Close();
    }

    [Fact]
    public void Hostile_headers_harm_nobody()
    {
        if (!KernelNsm.CanBridge)
        {
            return;
        }

        using KernelNsm nsm = new(bridge: true);
        using Socket outside = Outside(nsm, KernelNsm.Outside4, out int port);
        using FakeGuest other = nsm.Engine.AddGuest(2, KernelNsm.Other4, KernelNsm.Other6);
        FakeSocket good = other.Socket(Libc.AF_INET, Libc.SOCK_DGRAM);
        byte[] buffer = new byte[100];
        for (int seed = 0; seed < 150; seed++)
        {
            Random random = new(seed);
            FakeSocket bad = nsm.Guest.Socket(random.Next(2) == 0 ? Libc.AF_INET : Libc.AF_INET6, Libc.SOCK_DGRAM);
            for (int i = 0; i < 20; i++)
            {
                Nonsense(random, bad);
            }

            bad.Close(); // Every Send is completed, or this fails.
            Send(good, BitConverter.GetBytes(seed), KernelNsm.Outside4, port);
            do
            {
                Assert.Equal(4, outside.Receive(buffer)); // The hostile guest's own datagrams do not go there.
            }
            while (BitConverter.ToInt32(buffer) != seed);
        }

        good.Close();
        Assert.Equal(0u, nsm.Count);
        Assert.Equal(nsm.Guest.Layout.Tx.Total, (uint)nsm.Guest.FreeTx);
    }

    private static void Nonsense(Random random, FakeSocket bad)
    {
        byte[] bytes = new byte[random.Next(1, 300)];
        random.NextBytes(bytes);
        if (bytes.Length >= DatagramHeader.Bytes && random.Next(2) == 0)
        {
            string to = new[] { KernelNsm.Address4, KernelNsm.Other4, KernelNsm.Address6, "127.0.0.1", "224.0.0.1", "255.255.255.255", "::" }[random.Next(7)];
            MemoryMarshal.Write(bytes, Header(bytes.Length - DatagramHeader.Bytes + (random.Next(3) == 0 ? random.Next(-100, 100) : 0), to, 9));
            bytes[random.Next(64)] = (byte)random.Next(256);
        }

        switch (random.Next(8))
        {
            case 0:
                bad.Request(RingKind.Send, Op.SetOption, (ulong)random.NextInt64(), (uint)random.Next(70) | ((ulong)random.Next(80) << 32), (uint)random.Next(9));
                break;
            case 1:
                bad.Request(RingKind.Send, Op.RxCredit, dataPtr: (ulong)random.NextInt64(), size: (uint)random.Next());
                break;
            case 2:
                bad.Request(RingKind.Send, Op.Shutdown, opData: (ulong)random.Next(4));
                break;
            default:
                bad.Send(bytes, flags: (random.Next(5) == 0 ? NqeFlags.More : NqeFlags.None) | (random.Next(5) == 0 ? NqeFlags.Continued : NqeFlags.None));
                break;
        }
    }

    private static DatagramHeader From(DatagramHeader header, string address)
    {
        (header.LocalLow, header.LocalHigh) = Halves(address);
        header.Fields |= DatagramFields.Local;
        return header;
    }

    private static Socket Outside(KernelNsm nsm, string address, out int port)
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
}
