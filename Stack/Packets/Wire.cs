using System.Buffers.Binary;
using System.Runtime.CompilerServices;

namespace NetKernel.Stack;

/// <summary>Big-endian fields at any alignment.</summary>
internal static unsafe class Wire
{
    public static ushort U16(byte* p) => BinaryPrimitives.ReverseEndianness(Unsafe.ReadUnaligned<ushort>(p));

    public static uint U32(byte* p) => BinaryPrimitives.ReverseEndianness(Unsafe.ReadUnaligned<uint>(p));

    public static void U16(byte* p, uint value) => Unsafe.WriteUnaligned(p, BinaryPrimitives.ReverseEndianness((ushort)value));

    public static void U32(byte* p, uint value) => Unsafe.WriteUnaligned(p, BinaryPrimitives.ReverseEndianness(value));

    /// <summary>Puts 4 or 16 bytes of address; returns how many.</summary>
    public static int Put(byte* p, in Address address)
    {
        if (address.IsV4)
        {
            Unsafe.WriteUnaligned(p, address.V4Bits);
            return 4;
        }

        Unsafe.WriteUnaligned(p, address.Low);
        Unsafe.WriteUnaligned(p + 8, address.High);
        return 16;
    }

    public static Address V4(byte* p) => Address.V4(Unsafe.ReadUnaligned<uint>(p));

    public static Address V6(byte* p) => Address.V6(p);
}

/// <summary>Numbers of the protocols.</summary>
internal static class Protocol
{
    public const ushort EtherIpv4 = 0x0800, EtherArp = 0x0806, EtherIpv6 = 0x86DD, EtherVlan = 0x8100;
    public const byte HopByHop = 0, Icmp = 1, Tcp = 6, Udp = 17, Routing = 43, Fragment = 44, Icmpv6 = 58, NoNext = 59, DestinationOptions = 60;
}

/// <summary>Where the fields of the headers lie.</summary>
internal static class Field
{
    /// <summary>Ethernet: destination, source, type.</summary>
    public const int EtherSource = 6, EtherType = 12, EtherLength = 14;

    /// <summary>ARP over Ethernet (RFC 826).</summary>
    public const int ArpOperation = 6, ArpSenderMac = 8, ArpSenderIp = 14, ArpTargetMac = 18, ArpTargetIp = 24, ArpLength = 28;

    /// <summary>IPv4 (RFC 791).</summary>
    public const int V4Tos = 1, V4Total = 2, V4Id = 4, V4Fragment = 6, V4Ttl = 8, V4Protocol = 9, V4Checksum = 10, V4Source = 12, V4Destination = 16,
        V4Length = 20;

    /// <summary>IPv6 (RFC 8200).</summary>
    public const int V6Payload = 4, V6Next = 6, V6Hops = 7, V6Source = 8, V6Destination = 24, V6Length = 40;

    /// <summary>TCP (RFC 9293, 3.1).</summary>
    public const int TcpSource = 0, TcpDestination = 2, TcpSeq = 4, TcpAck = 8, TcpOffset = 12, TcpFlags = 13, TcpWindow = 14, TcpChecksum = 16, TcpUrgent = 18,
        TcpLength = 20;

    /// <summary>UDP (RFC 768).</summary>
    public const int UdpLength = 4, UdpChecksum = 6, UdpHeader = 8;
}
