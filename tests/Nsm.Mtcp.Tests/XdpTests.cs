using System.Diagnostics;
using System.Net;
using System.Net.Sockets;
using System.Security.Cryptography;
using System.Text.Json;
using NetKernel.Channel;
using NetKernel.Channel.Host;
using NetKernel.ServiceLib.Testing;
using NetKernel.Stack;
using static NetKernel.ServiceLib.Testing.Datagrams;

namespace NetKernel.Nsm.Mtcp.Tests;

/// <summary>AF_XDP on a veth: the NSM over it, of one core and of two; what is refused; what is left behind. (Bulk in both roles: <see cref="InteroperationTests"/>.)</summary>
public sealed class XdpTests
{
    private const string Ours = "198.18.0.2", Ours6 = "2001:2::2", Theirs = "198.18.0.1";

    [Theory]
    [InlineData(1u, MtcpNsm.Address4)]
    [InlineData(1u, MtcpNsm.Address6)]
    [InlineData(2u, MtcpNsm.Address4)]
    [InlineData(2u, MtcpNsm.Address6)]
    public void TheKernelConnects(uint cores, string address)
    {
        if (!KernelPeer.CanRun)
        {
            return;
        }

        using MtcpNsm nsm = Up(cores);
        FakeSocket listener = TwoCores.Listener(nsm, 0, address, out int port);
        for (uint i = 0; i < 8; i++)
        {
            using Socket client = nsm.Dial(address, port);
            FakeSocket server = TwoCores.Accept(nsm, listener, i % cores, out int error);
            Assert.Equal(0, error);
            TwoCores.Exchange(client, server, 1_000_000);
            server.Close();
        }
    }

    [Theory]
    [InlineData(1u, MtcpNsm.Outside4)]
    [InlineData(2u, MtcpNsm.Outside6)]
    public void TheKernelIsConnectedTo(uint cores, string address)
    {
        if (!KernelPeer.CanRun)
        {
            return;
        }

        using MtcpNsm nsm = Up(cores);
        using Socket listener = nsm.OutsideListener(out int port, address);
        for (uint i = 0; i < 8; i++)
        {
            FakeSocket client = nsm.Guest.Socket(address == MtcpNsm.Outside4 ? Libc.AF_INET : Libc.AF_INET6, queueSet: i % cores);
            Assert.Equal(0, client.Connect(address, port));
            using Socket server = listener.Accept();
            TwoCores.Exchange(server, client, 1_000_000);
            client.Close();
        }
    }

    /// <summary>Datagrams, also in fragments: of these the stack computes the checksums before it cuts them.</summary>
    [Theory]
    [InlineData(1u, MtcpNsm.Outside4)]
    [InlineData(1u, MtcpNsm.Outside6)]
    [InlineData(2u, MtcpNsm.Outside4)]
    public void Udp(uint cores, string address)
    {
        if (!KernelPeer.CanRun)
        {
            return;
        }

        using MtcpNsm nsm = Up(cores);
        IPAddress ip = IPAddress.Parse(address);
        using Socket outside = nsm.Outside(() =>
        {
            Socket socket = new(ip.AddressFamily, SocketType.Dgram, ProtocolType.Udp) { ReceiveTimeout = 30_000 };
            socket.Bind(new IPEndPoint(ip, 0));
            return socket;
        });
        int port = ((IPEndPoint)outside.LocalEndPoint!).Port;
        for (uint queueSet = 0; queueSet < cores; queueSet++)
        {
            FakeSocket socket = nsm.Guest.Socket(address == MtcpNsm.Outside4 ? Libc.AF_INET : Libc.AF_INET6, Libc.SOCK_DGRAM, queueSet: queueSet);
            foreach (int size in (int[])[1, 1472, 5000])
            {
                byte[] data = RandomNumberGenerator.GetBytes(size), buffer = new byte[size + 1];
                Send(socket, data, address, port);
                EndPoint from = new IPEndPoint(ip.AddressFamily == AddressFamily.InterNetwork ? IPAddress.Any : IPAddress.IPv6Any, 0);
                Assert.Equal(size, outside.ReceiveFrom(buffer, ref from));
                Assert.Equal(data, buffer[..size]);
                Assert.Equal(0, SendResult(socket));
                Assert.Equal(size, outside.SendTo(data, from));
                Assert.Equal(data, Receive(socket, size).Payload);
            }
        }
    }

    [Fact]
    public void TheProgramIsThereAsLongAsTheDevice()
    {
        if (!KernelPeer.CanRun)
        {
            return;
        }

        TwoStacks.Run(_ =>
        {
            const int Native = 1, Generic = 2;
            foreach (bool native in (bool[])[true, false])
            {
                using (Device device = XdpDevice.Open("nka", 1, native)[0])
                {
                    Assert.Equal(native ? Native : Generic, ProgramMode("nka"));
                    DeviceException second = Assert.Throws<DeviceException>(() => XdpDevice.Open("nka", 1));
                    Assert.StartsWith("interface nka", second.Message);
                }

                Assert.Equal(0, ProgramMode("nka"));
            }
        });
    }

