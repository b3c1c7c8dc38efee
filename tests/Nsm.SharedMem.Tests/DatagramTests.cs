using System.Net;
using System.Security.Cryptography;
using NetKernel.Channel;
using NetKernel.Channel.Host;
using NetKernel.ServiceLib.Testing;
using static NetKernel.ServiceLib.Testing.Datagrams;

namespace NetKernel.Nsm.SharedMem.Tests;

/// <summary>Datagrams between the two guests; what is not delivered here comes back for the guest's own NSM.</summary>
public sealed class DatagramTests
{
    private const int Ip = 0, Ip6 = 41, IP_TOS = 1, IP_TTL = 2, IP_MTU_DISCOVER = 10, IPV6_UNICAST_HOPS = 16, IPV6_TCLASS = 67, SO_RCVBUF = 8, SO_TIMESTAMPNS = 35;

    [Theory]
    [InlineData(SharedMemNsm.Address1, SharedMemNsm.Address2, Libc.AF_INET, 65507, 1)]
    [InlineData(SharedMemNsm.Address1, SharedMemNsm.Address2, Libc.AF_INET6, 65507, 1)]
    [InlineData(SharedMemNsm.SixOf1, SharedMemNsm.SixOf2, Libc.AF_INET6, 65527, 1)]
    [InlineData(SharedMemNsm.SixOf1, SharedMemNsm.SixOf2, Libc.AF_INET6, 65527, 3)]
    public void Bytes_boundaries_and_addresses_are_kept(string mine, string theirs, int domain, int largest, uint loops)
    {
        using SharedMemNsm nsm = new(loops);
        FakeSocket a = Bound(nsm.First, 1000, domain);
        FakeSocket b = Bound(nsm.Second, 2000, domain, queueSet: loops - 1);
        foreach (int size in (int[])[1, 0, 1400, 1984, 1985, 5000, 60000, 65471, 65472, 65473, largest])
        {
            byte[] data = RandomNumberGenerator.GetBytes(size);
            Send(a, data, theirs, 2000);
            (DatagramHeader header, byte[] payload) = Receive(b, size);
            Assert.Equal(data, payload);
            Assert.Equal((Halves(mine), 1000), ((header.PeerLow, header.PeerHigh), header.PeerPort));
            Assert.Equal(Halves(theirs), (header.LocalLow, header.LocalHigh));
            Assert.Equal((64, 0), (header.Ttl, header.Tos));
            Send(b, data, mine, 1000);
            Assert.Equal(data, Receive(a, size).Payload);
            Assert.Equal((0, 0), (SendResult(a), SendResult(b)));
        }

        Assert.Equal(0, a.PassedOn + b.PassedOn);
        a.Close();
        b.Close();
        nsm.AssertEmpty();
    }

    [Fact]
    public void What_is_not_for_a_bound_neighbour_comes_back()
    {
        using SharedMemNsm nsm = new();
        FakeSocket a = Bound(nsm.First, 1000, Libc.AF_INET6);
        FakeSocket b = Bound(nsm.Second, 2000, Libc.AF_INET);
        PassedOn(a, "198.18.0.99", 2000); // nobody's address
        PassedOn(a, "255.255.255.255", 2000);
        PassedOn(a, "224.0.0.1", 2000);
        PassedOn(a, SharedMemNsm.Address1, 1000); // its own
        PassedOn(a, SharedMemNsm.Address2, 2001); // nobody bound there
        PassedOn(a, SharedMemNsm.SixOf2, 2000); // bound for IPv4 alone
        PassedOn(a, null, 0); // not connected
        PassedOn(a, SharedMemNsm.Address2, 2000, h => WithLocal(h, SharedMemNsm.Address2)); // from an address that is not its own
        PassedOn(a, SharedMemNsm.Address2, 2000, h => h with { Ttl = 0, Fields = (ushort)(h.Fields | DatagramFields.Ttl) });
        PassedOn(nsm.First.Socket(type: Libc.SOCK_DGRAM), SharedMemNsm.Address2, 2000); // no port yet
        Assert.Equal(0, a.SetOption(Ip, IP_MTU_DISCOVER, 2));
        PassedOn(a, SharedMemNsm.Address2, 2000, size: 1300); // whether that fits is for who knows the MTU
        Send(a, "well"u8, SharedMemNsm.Address2, 2000, h => WithLocal(h, SharedMemNsm.Address1));
        Assert.Equal("well"u8.ToArray(), Receive(b, 4).Payload);
        b.Close();
        PassedOn(a, SharedMemNsm.Address2, 2000); // not any more
    }

