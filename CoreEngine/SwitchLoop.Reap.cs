using System.Threading;

namespace NetKernel.CoreEngine;

/// <summary>Taking leave of a guest's process, as a kernel would: what it had published still counts; what it held is given back.</summary>
internal sealed unsafe partial class SwitchLoop
{
    /// <summary>A process of the guest has ended. The loop reports in <see cref="GuestPort.Reaped"/> when it has tidied up.</summary>
    public void ProcessEnded(uint guest, uint slot)
    {
        if (_guests[guest] is { } port)
        {
            port.ReapWanted.Set(slot);
            if (port.Dead)
            {
                port.ReapWanted = default;
                return;
            }

            Activate(port);
        }
    }

    private bool Reap(GuestPort guest)
    {
        if (guest.Reaping < 0)
        {
            guest.Reaping = (int)guest.ReapWanted.Next(0);
            guest.ReapWanted.Clear((uint)guest.Reaping);
            guest.Use((uint)guest.Reaping);
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
                return !_stalled;
            }
        }

        uint slot = (uint)guest.Reaping;
        PublishNow(guest); // what is staged must be where settling finds it
        TidyQueueSets(guest, slot);
        TidySockets(guest, slot);
        if (_index == 0)
        {
            FreeChunks(guest, TxOwner.Filling | slot);
        }

        guest.Reaping = -1;
        guest.Reaped.Share(slot);
        CallControl();
        return true;
    }

    private void TidyQueueSets(GuestPort guest, uint slot)
    {
        for (uint q = guest.Used.Next(0); q != ProcessMask.None; q = guest.Used.Next(q + 1))
        {
            QueueSetHeader* header = guest.QueueSetOf(q);
            _ = ReleaseLock(ref header->DrainLock, slot);
            _ = ReleaseLock(ref header->JobLock, slot);
            _ = ReleaseLock(ref header->SendLock, slot);
            bool subscribed = header->Subscribers.Has(slot) && header->Subscribers.Unshare(slot);
            if ((subscribed || q == slot) && header->Subscribers.IsEmpty)
            {
                Abandon(guest, q);
            }
        }
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

            bool held = s->Holders.Has(slot) && s->Holders.Unshare(slot);
            if (held && id < ConnectionTable.Capacity)
            {
                _table.Items[id].Flags |= ConnectionFlags.Bereaved;
            }

            // Its own last act may have been to take itself out, or to begin to close. Of it, a live process and us, only one gets from Open to Closing.
            bool abandoned = state == SocketState.Open && s->Holders.IsEmpty
                && Interlocked.CompareExchange(ref s->State, SocketState.Closing, SocketState.Open) == SocketState.Open;
            if (abandoned || state == SocketState.ClaimedBy(slot) || state == SocketState.ClosedBy(slot))
            {
                CloseAbandoned(guest, socket, s);
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

        if (connection->Phase == Phase.Active && (connection->Flags & ConnectionFlags.Down) == 0 && guest.Nsm is { } nsm)
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
