using NetKernel.ServiceLib.Testing;

namespace NetKernel.Nsm.Mtcp.Tests;

/// <summary>What cannot work is refused at the start, with a message that names the option and its value.</summary>
public sealed class RefusalTests
{
    [Theory]
    [InlineData("--congestion", "vegas", "congestion control vegas does not exist here; these do: cubic reno dctcp bbr")]
    [InlineData("--rcvbuf", "1000", "--rcvbuf 1000 is not a number between 65536 and 1073741824")]
    [InlineData("--rcvbuf", "much", "--rcvbuf much is not a number")]
    [InlineData("--vlan", "0", "--vlan 0 is not a number between 1 and 4094")]
    [InlineData("--vlan", "4095", "--vlan 4095 is not a number between 1 and 4094")]
    [InlineData("--vlan-priority", "8", "--vlan-priority 8 is not a number between 0 and 7")]
    [InlineData("--route", "198.18.0.0/33", "--route 198.18.0.0/33 is not PREFIX/BITS")]
    [InlineData("--route", "198.18.0.0", "--route 198.18.0.0 is not PREFIX/BITS")]
    [InlineData("--route", "198.18.0.0/16,2001:2::1", "--route 198.18.0.0/16,2001:2::1 is not PREFIX/BITS")]
    [InlineData("--mode", "host", "--mode host: this NSM needs an interface of its own")]
    [InlineData("--sndbuf", "100000", "--sndbuf is not for this NSM")]
    [InlineData("--mtu", "1500", "unknown option --mtu")]
    public void Options(string name, string value, string message)
    {
        ArgumentException refused = Assert.Throws<ArgumentException>(() => Settings.Parse(["--run-dir", "/run/x", "--id", "1", name, value]));
        Assert.StartsWith(message, refused.Message);
    }

    [Fact]
    public void MissingValues()
    {
        Assert.Equal("--congestion needs a value", Assert.Throws<ArgumentException>(() => Settings.Parse(["--run-dir", "/run/x", "--id", "1", "--congestion"])).Message);
        Assert.Equal("--run-dir and --id are needed", Assert.Throws<ArgumentException>(() => Settings.Parse(["--run-dir", "/run/x"])).Message);
    }

    [Fact]
    public void Interfaces()
    {
        if (!KernelPeer.CanRun)
        {
            return;
        }

        TwoStacks.Run(_ =>
        {
            Assert.StartsWith("interface nkx: ", Assert.Throws<DeviceException>(() => PacketDevice.Open("nkx")).Message);
            Assert.StartsWith("an interface's name has 1 to 15 characters", Assert.Throws<DeviceException>(() => PacketDevice.Open("averylonginterface")).Message);
            NetNamespace.Ip("link set nka mtu 300");
            Assert.Equal("interface nka: its MTU of 300 bytes is not between 552 and 65535", Assert.Throws<DeviceException>(() => PacketDevice.Open("nka")).Message);
        });
    }
}