    [Fact]
    public void Policy_decides_for_the_next_datagram()
    {
        using SharedMemNsm nsm = new();
        FakeSocket a = Bound(nsm.First, 1000);
        FakeSocket b = Bound(nsm.Second, 2000);
        Passes();
        nsm.Reach.Set(2, 1, RegionFlags.NoSharedMemory);
        PassedOn(a, SharedMemNsm.Address2, 2000);
        nsm.Reach.Set(2, 2, 0);
        PassedOn(a, SharedMemNsm.Address2, 2000); // another tenant
        nsm.Reach.Set(2, 2, RegionFlags.SharedMemoryAcross);
        PassedOn(a, SharedMemNsm.Address2, 2000); // only one of them says so
        nsm.Reach.Set(1, 1, RegionFlags.SharedMemoryAcross);
        Passes();

        void Passes()
        {
            Send(a, "yes"u8, SharedMemNsm.Address2, 2000);
            Assert.Equal("yes"u8.ToArray(), Receive(b, 3).Payload);
        }
    }

    [Fact]
    public void A_connected_socket_hears_its_peer_only_and_comes_before_others()
    {
        using SharedMemNsm nsm = new();
        FakeSocket all = Bound(nsm.Second, 2000, flags: NqeFlags.Wildcard | NqeFlags.ReuseAddress);
        FakeSocket one = Bound(nsm.Second, 2000, flags: NqeFlags.Wildcard | NqeFlags.ReuseAddress);
        Assert.Equal(0, one.Connect(SharedMemNsm.Address1, 1000));
        FakeSocket friend = Bound(nsm.First, 1000);
        FakeSocket stranger = Bound(nsm.First, 1001);
        Assert.Equal(0, friend.Connect(SharedMemNsm.Address2, 2000));
        Send(friend, "friend"u8);
        Assert.Equal("friend"u8.ToArray(), Receive(one, 6).Payload);
        Send(stranger, "stranger"u8, SharedMemNsm.Address2, 2000);
        Assert.Equal("stranger"u8.ToArray(), Receive(all, 8).Payload);
        Send(all, "back"u8, SharedMemNsm.Address1, 1000);
        Assert.Equal("back"u8.ToArray(), Receive(friend, 4).Payload);

        // connect(AF_UNSPEC) keeps the port that the program chose; the newest of the port has it then.
        Assert.Equal(0, one.Connect("0.0.0.0", 0, NqeFlags.Abort | NqeFlags.Bound));
        Send(stranger, "now"u8, SharedMemNsm.Address2, 2000);
        Assert.Equal("now"u8.ToArray(), Receive(one, 3).Payload);
        Assert.Equal(0, one.Connect("0.0.0.0", 0, NqeFlags.Abort));
        Send(stranger, "then"u8, SharedMemNsm.Address2, 2000);
        Assert.Equal("then"u8.ToArray(), Receive(all, 4).Payload);
    }

    [Fact]
    public void Sockets_that_share_a_port_get_a_sender_each_and_the_same_one_always()
    {
        using SharedMemNsm nsm = new();
        FakeSocket[] sharing = [.. Enumerable.Range(0, 4).Select(_ => Bound(nsm.Second, 2000, flags: NqeFlags.Wildcard | NqeFlags.ReusePort))];
        HashSet<FakeSocket> used = [];
        for (int sender = 0; sender < 32; sender++)
        {
            FakeSocket a = Bound(nsm.First, 1000 + sender);
            FakeSocket? before = null;
            for (int i = 0; i < 3; i++)
            {
                Send(a, "x"u8, SharedMemNsm.Address2, 2000);
                nsm.Engine.Until(() => sharing.Any(one => one.Waiting != 0), "the datagram");
                FakeSocket got = sharing.Single(one => one.Waiting != 0);
                _ = Receive(got, 1);
                Assert.True(before == null || before == got);
                before = got;
            }

            _ = used.Add(before!);
        }

        Assert.Equal(4, used.Count);
    }

