using NetKernel.Channel;

namespace NetKernel.GuestLib;

/// <summary>
/// Taking events out of the completion and receive rings and applying them to the sockets' shared state. Whoever needs something drains;
/// one thread at a time per queue set. An element is applied first and released after, and applying the same one twice changes nothing, so that
/// a drainer killed midway loses and repeats nothing.
/// </summary>
internal static unsafe class Draining
{
    private const uint Batch = 32;

    private static uint s_changes;

    /// <summary>See <see cref="Subscriptions.Ticket"/>; changes as well with what this process itself does to its sockets and sets, and others to the sets that they share with it.</summary>
    internal static uint Ticket() => Subscriptions.Ticket() + Direct.Ticket() + Volatile.Read(ref s_changes) + Epoll.Changes;

    /// <summary>This process has done something that a waiter's condition may depend on.</summary>
    internal static void Bump() => Interlocked.Increment(ref s_changes);

    /// <summary>Whether a subscribed queue set has something to drain.</summary>
    internal static bool AnyPending()
    {
        uint count = Subscriptions.Count;
        for (uint i = 0; i < count; i++)
        {
            if (Subscriptions.IsPending(i))
            {
                return true;
            }
        }

        return Direct.AnyPending();
    }

    /// <summary>Drains every subscribed queue set that has something and that nobody else is draining; true when anything was applied.</summary>
    internal static bool All()
    {
        bool any = false;
        uint count = Subscriptions.Count;
        for (uint i = 0; i < count; i++)
        {
            if (Subscriptions.IsPending(i))
            {
                any |= One(Subscriptions.At(i));
            }
        }

        if (Direct.Drain())
        {
            Waiting.AfterDrain();
            any = true;
        }

        return any;
    }

    /// <summary>Drains one queue set if it has something.</summary>
    internal static bool Of(uint queueSet) =>
        Subscriptions.IsPending(Region.Ring(queueSet, RingKind.Completion), Region.Ring(queueSet, RingKind.Receive)) && One(queueSet);

    /// <summary>Drains one queue set if it has news of peers (a reset, say). Completions alone may wait.</summary>
    internal static void EventsOf(uint queueSet)
    {
        RingHeader* receive = Region.Ring(queueSet, RingKind.Receive);
        if (Volatile.Read(ref receive->Tail) != receive->Head)
        {
            _ = One(queueSet);
        }
    }

    /// <summary>Whether this very thread is in the middle of draining something: a signal handler came in.</summary>
    internal static bool IsHeldByThisThread
    {
        get
        {
            ulong self = Locks.Self;
            uint count = Subscriptions.Count;
            for (uint i = 0; i < count; i++)
            {
                if (Volatile.Read(ref Region.QueueSet(Subscriptions.At(i))->DrainLock) == self)
                {
                    return true;
                }
            }

            return false;
        }
    }

    /// <summary>Gives back what this thread, which is leaving by a jump or by cancellation, holds. What it has not released will be drained again.</summary>
    internal static void Abandon()
    {
        ulong self = Locks.Self;
        uint count = Subscriptions.Count;
        for (uint i = 0; i < count; i++)
        {
            ref ulong word = ref Region.QueueSet(Subscriptions.At(i))->DrainLock;
            if (Volatile.Read(ref word) == self)
            {
                Locks.Leave(ref word);
            }
        }
    }

    private static bool One(uint queueSet)
    {
        QueueSetHeader* set = Region.QueueSet(queueSet);
        if (!Locks.TryEnterNow(ref set->DrainLock))
        {
            return false;
        }

        bool any = Ring(Region.Ring(queueSet, RingKind.Completion)) | Ring(Region.Ring(queueSet, RingKind.Receive));
        Locks.Leave(ref set->DrainLock);
        if (any)
        {
            Waiting.AfterDrain();
        }

        return any;
    }

    private static bool Ring(RingHeader* ring)
    {
        uint head = ring->Head;
        uint tail = Volatile.Read(ref ring->Tail); // Acquire: pairs with CoreEngine's release of Tail.
        if (head == tail)
        {
            return false;
        }

        do
        {
            uint end = tail - head > Batch ? head + Batch : tail;
            for (; head != end; head++)
            {
                Nqe nqe = *Region.RingSlot(ring, head);
                Apply(&nqe, head);
            }

            Volatile.Write(ref ring->Head, head); // Release: after the events are applied, see Ticket.
            tail = Volatile.Read(ref ring->Tail);
        }
        while (head != tail);
        return true;
    }

