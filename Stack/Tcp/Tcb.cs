using System.Runtime.InteropServices;

namespace NetKernel.Stack;

/// <summary>States of RFC 9293, 3.3.2. The numbers are Linux's (tcp_states.h), as TCP_INFO reports them.</summary>
public enum TcpState : byte
{
    /// <summary>No connection: not yet, or no more.</summary>
    Closed = 7,

    /// <summary>A listener.</summary>
    Listen = 10,

    /// <summary>SYN sent.</summary>
    SynSent = 2,

    /// <summary>SYN received and answered.</summary>
    SynReceived = 3,

    /// <summary>Open.</summary>
    Established = 1,

    /// <summary>We have sent FIN.</summary>
    FinWait1 = 4,

    /// <summary>Our FIN is acknowledged.</summary>
    FinWait2 = 5,

    /// <summary>Both are over; we wait for old segments to die.</summary>
    TimeWait = 6,

    /// <summary>The peer has sent FIN.</summary>
    CloseWait = 8,

    /// <summary>The peer's FIN came, then ours was sent.</summary>
    LastAck = 9,

    /// <summary>Both sent FIN at once.</summary>
    Closing = 11,
}

/// <summary>Where loss recovery stands; names and numbers are Linux's (tcpi_ca_state).</summary>
public enum CaState : byte
{
    /// <summary>All is well.</summary>
    Open,

    /// <summary>Something is out of order.</summary>
    Disorder,

    /// <summary>Slowing down after an ECN echo.</summary>
    Cwr,

    /// <summary>Fast recovery.</summary>
    Recovery,

    /// <summary>After a timeout.</summary>
    Loss,
}

/// <summary>Bits of <see cref="Tcb.Flags"/>.</summary>
internal static class TcbFlag
{
    public const uint
        Timestamps = 1,          // RFC 7323, both sides
        Sack = 2,                // RFC 2018, both sides
        WindowScale = 4,         // RFC 7323, both sides
        Ecn = 8,                 // RFC 3168, both sides
        FinQueued = 0x10,        // a FIN follows the last byte written
        FinSent = 0x20,
        FinReceived = 0x40,      // in order
        AckNow = 0x80,           // an ACK is to be sent in this turn
        Pending = 0x100,         // in the list of the turn
        NoDelay = 0x200,         // TCP_NODELAY
        Cork = 0x400,            // TCP_CORK
        More = 0x800,            // the last write said that more follows
        KeepAlive = 0x1000,      // SO_KEEPALIVE
        EchoCe = 0x2000,         // send ECE until CWR comes
        SendCwr = 0x4000,        // the next new data carries CWR
        CwndLimited = 0x8000,
        AppLimited = 0x10000,
        ReorderSeen = 0x20000,   // RFC 8985, 6.2
        TlpRetransmit = 0x40000, // the tail loss probe was a retransmission
        Bound = 0x80000,         // in the table of bound ports
        Hashed = 0x100000,       // in the table of connections
        ReuseAddress = 0x200000,
        ReusePort = 0x400000,
        Accepted = 0x800000,     // made by a listener
        ReadShut = 0x1000000,    // nobody will read
        Undo = 0x2000000,        // the reduction may prove needless
        LastAckCe = 0x4000000,   // DCTCP: CE of the last segment acknowledged
        Embryo = 0x8000000,      // in its listener's list of half-open ones
        PushPending = 0x10000000,
        V6Only = 0x20000000,
        QuickAck = 0x40000000,   // TCP_QUICKACK
        Deferred = 0x80000000;   // acknowledged our SYN, and its listener waits for data
}

/// <summary>What the one retransmission timer of a connection waits for.</summary>
internal enum RetransmitTimer : byte
{
    Idle,
    Timeout,
    TailLoss,
    Reorder,
    Persist,
}

/// <summary>Where F-RTO (RFC 5682) stands after a timeout.</summary>
internal enum ForwardRto : byte
{
    /// <summary>Not in use: what is lost is sent again.</summary>
    Idle,

