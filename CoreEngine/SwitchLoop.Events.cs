using NetKernel.Channel.Host;

namespace NetKernel.CoreEngine;

/// <content>Events of an NSM other than Data, and the end of connections.</content>
internal sealed unsafe partial class SwitchLoop
{
    /// <summary>An event other than Data; addressed to the guest already.</summary>
    private void Event(NsmPort nsm, GuestPort guest, uint id, Connection* connection, Nqe* e)
    {
        if ((connection->Flags & ConnectionFlags.Elder) != 0 && e->Op != Op.NewConnection)
        {
            if (e->Op == Op.Reset)
            {
                DropElder(connection); // both ways: it is the other's elder, too
            }

            return;
        }

        switch (e->Op)
        {
            case Op.NewConnection when (connection->Flags & ConnectionFlags.Listening) != 0 && e->Size != 0:
                if (e->Size > HandleMask || !Announced(guest, nsm.Id, id, connection, e))
                {
                    nsm.Counters->Stray++;
                    return;
                }

                e->Size |= nsm.Id == SharedNsm ? (uint)SharedHandle : OwnHandle(guest, nsm);
                break;
            case Op.Error when (connection->Flags & ConnectionFlags.Datagram) != 0:
                e->OpData = Math.Min(e->OpData, 4095);
                break;
            case Op.CreditWanted:
                break;
            case Op.Direct when nsm.Id == SharedNsm:
                _table.Rows[id].Direct = ConnectionForm.Direct;
                break;
            case Op.DirectNews when nsm.Id == SharedNsm:
                _table.Rows[id].Direct = e->OpData == DirectLayout.Withdrawn ? 0 : _table.Rows[id].Direct;
                break;
            case Op.PeerClosed when (connection->Flags & ConnectionFlags.Datagram) == 0:
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
    private bool Announced(GuestPort guest, uint nsmId, uint id, Connection* connection, Nqe* e)
    {
        SocketMemory* memory = Memory(id, connection);
        uint most = nsmId == SharedNsm ? AnnouncedShared : guest.HasParts ? AnnouncedOwn : SocketSlot.AcceptEntries;
        if ((memory->Announced < most || _stats->Loops != 1) && memory->Announce(e))
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

    /// <summary>Bytes that went from guest to guest past this switch: what the guests themselves say (docs/adr/0013).</summary>
    private void MovedDirectly(NsmPort nsm, GuestPort guest, uint id, Nqe* e)
    {
        ConnectionRow* row = _table.Rows + id;
        ulong sent = (uint)e->OpData, received = (uint)e->DataPtr;
        row->BytesSent += sent;
        row->BytesReceived += received;
        guest.Counters->BytesSent += sent;
        guest.Counters->BytesReceived += received;
        nsm.Counters->BytesSent += sent;
        nsm.Counters->BytesReceived += received;
    }

    private void WasReset(GuestPort guest, uint id, Connection* connection, int errno)
    {
        connection->Errno = errno;
        guest.Counters->Resets++;
        guest.Shares[connection->Nsm].Resets++;
        SetState(connection, id, ConnectionState.Reset);
        FailControl(guest, connection, errno);
    }

    /// <summary>The NSM broke the rules with this connection: for the guest it is reset, and what the NSM says about it is dropped.</summary>
    private void Sever(NsmPort nsm, GuestPort guest, uint id, Connection* connection)
    {
        nsm.Counters->Stray++;
        connection->Flags |= ConnectionFlags.Severed;
        if (connection->Errno == 0)
        {
            WasReset(guest, id, connection, Libc.ECONNRESET);
            TellReset(guest, connection, connection->Errno, NqeFlags.None);
        }
    }

    private void TellReset(GuestPort guest, Connection* connection, int errno, NqeFlags flags)
    {
        Nqe reset = default;
        reset.Op = Op.Reset;
        reset.Socket = connection->Socket;
        reset.OpData = (uint)errno;
        reset.VmLow = guest.VmLow;
        reset.VmHigh = guest.VmHigh;
        reset.QueueSet = connection->QueueSet;
        reset.Flags = flags;
        guest.Counters->NqesToGuest++;
        Announce(guest, connection->QueueSet, &reset);
    }
}
