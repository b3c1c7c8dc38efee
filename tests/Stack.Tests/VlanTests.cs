namespace NetKernel.Stack.Tests;

/// <summary>802.1Q: one VLAN per stack, with a priority; everything else is counted and dropped.</summary>
public sealed unsafe class VlanTests
{
    [Theory]
    [InlineData(5, 3, "6005")]
    [InlineData(4094, 0, "0FFE")]
    [InlineData(0, 7, "E000")]
    public void FramesCarryTheTag(int vlan, int priority, string tag)
    {
        using Simulation sim = new(1);
        Host a = sim.Add("198.18.0.1", "2001:2::1", Options(vlan, priority)), b = sim.Add("198.18.0.2", "2001:2::2", Options(vlan, priority));
        TransferTests.Exchange(sim, a, b, TransferTests.Bytes(100_000, 1), TransferTests.Bytes(100_000, 2), v6: false);
        TransferTests.Exchange(sim, a, b, TransferTests.Bytes(100_000, 1), TransferTests.Bytes(100_000, 2), v6: true);
        Assert.All(sim.Capture, c => Assert.Equal("8100" + tag, Convert.ToHexString(c.Frame, 12, 4)));
        Assert.Equal(0ul, a.Stack.Counters.Dropped(DropReason.OtherVlan));
    }

    /// <summary>Offsets of checksums and sizes of segments are right with the tag, where the link finishes frames.</summary>
    [Fact]
    public void OffloadsCountTheTag()
    {
        using Simulation sim = new(2);
        Host a = sim.Add("198.18.0.1", "2001:2::1", Options(9, 1), gso: 60_000, offload: true), b = sim.Add("198.18.0.2", "2001:2::2", Options(9, 1), gso: 60_000, offload: true);
        TransferTests.Exchange(sim, a, b, TransferTests.Bytes(300_000, 1), TransferTests.Bytes(300_000, 2), v6: true);
    }

    [Fact]
    public void OtherVlansAreCountedAndDropped()
    {
        using Simulation sim = new(1);
        Host a = sim.Add("198.18.0.1", "2001:2::1", Options(5, 0)), b = sim.Add("198.18.0.2", "2001:2::2", Options(6, 0));
        _ = b.Listen(80);
        Conn client = a.Dial(b, 80);
        sim.Pass(500_000);
        Assert.Equal(TcpState.SynSent, client.State);
        Assert.True(b.Stack.Counters.Dropped(DropReason.OtherVlan) > 3);

        // Untagged to a stack with a VLAN; tagged to one without; a priority tag is no VLAN.
        byte[] arp = Convert.FromHexString("FFFFFFFFFFFF" + "020000000009" + "0806" + "0001080006040001" + "020000000009" + "C6120009" + "000000000000" + "C6120002");
        ulong before = b.Stack.Counters.Dropped(DropReason.OtherVlan);
        sim.Inject(b, arp);
        Assert.Equal(before + 1, b.Stack.Counters.Dropped(DropReason.OtherVlan));
        using Simulation plain = new(1);
        Host c = plain.Add("198.18.0.2", "2001:2::2");
        _ = plain.Add("198.18.0.3", "2001:2::3");
        plain.Pass(10_000_000);
        plain.Capture.Clear();
        plain.Inject(c, [.. arp[..12], 0x81, 0, 0, 7, .. arp[12..]]);
        Assert.Equal(1ul, c.Stack.Counters.Dropped(DropReason.OtherVlan));
        Assert.Empty(plain.Capture);
        plain.Inject(c, [.. arp[..12], 0x81, 0, 0xE0, 0, .. arp[12..]]);
        Assert.Equal(1ul, c.Stack.Counters.Dropped(DropReason.OtherVlan));
        _ = Assert.Single(plain.Capture);
    }

    /// <summary>A link that takes tags off has looked at them: what comes is ours, a tag that is left is a second one, and of others only a byte comes.</summary>
    [Fact]
    public void ALinkMayTakeTheTag()
    {
        using Simulation sim = new(1);
        Host a = sim.Add("198.18.0.1", "2001:2::1", Options(5, 0));
        _ = sim.Add("198.18.0.2", "2001:2::2", Options(5, 0));
        sim.Pass(10_000_000);
        sim.Capture.Clear();
        byte[] arp = Convert.FromHexString("FFFFFFFFFFFF" + "020000000009" + "0806" + "0001080006040001" + "020000000009" + "C6120009" + "000000000000" + "C6120001");
        Take(arp);
        Assert.Equal("81000005", Convert.ToHexString(Assert.Single(sim.Capture).Frame, 12, 4));
        Take([.. arp[..12], 0x81, 0, 0, 5, .. arp[12..]]);
        Take(arp[..1]);
        Assert.Equal(2ul, a.Stack.Counters.Dropped(DropReason.OtherVlan));
        _ = Assert.Single(sim.Capture);

        void Take(byte[] frame)
        {
            fixed (byte* p = frame)
            {
                InFrame info = new() { TagTaken = true };
                a.Stack.Receive(p, (uint)frame.Length, in info);
            }

            a.Stack.Flush();
        }
    }

    private static StackOptions Options(int vlan, int priority) => new()
    {
        Vlan = (ushort)vlan,
        VlanPriority = (byte)priority,
        MaxConnections = 64,
        MaxTimeWait = 64,
        MaxSegments = 4096,
        MaxBlocks = 4096,
    };
}