    /// <summary>The first unacknowledged segment was sent again; its acknowledgement decides (3.1, step 2).</summary>
    Asked,

    /// <summary>New data goes before what may be lost (step 3).</summary>
    NewFirst,
}

/// <summary>What holds up sending, for TCP_INFO (as Linux's TCP_CHRONO_*).</summary>
internal enum SendPhase : byte
{
    /// <summary>Everything is acknowledged.</summary>
    Idle,

    /// <summary>Something is in flight, or waits for the congestion window, pacing, Nagle.</summary>
    Busy,

    /// <summary>Something waits for the peer's window.</summary>
    Window,
}

/// <summary>Which timer fired.</summary>
internal enum TcbTimer
{
    Retransmit = 1,
    DelayedAck,
    Life,
    Pace,
}

/// <summary>
/// A connection, or listener (RFC 9293's transmission control block), in native memory. Times are microseconds, sizes bytes.
/// The stack writes it; its owner reads it and writes <see cref="User"/> and the fields under "options".
/// </summary>
[StructLayout(LayoutKind.Sequential)]
public unsafe struct Tcb
{
    /// <summary>The owner's; null: it has let go.</summary>
    public void* User;

    /// <summary>Addresses; an unbound one is <see cref="Address.IsNone"/>.</summary>
    public Address Local, Remote;

    /// <summary>Ports, host order.</summary>
    public ushort LocalPort, RemotePort;

    /// <summary>State.</summary>
    public TcpState State;

    /// <summary>Congestion state.</summary>
    public CaState CaState;

    internal RetransmitTimer TimerMode;
    internal byte Backoff;
    internal uint Flags;
    internal uint Hash;

    /// <summary>errno that ended it; 0: none. Reported once by the owner.</summary>
    public int Error;

    /// <summary>An error that need not be the end (ICMP): what a timeout reports instead of ETIMEDOUT.</summary>
    internal int SoftError;

    // --- sending (RFC 9293, 3.3.1) ---
    internal uint Iss, SndUna, SndNxt, SndWnd, SndWl1, SndWl2, MaxWnd;

    /// <summary>Sequence number behind the last byte written.</summary>
    internal uint WriteSeq;
    internal uint SmallEnd;
    internal uint Cwnd, Ssthresh, PriorCwnd, PriorSsthresh, CwndAcked, CwndUsed;
    internal ushort PeerMss, Mss;

    /// <summary>What a path without ICMP seems to carry (RFC 4821); 0: no suspicion.</summary>
    internal ushort BlackHoleMtu;

    /// <summary>The search upwards: the size that is out as a probe (0: none), the largest that may still be carried (0: not known yet); and when it goes on.</summary>
    internal ushort ProbeMtu, SearchHigh;
    internal byte SndScale, RcvScale;
    internal byte DupAcks, SynRetries;
    internal TxSegment* TxFirst, TxLast;
    internal uint SackedBytes, LostBytes, RetransBytes;
    internal uint HighSeq, FackSeq, UndoRetrans, UndoStamp, CwrEnd;
    internal uint PrrDelivered, PrrOut, RecoverFs;

    // --- RTT and RTO (RFC 6298) ---
    internal long Srtt, RttVar, Rto, MinRtt, MinRttTime;
    internal long FirstUnackedTimeout;

    // --- RACK-TLP (RFC 8985) ---
    internal long RackTime, RackRtt;
    internal uint RackEnd, RackDsackRound, TlpEnd;
    internal byte RackWindowMult, RackPersist;

    /// <summary>Segments by which something was late that was not lost; at least DupThresh.</summary>
    internal ushort Reordering;

    /// <summary>Forward RTO-recovery (RFC 5682): which step follows.</summary>
    internal ForwardRto Forward;

    // --- Fast Open (RFC 7413) ---

    /// <summary><see cref="FastOpenBit"/>.</summary>
    internal byte FastOpen;

    /// <summary>Bytes of data in our SYN.</summary>
    internal ushort FastOpenBytes;

