using NetKernel.Channel;

namespace NetKernel.ServiceLib;

/// <content>RX chunks and credits, and the end of connections.</content>
public sealed unsafe partial class StackHost
{
    /// <summary>With less than one part in so many free, every Data asks for a loud credit.</summary>
    private const int Scarce = 8;

    /// <summary>Twice what a guest may have read without saying so.</summary>
    public const uint Unannounced = 256 << 10;

    /// <summary>
    /// Takes a chunk to receive into, of about the wanted class. False when the connection's credits or the guest's pool are used up; then the connection is scheduled as soon as
    /// that changes. The caller gives it to <see cref="Deliver"/> or <see cref="Return"/> before the turn ends.
    /// </summary>
    public bool TryReserve(Connection* c, int sizeClass, out RxBuffer buffer)
    {
        Guest guest = GuestOf(c);
        RxPool pool = guest.Rx;
        buffer = default;

        // Guests return up to 32 credits or 128 KB of data without ringing, so only what is more than twice that may stop a connection. A
        // connection whose chunks are many but badly filled gets small ones instead.
        uint limit = LimitOf(c);
        if (c->RxOut >= SocketSlot.RxEntries || c->RxDataOut >= limit)
        {
            c->Flags |= ConnectionFlags.WaitsForCredit;
            return false;
        }

        // A connection with nothing out may always have one chunk: no reader is starved by slow ones. The others are stopped by their share, and go on with their own credits.
        uint share = pool.ShareOf(limit);
        bool first = c->RxOut == 0;
        while (sizeClass > 0 && (ulong)c->RxBytesOut + PoolHalf.BytesOf(sizeClass) > share)
        {
            sizeClass--;
        }

        uint chunk = first || c->RxBytesOut < share ? pool.Take(sizeClass, first) : RxPool.None;
        if (chunk == RxPool.None)
        {
            WaitForPool(guest, c);
            return false;
        }

        buffer.Chunk = chunk;
        buffer.Start = guest.RxAt(chunk);
        buffer.Capacity = pool.BytesOf(chunk);
        return true;
    }

    /// <summary>Gives the guest the first <paramref name="size"/> (not 0) bytes of a reserved chunk.</summary>
    public void Deliver(Connection* c, in RxBuffer buffer, uint size, NqeFlags flags = NqeFlags.None)
    {
        RxPool pool = GuestOf(c).Rx;
        pool.Own(buffer.Chunk, c, size);
        Nqe* e = Event(c, Op.Data);
        e->DataPtr = pool.OffsetOf(buffer.Chunk);
        e->Size = size;
        e->Flags = IsScarce(pool, c) ? flags | NqeFlags.Sync : flags;
    }

    /// <summary>
    /// Whether the guest has so much to read that a chunk which is not full may wait for more: then the connection is scheduled when credits come back. Not with fewer entries out than
    /// this: up to 32 credits may lie unannounced in a ring.
    /// </summary>
    public static bool MayHold(Connection* c)
    {
        if (c->RxOut <= SocketSlot.RxEntries * 5 / 8)
        {
            return false;
        }

        c->Flags |= ConnectionFlags.WaitsForCredit;
        return true;
    }

    /// <summary>
    /// Bytes that the guest was given and has certainly not read; those of up to 32 credits that may lie unannounced in its ring are left out. When there are any, the next credit schedules the
    /// connection. 0 when the program has limited its buffer itself (SO_RCVBUF): then <see cref="TryReserve"/> keeps to that.
    /// </summary>
    public static uint Unread(Connection* c)
    {
        if (c->RxDataOut <= Unannounced || c->ReceiveLimit != 0)
        {
            return 0;
        }

        c->Flags |= ConnectionFlags.WatchesCredit;
        return c->RxDataOut - Unannounced;
    }

    /// <summary>Ends what <see cref="MayHold"/> began: the connection goes on receiving.</summary>
    public static void EndHold(Connection* c) => c->Flags &= ~ConnectionFlags.WaitsForCredit;

    /// <summary>The program wants no more than that many bytes to wait for it (SO_RCVBUF). Accepted connections inherit it.</summary>
    public static void LimitReceive(Connection* c, uint bytes) => c->ReceiveLimit = bytes > PoolLayout.SmallBytes ? bytes : PoolLayout.SmallBytes;

    /// <summary>Gives a reserved chunk back unused.</summary>
    public void Return(Connection* c, in RxBuffer buffer) => GuestOf(c).Rx.Free(buffer.Chunk);

    /// <summary>The guest, or null.</summary>
    public Guest? FindGuest(uint id) => id < (uint)_guests.Length ? _guests[id] : null;

    /// <summary>The guest of a connection.</summary>
    public Guest GuestOf(Connection* c) => _guests[c->GuestId]!;

