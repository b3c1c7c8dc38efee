using NetKernel.Channel.Host;

namespace NetKernel.CoreEngine;

/// <summary>The way from an NSM to the guests. The NSM is trusted less than CoreEngine: what makes no sense is counted and dropped.</summary>
internal sealed unsafe partial class SwitchLoop
{
    private const uint MaxEventsPerPass = 4 * Batch; // all guests meet in an NSM's rings
    private const uint MaxRxOut = SocketSlot.RxEntries + 1; // and the answer to a GetOption

    private bool DrainNsm(NsmPort nsm)
    {
        if (nsm.Broken)
        {
            return false;
        }

        // The receive ring is looked at first and the completion ring drained before it, so that what the NSM published in this order
        // (connected, then data) is told in this order.
        uint events = nsm.Receive.Available();
        uint done = 0;
        uint seen = nsm.Completion.Refresh(); // what comes after this look waits for the next pass: no NSM can hold the loop here
        while (done < seen)
        {
            uint n = nsm.Completion.Window(0, Batch, out Nqe* first);
            Completions(nsm, first, n);
            nsm.Completion.Release(n);
            done += n;
        }

        events = Math.Min(events, MaxEventsPerPass);
        while (events != 0)
        {
            uint n = nsm.Receive.Peek(_batch, Math.Min(events, Batch));
            if (n == 0)
            {
                break;
            }

            Events(nsm, _batch, n);
            nsm.Receive.Release(n);
            done += n;
            events -= n;
        }

        nsm.Counters->NqesFromNsm += done;
        BreakIf(nsm, nsm.Completion.IsBroken | nsm.Receive.IsBroken);
        return done != 0;
    }

    /// <summary>The guest and connection that an NQE of an NSM is about; null when there is none.</summary>
    private GuestPort? Find(NsmPort nsm, uint id, out Connection* connection)
    {
        connection = _table.Items + id;
        if (id >= ConnectionTable.Capacity)
        {
            return null;
        }

        return connection->Phase is Phase.Active or Phase.Closing && connection->Nsm == nsm.Id ? _guests[connection->Guest] : null;
    }

    private static void Address(Nqe* e, GuestPort guest, Connection* connection)
    {
        e->Socket = connection->Socket;
        e->VmLow = guest.VmLow;
        e->VmHigh = guest.VmHigh;
        e->QueueSet = connection->QueueSet;
    }

    private void Completions(NsmPort nsm, Nqe* elements, uint count)
    {
        uint done = 0;
        while (done < count)
        {
            uint run = ForwardDones(nsm, elements + done, count - done);
            done += run;
            if (run == 0)
            {
                *_batch = elements[done++];
                OneCompletion(nsm, _batch);
            }
        }
    }

    /// <summary>A completion that <see cref="ForwardDones"/> had questions about.</summary>
    private void OneCompletion(NsmPort nsm, Nqe* e)
    {
        uint id = e->Socket;
        GuestPort? guest = Find(nsm, id, out Connection* connection);
        if (guest == null)
        {
            nsm.Counters->Stray++;
            return;
        }

        if (guest.Dead)
        {
            return;
        }

        ConnectionRow* row = _table.Rows + id;
        row->Nqes++;
        if (e->Op != Op.SendDone)
        {
            Address(e, guest, connection);
            Completion(nsm, guest, id, connection, e);
            return;
        }

        if (connection->Sends == 0 || !guest.Tx.Holds(e->DataPtr, e->Size))
        {
            nsm.Counters->Stray++;
            return;
        }

        connection->Sends--;
        row->Sends = connection->Sends;
        row->SendQueue -= Math.Min(row->SendQueue, e->Size);
        guest.Counters->NqesToGuest++;
        Address(e, guest, connection);
        Complete(guest, connection->QueueSet, e, loud: false);
    }

    private void Events(NsmPort nsm, Nqe* elements, uint count)
    {
        for (uint i = 0; i < count; i++)
        {
            Nqe* e = elements + i;
            uint id = e->Socket;
            GuestPort? guest = Find(nsm, id, out Connection* connection);
            if (guest == null)
            {
                nsm.Counters->Stray++;
                continue;
            }

            // What crosses the guest's Close is not told any more: the NSM takes its RX chunks and unaccepted connections back by itself.
            if (guest.Dead || connection->Phase == Phase.Closing || (connection->Flags & ConnectionFlags.Severed) != 0)
            {
                continue;
            }

            ConnectionRow* row = _table.Rows + id;
            row->Nqes++;
            uint q = connection->QueueSet;
            if (e->Op == Op.Data)
            {
                if (!guest.Rx.Holds(e->DataPtr, e->Size) || connection->RxOut >= MaxRxOut)
                {
                    Sever(nsm, guest, id, connection);
                    continue;
                }

                connection->RxOut++;
                row->ReceiveQueue += e->Size;
                row->BytesReceived += e->Size;
                guest.Counters->BytesReceived += e->Size;
                guest.Counters->NqesToGuest++;
                nsm.Counters->BytesReceived += e->Size;
                Address(e, guest, connection);
                Announce(guest, q, e);
            }
            else
            {
                Address(e, guest, connection);
                Event(nsm, guest, id, connection, e);
            }
        }
    }

