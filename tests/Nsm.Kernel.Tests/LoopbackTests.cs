using System.Net;
using System.Net.Sockets;
using NetKernel.Channel;
using NetKernel.Channel.Host;
using NetKernel.ServiceLib.Testing;

namespace NetKernel.Nsm.Kernel.Tests;

/// <summary>What listens on the loopback of the NSM's network (in host mode, the host's) cannot be reached by guests, whatever they write into their rings.</summary>
public sealed class LoopbackTests
{
    public static TheoryData<string, string> Cases()
    {
        TheoryData<string, string> cases = [];
        foreach (string mode in KernelNsm.CanBridge ? new[] { "host", "bridge" } : ["host"])
        {
            foreach (string address in new[] { "127.0.0.1", "127.1.2.3", "::1", "::ffff:127.0.0.1" })
            {
                cases.Add(mode, address);
            }
        }

        cases.Add("host", "0.0.0.0"); // to the kernel that is loopback; in bridge mode the guest itself
        cases.Add("host", "::");
        return cases;
    }

    [Theory]
    [MemberData(nameof(Cases))]
    public void Streams(string mode, string address)
    {
        using KernelNsm nsm = Make(mode);
        using Socket service = nsm.Outside(() => Service(ProtocolType.Tcp));
        int port = ((IPEndPoint)service.LocalEndPoint!).Port;
        foreach (int domain in new[] { Libc.AF_INET, Libc.AF_INET6 })
        {
            FakeSocket socket = nsm.Guest.Socket(domain);
            int error = socket.Connect(address, port);
            Assert.Contains(error, Refusals(domain));
            socket.Close();
            FakeSocket bound = nsm.Guest.Socket(domain);
            if (address is not ("0.0.0.0" or "::"))
            {
                Assert.NotEqual(0, bound.Bind(address, 0));
            }

            bound.Close();
        }

        Assert.False(service.Poll(0, SelectMode.SelectRead));
    }

    [Theory]
    [MemberData(nameof(Cases))]
    public void Datagrams(string mode, string address)
    {
        using KernelNsm nsm = Make(mode);
        using Socket service = nsm.Outside(() => Service(ProtocolType.Udp));
        int port = ((IPEndPoint)service.LocalEndPoint!).Port;
        foreach (int domain in new[] { Libc.AF_INET, Libc.AF_INET6 })
        {
            FakeSocket socket = nsm.Guest.Socket(domain, Libc.SOCK_DGRAM);
            Assert.Contains(socket.Connect(address, port), Refusals(domain));
            socket.Send(Datagram(address, port));
            socket.Flushed();
            Assert.Contains(socket.SendError, Refusals(domain));
            if (address is not ("0.0.0.0" or "::"))
            {
                Assert.NotEqual(0, socket.Bind(address, 0));
            }

            socket.Close();
        }

        Assert.False(service.Poll(0, SelectMode.SelectRead));
    }

    private static int[] Refusals(int domain) => domain == Libc.AF_INET ? [Libc.ENETUNREACH, 97 /* EAFNOSUPPORT */] : [Libc.ENETUNREACH];

    private static KernelNsm Make(string mode) => mode == "bridge" ? new KernelNsm(bridge: true) : new KernelNsm(mode: "host");

    /// <summary>On both families' loopback, so that every way in would be seen.</summary>
    private static Socket Service(ProtocolType protocol)
    {
        Socket socket = new(AddressFamily.InterNetworkV6, protocol == ProtocolType.Tcp ? SocketType.Stream : SocketType.Dgram, protocol) { DualMode = true };
        socket.Bind(new IPEndPoint(IPAddress.IPv6Any, 0));
        if (protocol == ProtocolType.Tcp)
        {
            socket.Listen();
        }

        return socket;
    }

    private static unsafe byte[] Datagram(string address, int port)
    {
        byte[] bytes = new byte[DatagramHeader.Bytes + 1];
        fixed (byte* start = bytes)
        {
            var header = (DatagramHeader*)start;
            byte[] peer = IPAddress.Parse(address).MapToIPv6().GetAddressBytes();
            header->PeerLow = BitConverter.ToUInt64(peer, 0);
            header->PeerHigh = BitConverter.ToUInt64(peer, 8);
            header->PeerPort = (ushort)port;
            header->Fields = DatagramFields.Peer;
            header->Length = 1;
        }

        return bytes;
    }
}
