using System.Runtime.InteropServices;

namespace NetKernel.Channel;

/// <summary>
/// The head of CoreEngine's counter file (engine.stats in the run directory), which any tool may map read-only. Behind it, per loop:
/// <see cref="GuestCounters"/> by guest id, <see cref="NsmCounters"/> by NSM id, <see cref="ConnectionRow"/> by connection id
/// (the connection table itself), and <see cref="NsmShare"/> by guest id and NSM id. A row of zeros is unused. Each row is written by its loop only, without locks: a reader
/// sums over the loops and takes each 64-bit word as it is.
/// </summary>
[StructLayout(LayoutKind.Explicit, Size = Length)]
public struct CountersHeader
{
    /// <summary>Bytes.</summary>
    public const int Length = 4096;

    /// <summary>"NKSTAT02".</summary>
    public const ulong MagicValue = 0x32305441_54534B4E;

    /// <summary><see cref="MagicValue"/>.</summary>
    [FieldOffset(0)] public ulong Magic;

    /// <summary><see cref="ControlHeader.Version"/>.</summary>
    [FieldOffset(8)] public uint LayoutVersion;

    /// <summary>Switching loops.</summary>
    [FieldOffset(12)] public uint Loops;

    /// <summary>Guest rows per loop.</summary>
    [FieldOffset(16)] public uint Guests;

    /// <summary>NSM rows per loop.</summary>
    [FieldOffset(20)] public uint Nsms;

    /// <summary>Connection rows per loop.</summary>
    [FieldOffset(24)] public uint Connections;

    /// <summary>Process id of CoreEngine.</summary>
    [FieldOffset(28)] public uint Pid;

    /// <summary>Monotonic clock, ns, when CoreEngine started.</summary>
    [FieldOffset(32)] public ulong Started;

    /// <summary>Monotonic clock, ns, at the last sign of life.</summary>
    [FieldOffset(40)] public ulong Heartbeat;

    /// <summary>Thread ids of the loops, by which the kernel tells their processor time; 0: not running yet.</summary>
    [FieldOffset(64)] public unsafe fixed uint LoopThreads[ControlHeader.MaxLoops];

    /// <summary>Bytes of all rows of one loop.</summary>
    public readonly ulong LoopBytes =>
        ((ulong)Guests * GuestCounters.Length) + ((ulong)Nsms * NsmCounters.Length) + ((ulong)Connections * ConnectionRow.Length)
        + ((ulong)Guests * Nsms * NsmShare.Length);

    /// <summary>Offset of a guest's row.</summary>
    public readonly ulong GuestOf(uint loop, uint guest) => Length + (LoopBytes * loop) + ((ulong)guest * GuestCounters.Length);

    /// <summary>Offset of an NSM's row.</summary>
    public readonly ulong NsmOf(uint loop, uint nsm) => GuestOf(loop, Guests) + ((ulong)nsm * NsmCounters.Length);

    /// <summary>Offset of a connection's row.</summary>
    public readonly ulong ConnectionOf(uint loop, uint connection) => NsmOf(loop, Nsms) + ((ulong)connection * ConnectionRow.Length);

    /// <summary>Offset of a guest's shares of the NSMs, one <see cref="NsmShare"/> per NSM id.</summary>
    public readonly ulong SharesOf(uint loop, uint guest) => ConnectionOf(loop, Connections) + ((ulong)guest * Nsms * NsmShare.Length);

    /// <summary>Bytes of the file.</summary>
    public readonly ulong TotalLength => Length + (LoopBytes * Loops);
}

/// <summary>What one loop has counted for one guest.</summary>
[StructLayout(LayoutKind.Explicit, Size = Length)]
public struct GuestCounters
{
    /// <summary>Bytes.</summary>
    public const int Length = 256;

    /// <summary>NQEs taken from the guest.</summary>
    [FieldOffset(0)] public ulong NqesFromGuest;

    /// <summary>NQEs given to the guest.</summary>
    [FieldOffset(8)] public ulong NqesToGuest;