    private void Credit(Connection* c, ulong offset)
    {
        Guest guest = GuestOf(c);
        if (!guest.Rx.Return(offset, c))
        {
            return; // Returned twice, or never announced: nothing of anybody else is touched.
        }

        if (c->Has(ConnectionFlags.WatchesCredit))
        {
            c->Flags &= ~ConnectionFlags.WatchesCredit;
            Schedule(c);
        }

        if (c->HeldCount != 0 && c->RxOut <= SocketSlot.RxEntries / 2)
        {
            Schedule(c); // not for every single credit
        }

        if (c->Has(ConnectionFlags.WaitsForPool))
        {
            // Its own credit always wakes it, whoever waits longer: those may be in no hurry at all, and when it has nothing out nothing else might.
            StopWaiting(guest, c);
            Schedule(c);
        }
        else if (c->Has(ConnectionFlags.WaitsForCredit))
        {
            // Not for every single credit: a stream would be received in crumbs.
            if (c->RxOut <= SocketSlot.RxEntries / 2 && c->RxDataOut <= LimitOf(c) / 2)
            {
                c->Flags &= ~ConnectionFlags.WaitsForCredit;
                Schedule(c);
            }
        }

        if (guest.FirstWaiter != null)
        {
            WakeWaiter(guest);
        }
    }

    /// <summary>With few chunks left, or a small buffer, connections wait for single credits, which the guest must then not keep to itself.</summary>
    private bool IsScarce(RxPool pool, Connection* c) =>
        pool.FreeBytes < pool.TotalBytes / Scarce || (c->ReceiveLimit != 0 && c->RxDataOut >= LimitOf(c) / 2);

    private uint LimitOf(Connection* c) => c->ReceiveLimit != 0 && c->ReceiveLimit < ReceiveLimit ? c->ReceiveLimit : ReceiveLimit;

    private void WaitForPool(Guest guest, Connection* c)
    {
        if (c->Has(ConnectionFlags.WaitsForPool))
        {
            return;
        }

        c->Flags |= ConnectionFlags.WaitsForPool;
        c->WaitNext = null;
        c->WaitPrevious = guest.LastWaiter;
        if (guest.LastWaiter != null)
        {
            guest.LastWaiter->WaitNext = c;
        }
        else
        {
            guest.FirstWaiter = c;
        }

        guest.LastWaiter = c;
        _waiters++;
        if (c->RxOut != 0 && !c->Has(ConnectionFlags.Closing | ConnectionFlags.ResetTold | ConnectionFlags.EndTold))
        {
            _ = Event(c, Op.CreditWanted); // what the guest has read may lie in its ring, unannounced
        }
    }

    private void WakeWaiter(Guest guest)
    {
        Connection* c = guest.FirstWaiter;
        StopWaiting(guest, c);
        Schedule(c);
    }

    /// <summary>Takes all chunks of a connection back, without credits.</summary>
    private void ReclaimReceive(Connection* c)
    {
        Guest guest = GuestOf(c);
        guest.Rx.ReturnAll(c);
        StopWaiting(guest, c);
        while (guest.FirstWaiter != null)
        {
            WakeWaiter(guest);
        }
    }

    private void StopWaiting(Guest guest, Connection* c)
    {
        if (!c->Has(ConnectionFlags.WaitsForPool))
        {
            return;
        }

        if (c->WaitPrevious == null)
        {
            guest.FirstWaiter = c->WaitNext;
        }
        else
        {
            c->WaitPrevious->WaitNext = c->WaitNext;
        }

        if (c->WaitNext == null)
        {
            guest.LastWaiter = c->WaitPrevious;
        }
        else
        {
            c->WaitNext->WaitPrevious = c->WaitPrevious;
        }

        c->Flags &= ~ConnectionFlags.WaitsForPool;
        _waiters--;
    }

    /// <summary>Ends a connection that nobody is to hear of.</summary>
    private void DropConnection(Connection* c)
    {
        DeclineAll(c);
        ReclaimReceive(c);
        if (c->Has(ConnectionFlags.Finished))
        {
            Unfinish(c);
        }
        else if (c->SocketError == 0)
        {
            _stack.Drop(c);
        }

        Forget(c);
    }

    private void Forget(Connection* c)
    {
        Guest guest = GuestOf(c);
        Unschedule(c);
        StopWaiting(guest, c);
        guest.Leave(c);
        _connections.Remove(c);
    }
}

/// <summary>A reserved RX chunk.</summary>
public unsafe struct RxBuffer
{
    /// <summary>Where to receive to.</summary>
    public byte* Start;

    /// <summary>Bytes.</summary>
    public uint Capacity;

    /// <summary>Chunk number.</summary>
    public uint Chunk;
}