    [Fact]
    public void Tos_and_ttl_are_those_of_the_sender_and_the_time_is_told_when_wanted()
    {
        using SharedMemNsm nsm = new();
        FakeSocket a = Bound(nsm.First, 1000, Libc.AF_INET6);
        FakeSocket b = Bound(nsm.Second, 2000, Libc.AF_INET6);
        Send(a, "1"u8, SharedMemNsm.Address2, 2000);
        DatagramHeader header = Receive(b, 1).Header;
        Assert.Equal(0, header.Fields & DatagramFields.Timestamp);
        Assert.Equal(0, a.SetOption(Ip, IP_TOS, 0x10));
        Assert.Equal(0, a.SetOption(Ip, IP_TTL, 3));
        Assert.Equal(0, a.SetOption(Ip6, IPV6_TCLASS, 0x20));
        Assert.Equal(0, a.SetOption(Ip6, IPV6_UNICAST_HOPS, 5));
        Assert.Equal(0, b.SetOption(Libc.SOL_SOCKET, SO_TIMESTAMPNS, 1));
        Send(a, "2"u8, SharedMemNsm.Address2, 2000);
        header = Receive(b, 1).Header;
        Assert.Equal((0x10, 3), (header.Tos, header.Ttl));
        Assert.InRange(DateTimeOffset.UtcNow.ToUnixTimeMilliseconds() - (long)(header.Timestamp / 1_000_000), -1000, 60_000);
        Send(a, "3"u8, SharedMemNsm.SixOf2, 2000);
        header = Receive(b, 1).Header;
        Assert.Equal((0x20, 5), (header.Tos, header.Ttl));
        Send(a, "4"u8, SharedMemNsm.SixOf2, 2000, h => h with { Tos = 7, Ttl = 8, Fields = (ushort)(h.Fields | DatagramFields.Tos | DatagramFields.Ttl) });
        header = Receive(b, 1).Header;
        Assert.Equal((7, 8), (header.Tos, header.Ttl));
    }

    [Theory]
    [InlineData(0, 500, 100)]
    [InlineData(0, 4000, 20)]
    [InlineData(5000, 500, 2)]
    public void A_receiver_that_does_not_read_loses_what_is_beyond_its_buffer(int buffer, int size, int least)
    {
        using SharedMemNsm nsm = new(pool: PoolLayout.Default);
        FakeSocket a = Bound(nsm.First, 1000);
        FakeSocket b = Bound(nsm.Second, 2000);
        FakeSocket other = Bound(nsm.Second, 2001);
        if (buffer != 0)
        {
            Assert.Equal(0, b.SetOption(Libc.SOL_SOCKET, SO_RCVBUF, (ulong)buffer));
        }

        const int Sent = 2000;
        for (int i = 0; i < Sent; i++)
        {
            byte[] data = new byte[size];
            BitConverter.TryWriteBytes(data, i);
            Send(a, data, SharedMemNsm.Address2, 2000);
        }

        a.Flushed();
        Send(a, "and"u8, SharedMemNsm.Address2, 2001); // nobody else is harmed
        Assert.Equal("and"u8.ToArray(), Receive(other, 3).Payload);
        Assert.InRange(b.MostOut, 1u, SocketSlot.RxEntries);

        // What is there is the beginning, in order; then there is room again.
        int got = 0;
        byte[] datagram = new byte[DatagramHeader.Bytes + size];
        for (int quiet = 0; quiet < 2; quiet++)
        {
            while (b.Waiting != 0)
            {
                Assert.Equal(datagram.Length, b.Read(datagram));
                Assert.Equal(got++, BitConverter.ToInt32(datagram, DatagramHeader.Bytes));
                quiet = 0;
            }

            Assert.Equal(0, b.SetOption(Ip, IP_TOS, 0, ring: RingKind.Send)); // the stack has seen the credits, and has had a turn
        }

        Assert.InRange(got, least, Sent - 1);
        Send(a, "again"u8, SharedMemNsm.Address2, 2000);
        Assert.Equal("again"u8.ToArray(), Receive(b, 5).Payload);
        a.Close();
        b.Close();
        other.Close();
        nsm.AssertEmpty();
    }