    /// <summary>Bytes the guest sent.</summary>
    [FieldOffset(16)] public ulong BytesSent;

    /// <summary>Bytes the guest received.</summary>
    [FieldOffset(24)] public ulong BytesReceived;

    /// <summary>Connections opened by connect.</summary>
    [FieldOffset(32)] public ulong Connects;

    /// <summary>Connections accepted.</summary>
    [FieldOffset(40)] public ulong Accepts;

    /// <summary>Sockets that ended.</summary>
    [FieldOffset(48)] public ulong Closes;

    /// <summary>Connections that ended with an error.</summary>
    [FieldOffset(56)] public ulong Resets;

    /// <summary>Requests refused with an errno by CoreEngine.</summary>
    [FieldOffset(64)] public ulong Refused;

    /// <summary>Times the guest was woken.</summary>
    [FieldOffset(72)] public ulong DoorbellsRung;

    /// <summary>Entries of the connection table in use now.</summary>
    [FieldOffset(80)] public ulong Open;

    /// <summary>NQEs parked now because the guest does not drain its rings.</summary>
    [FieldOffset(88)] public ulong Parked;

    /// <summary>Live processes now (loop 0 only).</summary>
    [FieldOffset(96)] public ulong Processes;

    /// <summary>Connects that ended with an error.</summary>
    [FieldOffset(104)] public ulong ConnectsFailed;

    /// <summary>Monotonic clock, ns, when these counters began at zero: of two readings with the same value the second is the first and more.</summary>
    [FieldOffset(112)] public ulong Since;

    /// <summary>Times the guest was held because it opened connections, or asked for other things that are no data, faster than it may.</summary>
    [FieldOffset(120)] public ulong Paced;
}

/// <summary>What one loop has counted for one guest through one NSM: what that NSM has done for it.</summary>
[StructLayout(LayoutKind.Explicit, Size = Length)]
public struct NsmShare
{
    /// <summary>Bytes.</summary>
    public const int Length = 64;

    /// <summary>NQEs given to the NSM.</summary>
    [FieldOffset(0)] public ulong NqesToNsm;

    /// <summary>NQEs taken from the NSM.</summary>
    [FieldOffset(8)] public ulong NqesFromNsm;

    /// <summary>Bytes the guest sent through it.</summary>
    [FieldOffset(16)] public ulong BytesSent;

    /// <summary>Bytes the guest received through it.</summary>
    [FieldOffset(24)] public ulong BytesReceived;

    /// <summary>Connections opened by connect.</summary>
    [FieldOffset(32)] public ulong Connects;

    /// <summary>Connections accepted.</summary>
    [FieldOffset(40)] public ulong Accepts;

    /// <summary>Connects that ended with an error.</summary>
    [FieldOffset(48)] public ulong ConnectsFailed;

    /// <summary>Connections that ended with an error.</summary>
    [FieldOffset(56)] public ulong Resets;
}

/// <summary>What one loop has counted for one NSM.</summary>
[StructLayout(LayoutKind.Explicit, Size = Length)]
public struct NsmCounters
{
    /// <summary>Bytes.</summary>
    public const int Length = 256;

    /// <summary>NQEs given to the NSM.</summary>
    [FieldOffset(0)] public ulong NqesToNsm;

    /// <summary>NQEs taken from the NSM.</summary>
    [FieldOffset(8)] public ulong NqesFromNsm;

    /// <summary>Bytes sent through it.</summary>
    [FieldOffset(16)] public ulong BytesSent;

    /// <summary>Bytes received through it.</summary>
    [FieldOffset(24)] public ulong BytesReceived;

    /// <summary>Connections and listeners now.</summary>
    [FieldOffset(32)] public ulong Open;

    /// <summary>NQEs of it that named no live connection and were dropped.</summary>
    [FieldOffset(40)] public ulong Stray;

    /// <summary>Times the NSM was woken.</summary>
    [FieldOffset(48)] public ulong DoorbellsRung;
}

