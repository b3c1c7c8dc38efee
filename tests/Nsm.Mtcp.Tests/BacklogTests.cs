using System.Net;
using System.Net.Sockets;
using NetKernel.ServiceLib.Testing;

namespace NetKernel.Nsm.Mtcp.Tests;

/// <summary>What waits at the guest counts towards its listener's backlog, as what waits in the stack does.</summary>
public sealed class BacklogTests
{
    private const int TcpInfo = 11, SynSent = 2, RetransmitsAt = 2;

    [Fact]
    public void A_listener_without_backlog_lets_one_wait()
    {
        if (!KernelPeer.CanRun)
        {
            return;
        }

        using MtcpNsm nsm = new();
        FakeSocket listener = nsm.Listener(out int port, backlog: 0);
        using Socket first = nsm.Dial(MtcpNsm.Address4, port);
        FakeSocket accepted = listener.Accept(out _);
        using Socket second = nsm.Dial(MtcpNsm.Address4, port);

        // The third one's SYN is dropped and goes again, as long as the second is not taken.
        using Socket third = nsm.Outside(() => new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp) { Blocking = false });
        _ = Assert.Throws<SocketException>(() => third.Connect(IPAddress.Parse(MtcpNsm.Address4), port));
        byte[] info = new byte[104];
        while (info[RetransmitsAt] == 0)
        {
            _ = third.GetRawSocketOption(6, TcpInfo, info);
            Assert.Equal(SynSent, info[0]);
            _ = Thread.Yield();
        }

        FakeSocket next = listener.Accept(out _);
        Assert.True(third.Poll(30_000_000, SelectMode.SelectWrite), "the third does not connect");
        Assert.Equal(0, (int)third.GetSocketOption(SocketOptionLevel.Socket, SocketOptionName.Error)!);
        accepted.Close();
        next.Close();
    }
}