    [Fact]
    public void Malformed_datagrams_are_refused_and_halves_do_not_meet_strangers()
    {
        using SharedMemNsm nsm = new();
        FakeSocket a = Bound(nsm.First, 1000);
        FakeSocket b = Bound(nsm.Second, 2000);
        Assert.True(nsm.First.TryPut(new byte[10], out ulong place));
        a.SendAt(place, 10); // no header
        Assert.Equal(Libc.EINVAL, SendResult(a));
        Send(a, new byte[100], SharedMemNsm.Address2, 2000, h => h with { Length = 99 });
        Assert.Equal(Libc.EINVAL, SendResult(a));
        Send(a, new byte[100], SharedMemNsm.Address2, 2000, h => h with { Length = uint.MaxValue });
        Assert.Equal(Libc.EINVAL, SendResult(a));
        a.Send(new byte[100], flags: NqeFlags.Continued);
        Assert.Equal(Libc.EINVAL, SendResult(a));
        a.Send(new byte[100], flags: NqeFlags.More);
        Send(a, "good"u8, SharedMemNsm.Address2, 2000);
        Assert.Equal("good"u8.ToArray(), Receive(b, 4).Payload);
        a.Send(new byte[100], flags: NqeFlags.More); // its other half never comes
        a.Close();
        b.Close();
        nsm.AssertEmpty();
    }

    [Fact]
    public void Credits_for_what_was_never_told_free_nothing()
    {
        using SharedMemNsm nsm = new();
        FakeSocket a = Bound(nsm.First, 1000);
        FakeSocket b = Bound(nsm.Second, 2000);
        for (int i = 0; i < 100; i++)
        {
            Send(a, BitConverter.GetBytes(i), SharedMemNsm.Address2, 2000); // more than the queue has places for
        }

        a.Flushed();
        // The pool is fresh, so that chunks go out in their order: those from here on wait, or are nobody's.
        ulong told = b.MostOut;
        for (ulong chunk = told; chunk < told + 200; chunk++)
        {
            b.Request(RingKind.Send, Op.RxCredit, dataPtr: nsm.Second.Layout.RxOffset + (chunk * PoolLayout.SmallBytes), size: 68);
        }

        Assert.Equal(0, b.SetOption(Ip, IP_TOS, 0, ring: RingKind.Send)); // they were seen
        byte[] datagram = new byte[DatagramHeader.Bytes + 4];
        for (int i = 0; i < 100; i++)
        {
            nsm.Engine.Until(() => b.Waiting != 0, "the next");
            Assert.Equal(datagram.Length, b.Read(datagram));
            Assert.Equal(i, BitConverter.ToInt32(datagram, DatagramHeader.Bytes));
        }

        b.Close();
        a.Close();
        nsm.AssertEmpty();
    }

