using NetKernel.Channel;

namespace NetKernel.GuestLib;

/// <summary>Claiming and releasing <see cref="SocketSlot"/>s: one compare-and-exchange, with a private memory of slots seen free.</summary>
internal static unsafe class Slots
{
    /// <summary>No socket.</summary>
    internal const uint None = uint.MaxValue;

    private const uint Remembered = 256;
    private static uint* s_free;
    private static uint s_count;
    private static uint s_cursor;
    private static int s_lock;

    /// <summary>Forgets what a parent process, or a dead region, left.</summary>
    internal static void Reset()
    {
        s_count = 0;
        s_cursor = 0;
        s_lock = 0;
    }

    /// <summary>A slot of one's own, initialised; false when all are taken.</summary>
    internal static bool TryClaim(int domain, int type, ulong inode, uint status, out uint id)
    {
        if (!TryFind(out id))
        {
            // Slots of closed sockets are free once the rings are drained past their end, and CoreEngine has seen that.
            _ = Draining.All();
            _ = Rings.Wake(Region.Slot);
            _ = Libc.sched_yield();
            if (!TryFind(out id))
            {
                return false;
            }
        }

        SocketSlot* s = Region.Socket(id);
        s->QueueSet = Region.Slot;
        s->Domain = (ushort)domain;
        s->Type = (ushort)type;
        s->Inode = inode;
        s->NsmEpoch = Volatile.Read(ref Region.Header->NsmEpoch);
        s->OptionMask = 0;
        s->Wanted = 0;
        s->Exported = 0;
        s->Backlog = 0;
        s->Status = status;
        s->Error = 0;
        s->TxBytes = 0;
        s->TxSends = 0;
        s->TxLimit = Sending.DefaultLimit;
        s->RxLowWater = 0;
        s->TxOwn = 0;
        s->RxQuiet = 0;
        s->DirectRegion = s->DirectEnd = s->DirectTail = s->DirectStarted = s->DirectHead = s->DirectReady = 0;
        s->TxByNsm = s->RxByNsm = 0;
        s->ControlSequence = 0;
        s->RxBytes = 0;
        s->RxLoud = 0;
        s->LocalLow = s->LocalHigh = s->PeerLow = s->PeerHigh = 0;
        s->LocalPort = s->PeerPort = 0;
        s->RxLock = s->TxLock = s->ControlLock = 0;
        s->RxTail = s->RxHead = s->RxOffset = s->Renewals = 0;
        ((RxEntry*)s->Entries)->Position = 0;
        s->Holders = ProcessMask.Of(Region.Slot);
        Volatile.Write(ref s->State, SocketState.Open); // Release: whoever sees Open sees the rest.
        return true;
    }

    /// <summary>Frees a slot that CoreEngine never heard of.</summary>
    internal static void Free(uint id)
    {
        Volatile.Write(ref Region.Socket(id)->State, SocketState.Free);
        Remember(id);
    }

    private static void Remember(uint id)
    {
        if (Interlocked.CompareExchange(ref s_lock, 1, 0) != 0)
        {
            return;
        }

        if (s_free == null)
        {
            s_free = (uint*)Libc.Reserve(Remembered * sizeof(uint));
        }

        if (s_free != null && s_count < Remembered)
        {
            s_free[s_count++] = id;
        }

        Volatile.Write(ref s_lock, 0);
    }

    private static bool TryFind(out uint id)
    {
        bool locked = Interlocked.CompareExchange(ref s_lock, 1, 0) == 0;
        while (locked && s_count > 0)
        {
            id = s_free[--s_count];
            if (TryTake(id))
            {
                Volatile.Write(ref s_lock, 0);
                return true;
            }
        }

        // Slots start cold: used ones first, so that few pages are ever touched.
        uint high = Volatile.Read(ref Region.Header->SocketHigh);
        high = high > Region.Sockets ? Region.Sockets : high;
        bool found = TryScan(s_cursor, high, out id) || TryScan(0, high < s_cursor ? high : s_cursor, out id) || TryScan(high, Region.Sockets, out id);
        if (found)
        {
            s_cursor = id + 1;
        }

        if (locked)
        {
            Volatile.Write(ref s_lock, 0);
        }

        return found;
    }

    private static bool TryScan(uint from, uint to, out uint id)
    {
        for (id = from; id < to; id++)
        {
            if (Volatile.Read(ref Region.Socket(id)->State) == SocketState.Free && TryTake(id))
            {
                return true;
            }
        }

        return false;
    }

    private static bool TryTake(uint id)
    {
        if (Interlocked.CompareExchange(ref Region.Socket(id)->State, SocketState.ClaimedBy(Region.Slot), SocketState.Free) != SocketState.Free)
        {
            return false;
        }

        uint high = Volatile.Read(ref Region.Header->SocketHigh);
        while (high <= id)
        {
            uint seen = Interlocked.CompareExchange(ref Region.Header->SocketHigh, id + 1, high);
            if (seen == high)
            {
                break;
            }

            high = seen;
        }

        return true;
    }
}
