using System.Buffers.Binary;

namespace NetKernel.Stack.Tests;

/// <summary>What is said to the link unasked, and what others say there: RFC 5227, 4861, 3810, 2710.</summary>
public sealed unsafe class AnnouncementTests
{
    private const string LinkLocal = "FE800000000000000000000000000009", AllNodes = "FF020000000000000000000000000001", Nobody = "00000000000000000000000000000000";
    private const long Second = 1_000_000;

    /// <summary>RFC 5227, 2.3: twice, two seconds apart; RFC 4861, 7.2.6: three times, a second apart; RFC 3810, 6.1: a membership is told twice.</summary>
    [Fact]
    public void ANewAddressIsAnnounced()
    {
        using Simulation sim = Two(out Host a, out _);
        sim.Pass(10 * Second);
        long start = sim.Now;
        sim.Capture.Clear();
        Address four = Host.Parse("198.18.0.77"), six = Host.Parse("2001:2::77:1234");
        a.Stack.AddAddress(four);
        a.Stack.AddAddress(six);
        sim.Pass(10 * Second);
        Assert.Equal([0, 2], Seconds(sim, start, IsArp));
        Assert.Equal([0, 1, 2], Seconds(sim, start, f => Icmp6(f) == Icmpv6Type.Advertisement));
        Assert.Equal([0, 1], Seconds(sim, start, f => f[12] == 0x86 && f[20] == 0 && f[62] == Icmpv6Type.ReportV2));
        Assert.Equal(7, sim.Capture.Count);

        byte[] arp = sim.Capture.First(c => IsArp(c.Frame)).Frame;
        Assert.Equal("FFFFFFFFFFFF", Convert.ToHexString(arp, 0, 6));
        Assert.Equal("C612004D" + "000000000000" + "C612004D", Convert.ToHexString(arp, 28, 14)); // sender and target alike: an announcement

        byte[] said = sim.Capture.First(c => Icmp6(c.Frame) == Icmpv6Type.Advertisement).Frame;
        Assert.Equal("333300000001", Convert.ToHexString(said, 0, 6));
        Assert.Equal(0x20, said[58]); // override, not solicited

        // The report comes before: RFC 3810, 5.2 and 5.2.13, with hop limit 1 and Router Alert.
        byte[] report = sim.Capture[0].Frame.Length == arp.Length ? sim.Capture[1].Frame : sim.Capture[0].Frame;
        Assert.Equal("333300000016", Convert.ToHexString(report, 0, 6));
        Assert.Equal("3A00050200000100", Convert.ToHexString(report, 54, 8));
        Assert.Equal(1, report[21]);
        Assert.Equal("0001" + "04000000" + "FF0200000000000000000001FF771234", Convert.ToHexString(report, 68, 22));
        Assert.True(HasGoodChecksum(report, 62));
    }

    /// <summary>A stack that takes an address over is heard at once: what goes to that address goes to the new station.</summary>
    [Fact]
    public void NeighboursLearnOfAMove()
    {
        foreach (bool v6 in new[] { false, true })
        {
            using Simulation sim = Two(out Host a, out Host b);
            Conn listener = b.Listen(80, v6);
            Conn client = a.Dial(b, 80, v6);
            sim.Until(() => b.Accept(listener) != null);
            sim.Pass(5 * Second);
            sim.Capture.Clear();
            b.Stack.AddAddress(v6 ? b.Address6 : b.Address4); // as another stack would at its start
            sim.Pass(Second / 2);
            byte[] moved = sim.Capture.First(c => v6 ? Icmp6(c.Frame) == Icmpv6Type.Advertisement : IsArp(c.Frame)).Frame;
            Convert.FromHexString("020000000099").CopyTo(moved, 6);
            Convert.FromHexString("020000000099").CopyTo(moved, v6 ? 80 : 22);
            FixChecksum(moved);
            sim.Inject(a, moved);
            sim.Capture.Clear();
            _ = client.Write(new byte[10]);
            sim.Pass(1000);
            Assert.Equal("020000000099", Convert.ToHexString(sim.Capture[0].Frame, 0, 6));
        }
    }

