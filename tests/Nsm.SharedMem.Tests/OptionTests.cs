using System.Text;
using NetKernel.Channel.Host;
using NetKernel.ServiceLib.Testing;

namespace NetKernel.Nsm.SharedMem.Tests;

/// <summary>Options: kept and given back, checked as the kernel checks them, or refused.</summary>
public sealed class OptionTests
{
    private const int Tcp = 6;

    [Fact]
    public void What_has_no_meaning_without_packets_is_kept_and_checked()
    {
        using SharedMemNsm nsm = new();
        (FakeSocket client, FakeSocket _) = nsm.Pair(110);
        Assert.Equal(0, client.SetOption(Tcp, 1, 1));
        Assert.Equal(0, client.GetOption(Tcp, 1, 4, out byte[] noDelay));
        Assert.Equal(1, BitConverter.ToInt32(noDelay));
        Assert.Equal(Libc.EINVAL, client.SetOption(Tcp, 4, 40_000));
        Assert.Equal(0, client.GetOption(Tcp, 4, 4, out byte[] idle));
        Assert.Equal(7200, BitConverter.ToInt32(idle));
        Assert.Equal(0, client.SetOption(Libc.SOL_SOCKET, 7, 10_000));
        Assert.Equal(0, client.GetOption(Libc.SOL_SOCKET, 7, 4, out byte[] buffer));
        Assert.Equal(20_000, BitConverter.ToInt32(buffer));
    }

    [Fact]
    public void What_would_promise_something_is_refused()
    {
        using SharedMemNsm nsm = new();
        (FakeSocket client, FakeSocket _) = nsm.Pair(111);
        const int Fastopen = 23, Congestion = 13, OobInline = 10, NoSuch = 92;
        Assert.Equal(NoSuch, client.SetOption(Tcp, Fastopen, 1));
        Assert.Equal(NoSuch, client.SetOption(Libc.SOL_SOCKET, OobInline, 1));
        Assert.Equal(2, client.SetOption(Tcp, Congestion, BitConverter.ToUInt64("vegas\0\0\0"u8), 5));
        Assert.Equal(0, client.GetOption(Tcp, Congestion, 16, out byte[] name));
        Assert.Equal("sharedmem", Encoding.ASCII.GetString(name).TrimEnd('\0'));
    }

    [Theory]
    [InlineData(5)]
    [InlineData(8)]
    public void The_name_of_a_congestion_control_is_kept(uint length)
    {
        const int Congestion = 13;
        using SharedMemNsm nsm = new();
        (FakeSocket client, FakeSocket _) = nsm.Pair(113);
        Assert.Equal(0, client.SetOption(Tcp, Congestion, BitConverter.ToUInt64("cubic\0\0\0"u8), length));
        Assert.Equal(0, client.GetOption(Tcp, Congestion, 16, out byte[] name));
        Assert.Equal("cubic", Encoding.ASCII.GetString(name).TrimEnd('\0'));
    }

    [Fact]
    public void TCP_INFO_says_the_state_and_the_bytes_and_no_round_trips()
    {
        using SharedMemNsm nsm = new();
        (FakeSocket client, FakeSocket server) = nsm.Pair(112);
        client.Send(new byte[5000]);
        _ = server.Receive(5000);
        Assert.Equal((1, 5000ul, 0ul, 0u), Info(client));
        Assert.Equal((1, 0ul, 5000ul, 0u), Info(server));
        client.Shutdown(1);
        server.Ended();
        Assert.Equal(5, Info(client).State);
        Assert.Equal(8, Info(server).State);
    }

    private static (int State, ulong Sent, ulong Received, uint RoundTrip) Info(FakeSocket socket)
    {
        Assert.Equal(0, socket.GetOption(Tcp, 11, 512, out byte[] info));
        return (info[0], BitConverter.ToUInt64(info, 120), BitConverter.ToUInt64(info, 128), BitConverter.ToUInt32(info, 68));
    }
}
