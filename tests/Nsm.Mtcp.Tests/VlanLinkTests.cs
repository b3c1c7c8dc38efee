using NetKernel.ServiceLib.Testing;
using NetKernel.Stack;

namespace NetKernel.Nsm.Mtcp.Tests;

/// <summary>VLAN tags on real links: the kernel takes them off for AF_PACKET and leaves them on a TAP; offloads reckon with them. (The kernel here has no VLAN interfaces to be the other end.)</summary>
public sealed class VlanLinkTests
{
    private const string A4 = "198.18.0.1", A6 = "2001:2::1", B4 = "198.18.0.2", B6 = "2001:2::2";

    [Theory]
    [InlineData(false, 5)]
    [InlineData(true, 5)]
    [InlineData(false, 0)]
    [InlineData(true, 0)]
    public void Bulk(bool tap, int vlan)
    {
        if (!KernelPeer.CanRun)
        {
            return;
        }

        TwoStacks.Run(stacks =>
        {
            Device first = tap ? TapDevice.Open("nkt0", 0x0606_0606_0602) : PacketDevice.Open("nka", (ushort)vlan);
            if (tap)
            {
                NetNamespace.Ip("link set nkt0 up");
            }

            (_, EchoUser client) = stacks.Add(first, A4, A6, (ushort)vlan, 3);
            (NetworkStack server, EchoUser echo) = stacks.Add(PacketDevice.Open(tap ? "nkt0" : "nkb", (ushort)vlan), B4, B6, (ushort)vlan, 3);
            echo.Listen(B4, 7000);
            echo.Listen(B6, 7000);
            foreach ((string from, string to) in new[] { (A4, B4), (A6, B6) })
            {
                EchoUser.Program program = client.Dial(from, to, 7000, 8_000_000);
                stacks.Until(() => program.Done, "the exchange");
                Assert.Equal((0, 0, 8_000_000), (program.Error, program.Wrong, program.Received));
            }

            Assert.Equal(0ul, server.Counters.Dropped(DropReason.OtherVlan));
            Assert.Equal(0ul, server.Counters.Dropped(DropReason.TcpChecksum));
        });
    }

    /// <summary>Frames of another VLAN, and untagged ones, reach nobody and are counted, on both kinds of link.</summary>
    [Theory]
    [InlineData(false, 6, 5)]
    [InlineData(false, 0, 5)]
    [InlineData(false, 5, 0)]
    [InlineData(true, 6, 5)]
    [InlineData(true, 5, 0)]
    public void OthersAreCounted(bool tap, int theirs, int ours)
    {
        if (!KernelPeer.CanRun)
        {
            return;
        }

        TwoStacks.Run(stacks =>
        {
            Device device = tap ? TapDevice.Open("nkt0", 0x0606_0606_0602) : PacketDevice.Open("nkb", (ushort)ours);
            if (tap)
            {
                NetNamespace.Ip("link set nkt0 up");
            }

            (NetworkStack server, EchoUser echo) = stacks.Add(device, B4, B6, (ushort)ours);
            echo.Listen(B4, 7000);
            (_, EchoUser client) = stacks.Add(PacketDevice.Open(tap ? "nkt0" : "nka", (ushort)theirs), A4, A6, (ushort)theirs);
            EchoUser.Program program = client.Dial(A4, B4, 7000, 100);
            stacks.Until(() => server.Counters.Dropped(DropReason.OtherVlan) >= 3, "foreign frames");
            Assert.Equal((0, 0), (program.Received, echo.Served));
            Assert.Equal(0ul, server.Counters.Dropped(DropReason.EtherTruncated));
        });
    }
}