    /// <summary>RFC 3810, 6.2: all memberships in one report, within the time that the query allows; RFC 2710 for the old form.</summary>
    [Fact]
    public void QueriesAreAnswered()
    {
        using Simulation sim = Two(out Host a, out _);
        a.Stack.AddAddress(Host.Parse("2001:2::77:1234"));
        sim.Pass(10 * Second);
        sim.Capture.Clear();
        long start = sim.Now;
        sim.Inject(a, Query(LinkLocal, AllNodes, 1, "00000000" + "03E80000" + Nobody + "00000000"));
        sim.Pass(2 * Second);
        (long at, byte[] report) = Assert.Single(sim.Capture);
        Assert.InRange(at - start, 0, Second);
        Assert.Equal("0002" + "02000000", Convert.ToHexString(report, 68, 6));

        // To one group: of ours, of others.
        sim.Capture.Clear();
        sim.Inject(a, Query(LinkLocal, AllNodes, 1, "00000000" + "03E80000" + "FF0200000000000000000001FF771234" + "00000000"));
        sim.Pass(2 * Second);
        _ = Assert.Single(sim.Capture);
        sim.Capture.Clear();
        sim.Inject(a, Query(LinkLocal, AllNodes, 1, "00000000" + "03E80000" + "FF0200000000000000000001FF999999" + "00000000"));
        sim.Pass(2 * Second);
        Assert.Empty(sim.Capture);

        // The old form: a report for each group, to that group.
        sim.Inject(a, Query(LinkLocal, AllNodes, 1, "00000000" + "03E80000" + Nobody));
        sim.Pass(2 * Second);
        Assert.Equal(["3333FF000001", "3333FF771234"], sim.Capture.Select(c => Convert.ToHexString(c.Frame, 0, 6)).Order());
        Assert.All(sim.Capture, c => Assert.Equal(Icmpv6Type.ReportV1, c.Frame[62]));
        Assert.All(sim.Capture, c => Assert.True(HasGoodChecksum(c.Frame, 62)));

        // From somewhere else, or from behind a router.
        sim.Capture.Clear();
        sim.Inject(a, Query("20010002000000000000000000000009", AllNodes, 1, "00000000" + "03E80000" + Nobody));
        sim.Inject(a, Query(LinkLocal, AllNodes, 64, "00000000" + "03E80000" + Nobody));
        sim.Pass(2 * Second);
        Assert.Empty(sim.Capture);
        Assert.Equal(2ul, a.Stack.Counters.Dropped(DropReason.NdMalformed));
    }

    /// <summary>Another station that claims an address is counted, and the address is kept; so are routers' offers.</summary>
    [Fact]
    public void ConflictsAndRoutersAreCounted()
    {
        using Simulation sim = Two(out Host a, out Host b);
        sim.Pass(10 * Second);
        sim.Capture.Clear();
        b.Stack.AddAddress(a.Address4);
        b.Stack.AddAddress(a.Address6);
        sim.Pass(10 * Second);
        Assert.Equal(5ul, a.Stack.Counters.Dropped(DropReason.AddressConflict));
        Assert.True(a.Stack.IsLocal(a.Address4) && a.Stack.IsLocal(a.Address6));
        sim.Inject(a, Query(LinkLocal, AllNodes, 255, "40000708" + "0000000000000000", Icmpv6Type.RouterAdvertisement));
        sim.Inject(a, Query(LinkLocal, AllNodes, 255, "00000000" + LinkLocal + LinkLocal, Icmpv6Type.Redirect));
        Assert.Equal(2ul, a.Stack.Counters.Dropped(DropReason.RouterIgnored));
        Assert.False(a.Stack.Reaches(Host.Parse("2001:db8::1")));
    }

    private static Simulation Two(out Host a, out Host b)
    {
        Simulation sim = new(1);
        a = sim.Add("198.18.0.1", "2001:2::1");
        b = sim.Add("198.18.0.2", "2001:2::2");
        return sim;
    }

    private static bool IsArp(byte[] f) => f[12] == 8 && f[13] == 6;

    private static int Icmp6(byte[] f) => f[12] == 0x86 && f[20] == 58 ? f[54] : -1;

    private static long[] Seconds(Simulation sim, long start, Func<byte[], bool> which) =>
        [.. sim.Capture.Where(c => which(c.Frame)).Select(c => (c.Time - start + (Second / 2)) / Second)];

    /// <summary>An ICMPv6 message to all nodes behind a hop-by-hop header with Router Alert; the body begins behind the checksum.</summary>
    private static byte[] Query(string source, string to, int hops, string body, byte type = Icmpv6Type.Query)
    {
        byte[] frame = Convert.FromHexString(
            $"333300000001020000000009" + "86DD" + $"60000000{8 + 4 + (body.Length / 2):X4}00{hops:X2}" + source + to + "3A00050200000100" + $"{type:X2}000000" + body[(type == Icmpv6Type.Query ? 8 : 0)..]);
        if (type == Icmpv6Type.Query)
        {
            BinaryPrimitives.WriteUInt16BigEndian(frame.AsSpan(18), (ushort)(frame.Length - 54));
        }

        fixed (byte* p = frame)
        {
            uint size = (uint)frame.Length - 62;
            uint sum = Checksum.PseudoHeader(Wire.V6(p + 22), Wire.V6(p + 38), Protocol.Icmpv6, size);
            *(ushort*)(p + 64) = Checksum.Finish(Checksum.Combine(sum, Checksum.Sum(p + 62, size), odd: false));
        }

        return frame;
    }

    private static bool HasGoodChecksum(byte[] frame, int at)
    {
        fixed (byte* p = frame)
        {
            Packet packet = new() { Source = Wire.V6(p + 22), Destination = Wire.V6(p + 38) };
            return NetworkStack.HasGoodChecksum(Protocol.Icmpv6, p + at, (uint)(frame.Length - at), in packet);
        }
    }

    private static void FixChecksum(byte[] frame)
    {
        if (frame[12] != 0x86)
        {
            return;
        }

        fixed (byte* p = frame)
        {
            uint size = (uint)frame.Length - 54;
            *(ushort*)(p + 56) = 0;
            uint sum = Checksum.PseudoHeader(Wire.V6(p + 22), Wire.V6(p + 38), Protocol.Icmpv6, size);
            *(ushort*)(p + 56) = Checksum.Finish(Checksum.Combine(sum, Checksum.Sum(p + 54, size), odd: false));
        }
    }
}