    /// <summary>TCP_FASTOPEN of a listener: how many connections opened by cookies may wait for their confirmation, of the whole stack; 0: no Fast Open.</summary>
    public ushort FastOpenMost;

    // --- delivery rate (for BBR, TCP_INFO, pacing) ---
    internal ulong Delivered;
    internal long DeliveredTime, FirstSentTime;
    internal ulong AppLimitedAt;
    internal ulong DeliveryRate;
    internal long RateInterval;

    /// <summary>Bytes per second; 0: not paced.</summary>
    internal ulong PacingRate;
    internal long NextSend;

    // --- receiving ---
    internal uint Irs, RcvNxt, RcvRead, RcvAdv, LastAckSent, RcvBuf;
    internal uint UnackedBytes, RcvMss;
    internal RxBlock* RxFirst, RxLast;
    internal uint RxBlocks;
    internal byte QuickAcks, SackBlocks;
    internal fixed uint Sacks[8];
    internal uint DsackFrom, DsackTo;
    internal uint TsRecent, TsOffset;
    internal long TsRecentTime;

    // --- receive-buffer tuning ---
    internal long TuneTime, RcvRtt;
    internal uint TuneCopied;

    /// <summary>The least that waited here for the owner, in order, since the last look.</summary>
    internal uint TuneLeast;
    internal uint RcvRttSeq;
    internal long RcvRttTime;

    // --- timers and lists ---
    internal Timer RetransmitTimer, AckTimer, LifeTimer, PaceTimer;
    internal Tcb* HashNext, BindNext, PendingNext;
    internal Tcb* QueueNext, QueuePrevious, Parent;
    internal TcbQueue Embryos, Ready;
    internal uint Backlog;

    /// <summary>Of a listener: connections that its owner has taken, and the program behind it has not. They count towards the backlog.</summary>
    public uint Held;
    internal long LastReceived;

    // --- options ---

    /// <summary>Congestion control: index into <see cref="CongestionControl"/>'s table.</summary>
    internal byte Congestion;

    /// <summary>IP TOS or traffic class without the ECN bits; TTL or hop limit.</summary>
    public byte Tos, Ttl;

    /// <summary>TCP_KEEPCNT; probes out now.</summary>
    public byte KeepCount;
    internal byte KeepProbes;

    /// <summary>TCP_DEFER_ACCEPT of a listener, in timeouts of a SYN-ACK.</summary>
    internal byte DeferAccept;

    /// <summary>TCP_SYNCNT.</summary>
    public byte SynCount;

    /// <summary>TCP_MAXSEG; 0: none.</summary>
    public ushort UserMss;

    /// <summary>TCP_KEEPIDLE, TCP_KEEPINTVL, seconds.</summary>
    public uint KeepIdle, KeepInterval;

    /// <summary>TCP_USER_TIMEOUT, milliseconds; 0: none (RFC 9293, 3.9.1.1; RFC 5482).</summary>
    public uint UserTimeout;

    /// <summary>SO_RCVBUF; 0: tuned by the stack.</summary>
    public uint UserReceiveBuffer;

    /// <summary>SO_MAX_PACING_RATE, bytes per second; 0: none.</summary>
    public ulong MaxPacingRate;

    // --- counted for TCP_INFO ---
    internal ulong BytesSent, BytesRetransmitted, BytesReceived, BytesAcked;
    internal uint SegmentsOut, SegmentsIn, DataSegmentsOut, DataSegmentsIn, TotalRetransmits, DsackDups, ReorderSeen, DeliveredSegments, DeliveredCeSegments, OutOfOrderSegments;

    /// <summary>What sending was doing since <see cref="PhaseSince"/>; before that, microseconds spent busy (but not held up) and held up by the peer's window.</summary>
    internal SendPhase Phase;

    /// <summary>A segment came that was marked as ECN-capable.</summary>
    internal byte EctSeen;
    internal ushort Timeouts, TimeoutRecoveries;
    internal uint TimeoutRecoveryTime;
    internal long NextSearch;
    internal long PhaseSince, BusyTime, WindowTime, LossSince;
    internal long LastSent, LastDataReceived, LastAckReceived, Opened;

