using System.Runtime.InteropServices;

namespace NetKernel.Channel;

/// <summary>
/// One socket of a guest, in memory that all its processes share, so that dup, fork, exec and fd passing find it again.
/// CoreEngine reads <see cref="State"/> and <see cref="Holders"/> and takes back the slots of processes that ended; everything
/// else is the guest's own affair.
/// </summary>
[StructLayout(LayoutKind.Explicit, Size = Length)]
public unsafe struct SocketSlot
{
    /// <summary>Bytes.</summary>
    public const int Length = 2560;

    /// <summary>The most RX buffers that an NSM may have out for one socket.</summary>
    public const uint RxEntries = 64;

    /// <summary>Entries of the receive queue: two NSMs may deliver to one datagram socket, each with <see cref="RxEntries"/> out at most.</summary>
    public const uint RxRing = 2 * RxEntries;

    /// <summary>The most announced connections that a listener may have waiting in the guest.</summary>
    public const uint AcceptEntries = 32;

    /// <summary>The most Sends of one socket that may be in flight.</summary>
    public const uint MaxSends = 128;

    // --- line 0: identity; CoreEngine reads it ---

    /// <summary>See <see cref="SocketState"/>. Free, then Claiming, then Open, by the guest; set to Free by CoreEngine (after Closed, when the rings are drained past it) or by the guest (when CoreEngine never heard of it).</summary>
    [FieldOffset(0)] public uint State;

    /// <summary>Queue set that the socket's requests and events use.</summary>
    [FieldOffset(4)] public uint QueueSet;

    /// <summary>Not 0: somebody may have it who is not among the <see cref="Holders"/> (<see cref="AttachOp.Export"/>). The last holder then does not close it but tells CoreEngine. Set by the guest, taken back by CoreEngine.</summary>
    [FieldOffset(8)] public uint Exported;

    /// <summary>AF_INET or AF_INET6.</summary>
    [FieldOffset(20)] public ushort Domain;

    /// <summary>SOCK_STREAM ...</summary>
    [FieldOffset(22)] public ushort Type;

    /// <summary>Inode of the kernel socket that stands for it in the processes' fd tables.</summary>
    [FieldOffset(24)] public ulong Inode;

    /// <summary><see cref="ControlHeader.NsmEpoch"/> when the socket was made known to CoreEngine, and when that gave it to an NSM.</summary>
    [FieldOffset(32)] public uint NsmEpoch;

    /// <summary>Backlog of a listener.</summary>
    [FieldOffset(40)] public int Backlog;

    /// <summary>Options (bits, see the guest library) that the program has set and that the NSM must be told of, or that the library acts on.</summary>
    [FieldOffset(48)] public ulong OptionMask;

    /// <summary>
    /// Process slots that hold the socket. Who takes the last one out closes the socket, if it can exchange <see cref="State"/> from Open to
    /// <see cref="SocketState.ClosedBy"/>: of several that see none left only one can.
    /// </summary>
    [FieldOffset(64)] public ProcessMask Holders;

    // --- line 1: status; written with interlocked operations ---

    /// <summary>See <see cref="SocketStatus"/>.</summary>
    [FieldOffset(128)] public uint Status;

    /// <summary>The pending error (SO_ERROR), an errno; taken by exchange with 0.</summary>
    [FieldOffset(132)] public int Error;

    /// <summary>Raised with everything that arrives to be read or accepted: what edge-triggered waiters compare.</summary>
    [FieldOffset(136)] public uint EventsIn;

    /// <summary>Bytes in flight in TX chunks.</summary>
    [FieldOffset(140)] public uint TxBytes;

    /// <summary>Sends in flight.</summary>
    [FieldOffset(144)] public uint TxSends;

    /// <summary>The most bytes in flight: what SO_SNDBUF bounds.</summary>
    [FieldOffset(148)] public uint TxLimit;

    /// <summary>Sequence of control requests; odd while one waits for its completion.</summary>
    [FieldOffset(152)] public uint ControlSequence;

    /// <summary>errno of the last completion.</summary>
    [FieldOffset(156)] public uint ControlError;

