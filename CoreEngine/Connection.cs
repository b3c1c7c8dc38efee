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

    /// <summary>The <see cref="ListenerMemory"/> of this id is this connection's.</summary>
    HasMemory = 4,

    /// <summary>A listener whose NSM is gone.</summary>
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

    /// <summary>Completions of a listener's replay still to swallow (BindDone, ListenDone).</summary>
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

    /// <summary>Flags of the Connect under way.</summary>
    public NqeFlags ConnectFlags;
}

/// <summary>
/// What is remembered of a socket that may become a listener, so that it can be made again when its NSM is replaced; and of a listener, which
/// connections it has announced. One per connection id, touched only for sockets that set options or bind.
/// </summary>
[StructLayout(LayoutKind.Sequential, Size = 1088)]
internal unsafe struct ListenerMemory
{
    /// <summary>Options kept.</summary>
    public const uint MaxOptions = 8;

    /// <summary>The Bind request; Op is None when there was none. Its port is the one that was really bound.</summary>
    public Nqe Bind;

    /// <summary>OpData of Listen.</summary>
    public ulong Backlog;

    /// <summary>Options in use.</summary>
    public uint Options;

    /// <summary>Announced connections in use.</summary>
    public uint Announced;

    public fixed ulong OptionNames[8];
    public fixed ulong OptionValues[8];
    public fixed uint OptionSizes[8];
    public fixed ulong PeerLow[32];
    public fixed ulong PeerHigh[32];
    public fixed uint Handles[32];
    public fixed ushort PeerPorts[32];

    /// <summary>Forgets everything.</summary>
    public void Clear()
    {
        Bind = default;
        Backlog = 0;
        Options = 0;
        Announced = 0;
    }

    /// <summary>Keeps an option: the newest value of each; when there are too many, the oldest goes.</summary>
    public void KeepOption(ulong name, ulong value, uint size)
    {
        uint at = 0;
        while (at < Options && OptionNames[at] != name)
        {
            at++;
        }

        if (at == MaxOptions)
        {
            at = MaxOptions - 1;
            for (uint i = 0; i < at; i++)
            {
                OptionNames[i] = OptionNames[i + 1];
                OptionValues[i] = OptionValues[i + 1];
                OptionSizes[i] = OptionSizes[i + 1];
            }
        }
        else if (at == Options)
        {
            Options++;
        }

        OptionNames[at] = name;
        OptionValues[at] = value;
        OptionSizes[at] = size;
    }

    /// <summary>Remembers an announced connection; false when there are as many as there may be.</summary>
    public bool Announce(Nqe* announcement)
    {
        if (Announced == SocketSlot.AcceptEntries)
        {
            return false;
        }

        uint at = Announced++;
        PeerLow[at] = announcement->OpData;
        PeerHigh[at] = announcement->DataPtr;
        PeerPorts[at] = announcement->Aux;
        Handles[at] = announcement->Size;
        return true;
    }

    /// <summary>The place of an announced connection, or -1.</summary>
    public readonly int Find(ulong handle)
    {
        for (int i = 0; i < Announced; i++)
        {
            if (Handles[i] == handle)
            {
                return i;
            }
        }

        return -1;
    }

    /// <summary>Forgets one announced connection.</summary>
    public void Forget(int at)
    {
        uint last = --Announced;
        PeerLow[at] = PeerLow[last];
        PeerHigh[at] = PeerHigh[last];
        PeerPorts[at] = PeerPorts[last];
        Handles[at] = Handles[last];
    }
}
