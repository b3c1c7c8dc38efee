using System.Runtime.InteropServices;

namespace NetKernel.Channel;

/// <summary>
/// The first page of a control region: the memory that one guest (or one NSM) shares with CoreEngine. Written once by CoreEngine,
/// apart from the fields that say otherwise. Offsets of everything behind it follow from the counts (<see cref="ControlLayout"/>);
/// CoreEngine keeps its own copy of the counts and never reads them back.
/// </summary>
[StructLayout(LayoutKind.Explicit, Size = Length)]
public unsafe struct ControlHeader
{
    /// <summary>Bytes of the header.</summary>
    public const int Length = 4096;

    /// <summary>"NKCTRL01" of a guest's region.</summary>
    public const ulong GuestMagic = 0x31304C5254434B4E;

    /// <summary>"NKNSMR01" of an NSM's region.</summary>
    public const ulong NsmMagic = 0x3130524D534E4B4E;

    /// <summary>Raised with every change of a layout; both sides must agree.</summary>
    public const uint Version = 8;

    /// <summary><see cref="GuestMagic"/> or <see cref="NsmMagic"/>.</summary>
    [FieldOffset(0)] public ulong Magic;

    /// <summary><see cref="Version"/>.</summary>
    [FieldOffset(8)] public uint LayoutVersion;

    /// <summary><see cref="Length"/>.</summary>
    [FieldOffset(12)] public uint HeaderLength;

    /// <summary>Bytes of the whole region.</summary>
    [FieldOffset(16)] public ulong TotalLength;

    /// <summary>The guest's or the NSM's id.</summary>
    [FieldOffset(24)] public uint Id;

    /// <summary>The counts from which the layout follows.</summary>
    [FieldOffset(28)] public ControlCounts Counts;

    /// <summary>Process id of the CoreEngine that made the region.</summary>
    [FieldOffset(64)] public uint OwnerPid;

    /// <summary>See <see cref="RegionState"/>. CoreEngine writes it at any time.</summary>
    [FieldOffset(68)] public uint State;

    /// <summary>Raised by CoreEngine each time a part of the RX half goes to an NSM that writes there anew: the next one after a death, or one that begins to serve the guest.</summary>
    [FieldOffset(72)] public uint NsmEpoch;

    /// <summary>See <see cref="RegionFlags"/>.</summary>
    [FieldOffset(76)] public uint Flags;

    /// <summary>The guest's IPv4 address in network byte order; 0: none.</summary>
    [FieldOffset(80)] public uint Address4;

    /// <summary>The guest's IPv6 address, 16 bytes in network order; zeros: none.</summary>
    [FieldOffset(88)] public ulong Address6Low;

    /// <summary>The second half of <see cref="Address6Low"/>.</summary>
    [FieldOffset(96)] public ulong Address6High;

    /// <summary>The guest's name, UTF-8, zero-terminated.</summary>
    [FieldOffset(104)] public fixed byte Name[40];

    /// <summary>Layout of the guest's pool region.</summary>
    [FieldOffset(144)] public PoolLayout Pool;

    /// <summary>CoreEngine's monotonic clock in nanoseconds, at least every 100 ms while it is awake and on every wake-up.</summary>
    [FieldOffset(192)] public ulong Heartbeat;

    /// <summary>
    /// By part of the RX half, <see cref="NsmEpoch"/> when it went to its NSM, written before that: what lies there for sockets of an earlier epoch is void. Of a guest in host mode the
    /// first is the whole half's.
    /// </summary>
    [FieldOffset(200)] public fixed uint RxEpochs[(int)RegionFlags.RxParts];

    /// <summary>
    /// An NSM's region: per queue set, raised with each turn of the thread that serves it; when that sleeps, a ring of the queue set's bell makes a turn. Written by the NSM.
    /// </summary>
    [FieldOffset(3136)] public fixed uint Turns[MaxLoops];

    /// <summary>One more than the highest socket id ever claimed. Written by the guest; bounds CoreEngine's scans.</summary>
    [FieldOffset(3072)] public uint SocketHigh;

    /// <summary>Options that the guest's NSM has taken before (bits, see the guest library), and above them the low 16 bits of <see cref="NsmEpoch"/>. The guest's own.</summary>
    [FieldOffset(3080)] public ulong OptionsTaken;

    /// <summary>As <see cref="OptionsTaken"/>, of datagram sockets. The guest's own.</summary>
    [FieldOffset(3096)] public ulong DatagramOptionsTaken;

    /// <summary>One more than the highest <see cref="SharedSet"/> ever claimed. Written by the guest; bounds CoreEngine's scans.</summary>
    [FieldOffset(3104)] public uint SharedSetHigh;

    /// <summary>One more than the highest <see cref="SharedWatch"/> ever claimed. The guest's own.</summary>
    [FieldOffset(3108)] public uint SharedWatchHigh;

