using NetKernel.Channel.Host;

namespace NetKernel.CoreEngine;

/// <content>Completions of an NSM other than SendDone: how requests ended.</content>
internal sealed unsafe partial class SwitchLoop
{
    /// <summary>A completion other than SendDone; addressed to the guest already.</summary>
    private void Completion(NsmPort nsm, GuestPort guest, uint id, Connection* connection, Nqe* e)
    {
        if (e->Op == Op.SetOptionDone && e->Aux == SetAgain)
        {
            OptionSetAgain(nsm, guest, e);
            return;
        }

        if ((connection->Flags & (ConnectionFlags.Second | ConnectionFlags.Ghost)) != 0 && e->Op != Op.Closed)
        {
            SecondDone(nsm, guest, id, connection, e);
            return;
        }

        if ((connection->Flags & ConnectionFlags.Elder) != 0)
        {
            ElderDone(nsm, guest, id, connection, e);
            return;
        }

        switch (e->Op)
        {
            case Op.BindDone or Op.ListenDone or Op.ConnectDone when connection->Replay != 0:
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
            case Op.Connecting when connection->State == ConnectionState.Connecting:
                SetLocal(_table.Rows + id, e);
                guest.Counters->NqesToGuest++;
                Complete(guest, connection->QueueSet, e, loud: false);
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
            case Op.SetOptionDone when ok && (connection->Flags & ConnectionFlags.HasMemory) != 0:
                KeepAsked(id, connection);
                break;
            case Op.BindDone when ok:
                SetLocal(row, e);
                Memory(id, connection)->Bind.Aux = e->Aux;
                Memory(id, connection)->BoundByConnect = 0;
                if ((connection->Flags & ConnectionFlags.Datagram) != 0)
                {
                    FollowDatagrams(guest, id, connection, &Memory(id, connection)->Bind);
                }

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
                    guest.MovesAgain = guest.Rules != null;
                }

                break;
            case Op.ConnectDone when (connection->Flags & ConnectionFlags.Datagram) != 0:
                DatagramsConnected(guest, id, connection, e);
                break;
            case Op.ConnectDone when ok:
                SetLocal(row, e);
                guest.Counters->Connects++;
                guest.Shares[connection->Nsm].Connects++;
                if (connection->State == ConnectionState.Connecting)
                {
                    SetState(connection, id, ConnectionState.Established);
                }

                break;
            case Op.ConnectDone when connection->State == ConnectionState.Connecting:
                Nqe bound = (connection->Flags & ConnectionFlags.HasMemory) != 0 ? _table.Memories[id].Bind : default;
                SetLocal(row, &bound);
                WasRefused(guest, connection);
                SetState(connection, id, ConnectionState.Open);
                break;
            default:
                break;
        }

        connection->Control = Op.None;
        connection->Flags &= ~ConnectionFlags.ControlOrphaned;
        if (guest.MovesAgain)
        {
            MoveAgain(guest);
        }

        return true;
    }

    /// <summary>The NSM has taken the option under way.</summary>
    private void KeepAsked(uint id, Connection* connection)
    {
        Nqe* asked = &Memory(id, connection)->Asked;
        if (asked->Op == Op.SetOption)
        {
            KeepOption(id, connection, asked);
            asked->Op = Op.None;
        }
    }

    private static void WasRefused(GuestPort guest, Connection* connection)
    {
        guest.Counters->ConnectsFailed++;
        guest.Shares[connection->Nsm].ConnectsFailed++;
    }

    /// <summary>A datagram socket has a peer, or another one, or none any more; when it failed, what it had.</summary>
    private void DatagramsConnected(GuestPort guest, uint id, Connection* connection, Nqe* e)
    {
        bool dissolved = (connection->Flags & ConnectionFlags.Dissolving) != 0;
        connection->Flags &= ~ConnectionFlags.Dissolving;
        if (e->Size != 0 || connection->Phase != Phase.Active)
        {
            return;
        }

        ConnectionRow* row = _table.Rows + id;
        SetLocal(row, e);
        SocketMemory* memory = Memory(id, connection);
        if (dissolved)
        {
            row->PeerLow = row->PeerHigh = 0;
            row->PeerPort = 0;
            memory->Connect = default;
            if ((memory->Asked.Flags & NqeFlags.Bound) == 0)
            {
                memory->Bind = default;
                memory->BoundByConnect = 0;
            }
        }
        else
        {
            memory->Connect = memory->Asked;
            if (memory->Bind.Op == Op.None || memory->BoundByConnect != 0)
            {
                RememberBind(memory, e, NqeFlags.None);
                memory->BoundByConnect = 1;
            }
        }

        SetState(connection, id, dissolved ? ConnectionState.Open : ConnectionState.Established);
        FollowDatagrams(guest, id, connection, &memory->Asked);
    }

    /// <summary>A listener that was never bound got an address: it must be the same when it is made again.</summary>
    private void Remember(uint id, Connection* connection, Nqe* e)
    {
        SocketMemory* memory = Memory(id, connection);
        if (memory->Bind.Op == Op.None)
        {
            RememberBind(memory, e, NqeFlags.Wildcard | NqeFlags.ReuseAddress);
        }
    }

    private static void RememberBind(SocketMemory* memory, Nqe* done, NqeFlags flags)
    {
        memory->Bind = default;
        memory->Bind.Op = Op.Bind;
        memory->Bind.OpData = done->OpData;
        memory->Bind.DataPtr = done->DataPtr;
        memory->Bind.Aux = done->Aux;
        memory->Bind.Flags = flags;
    }

    private void AcceptDone(NsmPort nsm, GuestPort guest, uint id, Connection* connection, Nqe* e)
    {
        connection->Flags &= ~ConnectionFlags.AcceptPending;
        guest.Counters->NqesToGuest++;
        if (e->Size == 0)
        {
            SetLocal(_table.Rows + id, e);
            guest.Counters->Accepts++;
            guest.Shares[nsm.Id].Accepts++;
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
}
