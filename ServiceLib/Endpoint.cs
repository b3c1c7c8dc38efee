using System.Runtime.InteropServices;
using NetKernel.Channel;

namespace NetKernel.ServiceLib;

/// <summary>An address and a port as NQEs carry them: 16 bytes in network order, IPv4 as ::ffff:a.b.c.d, the port in host order.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct Endpoint
{
    /// <summary>Bytes 8-11 of an IPv4-mapped address, as they lie in the low half of <see cref="High"/>.</summary>
    private const ulong MappedPrefix = 0xFFFF_0000;

    /// <summary>Bytes 0-7.</summary>
    public ulong Low;

    /// <summary>Bytes 8-15.</summary>
    public ulong High;

    /// <summary>Port, host order.</summary>
    public ushort Port;

    /// <summary>Whether the address is an IPv4 one.</summary>
    public readonly bool IsIPv4 => Low == 0 && (uint)High == MappedPrefix;

    /// <summary>The IPv4 address in network order; meaningful when <see cref="IsIPv4"/>.</summary>
    public readonly uint Address4 => (uint)(High >> 32);

    /// <summary>From an IPv4 address in network order.</summary>
    public static Endpoint V4(uint address, ushort port)
    {
        Endpoint e = default;
        e.High = MappedPrefix | ((ulong)address << 32);
        e.Port = port;
        return e;
    }

    /// <summary>From the two halves of an IPv6 address.</summary>
    public static Endpoint V6(ulong low, ulong high, ushort port)
    {
        Endpoint e = default;
        e.Low = low;
        e.High = high;
        e.Port = port;
        return e;
    }

    /// <summary>Whether both name the same address, whatever the port.</summary>
    public readonly bool SameAddress(in Endpoint other) => Low == other.Low && High == other.High;

    /// <summary>Takes the address fields of an NQE.</summary>
    public static unsafe Endpoint From(Nqe* e) => V6(e->OpData, e->DataPtr, e->Aux);

    /// <summary>Puts it into the address fields of an NQE.</summary>
    public readonly unsafe void To(Nqe* e)
    {
        e->OpData = Low;
        e->DataPtr = High;
        e->Aux = Port;
    }
}
