using System.Runtime.InteropServices;

namespace NetKernel.CoreEngine;

/// <summary>Where a connection is in its life, from the switch's point of view.</summary>
internal enum Phase : byte
{
    /// <summary>The id is nobody's.</summary>
    Free = 0,

    /// <summary>In use, by guest and NSM.</summary>
    Active = 1,

    /// <summary>Close is on its way to the NSM; only SendDone and Closed are still of interest.</summary>
    Closing = 2,

    /// <summary>The NSM knows nothing of it (any more); CoreEngine answers the guest with <see cref="Connection.Errno"/> until it closes.</summary>
    Dead = 3,

    /// <summary>The guest is gone; the id waits for the NSM to confirm that it has forgotten it.</summary>
    Zombie = 4,
}

/// <summary>Bits of <see cref="Connection.Flags"/>.</summary>
[Flags]
internal enum ConnectionFlags : ushort
{
    None = 0,

    /// <summary>Phase is Active and the connection is established: Sends go through without further questions.</summary>
    CanSend = 1,

    /// <summary>Accept was forwarded, AcceptDone has not come back.</summary>
    AcceptPending = 2,

    /// <summary>The <see cref="SocketMemory"/> of this id is this connection's.</summary>
    HasMemory = 4,

    /// <summary>A listener or a datagram socket whose NSM is gone, or was never there.</summary>
    Down = 8,

    /// <summary>The process that waits for the control request has ended: another process's request is not the guest's fault.</summary>
    ControlOrphaned = 16,

    /// <summary>In the NSM's queue of connections that CoreEngine itself closes.</summary>
    CloseQueued = 32,

    /// <summary>Reset by CoreEngine because the NSM broke the rules: what the NSM still says is dropped.</summary>
    Severed = 64,

    /// <summary>Listening (ListenDone came back without error).</summary>
    Listening = 128,

    /// <summary>A process that held it has ended, perhaps between handing a chunk over and publishing its Send: such chunks are looked for at the end.</summary>
    Bereaved = 256,

    /// <summary>SOCK_DGRAM: sends from the start, may connect again, and never listens.</summary>
    Datagram = 512,

    /// <summary>A datagram socket's Connect that ends its association is under way.</summary>
    Dissolving = 1024,

    /// <summary>Its NSM has not heard of it yet: that waits for the first request by which to choose one.</summary>
    Unmade = 2048,

    /// <summary>Not the guest's socket itself, but its second entry, at another NSM (<see cref="Connection.Twin"/>); no row of it is shown.</summary>
    Second = 4096,

    /// <summary>No socket's any more: closes, and is freed with Closed.</summary>
    Ghost = 8192,

    /// <summary>
    /// Not the guest's socket itself, but a listener of it at another of its own NSMs (<see cref="Connection.Elder"/>): one that is just being made there, or one that the socket has
    /// left and that goes on serving what arrives there. No row of it is shown.
    /// </summary>
    Elder = 16384,

    /// <summary>A datagram socket that has a second entry at the shared-memory NSM: each of its datagrams is looked at for where it goes.</summary>
    Twofold = 32768,
}

/// <summary>Bits of <see cref="Connection.Way"/>: a datagram socket and its second entry.</summary>
[Flags]
internal enum DatagramWay : byte
{
    None = 0,

    /// <summary>The last datagram went to the shared-memory NSM: so does its second half.</summary>
    Near = 1,

    /// <summary>The last one that came back from there was lost: so is its second half.</summary>
    Lost = 2,

    /// <summary>The socket is over as soon as its second entry is.</summary>
    Ended = 4,

    /// <summary>A new second entry is wanted as soon as the old one is over.</summary>
    TwinWanted = 8,
}

/// <summary>
/// The private half of a row of the connection table: what the switch itself decides on. The public half is
/// <see cref="NetKernel.Channel.ConnectionRow"/>, which is written and never read back. One cache line.
/// </summary>
[StructLayout(LayoutKind.Sequential, Size = 64)]
internal struct Connection
{
    /// <summary>The guest's socket id.</summary>
    public uint Socket;

    /// <summary>The guest's id.</summary>
    public uint Guest;

    /// <summary>See <see cref="CoreEngine.Phase"/>.</summary>
    public Phase Phase;

    /// <summary>The NSM's id.</summary>
    public byte Nsm;

    /// <summary>The guest's queue set.</summary>
    public byte QueueSet;

    /// <summary>The control request that waits for its completion.</summary>
    public Op Control;

    /// <summary>See <see cref="ConnectionFlags"/>.</summary>
    public ConnectionFlags Flags;

    /// <summary>Sends in flight.</summary>
    public ushort Sends;

    /// <summary>RX buffers out.</summary>
    public ushort RxOut;

    /// <summary>Completions of a replay still to swallow (BindDone, ListenDone, ConnectDone).</summary>
    public byte Replay;

    /// <summary>See <see cref="ConnectionState"/>.</summary>
    public byte State;

    /// <summary>Not 0: it was reset with that errno, or never came to be.</summary>
    public int Errno;

    /// <summary>OpData of its Socket request.</summary>
    public ulong SocketArguments;

    /// <summary>Next in the NSM's close queue, plus 1.</summary>
    public uint NextClose;

    /// <summary>The socket's other entry, at another NSM, plus 1; 0: none. See SwitchLoop.Shared.cs.</summary>
    public uint Twin;

    /// <summary>Its credits that are held (<see cref="CreditHold"/>).</summary>
    public uint Held;

    /// <summary>Different for each use of the id; what is kept for later names it.</summary>
    public uint Life;

    /// <summary>A listener's other entry, at another of the guest's own NSMs, plus 1; 0: none. Each names the other. See SwitchLoop.Moves.cs.</summary>
    public uint Elder;

    /// <summary>Flags of the Connect under way.</summary>
    public NqeFlags ConnectFlags;

    /// <summary>See <see cref="DatagramWay"/>.</summary>
    public DatagramWay Way;
}
