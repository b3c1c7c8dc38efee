using System.Net;
using System.Net.Sockets;
using NetKernel.Stack;

namespace NetKernel.Nsm.Mtcp.Tests;

/// <summary>Our TCP with Linux's: both roles, both families, both kinds of link, clean and impaired; every byte is checked.</summary>
public sealed class InteroperationTests
{
    public static TheoryData<Link, bool, bool> Cases()
    {
        TheoryData<Link, bool, bool> cases = [];
        foreach (Link link in Enum.GetValues<Link>())
        {
            foreach (bool v6 in (bool[])[false, true])
            {
                cases.Add(link, v6, true);
                cases.Add(link, v6, false);
            }
        }

        return cases;
    }

    [Theory]
    [MemberData(nameof(Cases))]
    public void Bulk(Link link, bool v6, bool kernelConnects)
    {
        if (KernelPeer.CanRun)
        {
            using KernelPeer peer = new(link);
            Exchange(peer, v6, kernelConnects, 40_000_000);
        }
    }

    [Theory]
    [InlineData("cubic", 0.005, 0, 0)]
    [InlineData("reno", 0.02, 0.01, 0)]
    [InlineData("bbr", 0.01, 0, 0.01)]
    [InlineData("cubic", 0.05, 0.01, 0.02)]
    [InlineData("dctcp", 0, 0, 0.02)]
    public void ImpairedLink(string congestion, double loss, double duplicate, double reorder)
    {
        if (KernelPeer.CanRun)
        {
            using KernelPeer peer = new(Link.Packet, new Wire(loss, duplicate, reorder, Gso: false), congestion);
            Exchange(peer, v6: false, kernelConnects: true, 3_000_000);
            Exchange(peer, v6: true, kernelConnects: false, 3_000_000);
        }
    }

    [Theory]
    [InlineData(Link.Packet)]
    [InlineData(Link.Xdp)]
    public void SmallMtu(Link link)
    {
        if (KernelPeer.CanRun)
        {
            using KernelPeer peer = new(link, new Wire(Mtu: 1280));
            Exchange(peer, v6: true, kernelConnects: true, 3_000_000);
            Exchange(peer, v6: false, kernelConnects: false, 3_000_000);
        }
    }

    [Theory]
    [InlineData(Link.Packet)]
    [InlineData(Link.Xdp)]
    public void ManyShortConnections(Link link)
    {
        if (!KernelPeer.CanRun)
        {
            return;
        }

        using KernelPeer peer = new(link);
        peer.Inside(() => peer.Echo.Listen(KernelPeer.Ours4, 7));
        peer.Outside(() =>
        {
            byte[] data = new byte[64];
            for (int i = 0; i < 2000; i++)
            {
                using Socket socket = Connect(KernelPeer.Ours4, 7);
                data[0] = (byte)i;
                Assert.Equal(64, socket.Send(data));
                byte[] back = new byte[64];
                for (int got = 0; got < 64;)
                {
                    int n = socket.Receive(back, got, 64 - got, SocketFlags.None);
                    Assert.NotEqual(0, n);
                    got += n;
                }

                Assert.Equal(data, back);
            }
        });
        peer.Until(() => peer.Echo.Served == 2000, "all connections to end");
    }

    [Theory]
    [InlineData(Link.Packet)]
    [InlineData(Link.Xdp)]
    public void PingAndRefusals(Link link)
    {
        if (!KernelPeer.CanRun)
        {
            return;
        }

        using KernelPeer peer = new(link);
        peer.Outside(() =>
        {
            foreach (string address in (string[])[KernelPeer.Ours4, KernelPeer.Ours6])
            {
                using System.Diagnostics.Process ping = System.Diagnostics.Process.Start(new System.Diagnostics.ProcessStartInfo("python3", ["-c", Ping, address])
                {
                    RedirectStandardError = true,
                })!;
                string text = ping.StandardError.ReadToEnd();
                ping.WaitForExit();
                Assert.True(ping.ExitCode == 0, text);
                SocketException refused = Assert.Throws<SocketException>(() => Connect(address, 9));
                Assert.Equal(SocketError.ConnectionRefused, refused.SocketErrorCode);

                // A datagram to a closed port comes back as ICMP.
                using Socket udp = new(IPAddress.Parse(address).AddressFamily, SocketType.Dgram, ProtocolType.Udp) { ReceiveTimeout = 10_000 };
                udp.Connect(IPAddress.Parse(address), 9);
                _ = udp.Send(new byte[3000]); // in fragments
                refused = Assert.Throws<SocketException>(() => udp.Receive(new byte[10]));
                Assert.Equal(SocketError.ConnectionRefused, refused.SocketErrorCode);
            }
        });
    }

