using System.Threading;

namespace NetKernel.CoreEngine;

/// <summary>Taking leave of a guest's process, as a kernel would: what it had published still counts; what it held is given back.</summary>
internal sealed unsafe partial class SwitchLoop
{
    /// <summary>In the place of a process's slot: sockets that nobody holds are closed.</summary>
    private const int Nobody = (int)ControlLayout.MaxQueueSets;

    /// <summary>A process of the guest has ended. The loop reports in <see cref="GuestPort.Reaped"/> when it has tidied up.</summary>
    public void ProcessEnded(uint guest, uint slot)
    {
        if (_guests[guest] is { } port)
        {
            port.Kept[slot] = null;
            WantReap(port, slot);
        }
    }

    /// <summary>
    /// A process of the guest has executed another program and keeps some sockets: the rest is taken back as if it had ended. What it keeps
    /// it goes on to hold by its slot, which is not reported as reaped.
    /// </summary>
    public void ProcessExecuted(uint guest, uint slot, ProcessKept kept)
    {
        if (_guests[guest] is { } port)
        {
            port.Kept[slot] = kept;
            WantReap(port, slot);
        }
    }

    /// <summary>
    /// A socket whose file is gone, or that was exported and is not any more: closed if nobody holds it, once what was published for it is handled.
    /// </summary>
    public void CloseUnheld(uint guest, uint socket)
    {
        if (_guests[guest] is { Dead: false } port)
        {
            WantClosed(port, socket);
        }
    }

    private void WantClosed(GuestPort port, uint socket)
    {
        if (port.UnheldCount < port.Unheld.Length)
        {
            port.Unheld[port.UnheldCount] = socket;
        }

        port.UnheldCount++;
        port.Reaping = port.Reaping == Nobody ? -1 : port.Reaping; // what was published for this one, too, comes first
        Activate(port);
    }

    private void WantReap(GuestPort port, uint slot)
    {
        port.ReapWanted.Set(slot);
        if (port.Dead)
        {
            port.ReapWanted = default;
            return;
        }

        Activate(port);
    }

    /// <summary>Nobody holds an open socket: of everybody who sees that, one gets it from Open to Closing.</summary>
    private static bool TryAbandon(SocketSlot* s, uint state) =>
        state == SocketState.Open && s->Holders.IsEmpty
        && Interlocked.CompareExchange(ref s->State, SocketState.Closing, SocketState.Open) == SocketState.Open;

    private bool Reap(GuestPort guest)
    {
        if (guest.Reaping < 0)
        {
            if (guest.ReapWanted.IsEmpty)
            {
                guest.Reaping = Nobody;
            }
            else
            {
                guest.Reaping = (int)guest.ReapWanted.Next(0);
                guest.ReapWanted.Clear((uint)guest.Reaping);
                guest.Use((uint)guest.Reaping);
                guest.ReapKeeps = guest.Kept[guest.Reaping];
                guest.Kept[guest.Reaping] = null;
            }

            for (uint q = guest.Used.Next(0); q != ProcessMask.None; q = guest.Used.Next(q + 1))
            {
                guest.ReapJobTails[q] = Volatile.Read(ref guest.RingOf(q, RingKind.Job)->Tail);
                guest.ReapSendTails[q] = Volatile.Read(ref guest.RingOf(q, RingKind.Send)->Tail);
            }
        }

        for (uint q = guest.Used.Next(0); q != ProcessMask.None; q = guest.Used.Next(q + 1))
        {
            if ((int)(Volatile.Read(ref guest.RingOf(q, RingKind.Job)->Head) - guest.ReapJobTails[q]) < 0
                || (int)(Volatile.Read(ref guest.RingOf(q, RingKind.Send)->Head) - guest.ReapSendTails[q]) < 0)
            {
                guest.Hot.Set(q); // the dead process may not have rung
                guest.Sets[q].IdlePasses = 0;
                return !_stalled && !guest.Throttled;
            }
        }

        uint slot = (uint)guest.Reaping;
        PublishNow(guest); // what is staged must be where settling finds it
        if (slot == Nobody)
        {
            guest.Reaping = -1;
            TidyUnheld(guest);
            return true;
        }

        TidyQueueSets(guest, slot);
        TidySockets(guest, slot);
        if (_index == 0)
        {
            FreeChunks(guest, TxOwner.Filling | slot);
            TidySets(guest, slot);
        }

        guest.Reaping = -1;
        if (guest.ReapKeeps == null)
        {
            guest.Reaped.Share(slot);
            CallControl();
        }

        guest.ReapKeeps = null;
        return true;
    }