    private static void Apply(Nqe* nqe, uint position)
    {
        if (nqe->Socket >= Region.Sockets)
        {
            return;
        }

        SocketSlot* s = Region.Socket(nqe->Socket);
        switch (nqe->Op)
        {
            case Op.Data:
                Delivered(s, nqe, position);
                break;
            case Op.SendDone:
                Sent(s, nqe);
                return;
            case Op.NewConnection:
                Announced(s, nqe, position);
                break;
            case Op.PeerClosed:
                Interlocked.Or(ref s->Status, SocketStatus.PeerClosed);
                Changed(s);
                break;
            case Op.Reset when Datagrams.Is(s) && (nqe->Flags & NqeFlags.Abort) != 0:
                DatagramRevival.Suspended(s);
                break;
            case Op.Renewed when Datagrams.Is(s):
                DatagramRevival.Renewed(s, (uint)nqe->OpData);
                break;
            case Op.Reset:
                s->Error = (int)nqe->OpData;
                Interlocked.Or(ref s->Status, SocketStatus.Reset);
                Changed(s);
                break;
            case Op.Error:
                Failed(s, nqe);
                break;
            case Op.Direct:
                s->DirectEnd = (uint)(nqe->OpData >> 32);
                Volatile.Write(ref s->DirectRegion, (uint)nqe->OpData); // Release: whoever sees the region sees the end.
                break;
            case Op.DirectNews:
                Direct.Kicked(s);
                break;
            case Op.CreditWanted:
                Volatile.Write(ref s->RxLoud, s->RxTail); // what is not read yet
                _ = Rings.Wake(s->QueueSet); // what was
                return;
            case Op.ConnectDone when Datagrams.Is(s):
                if (nqe->Size == 0)
                {
                    s->LocalLow = nqe->OpData;
                    s->LocalHigh = nqe->DataPtr;
                    s->LocalPort = nqe->Aux;
                }

                goto case Op.BindDone;
            case Op.ConnectDone:
                Connected(s, nqe);
                break;
            case Op.Connecting:
                Named(s, nqe);
                return; // who wants to know looks by oneself
            case Op.AcceptDone:
                Accepted(s, nqe);
                break;
            case Op.BindDone:
            case Op.ListenDone:
            case Op.GetOptionDone:
            case Op.SetOptionDone:
                s->ControlError = nqe->Size;
                s->ControlData = nqe->OpData;
                s->ControlPtr = nqe->Op == Op.BindDone ? nqe->Aux : nqe->DataPtr;
                Answered(s);
                break;
            case Op.Closed:
                if ((s->ControlSequence & 1) != 0)
                {
                    Volatile.Write(ref s->ControlSequence, s->ControlSequence + 1);
                    Waiting.Notify(nqe->Socket);
                }

                return; // CoreEngine frees the slot once its rings are drained past this.
            default:
                return;
        }

        Happened(s, nqe->Socket);
    }

    /// <summary>What somebody waits for with the ControlLock is there.</summary>
    internal static void Answered(SocketSlot* s)
    {
        if ((s->ControlSequence & 1) != 0)
        {
            Volatile.Write(ref s->ControlSequence, s->ControlSequence + 1);
        }
    }

    /// <summary>Something changed that no event tells: waiters look at the socket again.</summary>
    internal static void Mark(SocketSlot* s, uint id)
    {
        Changed(s);
        Happened(s, id);
        Bump();
        Waiting.AfterDrain();
    }

    /// <summary>An error that does not end the socket.</summary>
    private static void Failed(SocketSlot* s, Nqe* nqe)
    {
        if (nqe->OpData != 0)
        {
            s->Error = (int)nqe->OpData;
        }

        if (nqe->Size != 0)
        {
            Interlocked.Or(ref s->Status, Datagrams.ErrorQueued);
        }

        Changed(s);
    }

    /// <summary>Counts a change of the socket's state; see <see cref="Happened"/>.</summary>
    internal static void Changed(SocketSlot* s) => Interlocked.Increment(ref s->EventsState);

