using NetKernel.Channel.Host;

namespace NetKernel.CoreEngine;

/// <content>Connecting: by the shared-memory NSM where the peer is a guest of this host that listens, else by the guest's own.</content>
internal sealed unsafe partial class SwitchLoop
{
    /// <summary>Whether a Connect goes to another guest of this host that policy lets it reach by shared memory, and whether in the direct form.</summary>
    private bool IsLocal(GuestPort guest, Nqe* e, out bool direct)
    {
        direct = false;
        if (guest.Shared == null || (e->Flags & NqeFlags.Wildcard) != 0)
        {
            return false;
        }

        foreach (GuestPort other in _neighbours.All)
        {
            if (other.Address.Is(e->OpData, e->DataPtr))
            {
                // What goes past the switch cannot be held to a rate by it.
                direct = guest.Address.MayReachDirectly(other.Address) && !guest.IsLimited && !other.IsLimited;
                return other != guest && guest.Address.MayReach(other.Address);
            }
        }

        return false;
    }

    /// <summary>Tries a Connect at the shared-memory NSM, by the second entry.</summary>
    private void ConnectShared(GuestPort guest, uint id, Connection* connection, uint second, Nqe* e, bool direct)
    {
        uint q = connection->QueueSet;
        SocketMemory* memory = _table.Memories + id;
        if ((connection->Flags & ConnectionFlags.HasMemory) != 0 && memory->Bind.Op == Op.Bind)
        {
            Nqe bind = memory->Bind;
            _ = Forward(guest, q, second, &bind, job: true);
        }

        Nqe request = *e;
        request.Flags = direct ? e->Flags | NqeFlags.Direct : e->Flags & ~NqeFlags.Direct;
        _ = Forward(guest, q, second, &request, job: true);
        _table.Items[second].Control = Op.Connect;
        connection->Control = Op.Connect;
        connection->ConnectFlags = e->Flags;
        ConnectionRow* row = _table.Rows + id;
        row->PeerLow = e->OpData;
        row->PeerHigh = e->DataPtr;
        row->PeerPort = e->Aux;
        Talks(guest, e->OpData, e->DataPtr);
        SetState(connection, id, ConnectionState.Connecting);
    }

    /// <summary>A completion for a second entry, other than Closed; addressed to the guest already.</summary>
    private void SecondDone(NsmPort nsm, GuestPort guest, uint id, Connection* second, Nqe* e)
    {
        uint first = second->Twin - 1;
        if (first >= ConnectionTable.Capacity || second->Phase != Phase.Active)
        {
            return; // its first entry is gone, and it is closing
        }

        Connection* connection = _table.Items + first;
        switch (e->Op)
        {
            case Op.ListenDone when e->Size == 0:
                second->Flags |= ConnectionFlags.Listening;
                break;
            case Op.ListenDone:
                DropTwin(connection);
                break;
            case Op.Connecting when second->Control == Op.Connect:
                SetLocal(_table.Rows + first, e);
                guest.Counters->NqesToGuest++;
                Complete(guest, connection->QueueSet, e, loud: false);
                break;
            case Op.ConnectDone when second->Control == Op.Connect && e->Size == 0:
                TakeOver(guest, first, connection, id, second, e);
                break;
            case Op.ConnectDone when second->Control == Op.Connect:
                DropTwin(connection);
                if (e->Size is Libc.ETIMEDOUT or Libc.ECONNRESET or Libc.ECONNABORTED)
                {
                    connection->Control = Op.None;
                    WasRefused(guest, second);
                    SetState(connection, first, ConnectionState.Open);
                    guest.Counters->NqesToGuest++;
                    Complete(guest, connection->QueueSet, e, loud: true);
                    break;
                }

                ConnectByOwn(guest, first, connection);
                break;
            case Op.BindDone when (second->Flags & ConnectionFlags.Datagram) != 0 && e->Size != 0:
                DropTwin(connection); // by the guest's own NSM alone
                break;
            case Op.BindDone or Op.SetOptionDone:
                break;
            case Op.ConnectDone when (second->Flags & ConnectionFlags.Datagram) != 0:
                break;
            default:
                nsm.Counters->Stray++;
                break;
        }
    }

    /// <summary>Connected by shared memory: the second entry becomes the guest's socket.</summary>
    private void TakeOver(GuestPort guest, uint first, Connection* connection, uint id, Connection* second, Nqe* e)
    {
        ConnectionRow* row = _table.Rows + id;
        ConnectionRow* old = _table.Rows + first;
        *row = *old;
        row->State = ConnectionState.Free;
        row->Nsm = SharedNsm;
        SetLocal(row, e);
        Volatile.Write(ref old->State, ConnectionState.Free);
        guest.Map[second->Socket] = id + 1;
        second->Flags &= ~ConnectionFlags.Second;
        second->Control = Op.None;
        second->Twin = 0;
        connection->Twin = 0;
        connection->Control = Op.None;
        if ((connection->Flags & ConnectionFlags.Unmade) != 0)
        {
            Forget(first, connection);
        }
        else if ((connection->Flags & ConnectionFlags.HasMemory) != 0 && _table.Memories[first].Bind.Op == Op.Bind)
        {
            connection->Flags |= ConnectionFlags.Second; // keeps the port
            connection->Twin = id + 1;
            second->Twin = first + 1;
        }
        else
        {
            Ghost(first, connection);
        }

        guest.Counters->Connects++;
        guest.Shares[SharedNsm].Connects++;
        SetState(second, id, ConnectionState.Established);
        guest.Counters->NqesToGuest++;
        Complete(guest, second->QueueSet, e, loud: true);
    }

    /// <summary>Nobody listens there by shared memory: the guest's own NSM connects, and says so if it finds nobody either.</summary>
    private void ConnectByOwn(GuestPort guest, uint id, Connection* connection)
    {
        uint q = connection->QueueSet;
        Nqe request = default;
        request.Op = Op.Connect;
        request.Socket = connection->Socket;
        connection->Control = Op.None;
        SetState(connection, id, ConnectionState.Open);
        ConnectionRow* row = _table.Rows + id;
        request.OpData = row->PeerLow;
        request.DataPtr = row->PeerHigh;
        request.Aux = row->PeerPort;
        request.Flags = connection->ConnectFlags;
        if ((connection->Flags & ConnectionFlags.Unmade) != 0 && !Make(guest, q, id, connection, &request, out bool settled))
        {
            if (!settled)
            {
                Answer(guest, q, &request, Libc.ENOBUFS);
            }

            return;
        }

        if (_nsms[connection->Nsm] is not { Broken: false } nsm || nsm.Job.Free(TrialRequests) < TrialRequests)
        {
            Answer(guest, q, &request, Libc.ENOBUFS);
            return;
        }

        _ = Forward(guest, q, id, &request, job: true);
        connection->Control = Op.Connect;
        SetState(connection, id, ConnectionState.Connecting);
    }
}