    /// <summary>OpData of the last completion.</summary>
    [FieldOffset(160)] public ulong ControlData;

    /// <summary>DataPtr of the last completion.</summary>
    [FieldOffset(168)] public ulong ControlPtr;

    /// <summary>Bytes received that no program has read yet: what FIONREAD says.</summary>
    [FieldOffset(176)] public int RxBytes;

    /// <summary><see cref="RxTail"/> behind the last entry whose credit must be announced, since the NSM waits for it (Data with Sync).</summary>
    [FieldOffset(180)] public uint RxLoud;

    /// <summary>Raised when there is room again for who found none.</summary>
    [FieldOffset(184)] public uint EventsOut;

    /// <summary>Raised with every change of the socket's state, by whoever makes it.</summary>
    [FieldOffset(188)] public uint EventsState;

    /// <summary>SO_RCVLOWAT; 0 and 1 mean the same.</summary>
    [FieldOffset(192)] public uint RxLowWater;

    /// <summary>1: the socket's own place in the TX pool (see the guest library) is in flight. Taken back by exchange with 0.</summary>
    [FieldOffset(196)] public uint TxOwn;

    // The direct form (docs/adr/0013).

    /// <summary>The region that the connection's direct form lies in (<see cref="DirectPlace"/>); 0: none.</summary>
    [FieldOffset(200)] public uint DirectRegion;

    /// <summary>Which connection and side there. Written before <see cref="DirectRegion"/>.</summary>
    [FieldOffset(204)] public uint DirectEnd;

    /// <summary>Bytes sent by the NSM. Written by who holds TxLock.</summary>
    [FieldOffset(208)] public ulong TxByNsm;

    /// <summary>Bytes that came by the NSM and were read. Written by who holds RxLock.</summary>
    [FieldOffset(216)] public ulong RxByNsm;

    /// <summary>Bytes ever written into the own ring. Written by who holds TxLock.</summary>
    [FieldOffset(224)] public uint DirectTail;

    /// <summary>1: from now on what is sent goes into the ring. Written by who holds TxLock.</summary>
    [FieldOffset(228)] public uint DirectStarted;

    /// <summary>Bytes ever read out of the peer's ring. Written by who holds RxLock.</summary>
    [FieldOffset(232)] public uint DirectHead;

    /// <summary>1: a process of this guest has said that it reads the ring.</summary>
    [FieldOffset(236)] public uint DirectReady;

    // --- line 2: addresses, network order, IPv4 as ::ffff:a.b.c.d ---

    /// <summary>Local address, first half.</summary>
    [FieldOffset(256)] public ulong LocalLow;

    /// <summary>Local address, second half.</summary>
    [FieldOffset(264)] public ulong LocalHigh;

    /// <summary>Peer address, first half.</summary>
    [FieldOffset(272)] public ulong PeerLow;

    /// <summary>Peer address, second half.</summary>
    [FieldOffset(280)] public ulong PeerHigh;

    /// <summary>Local port, host order.</summary>
    [FieldOffset(288)] public ushort LocalPort;

    /// <summary>Peer port, host order.</summary>
    [FieldOffset(290)] public ushort PeerPort;

    /// <summary>Datagram sockets: what the program wants to be told with each datagram (bits, see the guest library).</summary>
    [FieldOffset(292)] public uint Wanted;

    // --- locks of the guest's, as QueueSetHeader.DrainLock ---

    /// <summary>Held while receiving.</summary>
    [FieldOffset(320)] public ulong RxLock;

    /// <summary>Held while sending.</summary>
    [FieldOffset(328)] public ulong TxLock;

    /// <summary>Held while a control request is out.</summary>
    [FieldOffset(336)] public ulong ControlLock;

    // --- line 3: the receive queue, or the accept queue of a listener ---

    /// <summary>Entries ever put. Written by who holds the queue set's DrainLock.</summary>
    [FieldOffset(384)] public uint RxTail;

    /// <summary>Datagram sockets: <see cref="RxTail"/> when the NSM was lost; what is before it is void. Written by who holds the queue set's DrainLock.</summary>
    [FieldOffset(388)] public uint RxVoid;

