using System.Runtime.InteropServices;

namespace NetKernel.Channel;

/// <summary>
/// The memory that two guests share for connections in the direct form (docs/adr/0013): what one writes into a connection's ring the other reads out of it, and neither CoreEngine nor an NSM
/// touches it. Both guests may write anywhere in it: each keeps its own indices in its own memory, and takes the other's as claims.
/// </summary>
/// <remarks>Header with a <see cref="DirectSide"/> for each guest, two <see cref="DirectEnd"/>s for each connection, two rings for each connection. Side 0 is the guest with the lower id.</remarks>
public static class DirectLayout
{
    /// <summary>Connections that two guests can have in the direct form at a time; more go by copies.</summary>
    public const uint Connections = 128;

    /// <summary>Bytes of a ring, a power of two.</summary>
    public const uint RingBytes = 256 << 10;

    /// <summary>Pairs of guests that can have a region at a time.</summary>
    public const uint Pairs = 1024;

    /// <summary>Bytes of the region; memory only where it was touched.</summary>
    public const ulong Length = RingsOffset + (2ul * Connections * RingBytes);

    /// <summary>OpData of <see cref="Op.DirectNews"/> from the NSM itself: the connection has left the direct form.</summary>
    public const ulong Withdrawn = 1;

    /// <summary>Bytes of the two <see cref="DirectEnd"/>s of a connection.</summary>
    public const uint EndsBytes = 2 * DirectEnd.Length;

    private const ulong EndsOffset = 4096, RingsOffset = 256 << 10;

    /// <summary>Offset of a guest's <see cref="DirectSide"/>.</summary>
    public static ulong SideOf(uint side) => side * (ulong)DirectSide.Length;

    /// <summary>Offset of the two <see cref="DirectEnd"/>s of a connection, side 0 first.</summary>
    public static ulong EndsOf(uint connection) => EndsOffset + ((ulong)EndsBytes * connection);

    /// <summary>Offset of the ring into which a side writes.</summary>
    public static ulong RingOf(uint connection, uint side) => RingsOffset + (((2ul * connection) + side) * RingBytes);
}

/// <summary>What concerns one guest of a pair, whatever the connection.</summary>
[StructLayout(LayoutKind.Explicit, Size = Length)]
public unsafe struct DirectSide
{
    /// <summary>Bytes.</summary>
    public const int Length = 512;

    /// <summary>A bit per connection with news for this guest. Set by the peer after it has moved an index; taken by this guest after it has told its processes.</summary>
    [FieldOffset(0)] public fixed ulong News[(int)DirectLayout.Connections / 64];

    /// <summary>This guest's processes that sleep: the peer has them woken by <see cref="Op.Kick"/>. Written by this guest.</summary>
    [FieldOffset(256)] public ProcessMask Asleep;
}

/// <summary>One end of a connection in the direct form.</summary>
[StructLayout(LayoutKind.Explicit, Size = Length)]
public struct DirectEnd
{
    /// <summary>Bytes.</summary>
    public const int Length = 512;

    // --- as sender; written by this guest ---

    /// <summary>Bytes ever written into this side's ring (modulo 2^32).</summary>
    [FieldOffset(0)] public uint Tail;

    /// <summary>Not 0: tell this side as soon as fewer bytes than this wait to be read. Taken back by the peer by exchange with 0.</summary>
    [FieldOffset(4)] public uint WantsRoom;

    /// <summary>1: <see cref="Prefix"/> counts.</summary>
    [FieldOffset(8)] public uint Started;

    /// <summary>1: <see cref="Tail"/> is final; what this side sends after it comes by the NSM. Written once, after <see cref="Withdrawn"/> was seen.</summary>
    [FieldOffset(12)] public uint Stopped;

    /// <summary>Bytes that this side sent by the NSM before the first in the ring: they are to be read first. Written once, before <see cref="Started"/>.</summary>
    [FieldOffset(16)] public ulong Prefix;

    // --- as receiver; written by this guest ---

    /// <summary>Bytes ever read out of the peer's ring (modulo 2^32).</summary>
    [FieldOffset(128)] public uint Head;

    /// <summary>1: this guest has mapped the region and reads the peer's ring.</summary>
    [FieldOffset(132)] public uint Ready;

    // --- this guest's own ---

    /// <summary>The socket's id. The guest checks that the socket is really here.</summary>
    [FieldOffset(256)] public uint Socket;

    /// <summary>Its processes that have used the socket since they have it: if one of them sleeps, it wants to be woken.</summary>
    [FieldOffset(264)] public ProcessMask Users;

    /// <summary>1: the peer has asked that this side's sleepers be woken, and they have not heard of it yet. Set by the peer, taken back by this guest.</summary>
    [FieldOffset(384)] public uint Kicked;

    // --- written by the shared-memory NSM ---

    /// <summary>1: nobody reads here any more; what is sent now goes by the NSM, which answers as TCP does.</summary>
    [FieldOffset(448)] public uint Gone;

    /// <summary>Bytes that may wait for this side's program to read (SO_RCVBUF).</summary>
    [FieldOffset(452)] public uint ReceiveLimit;

    /// <summary>1: the connection leaves the direct form: this side is to write no more into its ring.</summary>
    [FieldOffset(456)] public uint Withdrawn;
}

/// <summary>How a socket says where its connection lies: words of <see cref="Op.Direct"/>, and of the guest's <see cref="SocketSlot"/>.</summary>
public static class DirectPlace
{
    /// <summary>The region: index in the low half, and above it a number for each life of that index, never 0.</summary>
    public static uint Region(uint index, uint life) => index | (life << 16);

    /// <summary>The index of a region.</summary>
    public static uint IndexOf(uint region) => region & 0xFFFF;

    /// <summary>A connection in a region, and the side of it.</summary>
    public static uint End(uint connection, uint side) => connection | (side << 31);

    /// <summary>The connection.</summary>
    public static uint ConnectionOf(uint end) => end & 0xFFFF;

    /// <summary>The side.</summary>
    public static uint SideOf(uint end) => end >> 31;
}