    /// <summary>Raised after each change of a <see cref="SharedSet"/>: who sleeps looks at it first. The guest's own.</summary>
    [FieldOffset(3112)] public uint SharedSetChanges;

    /// <summary>Raised whenever a process has told the others of news from a neighbour (<see cref="DirectSide.News"/>), before it takes the bits: who sleeps looks at it first. The guest's own: a word
    /// in the region could be raised by the neighbour, without end.</summary>
    [FieldOffset(3116)] public uint DirectTold;

    /// <summary>How much of the TX pool was taken when a process last counted, in 1024ths (<see cref="PoolShare"/>). The guest's own.</summary>
    [FieldOffset(3088)] public uint TxTaken;

    /// <summary>One <see cref="LoopBell"/> per switching loop, <see cref="MaxLoops"/> of them.</summary>
    [FieldOffset(256)] private fixed byte _loopBells[MaxLoops * LoopBell.Length];

    /// <summary>The most switching loops that a CoreEngine can have.</summary>
    public const int MaxLoops = 8;

    /// <summary>Offset of the first <see cref="LoopBell"/>.</summary>
    public const int LoopBellsOffset = 256;
}

/// <summary>Values of <see cref="ControlHeader.State"/>.</summary>
public static class RegionState
{
    /// <summary>Not yet filled in.</summary>
    public const uint Empty = 0;

    /// <summary>In use.</summary>
    public const uint Running = 1;

    /// <summary>CoreEngine has let go of this region (guest removed or detached): every socket is dead.</summary>
    public const uint Detached = 2;
}

/// <summary>Bits of <see cref="ControlHeader.Flags"/>.</summary>
public static class RegionFlags
{
    /// <summary>The NSM uses the host's stack; the guest has no address of its own.</summary>
    public const uint HostMode = 1;

    /// <summary>AddGuest: none of its connections goes by shared memory.</summary>
    public const uint NoSharedMemory = 1u << 16;

    /// <summary>AddGuest: they may also to and from guests of other tenants that say the same.</summary>
    public const uint SharedMemoryAcross = 1u << 17;

    /// <summary>AddGuest: connections to guests of the same tenant that say so, too, go in the direct form.</summary>
    public const uint SharedMemoryDirect = 1u << 24;

    /// <summary>What is policy of these.</summary>
    public const uint SharedMemoryPolicy = NoSharedMemory | SharedMemoryAcross | SharedMemoryDirect;

    /// <summary>
    /// GuestAdded: several NSMs may serve the guest, each with its part of the chunks of each size class of the RX half. From this bit on 3 bits: 0: this one has all; else 1 more
    /// than the number of its part, of <see cref="RxParts"/>.
    /// </summary>
    public const int RxPartShift = 18;

    /// <summary>Parts of the RX half of a guest that several NSMs may serve.</summary>
    public const uint RxParts = 4;

    /// <summary>The part that is the shared-memory NSM's.</summary>
    public const uint SharedPart = RxParts - 1;

    /// <summary>The bits of <see cref="RxPartShift"/> for a part.</summary>
    public static uint RxPart(uint part) => (part + 1) << RxPartShift;
}

/// <summary>
/// How a switching loop is woken by the other side of a region. The producer publishes, sets its queue set's bit in
/// <see cref="Pending"/>, and rings the doorbell if it can change <see cref="Asleep"/> from 1 to 0.
/// </summary>
[StructLayout(LayoutKind.Explicit, Size = Length)]
public struct LoopBell
{
    /// <summary>Bytes.</summary>
    public const int Length = 256;

    /// <summary>1 while the loop does not poll this region. The loop writes 1, the ringer exchanges it for 0.</summary>
    [FieldOffset(0)] public uint Asleep;

    /// <summary>The CPU on which whoever rang last ran, plus 1; 0: not known. A hint (<see cref="IdleStrategy.Beside"/>), written before ringing.</summary>
    [FieldOffset(4)] public uint RungOn;

    /// <summary>A bit per queue set with news for the loop. Set by the producer, taken by the loop (exchange with 0).</summary>
    [FieldOffset(128)] public ProcessMask Pending;
}

/// <summary>The counts from which the layout of a control region follows.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct ControlCounts
{
    /// <summary>Queue sets, and processes; at most 256.</summary>
    public uint QueueSets;

    /// <summary>Slots of every ring, a power of two.</summary>
    public uint RingSlots;

    /// <summary>Sockets, a multiple of 4096; 0 in an NSM's region.</summary>
    public uint Sockets;

    /// <summary>TX chunks of the pool, a multiple of 16; 0 in an NSM's region.</summary>
    public uint TxChunks;

    /// <summary>Switching loops of the CoreEngine; queue set q belongs to loop q mod this.</summary>
    public uint Loops;
}