    // An echo request of 3,000 bytes: it goes and comes in fragments.
    private const string Ping = """
        import socket, sys, struct, os
        v6 = ':' in sys.argv[1]
        s = socket.socket(socket.AF_INET6 if v6 else socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMPV6 if v6 else socket.IPPROTO_ICMP)
        s.settimeout(10)
        data = os.urandom(3000)
        def checksum(b):
            t = sum(struct.unpack('!%dH' % (len(b) // 2), b))
            t = (t & 0xffff) + (t >> 16); t = (t & 0xffff) + (t >> 16)
            return ~t & 0xffff
        head = struct.pack('!BBHHH', 128 if v6 else 8, 0, 0, 77, 1)
        if not v6: head = struct.pack('!BBHHH', 8, 0, checksum(head + data), 77, 1)
        s.sendto(head + data, (sys.argv[1], 0))
        while True:
            reply = s.recv(65536)
            reply = reply if v6 else reply[(reply[0] & 15) * 4:]
            if reply[0] == (129 if v6 else 0):
                sys.exit(0 if reply[8:] == data else 'other data came back')
        """;

    private static Socket Connect(string address, int port)
    {
        IPAddress ip = IPAddress.Parse(address);
        Socket socket = new(ip.AddressFamily, SocketType.Stream, ProtocolType.Tcp) { ReceiveTimeout = 60_000, SendTimeout = 60_000 };
        socket.Connect(ip, port);
        return socket;
    }

    /// <summary>A stream goes to the other side and comes back; then both ends close.</summary>
    private static void Exchange(KernelPeer peer, bool v6, bool kernelConnects, long bytes)
    {
        string ours = v6 ? KernelPeer.Ours6 : KernelPeer.Ours4, theirs = v6 ? KernelPeer.Kernel6 : KernelPeer.Kernel4;
        if (kernelConnects)
        {
            int served = peer.Echo.Served;
            peer.Inside(() => peer.Echo.Listen(ours, 7000));
            peer.Outside(() =>
            {
                using Socket socket = Connect(ours, 7000);
                Thread writer = new(() =>
                {
                    byte[] data = new byte[65536];
                    for (long at = 0; at < bytes;)
                    {
                        int n = (int)Math.Min(data.Length, bytes - at);
                        for (int i = 0; i < n; i++)
                        {
                            data[i] = EchoUser.Pattern(at + i);
                        }

                        int sent = 0;
                        while (sent < n)
                        {
                            sent += socket.Send(data, sent, n - sent, SocketFlags.None);
                        }

                        at += n;
                    }

                    socket.Shutdown(SocketShutdown.Send);
                });
                writer.Start();
                byte[] back = new byte[65536];
                long got = 0;
                for (int n; (n = socket.Receive(back)) != 0;)
                {
                    for (int i = 0; i < n; i++)
                    {
                        Assert.True(back[i] == EchoUser.Pattern(got++), $"byte {got - 1} is wrong");
                    }
                }

                Assert.Equal(bytes, got);
                writer.Join();
            });
            peer.Until(() => peer.Echo.Served == served + 1, "the connection to end");
            return;
        }

        peer.Outside(() =>
        {
            using Socket listener = new(v6 ? AddressFamily.InterNetworkV6 : AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
            listener.Bind(new IPEndPoint(IPAddress.Parse(theirs), 0));
            listener.Listen();
            ushort port = (ushort)((IPEndPoint)listener.LocalEndPoint!).Port;
            EchoUser.Program? program = null;
            peer.Inside(() => program = peer.Echo.Dial(ours, theirs, port, bytes));
            using Socket socket = listener.Accept();
            socket.ReceiveTimeout = socket.SendTimeout = 60_000;
            byte[] data = new byte[65536];
            for (int n; (n = socket.Receive(data)) != 0;)
            {
                for (int sent = 0; sent < n;)
                {
                    sent += socket.Send(data, sent, n - sent, SocketFlags.None);
                }
            }

            socket.Shutdown(SocketShutdown.Both);
            peer.Until(() => program!.Done, "the connection to end");
            Assert.Equal(0, program!.Error);
            Assert.Equal(0, program.Wrong);
            Assert.Equal(bytes, program.Received);
        });
    }
}
