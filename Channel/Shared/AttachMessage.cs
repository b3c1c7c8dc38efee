using System.Runtime.InteropServices;

namespace NetKernel.Channel;

/// <summary>
/// The fixed 256-byte message of CoreEngine's local sockets (AF_UNIX, SOCK_SEQPACKET; fds ride along as SCM_RIGHTS). Who may send
/// which is in docs/wire-format.md.
/// </summary>
[StructLayout(LayoutKind.Explicit, Size = Length)]
public unsafe struct AttachMessage
{
    /// <summary>Bytes.</summary>
    public const int Length = 256;

    /// <summary>Bytes of a congestion control's name, the last of them 0 (TCP_CA_NAME_MAX).</summary>
    public const int CongestionBytes = 16;

    /// <summary>What is asked, answered or told.</summary>
    [FieldOffset(0)] public AttachOp Op;

    /// <summary>errno of an answer; 0: success.</summary>
    [FieldOffset(4)] public int Error;

    /// <summary>Layout version of the sender; a mismatch is refused.</summary>
    [FieldOffset(8)] public uint Version;

    /// <summary>The guest's id.</summary>
    [FieldOffset(12)] public uint Guest;

    /// <summary>The NSM's id.</summary>
    [FieldOffset(16)] public uint Nsm;

    /// <summary>Process slot; for Export and Left the socket id.</summary>
    [FieldOffset(20)] public uint Slot;

    /// <summary>Bits: <see cref="RegionFlags"/> of the guest; in the answer to Attach bit 31: the process has another slot, from before its exec (see Adopted).</summary>
    [FieldOffset(24)] public uint Flags;

    /// <summary>Number of fds that ride along.</summary>
    [FieldOffset(28)] public uint Fds;

    /// <summary>IPv4 address, network order.</summary>
    [FieldOffset(32)] public uint Address4;

    /// <summary>IPv6 address, first half.</summary>
    [FieldOffset(40)] public ulong Address6Low;

    /// <summary>IPv6 address, second half.</summary>
    [FieldOffset(48)] public ulong Address6High;

    /// <summary>Name of the guest or NSM, or of the program, UTF-8, zero-terminated.</summary>
    [FieldOffset(56)] public fixed byte Name[40];

    /// <summary>Layout of the guest's pool.</summary>
    [FieldOffset(96)] public PoolLayout Pool;

    /// <summary>AddGuest: inode of the guest's network namespace; when not 0, only processes in it may attach.</summary>
    [FieldOffset(120)] public ulong NetworkNamespace;

    /// <summary>A reason for a person to read, UTF-8, zero-terminated.</summary>
    [FieldOffset(128)] public fixed byte Text[128];

    /// <summary>SetLimits, and of AddGuest PoolBytes: in the place of Text.</summary>
    [FieldOffset(128)] public LimitsMessage Limits;

    /// <summary>AddGuest, SetCongestion, GuestAdded, GuestChanged: the congestion control of the guest's sockets that choose none, as TCP_CONGESTION has it, zero-terminated; empty: its NSMs'. In the
    /// place of Text, behind Limits.</summary>
    [FieldOffset(208)] public fixed byte Congestion[CongestionBytes];

    /// <summary>SetRule: in the place of Text.</summary>
    [FieldOffset(128)] public RuleMessage Rule;
}

/// <summary>Which NSMs serve which connections of a guest; all that is not 0 must match.</summary>
[StructLayout(LayoutKind.Explicit, Size = Length)]
public unsafe struct RuleMessage
{
    /// <summary>Bytes.</summary>
    public const int Length = 64;

    /// <summary>NSMs that a rule names at most.</summary>
    public const int MaxNsms = 8;

    /// <summary>Rules that a guest has at most.</summary>
    public const uint MaxRules = 64;

    /// <summary>The destination's network, 16 bytes as in NQEs (IPv4 as ::ffff:a.b.c.d), first half.</summary>
    [FieldOffset(0)] public ulong DestinationLow;

    /// <summary>Second half.</summary>
    [FieldOffset(8)] public ulong DestinationHigh;

    /// <summary>Bits of the network's prefix, up to 128; 0: no destination is asked for.</summary>
    [FieldOffset(16)] public uint PrefixBits;

    /// <summary>The destination's port, or the port that is bound; 0: any.</summary>
    [FieldOffset(20)] public uint Port;

    /// <summary>IPPROTO_TCP or IPPROTO_UDP; 0: any.</summary>
    [FieldOffset(24)] public uint Protocol;