    /// <summary>A completion other than SendDone; addressed to the guest already.</summary>
    private void Completion(NsmPort nsm, GuestPort guest, uint id, Connection* connection, Nqe* e)
    {
        if ((connection->Flags & (ConnectionFlags.Second | ConnectionFlags.Ghost)) != 0 && e->Op != Op.Closed)
        {
            SecondDone(nsm, guest, id, connection, e);
            return;
        }

        switch (e->Op)
        {
            case Op.BindDone or Op.ListenDone when connection->Replay != 0:
                ReplayDone(nsm, guest, id, connection, e);
                break;
            case Op.BindDone or Op.ListenDone or Op.ConnectDone or Op.GetOptionDone or Op.SetOptionDone:
                if (connection->Control != (Op)((byte)e->Op & 0x7F) || !ControlDone(guest, id, connection, e))
                {
                    nsm.Counters->Stray++;
                    break;
                }

                guest.Counters->NqesToGuest++;
                Complete(guest, connection->QueueSet, e, loud: true);
                break;
            case Op.AcceptDone when (connection->Flags & ConnectionFlags.AcceptPending) != 0:
                AcceptDone(nsm, guest, id, connection, e);
                break;
            case Op.Closed when connection->Phase == Phase.Closing && (connection->Flags & ConnectionFlags.CloseQueued) == 0:
                guest.Counters->NqesToGuest++;
                FinishClose(guest, id, connection);
                break;
            default:
                nsm.Counters->Stray++;
                break;
        }
    }

    /// <summary>Takes note of how a control request ended; false when the completion makes no sense.</summary>
    private bool ControlDone(GuestPort guest, uint id, Connection* connection, Nqe* e)
    {
        ConnectionRow* row = _table.Rows + id;
        bool ok = e->Size == 0;
        switch (e->Op)
        {
            case Op.GetOptionDone when ok && e->OpData != 0:
                if (e->OpData > PoolLayout.LargeBytes || !guest.Rx.TryFind(e->DataPtr, (uint)e->OpData, out _))
                {
                    return false;
                }

                connection->RxOut++;
                break;
            case Op.BindDone when ok:
                SetLocal(row, e);
                Memory(id, connection)->Bind.Aux = e->Aux;
                break;
            case Op.BindDone:
                Memory(id, connection)->Bind = default;
                break;
            case Op.ListenDone when ok:
                if (e->Aux != 0)
                {
                    SetLocal(row, e);
                    Remember(id, connection, e);
                }

                connection->Flags |= ConnectionFlags.Listening;
                if (connection->Phase == Phase.Active)
                {
                    SetState(connection, id, ConnectionState.Listen);
                    Shadow(guest, id, connection);
                }

                break;
            case Op.ConnectDone when (connection->Flags & ConnectionFlags.Datagram) != 0:
                DatagramsConnected(id, connection, e);
                break;
            case Op.ConnectDone when ok:
                SetLocal(row, e);
                guest.Counters->Connects++;
                if (connection->State == ConnectionState.Connecting)
                {
                    SetState(connection, id, ConnectionState.Established);
                }

                break;
            case Op.ConnectDone when connection->State == ConnectionState.Connecting:
                SetState(connection, id, ConnectionState.Open);
                break;
            default:
                break;
        }

        connection->Control = Op.None;
        connection->Flags &= ~ConnectionFlags.ControlOrphaned;
        return true;
    }

    /// <summary>A datagram socket has a peer, or another one, or none any more; when it failed, what it had.</summary>
    private void DatagramsConnected(uint id, Connection* connection, Nqe* e)
    {
        bool dissolved = (connection->Flags & ConnectionFlags.Dissolving) != 0;
        connection->Flags &= ~ConnectionFlags.Dissolving;
        if (e->Size != 0 || connection->Phase != Phase.Active)
        {
            return;
        }

        ConnectionRow* row = _table.Rows + id;
        SetLocal(row, e);
        if (dissolved)
        {
            row->PeerLow = row->PeerHigh = 0;
            row->PeerPort = 0;
        }

        SetState(connection, id, dissolved ? ConnectionState.Open : ConnectionState.Established);
    }

    /// <summary>A listener that was never bound got an address: it must be the same when it is made again.</summary>
    private void Remember(uint id, Connection* connection, Nqe* e)
    {
        ListenerMemory* memory = Memory(id, connection);
        if (memory->Bind.Op == Op.None)
        {
            memory->Bind.Op = Op.Bind;
            memory->Bind.OpData = e->OpData;
            memory->Bind.DataPtr = e->DataPtr;
            memory->Bind.Aux = e->Aux;
            memory->Bind.Flags = NqeFlags.Wildcard | NqeFlags.ReuseAddress;
        }
    }

