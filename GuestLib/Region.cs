using NetKernel.Channel;

namespace NetKernel.GuestLib;

/// <summary>
/// This process's view of its guest's regions: where everything lies, which slot and queue set are its own. All fields are set by
/// <see cref="Attaching"/> and read everywhere.
/// </summary>
internal static unsafe class Region
{
    internal static byte* Control;
    internal static byte* Pool;
    internal static ControlHeader* Header;
    internal static ControlLayout Layout;

    /// <summary>Length of the control region.</summary>
    internal static ulong Bytes;
    internal static PoolHalf Tx;
    internal static PoolHalf Rx;
    internal static uint* TxOwners;
    internal static uint Sockets;
    internal static uint RingSlots;
    internal static uint Loops;

    /// <summary>This process's slot, which is its queue set too.</summary>
    internal static uint Slot;

    /// <summary>
    /// Loopback goes to the NSM like any other address, and no socket has a native half (NETKERNEL_LOOPBACK=netkernel). A test switch: the NSM's
    /// loopback is shared by all its guests, and an NSM with addresses per guest refuses it.
    /// </summary>
    internal static bool CarriesLoopback;

    /// <summary>Attached, and CoreEngine was alive when last looked at.</summary>
    internal static bool Attached;

    /// <summary>CoreEngine is gone or has detached this guest: every NetKernel socket is dead.</summary>
    internal static bool Dead;

    /// <summary>Whether a socket that a call has begun with is dead, also when another thread has attached to the next CoreEngine meanwhile: its slot lies in the memory of the one before.</summary>
    internal static bool IsOver(SocketSlot* s) => Dead || !Owns(s);

    /// <summary>
    /// Whether a socket's slot lies in the memory that this process is attached to. Control changes before anything else that belongs to it, and never back: addresses of its
    /// rings and pool that were read before this said yes are the socket's own.
    /// </summary>
    internal static bool Owns(SocketSlot* s)
    {
        Volatile.ReadBarrier();
        return (ulong)((byte*)s - Control) < Bytes;
    }

    internal static bool IsHostMode => (Header->Flags & RegionFlags.HostMode) != 0;

    internal static SocketSlot* Socket(uint id) => (SocketSlot*)(Control + Layout.SocketOf(id));

    internal static ProcessSlot* Process(uint slot) => (ProcessSlot*)(Control + Layout.ProcessOf(slot));

    internal static QueueSetHeader* QueueSet(uint queueSet) => (QueueSetHeader*)(Control + Layout.QueueSetOf(queueSet));

    internal static RingHeader* Ring(uint queueSet, RingKind kind) => (RingHeader*)(Control + Layout.RingOf(queueSet, kind));

    internal static Nqe* RingSlot(RingHeader* ring, uint index) =>
        (Nqe*)((byte*)ring + RingHeader.SlotsOffset) + (index & (RingSlots - 1));

    internal static LoopBell* Bell(uint loop) => (LoopBell*)(Control + ControlLayout.LoopBellOf(loop));

    /// <summary>The guest's own address of a family is that one (16 bytes, IPv4 mapped).</summary>
    internal static bool IsOwnAddress(ulong low, ulong high)
    {
        if (IsHostMode)
        {
            return false;
        }

        if (Addresses.IsMapped(low, high))
        {
            return Header->Address4 != 0 && (uint)(high >> 32) == Header->Address4;
        }

        return (Header->Address6Low | Header->Address6High) != 0 && low == Header->Address6Low && high == Header->Address6High;
    }
}
