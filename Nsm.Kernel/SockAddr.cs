using System.Buffers.Binary;
using System.Runtime.InteropServices;
using NetKernel.Channel.Host;
using NetKernel.ServiceLib;

namespace NetKernel.Nsm.Kernel;

/// <summary>struct sockaddr_in and sockaddr_in6 in one.</summary>
[StructLayout(LayoutKind.Explicit, Size = 28)]
internal unsafe struct SockAddr
{
    private const uint Length4 = 16, Length6 = 28;

    [FieldOffset(0)] public ushort Family;
    [FieldOffset(2)] private ushort _port;
    [FieldOffset(4)] private uint _address4;
    [FieldOffset(8)] private ulong _low;
    [FieldOffset(16)] private ulong _high;
    [FieldOffset(24)] private uint _scope;

    public readonly uint Length => Family == Libc.AF_INET ? Length4 : Length6;

    /// <summary>For a kernel socket of that family; an IPv6 socket takes IPv4 addresses in their mapped form.</summary>
    public static SockAddr For(int family, in Endpoint e)
    {
        SockAddr a = default;
        a.Family = (ushort)family;
        a._port = BinaryPrimitives.ReverseEndianness(e.Port);
        if (family == Libc.AF_INET)
        {
            a._address4 = e.Address4;
        }
        else
        {
            a._low = e.Low;
            a._high = e.High;
        }

        return a;
    }

    public readonly Endpoint ToEndpoint()
    {
        ushort port = BinaryPrimitives.ReverseEndianness(_port);
        return Family == Libc.AF_INET ? Endpoint.V4(_address4, port) : Endpoint.V6(_low, _high, port);
    }

    /// <summary>The local address of a socket; zeros when there is none.</summary>
    public static Endpoint LocalOf(int fd)
    {
        SockAddr a = default;
        uint length = Length6;
        return Sys.GetSockName(fd, &a, &length) < 0 ? default : a.ToEndpoint();
    }

    public static bool HasPeer(int fd)
    {
        SockAddr a = default;
        uint length = Length6;
        return Sys.GetPeerName(fd, &a, &length) == 0;
    }

    public static int Bind(int fd, int family, in Endpoint e)
    {
        SockAddr a = For(family, in e);
        return Sys.Bind(fd, &a, a.Length);
    }

    public static int Connect(int fd, int family, in Endpoint e)
    {
        SockAddr a = For(family, in e);
        return Sys.Connect(fd, &a, a.Length);
    }

    /// <summary>Accepts a connection, non-blocking; its fd or a negative errno.</summary>
    public static int Accept(int fd, out Endpoint peer)
    {
        SockAddr a = default;
        uint length = Length6;
        int accepted = Sys.Accept4(fd, &a, &length, Libc.SOCK_NONBLOCK | Libc.SOCK_CLOEXEC);
        peer = accepted < 0 ? default : a.ToEndpoint();
        return accepted;
    }
}
