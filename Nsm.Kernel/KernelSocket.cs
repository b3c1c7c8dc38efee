using System.Runtime.InteropServices;
using NetKernel.ServiceLib;

namespace NetKernel.Nsm.Kernel;

/// <summary>What the kernel stack knows of a connection, behind the host's part of it.</summary>
[StructLayout(LayoutKind.Sequential)]
internal unsafe struct KernelSocket
{
    /// <summary>The kernel socket.</summary>
    public int Fd;

    /// <summary>The second, IPv4 half of a socket bound to both of a guest's wildcards; -1: none.</summary>
    public int Fd4;

    /// <summary>Address family that the guest asked for.</summary>
    public int Domain;

    /// <summary>Family of <see cref="Fd"/>.</summary>
    public int Family;

    public Phase Phase;

    /// <summary>Bits of <see cref="KernelFlags"/>.</summary>
    public uint Flags;

    /// <summary>RX size class of the next receive.</summary>
    public int RxClass;

    /// <summary>Receives in a row that a smaller chunk would have held.</summary>
    public int SmallReceives;

    /// <summary>errno of the send that failed; later Sends get it too.</summary>
    public int SendError;

    /// <summary>SO_LINGER as the guest set it; the kernel never hears of it, because close(2) would block.</summary>
    public int LingerOn, LingerSeconds;

    /// <summary>Options (bits of <see cref="SocketOptions"/>) that were set, for copying to a second socket.</summary>
    public ulong OptionsSet;

    /// <summary>Datagrams that the next receive is prepared for.</summary>
    public uint ReceiveBatch;

    /// <summary>SO_RCVBUF as the guest set it: chunk bytes of datagrams that may lie unread in the guest; 0: not set.</summary>
    public uint ReceiveBytes;

    /// <summary>Connections of a listener that may wait in the guest; the others of its backlog wait in the kernel.</summary>
    public uint AnnounceMost;

    /// <summary>Sends that waited when it was closed, as far as they count in <see cref="Guest.OrphanSends"/>.</summary>
    public uint OrphanSends;

    /// <summary>Link of the listeners that found no free fd.</summary>
    public Connection* NextStarved;

    public readonly bool Has(uint flag) => (Flags & flag) != 0;

    public void Set(uint flag) => Flags |= flag;

    public void Clear(uint flag) => Flags &= ~flag;
}

/// <summary>Where a socket is in its life.</summary>
internal enum Phase
{
    /// <summary>Neither bound nor connected.</summary>
    Fresh,

    /// <summary>Bound by the program.</summary>
    Bound,

    /// <summary>Listening.</summary>
    Listening,

    /// <summary>connect(2) is under way; its completion is owed.</summary>
    Connecting,

    /// <summary>Connected, until Close.</summary>
    Connected,
}

internal static class KernelFlags
{
    /// <summary>The kernel may have data, an end or an error to read; for a listener, connections.</summary>
    public const uint Readable = 1;

    /// <summary>The same for <see cref="KernelSocket.Fd4"/>.</summary>
    public const uint Readable4 = 2;

    /// <summary>The kernel may take data.</summary>
    public const uint Writable = 4;

    /// <summary>A short receive does not mean empty: an end, an error or urgent data was signalled.</summary>
    public const uint ReadToEnd = 8;

    /// <summary>End of file was read.</summary>
    public const uint AtEnd = 16;

    /// <summary>An error was signalled that nobody has asked for yet.</summary>
    public const uint ErrorSignalled = 32;

    /// <summary>shutdown(SHUT_WR) waits for the queued Sends.</summary>
    public const uint ShutdownWanted = 64;

    /// <summary>shutdown(SHUT_WR) is done.</summary>
    public const uint ShutdownDone = 128;

    /// <summary>shutdown(SHUT_RD) was asked for. The kernel hears of it only together with SHUT_WR: then it answers data with RST.</summary>
    public const uint ReadShut = 1 << 19;

    /// <summary>In the epoll set.</summary>
    public const uint Watched = 256;

    /// <summary>Close with RST.</summary>
    public const uint Abort = 512;

    /// <summary>Close waits for the kernel to take the rest, for a bounded time.</summary>
    public const uint CloseTimed = 1024;

    /// <summary>A listener in the list of those that found no free fd.</summary>
    public const uint Starved = 2048;

    /// <summary>SOCK_DGRAM.</summary>
    public const uint Datagram = 4096;

    /// <summary>IP_RECVERR or IPV6_RECVERR is set: errors come with a record in the kernel's error queue.</summary>
    public const uint ErrorQueue = 8192;

    /// <summary>Receives have room for control messages.</summary>
    public const uint WantsControl = 1 << 14;

    /// <summary>Bound so that only one family can be used: no second half may be made.</summary>
    public const uint OneFamily = 1 << 15;

    /// <summary>Connected through <see cref="KernelSocket.Fd4"/>.</summary>
    public const uint Peer4 = 1 << 16;

    /// <summary>Bound by the program: what a socket is again after it is disconnected.</summary>
    public const uint ProgramBound = 1 << 17;

    /// <summary>The IPv4 half is read first next time.</summary>
    public const uint Turn4 = 1 << 18;
}
