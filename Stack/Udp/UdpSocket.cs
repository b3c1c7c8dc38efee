using System.Runtime.InteropServices;

namespace NetKernel.Stack;

/// <summary>A datagram socket of one family, in native memory. The fields without a comment on who writes them are the layer's.</summary>
[StructLayout(LayoutKind.Sequential)]
public unsafe struct UdpSocket
{
    /// <summary>The user's.</summary>
    public void* User;

    /// <summary>Whose memory its queues are counted as.</summary>
    public UdpBudget* Budget;

    /// <summary>Its address, with <see cref="LocalPort"/>.</summary>
    public Address Local;

    /// <summary>The connected peer.</summary>
    public Address Remote;

    /// <summary>Its port; 0: not bound.</summary>
    public ushort LocalPort;

    /// <summary>Port of the connected peer.</summary>
    public ushort RemotePort;

    /// <summary>Datagrams of its peer only come in, and errors of its peer are its own.</summary>
    public bool IsConnected;

    /// <summary>Keeps its port and hears nothing. The user writes it.</summary>
    public bool IsDeaf;

    /// <summary>IP_RECVERR. The user writes it.</summary>
    public bool RecordsErrors;

    /// <summary>What it sends is not cut, and marked so: what is larger than the path's MTU is EMSGSIZE. The user writes it.</summary>
    public bool DontFragment;

    /// <summary>Arrivals get the time of day. The user writes it.</summary>
    public bool Timestamps;

    /// <summary>TOS or traffic class, TTL or hop limit of what it sends. The user writes them.</summary>
    public byte Tos, Ttl;

    /// <summary>An error that waits for the user, who clears it.</summary>
    public int Error;

    /// <summary>Bytes of datagrams, with their records, that may wait. The user writes it.</summary>
    public uint ReceiveLimit;

    internal bool ReuseAddress, ReusePort;
    internal uint Queued, ErrorCount;
    internal UdpSocket* Next;
    internal UdpItem* First, Last, FirstError, LastError;

    /// <summary>The oldest datagram that waits, or null.</summary>
    public readonly UdpItem* Oldest => First;

    /// <summary>The oldest error record that waits, or null.</summary>
    public readonly UdpItem* OldestError => FirstError;
}

/// <summary>The memory that all sockets of one user take together.</summary>
public struct UdpBudget
{
    /// <summary>Bytes that wait.</summary>
    public ulong Queued;
}

/// <summary>A datagram that waits for its reader, or a record of an error; the payload lies behind it.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct UdpItem
{
    internal unsafe UdpItem* Next;

    /// <summary>Source; of an error, where the datagram was to go.</summary>
    public Address Peer;

    /// <summary>Of an error: who reports it.</summary>
    public Address Offender;

    /// <summary>Nanoseconds since 1970, or 0: nobody wanted to know.</summary>
    public ulong Timestamp;

    /// <summary>Bytes of payload.</summary>
    public uint Length;

    /// <summary>Of an error: errno.</summary>
    public int Error;

    /// <summary>Of an error: the MTU.</summary>
    public uint Info;

    /// <summary>Port of the peer.</summary>
    public ushort PeerPort;

    /// <summary>TOS or traffic class, TTL or hop limit.</summary>
    public byte Tos, Ttl;

    /// <summary>Of an error: ICMP's type and code.</summary>
    public byte Type, Code;

    /// <summary>The payload of an item.</summary>
    public static unsafe byte* PayloadOf(UdpItem* item) => (byte*)(item + 1);
}

/// <summary>What ICMP said, besides the errno.</summary>
internal struct IcmpReport
{
    public Address Offender;
    public uint Mtu;
    public byte Type, Code;
}
