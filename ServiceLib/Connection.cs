using System.Runtime.InteropServices;
using NetKernel.Channel;

namespace NetKernel.ServiceLib;

/// <summary>
/// What the host knows of one connection (or listener, or unconnected socket), in native memory that never moves; the stack's
/// own state follows right behind. Fields are the host's to write.
/// </summary>
[StructLayout(LayoutKind.Sequential)]
public unsafe struct Connection
{
    /// <summary>Connection id, as CoreEngine gave it.</summary>
    public uint Id;

    /// <summary>Queue set, and thereby CoreEngine's loop.</summary>
    public uint QueueSet;

    /// <summary>Guest id.</summary>
    public uint GuestId;

    /// <summary>errno of Socket; every later request is answered with it.</summary>
    public int SocketError;

    /// <summary>Bits of <see cref="ConnectionFlags"/>.</summary>
    public uint Flags;

    /// <summary>RX chunks announced to the guest whose credit has not come back.</summary>
    public uint RxOut;

    /// <summary>The capacity of those chunks.</summary>
    public uint RxBytesOut;

    /// <summary>The data in them.</summary>
    public uint RxDataOut;

    /// <summary>The most data in them that the program wants (SO_RCVBUF); 0: it did not say.</summary>
    public uint ReceiveLimit;

    /// <summary>Datagrams' chunks that wait for a place in the guest's queue (StackHost.Waiting.cs), oldest first: numbers of the first and the last, how many, what they can hold, the data in them.</summary>
    public uint HeldFirst, HeldLast, HeldCount, HeldBytes, HeldData;

    /// <summary>The first of the guest's RX chunks that this connection owns (a list through <see cref="RxPool"/>).</summary>
    public uint RxFirst;

    /// <summary>Announced connections of this listener that the guest has not answered yet.</summary>
    public uint Announced;

    /// <summary>The most of them, when other NSMs serve the same listener; 0: as many as the guest takes.</summary>
    public uint AnnounceLimit;

    /// <summary>The first of them in <see cref="HandleTable"/>.</summary>
    public uint FirstHandle;

    /// <summary>Sends ever queued.</summary>
    public uint SendTail;

    /// <summary>Sends ever completed; between the two lie those in flight.</summary>
    public uint SendHead;

    /// <summary>Bytes of the oldest Send that the stack has taken already.</summary>
    public uint SendOffset;

    /// <summary>Position in the receive ring behind its last event.</summary>
    public uint LastEvent;

    /// <summary>The round of measures in which it was last measured (<see cref="MeasuresHeader.Round"/>).</summary>
    public uint MeasuredRound;

    /// <summary>Segments sent again, when it was last measured.</summary>
    public uint Retransmits;

    /// <summary>The stack's state, behind this struct.</summary>
    public void* State;

    /// <summary>Links of the guest's list of connections.</summary>
    public Connection* GuestNext, GuestPrevious;

    /// <summary>Link of the ready list, and then of the list of those that are finished.</summary>
    public Connection* ReadyNext;

    /// <summary>Links of the guest's list of connections that wait for pool space.</summary>
    public Connection* WaitNext, WaitPrevious;

    private fixed ulong _sends[(int)MaxSends];

    /// <summary>The most Sends in flight: <see cref="SocketSlot.MaxSends"/>.</summary>
    public const uint MaxSends = SocketSlot.MaxSends;

    /// <summary>Sends in flight.</summary>
    public readonly uint SendCount => SendTail - SendHead;

    /// <summary>The Send with that running number.</summary>
    public PendingSend SendAt(uint number) => new(_sends[number & (MaxSends - 1)]);

    /// <summary>Puts a Send at the end; the caller has checked for room.</summary>
    public void QueueSend(PendingSend send) => _sends[SendTail++ & (MaxSends - 1)] = send.Bits;

    /// <summary>Whether a flag is set.</summary>
    public readonly bool Has(uint flag) => (Flags & flag) != 0;
}

/// <summary>Bits of <see cref="Connection.Flags"/>.</summary>
public static class ConnectionFlags
{
    /// <summary>In the ready list.</summary>
    public const uint Scheduled = 1;

    /// <summary>In the list of those that wait for space in the guest's RX pool.</summary>
    public const uint WaitsForPool = 2;

    /// <summary>Stopped receiving because its credits are used up; a credit schedules it.</summary>
    public const uint WaitsForCredit = 4;

    /// <summary>Close was requested.</summary>
    public const uint Closing = 8;

    /// <summary>Reset was told to the guest: nothing but SendDone and Closed may follow.</summary>
    public const uint ResetTold = 16;

    /// <summary>PeerClosed was told to the guest.</summary>
    public const uint EndTold = 32;

    /// <summary>The stack is done with it; only Closed is still to be told.</summary>
    public const uint Finished = 64;

    /// <summary>It was connected or accepted, or is about to be.</summary>
    public const uint Connects = 128;

    /// <summary>The next credit schedules it (<see cref="StackHost.Unread"/>).</summary>
    public const uint WatchesCredit = 512;

    /// <summary>Its program has chosen a congestion control.</summary>
    public const uint OwnCongestion = 256;
}

/// <summary>A Send in flight: where in the TX pool, how much, and whether more follows at once.</summary>
public readonly struct PendingSend
{
    private const ulong MoreBit = 1ul << 63, ContinuedBit = 1ul << 62, SyncBit = 1ul << 61;

    /// <summary>Offset in the low half, size above it, flags on top.</summary>
    public readonly ulong Bits;

    /// <summary>As stored.</summary>
    public PendingSend(ulong bits) => Bits = bits;

    /// <summary>From its parts.</summary>
    public PendingSend(uint offset, uint size, NqeFlags flags) =>
        Bits = offset | ((ulong)size << 32) | ((flags & NqeFlags.More) != 0 ? MoreBit : 0)
            | ((flags & NqeFlags.Continued) != 0 ? ContinuedBit : 0) | ((flags & NqeFlags.Sync) != 0 ? SyncBit : 0);

    /// <summary>Offset in the pool region.</summary>
    public uint Offset => (uint)Bits;

    /// <summary>Bytes.</summary>
    public uint Size => (uint)(Bits >> 32) & 0x1FFF_FFFF;

    /// <summary>MSG_MORE; the rest of the datagram follows.</summary>
    public bool More => (Bits & MoreBit) != 0;

    /// <summary>Not the first chunk of its datagram.</summary>
    public bool Continued => (Bits & ContinuedBit) != 0;

    /// <summary>Somebody waits for the SendDone.</summary>
    public bool Sync => (Bits & SyncBit) != 0;
}
