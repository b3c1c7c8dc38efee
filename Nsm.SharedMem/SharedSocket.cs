using System.Runtime.InteropServices;
using NetKernel.Channel;
using NetKernel.ServiceLib;

namespace NetKernel.Nsm.SharedMem;

/// <summary>What this stack knows of a connection, behind the host's part of it; in native memory that never moves.</summary>
[StructLayout(LayoutKind.Sequential)]
internal unsafe struct SharedSocket
{
    /// <summary>The host's part.</summary>
    public Connection* Self;

    /// <summary>The other end; null: not accepted yet, or gone.</summary>
    public SharedSocket* Peer;

    public Phase Phase;

    /// <summary>Bits of <see cref="SharedFlags"/>.</summary>
    public uint Flags;

    /// <summary>Address family that the guest asked for.</summary>
    public int Domain;

    /// <summary>errno of the end that is still to be told; 0: none.</summary>
    public int Error;

    /// <summary>Own address; of a listener only the port counts.</summary>
    public Endpoint Local;

    /// <summary>The peer's address.</summary>
    public Endpoint Remote;

    /// <summary>A client that no one has accepted yet: its entry in the accept queue.</summary>
    public Embryo* Embryo;

    /// <summary>Of a listener: those that are not announced yet, oldest first, and how many.</summary>
    public Embryo* FirstQueued, LastQueued;

    public uint Queued;

    /// <summary>Of a listener with TCP_DEFER_ACCEPT: those that have brought nothing yet, youngest first.</summary>
    public Embryo* FirstDeferred;

    /// <summary>Of a listener: how many may wait to be accepted.</summary>
    public uint Backlog;

    /// <summary>Of a listener: clients that found the backlog full, oldest first.</summary>
    public SharedSocket* FirstWaiting, LastWaiting;

    /// <summary>Of such a client: its listener, and the next one.</summary>
    public SharedSocket* Listener, NextWaiting;

    /// <summary>Link of the table that the socket is in: listeners by port, clients by their four numbers.</summary>
    public SharedSocket* NextInTable;

    /// <summary>Links of the list of those whose time runs, and when it is up (monotonic ns).</summary>
    public SharedSocket* NextTimed, PreviousTimed;

    public long Deadline;

    /// <summary>In the direct form: since when the peer has not read on, and where (monotonic ns; 0: not looked yet).</summary>
    public long StalledAt;

    public uint StalledHead;

    /// <summary>Bytes that the peer has taken, and that came from it.</summary>
    public ulong BytesSent, BytesReceived;

    public SharedOptions Options;

    /// <summary>Options of a datagram socket.</summary>
    public DatagramOptions Datagram;

    /// <summary>In the direct form: the connection's two ends in memory that both guests map, and which is this one's.</summary>
    public DirectEnd* Ends;

    public uint Side;

    /// <summary>Index of that memory's region, and the connection's place there.</summary>
    public uint Region, Connection;

    /// <summary>The other end, as long as it is not finished with that memory; may be no peer any more.</summary>
    public SharedSocket* Mate;

    /// <summary>Links of the list of those in the direct form.</summary>
    public SharedSocket* NextDirect, PreviousDirect;

    /// <summary>The ring's index when the direct form was withdrawn.</summary>
    public uint WithdrawnAt;

    /// <summary>Indices up to which moved bytes were counted.</summary>
    public uint CountedSent, CountedReceived;

    /// <summary>How often data was moved by this stack, as long as that matters.</summary>
    public uint Moves;

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

    /// <summary>Connecting to a listener whose backlog is full.</summary>
    Waiting,

    /// <summary>Connected, until Close; a client perhaps not accepted yet.</summary>
    Connected,
}

internal static class SharedFlags
{
    /// <summary>shutdown(SHUT_WR) waits for the queued Sends.</summary>
    public const uint ShutdownWanted = 1;

    /// <summary>The peer was told the end of this side's data.</summary>
    public const uint ShutdownDone = 2;

    /// <summary>The peer has closed for good: what is sent now is answered as TCP answers it, by a reset.</summary>
    public const uint PeerGone = 4;

    /// <summary>Close with a reset.</summary>
    public const uint Abort = 8;

    /// <summary>The peer had data for this end, and no place: it is run when there is some.</summary>
    public const uint Starved = 16;

    /// <summary>In the list of those whose time runs.</summary>
    public const uint Timed = 32;

    /// <summary>In the table of clients.</summary>
    public const uint InTable = 64;

    /// <summary>A listener for IPv4, IPv6 connections.</summary>
    public const uint Takes4 = 128, Takes6 = 256;

    /// <summary>A listener with SO_REUSEPORT: shares its port with others.</summary>
    public const uint Reuses = 512;

    /// <summary>A client whose listener is gone, or whose time is up: <see cref="SharedSocket.Error"/> is to be told as the end of its connect.</summary>
    public const uint ConnectOver = 1024;

    /// <summary>The program has shut the reading side: once it has ended its own data too, what still comes is answered by a reset.</summary>
    public const uint ReadShut = 2048;

    /// <summary>A client whose connection policy allows to go in the direct form.</summary>
    public const uint MayDirect = 1 << 12;

    /// <summary>The direct form was entered, or could not be.</summary>
    public const uint DirectTried = 1 << 13;

    /// <summary>The guest has kicked its peer, and whether for data.</summary>
    public const uint Kicked = 1 << 14, KickedData = 1 << 15;

    /// <summary>What was moved in the direct form is to be told.</summary>
    public const uint CountDue = 1 << 16;

    /// <summary>The connection has left the direct form, and whether that is still to be told.</summary>
    public const uint Withdrawn = 1 << 19, WithdrawnDue = 1 << 20;

    /// <summary>Its peer has no room, and the socket has TCP_USER_TIMEOUT: what its time is for.</summary>
    public const uint Stalled = 1 << 21;

    /// <summary>A datagram socket.</summary>
    public const uint Datagram = 1 << 17;

    /// <summary>A datagram socket bound to one address, not to all that the guest has.</summary>
    public const uint Named = 1 << 18;
}

/// <summary>A connection in an accept queue: the client is connected, the server has no socket for it yet.</summary>
internal unsafe struct Embryo
{
    /// <summary>The client; null: it is gone with a reset.</summary>
    public SharedSocket* Client;

    /// <summary>The server's and the client's address.</summary>
    public Endpoint Local, Remote;

    public Embryo* Next;

    /// <summary>While it is kept back (TCP_DEFER_ACCEPT): the listener, and the one before it in that list.</summary>
    public SharedSocket* Listener;

    public Embryo* Previous;
}