    /// <summary>Datagram sockets: how often it has been made again at another NSM. Written by who holds the queue set's DrainLock.</summary>
    [FieldOffset(392)] public uint Renewals;

    /// <summary>Entries ever taken. Written by who holds RxLock.</summary>
    [FieldOffset(448)] public uint RxHead;

    /// <summary>Bytes of the first entry already taken.</summary>
    [FieldOffset(452)] public uint RxOffset;

    /// <summary>Credits published and not announced (wire-format.md, quiet publishing), and above them their bytes. Written by who holds RxLock.</summary>
    [FieldOffset(456)] public ulong RxQuiet;

    /// <summary><see cref="RxRing"/> of <see cref="RxEntry"/>, or <see cref="AcceptEntries"/> of <see cref="AcceptEntry"/>.</summary>
    [FieldOffset(512)] public fixed byte Entries[2048];
}

/// <summary>Received data: where it lies in the RX pool.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct RxEntry
{
    /// <summary>Offset in the pool region.</summary>
    public uint Offset;

    /// <summary>Bytes.</summary>
    public uint Size;

    /// <summary>Position in the receive ring that it came from: tells an entry put twice (drainer killed midway) from a new one.</summary>
    public ulong Position;
}

/// <summary>An announced connection.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct AcceptEntry
{
    /// <summary>Peer address, first half.</summary>
    public ulong PeerLow;

    /// <summary>Peer address, second half.</summary>
    public ulong PeerHigh;

    /// <summary>The NSM's handle.</summary>
    public uint Handle;

    /// <summary>Peer port.</summary>
    public uint PeerPort;

    /// <summary>As <see cref="RxEntry.Position"/>.</summary>
    public ulong Position;
}

/// <summary>Values of <see cref="SocketSlot.State"/>.</summary>
public static class SocketState
{
    /// <summary>Nobody's.</summary>
    public const uint Free = 0;

    /// <summary>In use in the guest; CoreEngine may or may not know it.</summary>
    public const uint Open = 1;

    /// <summary>Nobody holds it any more; CoreEngine frees the slot when the NSM has finished. Bits 8 to 15: the process that sends its Close, see <see cref="ClosedBy"/>.</summary>
    public const uint Closing = 2;

    /// <summary>Being initialised by the process whose slot is in bits 8 to 15; freed by CoreEngine if that process ends before it is Open.</summary>
    public const uint Claiming = 3;

    /// <summary>A state without the process that it names.</summary>
    public static uint KindOf(uint state) => state & 0xFF;

    /// <summary>The state of a slot that a process is initialising.</summary>
    public static uint ClaimedBy(uint process) => Claiming | (process << 8);

    /// <summary>The state of a slot that a process closes: if that process ends, CoreEngine does what it may have left undone.</summary>
    public static uint ClosedBy(uint process) => Closing | (process << 8);
}

/// <summary>Bits of <see cref="SocketSlot.Status"/>.</summary>
public static class SocketStatus
{
    /// <summary>CoreEngine knows the socket (a Socket or Accept request was sent).</summary>
    public const uint Known = 1;

    /// <summary>Bound at the NSM.</summary>
    public const uint Bound = 2;

    /// <summary>Listening at the NSM.</summary>
    public const uint Listening = 4;

    /// <summary>A connect is under way.</summary>
    public const uint Connecting = 8;

    /// <summary>Connected through NetKernel.</summary>
    public const uint Connected = 16;

    /// <summary>The peer's FIN has arrived.</summary>
    public const uint PeerClosed = 32;

    /// <summary>Reset, or its NSM or CoreEngine is gone.</summary>
    public const uint Reset = 64;

    /// <summary>shutdown(SHUT_RD) was called.</summary>
    public const uint ShutRead = 128;

    /// <summary>shutdown(SHUT_WR) was called.</summary>
    public const uint ShutWrite = 256;

    /// <summary>Served by the guest's own kernel (loopback): the calls pass through.</summary>
    public const uint Native = 512;

    /// <summary>Bound on the guest's kernel too (the loopback half).</summary>
    public const uint NativeBound = 1024;

    /// <summary>The program bound a wildcard address.</summary>
    public const uint WildcardBound = 2048;
}