    private void AcceptDone(NsmPort nsm, GuestPort guest, uint id, Connection* connection, Nqe* e)
    {
        connection->Flags &= ~ConnectionFlags.AcceptPending;
        guest.Counters->NqesToGuest++;
        if (e->Size == 0)
        {
            SetLocal(_table.Rows + id, e);
            guest.Counters->Accepts++;
            Complete(guest, connection->QueueSet, e, loud: false);
            return;
        }

        // The NSM knows nothing of this connection. What the guest has sent since then is answered by CoreEngine.
        Complete(guest, connection->QueueSet, e, loud: false);
        if (connection->Sends != 0)
        {
            FreeChunksOf(guest, connection->Socket);
            connection->Sends = 0;
        }

        bool closing = connection->Phase == Phase.Closing;
        nsm.Counters->Open--;
        connection->Phase = Phase.Dead;
        connection->Errno = Libc.ECONNABORTED;
        SetState(connection, id, ConnectionState.Reset);
        if (closing)
        {
            FinishClose(guest, id, connection);
        }
    }

    /// <summary>An event other than Data; addressed to the guest already.</summary>
    private void Event(NsmPort nsm, GuestPort guest, uint id, Connection* connection, Nqe* e)
    {
        switch (e->Op)
        {
            case Op.NewConnection when (connection->Flags & ConnectionFlags.Listening) != 0 && e->Size != 0:
                if (e->Size >= SharedHandle || !Announced(id, connection, e))
                {
                    nsm.Counters->Stray++;
                    return;
                }

                if (nsm.Id == SharedNsm)
                {
                    e->Size |= (uint)SharedHandle;
                }

                break;
            case Op.Error when (connection->Flags & ConnectionFlags.Datagram) != 0:
                e->OpData = Math.Min(e->OpData, 4095);
                break;
            case Op.CreditWanted:
                break;
            case Op.PeerClosed:
                SetState(connection, id, ConnectionState.CloseWait);
                break;
            case Op.Reset:
                WasReset(guest, id, connection, e->OpData is > 0 and < 4096 ? (int)e->OpData : Libc.ECONNRESET);
                e->OpData = (uint)connection->Errno;
                e->Flags = NqeFlags.None; // Abort is CoreEngine's to say
                break;
            default:
                nsm.Counters->Stray++;
                return;
        }

        guest.Counters->NqesToGuest++;
        Announce(guest, connection->QueueSet, e);
    }

    /// <summary>
    /// Remembers an announced connection. With one loop the number is exact and bounds the NSM; with several, connections may be
    /// accepted on another loop, and the oldest memory makes room.
    /// </summary>
    private bool Announced(uint id, Connection* connection, Nqe* e)
    {
        ListenerMemory* memory = Memory(id, connection);
        bool both = connection->Twin != 0;
        if ((!both || memory->Announced < AnnouncedEach || _stats->Loops != 1) && memory->Announce(e))
        {
            return true;
        }

        if (_stats->Loops == 1)
        {
            return false;
        }

        memory->Forget(0);
        return memory->Announce(e);
    }

    private void WasReset(GuestPort guest, uint id, Connection* connection, int errno)
    {
        connection->Errno = errno;
        guest.Counters->Resets++;
        SetState(connection, id, ConnectionState.Reset);
        FailControl(guest, connection, errno);
    }

    /// <summary>Completes a control request that nobody else will complete.</summary>
    private void FailControl(GuestPort guest, Connection* connection, int errno)
    {
        if (connection->Control == Op.None)
        {
            return;
        }

        Nqe request = default;
        request.Op = connection->Control;
        request.Socket = connection->Socket;
        request.Flags = NqeFlags.Sync;
        connection->Control = Op.None;
        connection->Flags &= ~ConnectionFlags.ControlOrphaned;
        Answer(guest, connection->QueueSet, &request, errno);
    }

    /// <summary>The NSM broke the rules with this connection: for the guest it is reset, and what the NSM says about it is dropped.</summary>
    private void Sever(NsmPort nsm, GuestPort guest, uint id, Connection* connection)
    {
        nsm.Counters->Stray++;
        connection->Flags |= ConnectionFlags.Severed;
        if (connection->Errno == 0)
        {
            WasReset(guest, id, connection, Libc.ECONNRESET);
            TellReset(guest, connection, NqeFlags.None);
        }
    }

    private void TellReset(GuestPort guest, Connection* connection, NqeFlags flags)
    {
        Nqe reset = default;
        reset.Op = Op.Reset;
        reset.Socket = connection->Socket;
        reset.OpData = (uint)connection->Errno;
        reset.VmLow = guest.VmLow;
        reset.VmHigh = guest.VmHigh;
        reset.QueueSet = connection->QueueSet;
        reset.Flags = flags;
        guest.Counters->NqesToGuest++;
        Announce(guest, connection->QueueSet, &reset);
    }

    private static void SetLocal(ConnectionRow* row, Nqe* e)
    {
        row->LocalLow = e->OpData;
        row->LocalHigh = e->DataPtr;
        row->LocalPort = e->Aux;
    }
}
