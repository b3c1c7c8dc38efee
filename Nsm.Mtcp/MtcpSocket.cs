using System.Runtime.InteropServices;
using NetKernel.ServiceLib;
using NetKernel.Stack;

namespace NetKernel.Nsm.Mtcp;

/// <summary>What this stack knows of a connection, behind the host's part of it.</summary>
[StructLayout(LayoutKind.Sequential)]
internal unsafe struct MtcpSocket
{
    /// <summary>The connection, or listener.</summary>
    public Tcb* T;

    /// <summary>The IPv4 half of a socket bound to both of a guest's wildcards, or null.</summary>
    public Tcb* T4;

    /// <summary>A datagram socket's halves: IPv4, and IPv6 for a socket of that family; and the one that is connected, or null.</summary>
    public UdpSocket* U4, U6, Peer;

    /// <summary>A datagram socket's SO_RCVBUF, doubled; 0: not set.</summary>
    public uint ReceiveBytes;

    /// <summary>Where it is in its life, and more of it. These are small, for a listener has many thousands of such structs behind it (SizeTests).</summary>
    public Phase Phase;

    /// <summary>The chunk in <see cref="Open"/> waits for more, because the guest has enough to read.</summary>
    public bool Held;
    public MtcpFlags Flags;

    /// <summary>Address family that the guest asked for.</summary>
    public ushort Domain;

    /// <summary>SO_LINGER, and its seconds below.</summary>
    public byte LingerOn;

    /// <summary>RX size class that the last chunks wanted.</summary>
    public byte RxClass;
    public int LingerSeconds;

    /// <summary>SO_SNDBUF, which the guest library obeys; kept to be read back.</summary>
    public int SendBuffer;

    /// <summary>TCP_NOTSENT_LOWAT, which the guest library obeys; kept to be read back.</summary>
    public uint NotSentLow;

    /// <summary>The RX chunk that is being filled, and how full it is; Start is null when there is none.</summary>
    public RxBuffer Open;
    public uint Filled;

    /// <summary>Running number of the first Send that the stack has not been told of.</summary>
    public uint Told;

    /// <summary>Bytes acknowledged whose Sends have not been completed yet.</summary>
    public ulong Acked;

    /// <summary>Number of the take-over that it waits for, and the options that were set meanwhile.</summary>
    public ulong Take;
    public EarlyOption* Early;

    public readonly bool Has(MtcpFlags flag) => (Flags & flag) != 0;
}

/// <summary>Where a socket is in its life.</summary>
internal enum Phase : byte
{
    /// <summary>Neither bound nor connected.</summary>
    Fresh,

    /// <summary>Bound by the program.</summary>
    Bound,

    /// <summary>Listening.</summary>
    Listening,

    /// <summary>Connect's completion is owed.</summary>
    Connecting,

    /// <summary>Connected, until Close.</summary>
    Connected,

    /// <summary>Accepted; the connection is on its way from another shard.</summary>
    Accepting,

    /// <summary>It has come, which the guest has not been told yet.</summary>
    Arrived,

    /// <summary>It is not there any more, which the guest has not been told yet.</summary>
    Refused,
}

[Flags]
internal enum MtcpFlags : ushort
{
    None = 0,

    /// <summary>FIN is to follow what was sent.</summary>
    ShutdownWanted = 1,

    /// <summary>Close with RST.</summary>
    Abort = 2,

    /// <summary>SO_REUSEADDR and SO_REUSEPORT of the last Bind.</summary>
    ReuseAddress = 4,
    ReusePort = 8,

    /// <summary>SOCK_DGRAM.</summary>
    Datagram = 16,

    /// <summary>Bound to one family only.</summary>
    OneFamily = 32,

    /// <summary>Bound by the program, not by sending.</summary>
    ProgramBound = 64,

    /// <summary>The IPv4 half delivers first next time.</summary>
    Turn4 = 128,

    /// <summary>IPV6_MTU_DISCOVER is "do" or "probe"; IPV6_DONTFRAG is on. Either forbids fragments.</summary>
    DiscoversMtu6 = 256,
    DontFragment6 = 512,

    /// <summary>SO_OOBINLINE.</summary>
    UrgentInLine = 1024,

    /// <summary>SO_BROADCAST of a datagram socket.</summary>
    Broadcasts = 2048,
}
