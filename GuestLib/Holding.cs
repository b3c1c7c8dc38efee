using NetKernel.Channel;

namespace NetKernel.GuestLib;

/// <summary>
/// Which processes hold a socket (<see cref="SocketSlot.Holders"/>). Who takes the last one out closes it. Several may see none left at the same time,
/// CoreEngine among them, and a process may join meanwhile: who gets the state from Open to Closing decides.
/// </summary>
internal static unsafe class Holding
{
    /// <summary>This process holds the socket from now on, if it is still the one of that inode and open.</summary>
    internal static bool TryJoin(uint id, ulong inode)
    {
        SocketSlot* s = Region.Socket(id);
        uint queueSet = s->QueueSet;
        if (s->Inode != inode || Volatile.Read(ref s->State) != SocketState.Open || queueSet >= Region.Layout.Counts.QueueSets)
        {
            return false;
        }

        Subscriptions.Add(queueSet);
        s->Holders.Share(Region.Slot); // Full fence: pairs with the one in Leave. Either we see that it closes, or it sees us.
        if (Volatile.Read(ref s->State) == SocketState.Open && s->Inode == inode && s->QueueSet == queueSet)
        {
            return true;
        }

        Leave(id);
        return false;
    }

    /// <summary>This process no longer holds the socket; if nobody does, <paramref name="linger"/> says how many seconds to wait for its end (-1: do not).</summary>
    internal static void Leave(uint id, int linger = -1)
    {
        SocketSlot* s = Region.Socket(id);
        uint closing = SocketState.ClosedBy(Region.Slot);
        _ = s->Holders.Unshare(Region.Slot);
        if (s->Holders.IsEmpty && Volatile.Read(ref s->Exported) != 0)
        {
            Exporting.Left(id);
            return;
        }

        if (!s->Holders.IsEmpty || Interlocked.CompareExchange(ref s->State, closing, SocketState.Open) != SocketState.Open)
        {
            return;
        }

        // Somebody joined between the two looks: it goes on. If that one has seen Closing it leaves, and whoever is last of us two closes.
        if (!s->Holders.IsEmpty && Interlocked.CompareExchange(ref s->State, SocketState.Open, closing) == closing)
        {
            if (!s->Holders.IsEmpty || Interlocked.CompareExchange(ref s->State, closing, SocketState.Open) != SocketState.Open)
            {
                return;
            }
        }

        Close(id, s, linger);
    }

    /// <summary>Nobody holds it: sends its Close.</summary>
    private static void Close(uint id, SocketSlot* s, int linger)
    {
        if ((Volatile.Read(ref s->Status) & SocketStatus.Known) == 0)
        {
            Slots.Free(id);
            return;
        }

        Readiness.GotRoom(s);

        // Unread data at close means RST (RFC 2525, 2.17); the NSM's kernel knows only of what it has not delivered yet.
        uint status = Volatile.Read(ref s->Status);
        bool unread = (status & SocketStatus.Connected) != 0 && (Volatile.Read(ref s->RxTail) != s->RxHead || Direct.Waiting(s) != 0);
        Nqe nqe = default;
        nqe.Op = Op.Close;
        nqe.Socket = id;
        nqe.Flags = unread ? NqeFlags.Abort : NqeFlags.None;

        // A closed socket's port is free when close(2) returns: programs bind it again at once. With SO_LINGER close(2) waits until the peer has
        // acknowledged everything (RST, with 0 seconds, does not take long).
        bool connected = (status & SocketStatus.Connected) != 0;
        bool bound = (status & SocketStatus.Bound) != 0 && (!connected || Volatile.Read(ref s->TxSends) == 0);
        if (!bound && (linger < 0 || !connected))
        {
            _ = Rings.Send(s, &nqe, 1);
            return;
        }

        long deadline = linger > 0 && connected ? Libc.Now() + (linger * 1_000_000_000L) : -1;
        int errno = Libc.Errno;
        if (deadline >= 0)
        {
            Direct.Linger(s, id, deadline);
        }

        QueueSetHeader* set = Region.QueueSet(s->QueueSet);
        Interlocked.Increment(ref set->WantsSpace); // Closed is quiet unless somebody wants it
        if (Locks.TryEnter(ref s->ControlLock))
        {
            _ = Control.Request(s, id, RingKind.Send, &nqe, 1, deadline);
            Locks.Leave(ref s->ControlLock);
        }

        Interlocked.Decrement(ref set->WantsSpace);
        Libc.Errno = errno;
    }
}