/// <summary>One connection, listener or bound socket, as an operator sees it.</summary>
[StructLayout(LayoutKind.Explicit, Size = Length)]
public struct ConnectionRow
{
    /// <summary>Bytes.</summary>
    public const int Length = 128;

    /// <summary>See <see cref="ConnectionState"/>; 0: unused.</summary>
    [FieldOffset(0)] public uint State;

    /// <summary>Guest id.</summary>
    [FieldOffset(4)] public uint Guest;

    /// <summary>The guest's socket id.</summary>
    [FieldOffset(8)] public uint GuestSocket;

    /// <summary>The guest's queue set.</summary>
    [FieldOffset(12)] public ushort QueueSet;

    /// <summary>AF_INET or AF_INET6.</summary>
    [FieldOffset(14)] public ushort Domain;

    /// <summary>NSM id.</summary>
    [FieldOffset(16)] public uint Nsm;

    /// <summary>Local port, host order.</summary>
    [FieldOffset(20)] public ushort LocalPort;

    /// <summary>Peer port, host order.</summary>
    [FieldOffset(22)] public ushort PeerPort;

    /// <summary>Local address, 16 bytes, network order, IPv4 as ::ffff:a.b.c.d.</summary>
    [FieldOffset(24)] public ulong LocalLow;

    /// <summary>Second half.</summary>
    [FieldOffset(32)] public ulong LocalHigh;

    /// <summary>Peer address.</summary>
    [FieldOffset(40)] public ulong PeerLow;

    /// <summary>Second half.</summary>
    [FieldOffset(48)] public ulong PeerHigh;

    /// <summary>Bytes the guest sent.</summary>
    [FieldOffset(56)] public ulong BytesSent;

    /// <summary>Bytes the guest received.</summary>
    [FieldOffset(64)] public ulong BytesReceived;

    /// <summary>NQEs both ways.</summary>
    [FieldOffset(72)] public ulong Nqes;

    /// <summary>Bytes sent by the guest that the NSM has not taken yet.</summary>
    [FieldOffset(80)] public uint SendQueue;

    /// <summary>Bytes delivered to the guest whose credit has not come back.</summary>
    [FieldOffset(84)] public uint ReceiveQueue;

    /// <summary>Monotonic clock, ns, when it was made.</summary>
    [FieldOffset(88)] public ulong Opened;

    /// <summary>Sends in flight.</summary>
    [FieldOffset(96)] public uint Sends;

    /// <summary>SOCK_STREAM or SOCK_DGRAM; 0 while nothing is known.</summary>
    [FieldOffset(100)] public uint Type;

    /// <summary>See <see cref="ConnectionForm"/>.</summary>
    [FieldOffset(104)] public uint Direct;
}

/// <summary>Values of <see cref="ConnectionRow.Direct"/>.</summary>
public static class ConnectionForm
{
    /// <summary>Its data goes in the direct form, by memory that both guests map.</summary>
    public const uint Direct = 1;

    /// <summary>A datagram socket that has sent to, or received from, guests of this host by shared memory, beside what goes by its NSM.</summary>
    public const uint Near = 2;
}

/// <summary>Values of <see cref="ConnectionRow.State"/>.</summary>
public static class ConnectionState
{
    /// <summary>Unused.</summary>
    public const uint Free = 0;

    /// <summary>Made, perhaps bound.</summary>
    public const uint Open = 1;

    /// <summary>Listening.</summary>
    public const uint Listen = 2;

    /// <summary>Connecting.</summary>
    public const uint Connecting = 3;

    /// <summary>Established.</summary>
    public const uint Established = 4;

    /// <summary>The peer has closed its side.</summary>
    public const uint CloseWait = 5;

    /// <summary>The guest has closed; the NSM is finishing.</summary>
    public const uint Closing = 6;

    /// <summary>Ended with an error; the guest has not closed it yet.</summary>
    public const uint Reset = 7;
}