    /// <summary>State of the congestion control.</summary>
    internal fixed ulong Control[16];

    /// <summary>Bytes written and not acknowledged.</summary>
    public readonly uint Buffered => Seq.AtLeast(SndUna, WriteSeq) ? 0 : WriteSeq - SndUna - (State is TcpState.SynSent or TcpState.SynReceived ? 1u : 0);

    /// <summary>Bytes received in order that nobody has taken.</summary>
    public readonly uint Unread => RcvRead == RcvNxt ? 0 : RcvNxt - RcvRead - (IsFlag(TcbFlag.FinReceived) ? 1u : 0);

    /// <summary>The peer has said FIN, and all its data was taken.</summary>
    public readonly bool AtEnd => IsFlag(TcbFlag.FinReceived) && Unread == 0;

    /// <summary>Connections that wait to be accepted.</summary>
    public readonly uint Acceptable => Ready.Count;

    /// <summary>Our FIN, if one was sent, is acknowledged, and so is all data.</summary>
    public readonly bool IsAllAcked => SndUna == SndNxt && SndNxt - (IsFlag(TcbFlag.FinSent) ? 1u : 0) == WriteSeq;

    /// <summary>Data may be sent now or later.</summary>
    public readonly bool CanSend => State is (TcpState.SynSent or TcpState.SynReceived or TcpState.Established or TcpState.CloseWait) && !IsFlag(TcbFlag.FinQueued);

    /// <summary>The peer's FIN came.</summary>
    public readonly bool PeerFinished => IsFlag(TcbFlag.FinReceived);

    internal readonly bool IsFlag(uint flag) => (Flags & flag) != 0;

    /// <summary>Bytes in the network, as far as is known (RFC 6675, "pipe").</summary>
    internal readonly uint Pipe => SndNxt - SndUna - SackedBytes - LostBytes + RetransBytes;
}

/// <summary>A list of connections, oldest first.</summary>
internal unsafe struct TcbQueue
{
    public Tcb* First, Last;
    public uint Count;

    public void Add(Tcb* t)
    {
        t->QueueNext = null;
        t->QueuePrevious = Last;
        if (Last != null)
        {
            Last->QueueNext = t;
        }
        else
        {
            First = t;
        }

        Last = t;
        Count++;
    }

    public void Remove(Tcb* t)
    {
        if (t->QueuePrevious != null)
        {
            t->QueuePrevious->QueueNext = t->QueueNext;
        }
        else
        {
            First = t->QueueNext;
        }

        if (t->QueueNext != null)
        {
            t->QueueNext->QueuePrevious = t->QueuePrevious;
        }
        else
        {
            Last = t->QueuePrevious;
        }

        t->QueueNext = t->QueuePrevious = null;
        Count--;
    }
}

/// <summary>Bytes that were sent together and are not acknowledged.</summary>
internal unsafe struct TxSegment
{
    public const ushort Sacked = 1, Lost = 2, Retransmitted = 4, EverRetransmitted = 8, Fin = 16, AppLimited = 32, Probe = 64;

    public TxSegment* Next, Previous;
    public uint Start;

    /// <summary>Sequence numbers: bytes, and one for FIN.</summary>
    public uint Length;
    public ushort Flags;
    public long Sent;

    /// <summary>Delivery-rate state when it was sent.</summary>
    public long FirstSent, DeliveredTime;
    public ulong Delivered;

    public readonly uint End => Start + Length;

    public readonly bool Is(ushort flag) => (Flags & flag) != 0;
}

/// <summary>Received bytes that wait: for what is missing before them, or for somebody to take them. The bytes follow the struct.</summary>
internal unsafe struct RxBlock
{
    public const int Bytes = 2048;
    public const uint Capacity = Bytes - 16;

    public RxBlock* Next;
    public uint Start, Length;

    public readonly uint End => Start + Length;

    public static byte* Data(RxBlock* b) => (byte*)(b + 1);
}
