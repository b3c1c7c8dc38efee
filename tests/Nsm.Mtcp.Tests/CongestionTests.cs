using System.Text;
using NetKernel.ServiceLib.Testing;

namespace NetKernel.Nsm.Mtcp.Tests;

/// <summary>Which congestion control a connection has: its program's choice, its guest's, or the NSM's.</summary>
public sealed class CongestionTests
{
    private const int Tcp = 6;

    /// <summary>A guest's congestion control is that of sockets made from then on, and of those that are not connected yet; what a program chooses goes first.</summary>
    [Fact]
    public void A_guest_has_a_congestion_control_of_its_own()
    {
        if (!Environment.IsPrivilegedProcess)
        {
            return;
        }

        using MtcpNsm nsm = new();
        FakeSocket listener = nsm.Listener(out int port);
        FakeSocket own = nsm.Guest.Socket();
        Assert.Equal(0, own.SetOption(Tcp, 13, BitConverter.ToUInt64("cubic\0\0\0"u8), 5));
        using System.Net.Sockets.Socket first = nsm.Dial(MtcpNsm.Address4, port);
        FakeSocket before = listener.Accept(out _);
        Assert.Equal("", nsm.Engine.SetCongestion(1, "reno"));
        Assert.Equal(("cubic", "cubic", "reno"), (CongestionOf(before), CongestionOf(own), CongestionOf(listener)));
        Assert.Equal("reno", CongestionOf(nsm.Guest.Socket()));
        using System.Net.Sockets.Socket second = nsm.Dial(MtcpNsm.Address4, port);
        Assert.Equal("reno", CongestionOf(listener.Accept(out _)));

        // What the stack does not have is said, and sockets get the NSM's own.
        Assert.Equal("there is no congestion control nothing", nsm.Engine.SetCongestion(1, "nothing"));
        Assert.Equal("cubic", CongestionOf(nsm.Guest.Socket()));
        Assert.Equal("", nsm.Engine.SetCongestion(1, "reno"));
        Assert.Equal("", nsm.Engine.SetCongestion(1, ""));
        Assert.Equal(("cubic", "cubic"), (CongestionOf(nsm.Guest.Socket()), CongestionOf(listener)));
    }

    private static string CongestionOf(FakeSocket socket)
    {
        Assert.Equal(0, socket.GetOption(Tcp, 13, 16, out byte[] name));
        return Encoding.ASCII.GetString(name).TrimEnd('\0');
    }
}
