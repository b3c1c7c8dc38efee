namespace NetKernel.Channel;

/// <summary>
/// Where everything lies in a control region. A guest's: header, process slots, queue sets, socket slots, TX owners, dirty bitmaps, shared epoll sets.
/// An NSM's: header, one process slot (the NSM's own bell), queue sets (one per loop).
/// Offsets only, so that the same region works behind a PCI BAR.
/// </summary>
public readonly struct ControlLayout
{
    /// <summary>The most queue sets and processes of a guest: an NQE names its queue set in a byte.</summary>
    public const uint MaxQueueSets = ProcessMask.Bits;

    /// <summary>Epoll sets that several processes of a guest can have at a time.</summary>
    public const uint MaxSharedSets = 1024;

    /// <summary>What they can watch, all together.</summary>
    public const uint MaxSharedWatches = 32768;

    private const ulong LineMask = 127;
    private readonly ControlCounts _counts;

    /// <summary>The layout that follows from <paramref name="counts"/>.</summary>
    public ControlLayout(ControlCounts counts) => _counts = counts;

    /// <summary>The counts.</summary>
    public ControlCounts Counts => _counts;

    /// <summary>A guest's default: 256 queue sets of 1,024-slot rings, 16,384 sockets.</summary>
    public static ControlCounts GuestDefault(PoolLayout pool, uint loops)
    {
        ControlCounts counts = default;
        counts.QueueSets = MaxQueueSets;
        counts.RingSlots = 1024;
        counts.Sockets = 16384;
        counts.TxChunks = (pool.Tx.Total + 15) & ~15u;
        counts.Loops = loops;
        return counts;
    }

    /// <summary>An NSM's: a queue set per loop, rings of 4,096 slots because all its guests meet there.</summary>
    public static ControlCounts NsmDefault(uint loops)
    {
        ControlCounts counts = default;
        counts.QueueSets = loops;
        counts.RingSlots = 4096;
        counts.Loops = loops;
        return counts;
    }

    /// <summary>Whether the counts are within what every part supports.</summary>
    public bool IsValid =>
        _counts.QueueSets is >= 1 and <= MaxQueueSets
        && _counts.RingSlots is >= 16 and <= 65536 && (_counts.RingSlots & (_counts.RingSlots - 1)) == 0
        && _counts.Sockets <= 1 << 20 && (_counts.Sockets & 4095) == 0
        && _counts.TxChunks <= 1 << 20 && (_counts.TxChunks & 15) == 0
        && _counts.Loops is >= 1 and <= ControlHeader.MaxLoops;

    /// <summary>Bytes of the region, a multiple of 4096.</summary>
    public ulong Length => (SharedEnd + 4095) & ~4095ul;

    private ulong ProcessesEnd => ControlHeader.Length + ((ulong)ProcessSlot.Length * _counts.QueueSets);

    private ulong QueueSetBytes => QueueSetHeader.Length + (4 * RingHeader.BytesFor(_counts.RingSlots));

    private ulong QueueSetsEnd => ProcessesEnd + (QueueSetBytes * _counts.QueueSets);

    private ulong SocketsEnd => QueueSetsEnd + ((ulong)SocketSlot.Length * _counts.Sockets);

    private ulong TxOwnersEnd => (SocketsEnd + (4ul * _counts.TxChunks) + LineMask) & ~LineMask;

    private ulong DirtyBytes => _counts.Sockets == 0 ? 0 : (_counts.Sockets / 8) + ((((ulong)_counts.Sockets / 512) + LineMask) & ~LineMask);

    private ulong DirtyEnd => (TxOwnersEnd + (DirtyBytes * _counts.QueueSets) + LineMask) & ~LineMask;

    private ulong SharedSetsEnd => DirtyEnd + (_counts.Sockets == 0 ? 0 : (ulong)SharedSet.Length * MaxSharedSets);

    private ulong SharedEnd => SharedSetsEnd + (_counts.Sockets == 0 ? 0 : (ulong)SharedWatch.Length * MaxSharedWatches);

    /// <summary>Offset of the <see cref="LoopBell"/> of a loop.</summary>
    public static ulong LoopBellOf(uint loop) => ControlHeader.LoopBellsOffset + ((ulong)LoopBell.Length * loop);

    /// <summary>Offset of a <see cref="ProcessSlot"/>.</summary>
    public ulong ProcessOf(uint slot) => ControlHeader.Length + ((ulong)ProcessSlot.Length * slot);

    /// <summary>Offset of a <see cref="QueueSetHeader"/>.</summary>
    public ulong QueueSetOf(uint queueSet) => ProcessesEnd + (QueueSetBytes * queueSet);

    /// <summary>Offset of a ring of a queue set.</summary>
    public ulong RingOf(uint queueSet, RingKind kind) =>
        QueueSetOf(queueSet) + QueueSetHeader.Length + (RingHeader.BytesFor(_counts.RingSlots) * (uint)kind);

    /// <summary>Offset of a <see cref="SocketSlot"/>.</summary>
    public ulong SocketOf(uint socket) => QueueSetsEnd + ((ulong)SocketSlot.Length * socket);

    /// <summary>Offset of the owner words (uint per TX chunk; see <see cref="TxOwner"/>).</summary>
    public ulong TxOwners => SocketsEnd;

    /// <summary>Offset of a process's dirty bitmap: a bit per socket, in words of 64 bits.</summary>
    public ulong DirtyOf(uint process) => TxOwnersEnd + (DirtyBytes * process);

    /// <summary>Offset of a <see cref="SharedSet"/>.</summary>
    public ulong SharedSetOf(uint set) => DirtyEnd + ((ulong)SharedSet.Length * set);

    /// <summary>Offset of a <see cref="SharedWatch"/>.</summary>
    public ulong SharedWatchOf(uint watch) => SharedSetsEnd + ((ulong)SharedWatch.Length * watch);

    /// <summary>Offset of the summary of a process's dirty bitmap: a bit per word of it.</summary>
    public ulong DirtySummaryOf(uint process) => DirtyOf(process) + (_counts.Sockets / 8);
}

/// <summary>The four rings of a queue set. In a guest's region the guest produces Job and Send; in an NSM's, CoreEngine does.</summary>
public enum RingKind : uint
{
    /// <summary>Control requests, towards the NSM.</summary>
    Job = 0,

    /// <summary>Completions, towards the guest.</summary>
    Completion = 1,

    /// <summary>Data and what is ordered with it, towards the NSM.</summary>
    Send = 2,

    /// <summary>Data and new connections, towards the guest.</summary>
    Receive = 3,
}