    /// <summary>Ids of NSMs in the order of preference, up to the first 0. None: such connections have no network.</summary>
    [FieldOffset(32)] public fixed byte Nsms[MaxNsms];
}

/// <summary>What a guest, or a tenant's guests together, may use; each 0: no limit. A burst of 0: a tenth of a second's worth.</summary>
[StructLayout(LayoutKind.Explicit, Size = Length)]
public struct LimitsMessage
{
    /// <summary>Bytes.</summary>
    public const int Length = 80;

    /// <summary>Bytes per second from the guest.</summary>
    [FieldOffset(0)] public ulong SendBytesPerSecond;

    /// <summary>Bytes.</summary>
    [FieldOffset(8)] public ulong SendBurst;

    /// <summary>Bytes per second to the guest.</summary>
    [FieldOffset(16)] public ulong ReceiveBytesPerSecond;

    /// <summary>Bytes.</summary>
    [FieldOffset(24)] public ulong ReceiveBurst;

    /// <summary>NQEs per second from the guest.</summary>
    [FieldOffset(32)] public ulong OperationsPerSecond;

    /// <summary>NQEs.</summary>
    [FieldOffset(40)] public ulong OperationsBurst;

    /// <summary>Entries of the connection table.</summary>
    [FieldOffset(48)] public ulong OpenConnections;

    /// <summary>AddGuest: bytes of chunks of the guest's pool, both directions. Nothing to SetLimits: a pool's size never changes.</summary>
    [FieldOffset(56)] public ulong PoolBytes;

    /// <summary>Connections opened per second, counted by what they ask of a stack (docs/limits.md). 0 for a guest: CoreEngine's default, in force beside busy neighbours.</summary>
    [FieldOffset(64)] public ulong ConnectionsPerSecond;

    /// <summary>Connections.</summary>
    [FieldOffset(72)] public ulong ConnectionsBurst;
}

/// <summary>Values of <see cref="AttachMessage.Op"/>. An answer repeats the op of its request.</summary>
public enum AttachOp : uint
{
    /// <summary>Never sent.</summary>
    None = 0,

    // --- control plane to CoreEngine, on engine.sock; each is answered ---

    /// <summary>The sender is the control plane (first message of its connection).</summary>
    ControlHello = 1,

    /// <summary>Make a guest: Guest, Name, addresses, Nsm, Flags, Slot = its tenant's number, Pool (zeros: the usual). CoreEngine then listens on guests/NAME.sock.</summary>
    AddGuest = 2,

    /// <summary>Remove a guest: its processes' sockets end.</summary>
    RemoveGuest = 3,

    /// <summary>Announce an NSM that will attach: Nsm, Name.</summary>
    AddNsm = 4,

    /// <summary>Forget an NSM.</summary>
    RemoveNsm = 5,

    /// <summary>End the engine in order.</summary>
    Stop = 6,

    /// <summary>
    /// What guest follows the id in Guest? Answered as AddGuest was, with Text = why it was detached (empty: it is not); ENOENT: none.
    /// </summary>
    NextGuest = 7,

    /// <summary>What NSM follows the id in Nsm? Answered with Nsm, Name, Slot = process id of the attached one, 0 when none is, Flags = how often in a row it was found not to have turned since it was asked
    /// about before (each time it is woken to do so); ENOENT: none.</summary>
    NextNsm = 8,

    /// <summary>
    /// Limits from now on: of Guest, or with Guest 0 of the tenant whose number is in Slot (kept while it has no guests yet). ENOENT: no such guest; EINVAL: a burst without a rate, or numbers out of range.
    /// </summary>
    SetLimits = 9,

    /// <summary>
    /// Guest may be served by one NSM more: Nsm. Answered when that has mapped the pool, or at once when it is not attached. EBUSY: as many NSMs serve it as can;
    /// EAGAIN: that NSM is just letting go of it; EOPNOTSUPP: a guest in host mode, where all NSMs share one stack.
    /// </summary>
    UseNsm = 10,

    /// <summary>Guest is not served by Nsm any more: what is left there is reset. Answered at once; ENOENT: it was not.</summary>
    LeaveNsm = 11,

    /// <summary>
    /// One of the Guest's rules (in the place of Text): number Slot of Flags in all. In force with the last one, all at once, for connections from then on; listeners are moved.
    /// EINVAL: numbers out of range, or out of order.
    /// </summary>
    SetRule = 12,