    /// <summary>Closes the sockets of <see cref="CloseUnheld"/>, and drains from now on what they kept from being drained.</summary>
    private void TidyUnheld(GuestPort guest)
    {
        bool all = guest.UnheldCount > guest.Unheld.Length;
        uint high = Math.Min(Volatile.Read(ref guest.Header->SocketHigh), guest.Sockets);
        int count = all ? (int)high : guest.UnheldCount;
        guest.UnheldCount = 0;
        for (int i = 0; i < count; i++)
        {
            uint socket = all ? (uint)i : guest.Unheld[i];
            SocketSlot* s = guest.SlotOf(socket);
            if (guest.Mine.Has(s->QueueSet & 0xFF) && Volatile.Read(ref s->Exported) == 0 && TryAbandon(s, Volatile.Read(ref s->State)))
            {
                CloseAbandoned(guest, socket, s);
            }
        }

        ProcessMask inFlight = guest.Exports == 0 ? default : InFlight(guest);
        for (uint q = guest.Used.Next(0); q != ProcessMask.None; q = guest.Used.Next(q + 1))
        {
            if (guest.QueueSetOf(q)->Subscribers.IsEmpty && !guest.Sets[q].Orphan && !guest.Sets[q].Owned && !inFlight.Has(q))
            {
                PublishNow(guest);
                Abandon(guest, q);
            }
        }
    }

    private void TidyQueueSets(GuestPort guest, uint slot)
    {
        ProcessMask inFlight = guest.Exports == 0 ? default : InFlight(guest);
        for (uint q = guest.Used.Next(0); q != ProcessMask.None; q = guest.Used.Next(q + 1))
        {
            QueueSetHeader* header = guest.QueueSetOf(q);
            _ = ReleaseLock(ref header->DrainLock, slot);
            _ = ReleaseLock(ref header->JobLock, slot);
            _ = ReleaseLock(ref header->SendLock, slot);
            if (guest.ReapKeeps != null)
            {
                continue; // its next program subscribes again, or nobody does
            }

            if (q == slot)
            {
                guest.Sets[q].Owned = false;
            }

            bool subscribed = header->Subscribers.Has(slot) && header->Subscribers.Unshare(slot);
            if ((subscribed || q == slot) && header->Subscribers.IsEmpty && !guest.Sets[q].Owned && !inFlight.Has(q))
            {
                Abandon(guest, q);
            }
        }
    }

    /// <summary>
    /// Queue sets of sockets that nobody will hold once this process is gone, but that somebody may be about to: in flight between processes. What comes
    /// for them is kept. Whoever joins subscribes first, then holds: no holder seen here means that its subscription will be seen.
    /// </summary>
    private static ProcessMask InFlight(GuestPort guest)
    {
        ProcessMask sets = default;
        uint high = Math.Min(Volatile.Read(ref guest.Header->SocketHigh), guest.Sockets);
        for (uint socket = 0; socket < high; socket++)
        {
            SocketSlot* s = guest.SlotOf(socket);
            if (Volatile.Read(ref s->Exported) != 0 && Volatile.Read(ref s->State) == SocketState.Open && s->QueueSet < guest.QueueSets)
            {
                sets.Set(s->QueueSet);
            }
        }

        return sets;
    }

    /// <summary>Nobody drains a queue set any more: CoreEngine does it from now on, for what must be given back.</summary>
    private void Abandon(GuestPort guest, uint q)
    {
        QueueSetPort* set = guest.Sets + q;
        uint slots = guest.Layout.Counts.RingSlots;
        set->Orphan = true;
        RingConsumer completions = new((byte*)guest.RingOf(q, RingKind.Completion), slots);
        uint n;
        while ((n = completions.Dequeue(_batch, Batch)) != 0)
        {
            for (uint i = 0; i < n; i++)
            {
                Settle(guest, _batch + i);
            }
        }

        RingConsumer events = new((byte*)guest.RingOf(q, RingKind.Receive), slots);
        while (events.Dequeue(_batch, Batch) != 0)
        {
        }

        guest.QueueSetOf(q)->WantsSpace = 0;
        if (guest.Parked.Has(q))
        {
            _ = FlushParked(guest);
        }

        if (!guest.Deferred.IsEmpty)
        {
            FreeDeferred(guest);
        }
    }