    /// <summary>Marks the socket in the dirty bitmap of every process that holds it. What happened says a count in its slot, raised before.</summary>
    internal static void Happened(SocketSlot* s, uint id)
    {
        uint most = Region.Layout.Counts.QueueSets;
        for (uint process = s->Holders.Next(0); process < most; process = s->Holders.Next(process + 1))
        {
            ulong* word = (ulong*)(Region.Control + Region.Layout.DirtyOf(process)) + (id >> 6);
            ulong bit = 1ul << (int)(id & 63);
            if ((Volatile.Read(ref *word) & bit) == 0)
            {
                Interlocked.Or(ref *word, bit);
            }

            ulong* summary = (ulong*)(Region.Control + Region.Layout.DirtySummaryOf(process)) + (id >> 12);
            ulong summaryBit = 1ul << (int)((id >> 6) & 63);
            if ((Volatile.Read(ref *summary) & summaryBit) == 0)
            {
                Interlocked.Or(ref *summary, summaryBit);
            }
        }

    }

    private static void Delivered(SocketSlot* s, Nqe* nqe, uint position)
    {
        uint tail = s->RxTail;
        RxEntry* entries = (RxEntry*)s->Entries;
        if (tail != 0 && entries[(tail - 1) % SocketSlot.RxRing].Position == Stamp(nqe, position))
        {
            return; // Applied before, by a drainer that was killed before it released the element.
        }

        if (tail - DatagramRevival.Head(s) >= SocketSlot.RxRing || !Region.Rx.TryFind(nqe->DataPtr, nqe->Size, out _) || (Datagrams.Is(s) && !IsDatagram(s, nqe)))
        {
            s->Error = Abi.EIO; // The NSM broke its promise: this connection cannot go on.
            Interlocked.Or(ref s->Status, SocketStatus.Reset);
            Changed(s);
            return;
        }

        RxEntry* entry = &entries[tail % SocketSlot.RxRing];
        entry->Offset = (uint)nqe->DataPtr;
        entry->Size = nqe->Size | (Datagrams.Is(s) && (nqe->Flags & NqeFlags.More) != 0 ? Datagrams.GoesOn : 0);
        entry->Position = Stamp(nqe, position);
        if ((nqe->Flags & NqeFlags.Sync) != 0)
        {
            Volatile.Write(ref s->RxLoud, tail + 1);
        }

        Interlocked.Add(ref s->RxBytes, (int)nqe->Size);
        Volatile.Write(ref s->RxTail, tail + 1); // Release: pairs with the reader's acquire of RxTail.
        s->EventsIn++;
    }

    /// <summary>A datagram begins with a whole header, and has one rest at most.</summary>
    private static bool IsDatagram(SocketSlot* s, Nqe* nqe)
    {
        uint tail = s->RxTail;
        bool rest = tail != DatagramRevival.Head(s) && (((RxEntry*)s->Entries)[(tail - 1) % SocketSlot.RxRing].Size & Datagrams.GoesOn) != 0;
        return rest ? (nqe->Flags & NqeFlags.More) == 0 : nqe->Size >= DatagramHeader.Bytes;
    }

    /// <summary>Ring position and place: different for any two elements that can be told apart at all.</summary>
    private static ulong Stamp(Nqe* nqe, uint position) => ((ulong)position << 32) | ((uint)nqe->DataPtr ^ nqe->Size) | 1;

    private static void Sent(SocketSlot* s, Nqe* nqe)
    {
        if (!TxPool.Completed(s, nqe->DataPtr, nqe->Size, nqe->Socket))
        {
            return; // Applied before.
        }

        if (Datagrams.Is(s))
        {
            DatagramRevival.Discount(ref s->TxBytes, nqe->Size);
            DatagramRevival.Discount(ref s->TxSends, 1);
        }
        else
        {
            Interlocked.Add(ref s->TxBytes, 0u - nqe->Size);
            Interlocked.Decrement(ref s->TxSends);
        }

        if ((nqe->Flags & NqeFlags.Sync) != 0)
        {
            s->ControlError = (uint)nqe->OpData;
            Answered(s); // the sender waits
            Waiting.Notify(nqe->Socket);
        }
        else if (nqe->OpData != 0 && Datagrams.Is(s))
        {
            s->Error = (int)nqe->OpData; // sent long ago, as far as the program knows
            Changed(s);
            Happened(s, nqe->Socket);
        }

        if (MadeRoom(s))
        {
            Happened(s, nqe->Socket);
        }
    }