    [Fact]
    public void A_guest_that_goes_takes_its_sockets_along()
    {
        using SharedMemNsm nsm = new();
        FakeSocket a = Bound(nsm.First, 1000);
        FakeSocket b = Bound(nsm.Second, 2000);
        for (int i = 0; i < 100; i++)
        {
            Send(a, "x"u8, SharedMemNsm.Address2, 2000);
        }

        a.Flushed();
        nsm.Engine.RemoveGuest(nsm.Second);
        PassedOn(a, SharedMemNsm.Address2, 2000);
        a.Close();
        Assert.Equal(0u, nsm.Count);
    }

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    public void Whatever_a_guest_sends_asks_and_credits_harms_nobody_else(int seed)
    {
        using SharedMemNsm nsm = new();
        Random random = new(seed);
        FakeSocket target = Bound(nsm.Second, 2000);
        FakeSocket honest = Bound(nsm.First, 1000);
        FakeSocket[] wild = new FakeSocket[8];
        byte[] buffer = new byte[65536];
        byte[] scratch = new byte[1 << 20];
        for (int i = 0; i < 3000; i++)
        {
            int which = random.Next(wild.Length);
            FakeSocket socket = wild[which] ??= nsm.First.Socket(random.Next(2) == 0 ? Libc.AF_INET : Libc.AF_INET6, Libc.SOCK_DGRAM);
            ulong low = random.Next(2) == 0 ? 0 : (ulong)random.NextInt64();
            switch (random.Next(8))
            {
                case 0:
                    _ = random.Next(2) == 0 ? socket.Bind("0.0.0.0", random.Next(3000), (NqeFlags)random.Next(256)) : socket.Bind("::", random.Next(3000), (NqeFlags)random.Next(256));
                    break;
                case 1:
                    _ = socket.Connect(random.Next(2) == 0 ? SharedMemNsm.Address2 : SharedMemNsm.SixOf2, random.Next(3000), (NqeFlags)random.Next(256));
                    break;
                case 2:
                    socket.Request(RingKind.Send, Op.RxCredit, dataPtr: (ulong)random.NextInt64(64 << 20), size: (uint)random.Next(70_000));
                    break;
                case 3:
                    socket.Request(RingKind.Send, Op.SetOption, (ulong)random.NextInt64(), (uint)random.Next(64) | ((ulong)(uint)random.Next(80) << 32), (uint)random.Next(1, 9));
                    break;
                case 4 when random.Next(10) == 0:
                    socket.Close();
                    wild[which] = null!;
                    break;
                default:
                    int size = random.Next(1, random.Next(4) == 0 ? buffer.Length : 300);
                    random.NextBytes(buffer.AsSpan(0, size));
                    if (size >= DatagramHeader.Bytes)
                    {
                        DatagramHeader header = Header(random.Next(3) == 0 ? random.Next() : size - DatagramHeader.Bytes, SharedMemNsm.Address2, random.Next(2) == 0 ? 2000 : random.Next(3000));
                        header.PeerLow = low;
                        header.Fields = (ushort)random.Next(64);
                        System.Runtime.InteropServices.MemoryMarshal.Write(buffer, header);
                    }

                    socket.Send(buffer.AsSpan(0, size), flags: (NqeFlags)(random.Next(3) == 0 ? random.Next(16) : 0));
                    break;
            }

            foreach (FakeSocket reader in wild.Append(target).Where(one => one != null))
            {
                _ = reader.Read(scratch);
            }
        }

        // The honest ones still understand each other.
        foreach (FakeSocket socket in wild.Where(one => one != null))
        {
            socket.Close();
        }

        Assert.Equal(0, target.SetOption(Ip, IP_TOS, 0, ring: RingKind.Send));
        _ = target.Read(scratch);
        Send(honest, "sane"u8, SharedMemNsm.Address2, 2000);
        Assert.Equal("sane"u8.ToArray(), Receive(target, 4).Payload);
        honest.Close();
        target.Close();
        nsm.AssertEmpty();
    }

    private static FakeSocket Bound(FakeGuest guest, int port, int domain = Libc.AF_INET, NqeFlags flags = NqeFlags.Wildcard, uint queueSet = 0)
    {
        FakeSocket socket = guest.Socket(domain, Libc.SOCK_DGRAM, queueSet: queueSet);
        Assert.Equal(0, socket.Bind(domain == Libc.AF_INET ? "0.0.0.0" : "::", port, flags));
        return socket;
    }

    private static void PassedOn(FakeSocket socket, string? address, int port, Func<DatagramHeader, DatagramHeader>? change = null, int size = 5)
    {
        int before = socket.PassedOn;
        Send(socket, new byte[size], address, port, change);
        socket.Flushed();
        Assert.Equal(before + 1, socket.PassedOn);
    }

    private static DatagramHeader WithLocal(DatagramHeader header, string address)
    {
        (header.LocalLow, header.LocalHigh) = Halves(address);
        header.Fields |= DatagramFields.Local;
        return header;
    }
}
