using System.Text;
using NetKernel.Channel;
using NetKernel.Channel.Host;
using NetKernel.ServiceLib.Testing;

namespace NetKernel.Nsm.Kernel.Tests;

public sealed class OptionTests
{
    private const int Socket = 1, Tcp = 6, Ip = 0;

    [Theory]
    [InlineData(Socket, 9, 1, 1)] // SO_KEEPALIVE
    [InlineData(Socket, 7, 50_000, 100_000)] // SO_SNDBUF, doubled by the kernel
    [InlineData(Socket, 8, 50_000, 100_000)] // SO_RCVBUF
    [InlineData(Socket, 12, 6, 6)] // SO_PRIORITY
    [InlineData(Socket, 47, 1_000_000, 1_000_000)] // SO_MAX_PACING_RATE
    [InlineData(Tcp, 1, 1, 1)] // TCP_NODELAY
    [InlineData(Tcp, 3, 1, 1)] // TCP_CORK
    [InlineData(Tcp, 4, 77, 77)] // TCP_KEEPIDLE
    [InlineData(Tcp, 5, 7, 7)] // TCP_KEEPINTVL
    [InlineData(Tcp, 6, 3, 3)] // TCP_KEEPCNT
    [InlineData(Tcp, 7, 4, 4)] // TCP_SYNCNT
    [InlineData(Tcp, 18, 9000, 9000)] // TCP_USER_TIMEOUT
    [InlineData(Tcp, 25, 16384, 16384)] // TCP_NOTSENT_LOWAT
    [InlineData(Ip, 1, 16, 16)] // IP_TOS
    [InlineData(Ip, 2, 33, 33)] // IP_TTL
    public void Is_set_and_read_back(int level, int name, int value, int answer)
    {
        using KernelNsm nsm = new();
        FakeSocket socket = nsm.Guest.Socket();
        Assert.Equal(0, socket.SetOption(level, name, (ulong)value));
        Assert.Equal(0, socket.GetOption(level, name, 4, out byte[] got));
        Assert.Equal(answer, BitConverter.ToInt32(got));
        Assert.Equal(0, socket.SetOption(level, name, (ulong)value, ring: RingKind.Send));
        socket.Close();
    }

    [Theory]
    [InlineData(Socket, 25, Sys.ENOPROTOOPT)] // SO_BINDTODEVICE
    [InlineData(Socket, 36, Sys.ENOPROTOOPT)] // SO_MARK
    [InlineData(Socket, 4, Sys.ENOPROTOOPT)] // SO_ERROR is read-only
    [InlineData(Tcp, 19, Sys.ENOPROTOOPT)] // TCP_REPAIR
    [InlineData(Tcp, 11, Sys.ENOPROTOOPT)] // TCP_INFO is read-only
    [InlineData(41, 26, Sys.ENOPROTOOPT)] // IPV6_V6ONLY comes with Bind
    [InlineData(Socket, 12, Libc.EPERM)] // SO_PRIORITY above 6
    [InlineData(Ip, 19, Sys.ENOPROTOOPT)] // IP_TRANSPARENT
    public void Is_refused(int level, int name, int error)
    {
        using KernelNsm nsm = new();
        Assert.Equal(error, nsm.Guest.Socket().SetOption(level, name, 7));
    }

    [Fact]
    public void Linger_congestion_control_and_tcp_info()
    {
        using KernelNsm nsm = new(options: ["--congestion", "reno"]);
        FakeSocket socket = nsm.Guest.Socket();
        Assert.Equal(0, socket.GetOption(Tcp, 13, 16, out byte[] name));
        Assert.Equal("reno", Encoding.ASCII.GetString(name).TrimEnd('\0'));
        string allowed = File.ReadAllText("/proc/sys/net/ipv4/tcp_allowed_congestion_control").Split()[0];
        byte[] text = new byte[8];
        _ = Encoding.ASCII.GetBytes(allowed, text);
        Assert.Equal(0, socket.SetOption(Tcp, 13, BitConverter.ToUInt64(text), (uint)allowed.Length));
        Assert.Equal(Libc.ENOENT, socket.SetOption(Tcp, 13, BitConverter.ToUInt64("nothing\0"u8), 7));

        Assert.Equal(0, socket.SetOption(Socket, 13, 1 | (5ul << 32), 8));
        Assert.Equal(0, socket.GetOption(Socket, 13, 8, out byte[] linger));
        Assert.Equal(1 | (5ul << 32), BitConverter.ToUInt64(linger));
        Assert.Equal(0, socket.GetOption(Tcp, 11, 256, out byte[] info));
        Assert.True(info.Length >= 104);
        Assert.Equal(0, socket.GetOption(Socket, 4, 4, out byte[] error));
        Assert.Equal(0, BitConverter.ToInt32(error));
    }

    [Fact]
    public void Buffers_of_the_operator_are_those_of_every_socket()
    {
        using KernelNsm nsm = new(options: ["--sndbuf", "100000", "--rcvbuf", "120000"]);
        FakeSocket socket = nsm.Guest.Socket();
        Assert.Equal(0, socket.GetOption(Socket, 7, 4, out byte[] send));
        Assert.Equal(0, socket.GetOption(Socket, 8, 4, out byte[] receive));
        Assert.Equal((200_000, 240_000), (BitConverter.ToInt32(send), BitConverter.ToInt32(receive)));
    }

    /// <summary>A guest's congestion control is that of sockets made from then on, and of those that are not connected yet; what a program chooses goes first.</summary>
    [Fact]
    public void A_guest_has_a_congestion_control_of_its_own()
    {
        using KernelNsm nsm = new(options: ["--congestion", "cubic"]);
        FakeSocket listener = nsm.Listener(out int port);
        FakeSocket own = nsm.Guest.Socket();
        Assert.Equal(0, own.SetOption(Tcp, 13, BitConverter.ToUInt64("cubic\0\0\0"u8), 5));
        using System.Net.Sockets.Socket first = nsm.Dial("127.0.0.1", port);
        FakeSocket before = listener.Accept(out _);
        Assert.Equal("", nsm.Engine.SetCongestion(1, "reno"));
        Assert.Equal(("cubic", "cubic", "reno"), (CongestionOf(before), CongestionOf(own), CongestionOf(listener)));
        Assert.Equal("reno", CongestionOf(nsm.Guest.Socket()));
        using System.Net.Sockets.Socket second = nsm.Dial("127.0.0.1", port);
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