    [Fact]
    public void WhatCannotWorkIsRefused()
    {
        if (!KernelPeer.CanRun)
        {
            return;
        }

        TwoStacks.Run(_ =>
        {
            Assert.StartsWith("interface nkx: ", Assert.Throws<DeviceException>(() => XdpDevice.Open("nkx", 1)).Message);
            Assert.Equal(
                "interface nka has 1 receive queues, and AF_XDP needs one for each of 2 cores (ethtool -L nka)", Assert.Throws<DeviceException>(() => XdpDevice.Open("nka", 2)).Message);
            Ethtool.SetQueues("nkb", 1);
            Ethtool.SetQueues("nka", 2);
            Assert.StartsWith("interface nka has 2 receive queues", Assert.Throws<DeviceException>(() => XdpDevice.Open("nka", 1)).Message);
            Assert.Contains("at most", Assert.Throws<InvalidOperationException>(() => Ethtool.SetQueues("nka", 5000)).Message, StringComparison.Ordinal);
            NetNamespace.Ip("link set nka mtu 9000");
            Assert.StartsWith("interface nka: its MTU of 9000 bytes is more than the 3822", Assert.Throws<DeviceException>(() => XdpDevice.Open("nka", 2)).Message);
            Assert.Equal(0, ProgramMode("nka"));
        });
    }

    /// <summary>A local sender leaves checksums to the interface, and XDP cannot see that: so the veth's other end has to compute them (docs/mtcp.md).</summary>
    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void TheOtherEndOfAVethHasToFinishFrames(bool finished)
    {
        if (!KernelPeer.CanRun)
        {
            return;
        }

        TwoStacks.Run(stacks =>
        {
            if (finished)
            {
                Ethtool.FinishFrames("nkb");
            }

            (NetworkStack stack, EchoUser echo) = stacks.Add(XdpDevice.Open("nka", 1)[0], Ours, Ours6);
            echo.Listen(Ours, 7000);
            NetNamespace.Ip($"addr add {Theirs}/16 dev nkb");
            using Socket client = new(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp) { Blocking = false };
            _ = Assert.Throws<SocketException>(() => client.Connect(IPAddress.Parse(Ours), 7000));
            stacks.Until(() => client.Poll(0, SelectMode.SelectWrite) || stack.Counters.Dropped(DropReason.TcpChecksum) != 0, "the SYN");
            Assert.Equal(finished ? 0ul : 1, stack.Counters.Dropped(DropReason.TcpChecksum));
        });
    }

    /// <summary>What a link that is down does not take waits, the rest is refused; all that waits goes when it is up again.</summary>
    [Fact]
    public unsafe void AFullLinkKeepsWhatItHasTaken()
    {
        if (!KernelPeer.CanRun)
        {
            return;
        }

        TwoStacks.Run(_ =>
        {
            using Device device = XdpDevice.Open("nka", 1)[0], other = PacketDevice.Open("nkb");
            byte* bytes = stackalloc byte[60];
            new Span<byte>(bytes, 60).Fill(0xFF);
            OutFrame frame = new() { Header = bytes, HeaderLength = 60 };
            NetNamespace.Ip("link set nka down");
            uint taken = 0;
            while (device.Transmit(in frame))
            {
                taken++;
            }

            Assert.Equal((XdpSocket.Entries, 1ul), (taken, device.Refused));
            device.Flush();
            Assert.True(device.HasUnsent);
            NetNamespace.Ip("link set nka up");
            long allocated = GC.GetAllocatedBytesForCurrentThread();
            device.Flush();
            bool unsent = device.HasUnsent, again = device.Transmit(in frame);
            Assert.Equal(allocated, GC.GetAllocatedBytesForCurrentThread());
            Assert.Equal((false, true), (unsent, again));
        });
    }

    private static MtcpNsm Up(uint cores) => new(cores, PoolLayout.Default, "--link", "xdp", "--cores", cores.ToString(System.Globalization.CultureInfo.InvariantCulture));

    /// <summary>How an XDP program is attached, as the kernel says: 0 not at all, 1 in the driver, 2 behind it.</summary>
    private static int ProgramMode(string name)
    {
        using Process ip = Process.Start(new ProcessStartInfo("ip", ["-j", "link", "show", "dev", name]) { RedirectStandardOutput = true })!;
        using JsonDocument answer = JsonDocument.Parse(ip.StandardOutput.ReadToEnd());
        ip.WaitForExit();
        return answer.RootElement[0].TryGetProperty("xdp", out JsonElement xdp) ? xdp.GetProperty("mode").GetInt32() : 0;
    }
}