    /// <summary>What NSM above the id in Nsm serves the Guest? Answered with Nsm, Slot = connections there, listeners and datagram sockets not counted, Flags = sockets of the guest on the move; ENOENT: none.</summary>
    NextUse = 13,

    /// <summary>Answered when every switching loop has been round.</summary>
    Ping = 14,

    /// <summary>
    /// How connections of Guest may go by shared memory from now on: Flags as of AddGuest, of which <see cref="RegionFlags.NoSharedMemory"/>, <see cref="RegionFlags.SharedMemoryAcross"/> and
    /// <see cref="RegionFlags.SharedMemoryDirect"/> count. ENOENT: no such guest; EINVAL: other bits.
    /// </summary>
    SetSharedMemory = 15,

    // --- CoreEngine to the control plane, unasked ---

    /// <summary>A guest was detached: Guest, Text = why.</summary>
    GuestDetached = 16,

    /// <summary>An NSM's connection ended: Nsm, Text.</summary>
    NsmLost = 17,

    /// <summary>An NSM attached: Nsm.</summary>
    NsmReady = 18,

    /// <summary>A guest is held to its rate of connections: Guest, Text = why. Said again every 10 s while that goes on.</summary>
    GuestHeld = 19,

    /// <summary>
    /// Control plane to CoreEngine, answered: the congestion control of new connections of Guest, Congestion. The answer comes when the NSMs that serve it have theirs given, which is told by
    /// <see cref="CongestionTold"/> before. ENOENT: no such guest.
    /// </summary>
    SetCongestion = 20,

    /// <summary>Guest, Nsm, Text = why the guest's congestion control is not in force there; empty: it is, or it has none of its own.</summary>
    CongestionTold = 21,

    // --- NSM and CoreEngine, on engine.sock ---

    /// <summary>NSM to CoreEngine: Nsm. The answer carries [NSM region memfd, the NSM's bell (eventfd, to sleep on), CoreEngine's bells (eventfds, one per loop)].</summary>
    NsmHello = 32,

    /// <summary>CoreEngine to NSM: Guest, addresses, Name, Flags, Pool, Congestion, with [pool memfd]. Answered by the NSM when mapped; Text: as of GuestChanged, or with Error why it is not.</summary>
    GuestAdded = 33,

    /// <summary>CoreEngine to NSM: Guest. The NSM drops all its sockets and its mapping. Answered.</summary>
    GuestRemoved = 34,

    /// <summary>CoreEngine to NSM: Guest, Congestion, for connections from now on. Answered; Text = why that is not in force (then the NSM's own is), empty: it is.</summary>
    GuestChanged = 35,

    // --- guest process and CoreEngine, on guests/NAME.sock ---

    /// <summary>Guest process to CoreEngine: Name = comm, with [write end of the pipe that wakes it]. The answer: Slot, Flags and [control memfd, pool memfd, CoreEngine's bells (eventfds, one per loop)].</summary>
    Attach = 48,

    /// <summary>A forked child, over the connection that it inherited: Slot (claimed by its parent), with [write end of its own pipe]. CoreEngine takes the pid from the credentials. Not answered.</summary>
    ForkAttach = 49,

    /// <summary>A process that was told of a slot from before its exec holds by its new slot what it inherited: the old one goes the way of a dead process's. Not answered.</summary>
    Adopted = 50,

    /// <summary>
    /// Slot = socket, with [an fd of it]: from now on others may have the socket in ways that the guest library does not see (in flight in a message over
    /// AF_UNIX, inherited by a program that is just being started). When nobody holds it in <see cref="SocketSlot.Holders"/> any more, CoreEngine closes it
    /// as soon as the kernel has dropped the last reference to that file. Not answered.
    /// </summary>
    Export = 51,

    /// <summary>Slot = socket: the last holder of an exported socket has left. Not answered.</summary>
    Left = 52,

    /// <summary>
    /// Slot = process slot of the same guest: it is woken if it sleeps. What it wakes for (a change of an epoll set that both have) lies in the region. Not answered.
    /// </summary>
    Nudge = 53,

    /// <summary>Slot = a region of the direct form (<see cref="DirectPlace"/>) that the guest is a side of. The answer carries [its memfd], or Error.</summary>
    Pair = 55,

    /// <summary>A process that has lost its fds (a vfork child about to execute a program) asks for one of CoreEngine's bells. The answer carries [bell].</summary>
    Bell = 54,
}