    /// <summary>Whether somebody waits for room and there is some now; counted, for <see cref="Happened"/>.</summary>
    internal static bool MadeRoom(SocketSlot* s)
    {
        if ((Volatile.Read(ref s->Status) & Status.NoSpace) == 0 || !Sending.HasRoom(s))
        {
            return false;
        }

        if (!s->Holders.IsSingle || !s->Holders.Has(Region.Slot))
        {
            Interlocked.Increment(ref Region.QueueSet(s->QueueSet)->SpaceGiven);
        }

        Readiness.GotRoom(s);
        s->EventsOut++;
        return true;
    }

    private static void Announced(SocketSlot* s, Nqe* nqe, uint position)
    {
        uint tail = s->RxTail;
        AcceptEntry* entries = (AcceptEntry*)s->Entries;
        if (tail != 0 && entries[(tail - 1) % SocketSlot.AcceptEntries].Position == Stamp(nqe, position))
        {
            return;
        }

        if (tail - Volatile.Read(ref s->RxHead) >= SocketSlot.AcceptEntries)
        {
            return; // More than the NSM may announce: not ours to remember.
        }

        AcceptEntry* entry = &entries[tail % SocketSlot.AcceptEntries];
        entry->PeerLow = nqe->OpData;
        entry->PeerHigh = nqe->DataPtr;
        entry->PeerPort = nqe->Aux;
        entry->Handle = nqe->Size;
        entry->Position = Stamp(nqe, position);
        Volatile.Write(ref s->RxTail, tail + 1);
        s->EventsIn++;
    }

    private static void Connected(SocketSlot* s, Nqe* nqe)
    {
        if (nqe->Size == 0)
        {
            s->LocalLow = nqe->OpData;
            s->LocalHigh = nqe->DataPtr;
            s->LocalPort = nqe->Aux;
            Interlocked.Or(ref s->Status, SocketStatus.Connected);
        }
        else
        {
            s->Error = (int)nqe->Size;
            Interlocked.Or(ref s->Status, Status.ConnectFailed);
        }

        Interlocked.And(ref s->Status, ~SocketStatus.Connecting);
        Changed(s);
    }

    /// <summary>A connect is under way from that address and port.</summary>
    private static void Named(SocketSlot* s, Nqe* nqe)
    {
        if ((Volatile.Read(ref s->Status) & SocketStatus.Connecting) != 0)
        {
            s->LocalLow = nqe->OpData;
            s->LocalHigh = nqe->DataPtr;
            s->LocalPort = nqe->Aux;
            Interlocked.Or(ref s->Status, Status.Named); // Release: pairs with getsockname's look.
        }
    }

    private static void Accepted(SocketSlot* s, Nqe* nqe)
    {
        if (nqe->Size == 0)
        {
            s->LocalLow = nqe->OpData;
            s->LocalHigh = nqe->DataPtr;
            Volatile.Write(ref s->LocalPort, nqe->Aux);
        }
        else
        {
            s->Error = (int)nqe->Size;
            Interlocked.Or(ref s->Status, SocketStatus.Reset);
            Changed(s);
        }
    }
}

/// <summary>Status bits that only this library knows, beside <see cref="SocketStatus"/>.</summary>
internal static class Status
{
    /// <summary>O_NONBLOCK of the open file description.</summary>
    internal const uint NonBlocking = 1 << 16;

    /// <summary>A send found no room: the next one that has is news.</summary>
    internal const uint NoSpace = 1 << 17;

    /// <summary>The last connect failed.</summary>
    internal const uint ConnectFailed = 1 << 18;

    /// <summary>A connect has returned success: the next one is EISCONN (a non-blocking one succeeds once more, connect(2)).</summary>
    internal const uint ConnectReported = 1 << 20;

    /// <summary>SO_RCVTIMEO or SO_SNDTIMEO was set.</summary>
    internal const uint HasTimeouts = 1 << 21;

    /// <summary>SO_LINGER is on: close(2) waits.</summary>
    internal const uint Lingers = 1 << 22;

    /// <summary>The slot has the local address of the last attempt to connect.</summary>
    internal const uint Named = 1 << 23;

    /// <summary>Bound by the program (Connect keeps the address).</summary>
    internal const uint ExplicitBound = 1 << 19;
}