    private void TidySockets(GuestPort guest, uint slot)
    {
        uint loops = guest.Layout.Counts.Loops;
        uint high = Math.Min(Volatile.Read(ref guest.Header->SocketHigh), guest.Sockets);
        for (uint socket = 0; socket < high; socket++)
        {
            SocketSlot* s = guest.SlotOf(socket);
            uint state = Volatile.Read(ref s->State);
            uint q = Volatile.Read(ref s->QueueSet);
            if (state == SocketState.Free || q % loops != _index || q >= guest.QueueSets)
            {
                continue;
            }

            _ = ReleaseLock(ref s->RxLock, slot);
            _ = ReleaseLock(ref s->TxLock, slot);
            uint id = guest.Map[socket] - 1;
            if (ReleaseLock(ref s->ControlLock, slot) && id < ConnectionTable.Capacity && _table.Items[id].Control != Op.None)
            {
                _table.Items[id].Flags |= ConnectionFlags.ControlOrphaned;
            }

            bool keeps = guest.ReapKeeps?.Has(socket) == true;
            bool held = !keeps && s->Holders.Has(slot) && s->Holders.Unshare(slot);
            if (held && id < ConnectionTable.Capacity)
            {
                _table.Items[id].Flags |= ConnectionFlags.Bereaved;
            }

            // Its own last act may have been to take itself out, or to begin to close.
            if (state == SocketState.ClaimedBy(slot) || state == SocketState.ClosedBy(slot))
            {
                CloseAbandoned(guest, socket, s);
            }
            else if (state == SocketState.Open && Volatile.Read(ref s->Exported) == 0 && s->Holders.IsEmpty)
            {
                // The last one before may have left since the rings were looked at, for this one still seemed to hold it: what that one has published comes first.
                WantClosed(guest, socket);
            }
        }
    }

    /// <summary>Epoll sets that it shared with others. What the last one leaves is freed by the new state: a watch names the state of its set.</summary>
    private static void TidySets(GuestPort guest, uint slot)
    {
        uint high = Math.Min(Volatile.Read(ref guest.Header->SharedSetHigh), ControlLayout.MaxSharedSets);
        for (uint i = 0; i < high; i++)
        {
            SharedSet* set = guest.SharedSetOf(i);
            uint state = Volatile.Read(ref set->State);
            _ = ReleaseLock(ref set->Lock, slot);
            if (guest.ReapKeeps != null || !set->Holders.Has(slot))
            {
                continue;
            }

            _ = set->Users.Unshare(slot);
            if (set->Holders.Unshare(slot) && SharedSet.IsUsed(state) && set->Holders.IsEmpty)
            {
                _ = Interlocked.CompareExchange(ref set->State, state + 1, state);
            }
        }
    }

    /// <summary>Nobody holds a socket any more, and nobody will send its Close.</summary>
    private void CloseAbandoned(GuestPort guest, uint socket, SocketSlot* s)
    {
        uint id = guest.Map[socket] - 1;
        if (id >= ConnectionTable.Capacity)
        {
            if (guest.DeferredNext[socket] == 0)
            {
                guest.Map[socket] = 0;
                Volatile.Write(ref s->State, SocketState.Free);
            }

            return;
        }

        Volatile.Write(ref s->State, SocketState.Closing);
        Connection* connection = _table.Items + id;
        if (connection->Phase == Phase.Closing)
        {
            return;
        }

        if (connection->Phase == Phase.Active && (connection->Flags & (ConnectionFlags.Down | ConnectionFlags.Unmade)) == 0 && _nsms[connection->Nsm] is { } nsm)
        {
            QueueClose(nsm, id, connection);
            return;
        }

        FinishClose(guest, id, connection);
    }

    /// <summary>Frees a lock of the guest's if its holder is the process that ended.</summary>
    private static bool ReleaseLock(ref ulong word, uint slot)
    {
        ulong held = Volatile.Read(ref word);
        return held >> 48 == slot + 1 && Interlocked.CompareExchange(ref word, 0ul, held) == held;
    }
}
