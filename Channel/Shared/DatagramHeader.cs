using System.Runtime.InteropServices;

namespace NetKernel.Channel;

/// <summary>
/// What stands before the payload of a datagram: at the start of the first chunk of every <see cref="Op.Send"/> and <see cref="Op.Data"/> of a
/// SOCK_DGRAM socket. A payload that does not fit behind it goes on in a second chunk: the first NQE has <see cref="NqeFlags.More"/>, the second
/// <see cref="NqeFlags.Continued"/>. Whoever reads it copies it out once: the writer may change it at any time.
/// </summary>
[StructLayout(LayoutKind.Explicit, Size = Bytes)]
public struct DatagramHeader
{
    /// <summary>Bytes of the header.</summary>
    public const int Bytes = 64;

    /// <summary>The largest payload: a UDP length field's 65,535 less its own 8 bytes of header (RFC 768), reached over IPv6.</summary>
    public const uint MostPayload = 65527;

    /// <summary>The largest payload over IPv4: an IP packet's 65,535 bytes less 20 of header less 8 (RFC 791).</summary>
    public const uint MostPayload4 = 65507;

    /// <summary>Destination of a Send (with <see cref="DatagramFields.Peer"/>), source of a Data; first half, network order, IPv4 as ::ffff:a.b.c.d.</summary>
    [FieldOffset(0)] public ulong PeerLow;

    /// <summary>Second half.</summary>
    [FieldOffset(8)] public ulong PeerHigh;

    /// <summary>With <see cref="DatagramFields.Local"/>: the address to send from, or the one it was sent to; first half.</summary>
    [FieldOffset(16)] public ulong LocalLow;

    /// <summary>Second half.</summary>
    [FieldOffset(24)] public ulong LocalHigh;

    /// <summary>With <see cref="DatagramFields.Timestamp"/>: when it arrived, nanoseconds since 1970.</summary>
    [FieldOffset(32)] public ulong Timestamp;

    /// <summary>Payload bytes, in both chunks together.</summary>
    [FieldOffset(40)] public uint Length;

    /// <summary>Port of the peer, host order.</summary>
    [FieldOffset(44)] public ushort PeerPort;

    /// <summary>Bits of <see cref="DatagramFields"/>.</summary>
    [FieldOffset(46)] public ushort Fields;

    /// <summary>With <see cref="DatagramFields.Tos"/>: TOS or traffic class.</summary>
    [FieldOffset(48)] public byte Tos;

    /// <summary>With <see cref="DatagramFields.Ttl"/>: TTL or hop limit.</summary>
    [FieldOffset(49)] public byte Ttl;
}

/// <summary>Bits of <see cref="DatagramHeader.Fields"/>.</summary>
public static class DatagramFields
{
    /// <summary>Send: to that peer, not to the connected one.</summary>
    public const ushort Peer = 1;

    /// <summary>The local address is given.</summary>
    public const ushort Local = 2;

    /// <summary>TOS or traffic class is given.</summary>
    public const ushort Tos = 4;

    /// <summary>TTL or hop limit is given.</summary>
    public const ushort Ttl = 8;

    /// <summary>The time of arrival is given.</summary>
    public const ushort Timestamp = 16;

    /// <summary>Error record: the queue holds more.</summary>
    public const ushort MoreErrors = 32;
}
