using NetKernel.Channel.Host;

namespace NetKernel.CoreEngine;

/// <content>Requests that make a socket known: Socket and Accept.</content>
internal sealed unsafe partial class SwitchLoop
{
    private bool MakeSocket(GuestPort guest, uint q, Nqe* e, uint mapped)
    {
        if (!MakeRoom(guest, q, e->Socket, mapped))
        {
            return true;
        }

        NsmPort? by = guest.Nsm ?? (guest.Rules is { HasFlows: true } ? AnyOf(guest) : null);
        if (by is { } nsm && nsm.Job.Free(1) == 0)
        {
            BreakIf(nsm, nsm.Job.IsBroken);
            return false;
        }

        if (MustWait(guest))
        {
            return false;
        }

        if (!TryMake(guest, q, e->Socket, by, out uint id))
        {
            return true;
        }

        Connection* connection = _table.Items + id;
        connection->SocketArguments = e->OpData;
        SetKind(_table.Rows + id, e->OpData);
        if ((e->OpData >> 16 & 0xF) == Libc.SOCK_DGRAM)
        {
            connection->Flags |= ConnectionFlags.Datagram;
            if (by == null)
            {
                // It waits for the NSM, as if it had lost one.
                connection->Phase = Phase.Active;
                connection->Errno = 0;
                connection->Flags |= ConnectionFlags.Down;
            }
        }

        bool stream = (e->OpData >> 16 & 0xF) == Libc.SOCK_STREAM;
        bool waits = by != null && ((guest.Shared != null && stream) || guest.Rules is { HasFlows: true });
        connection->Flags |= waits ? ConnectionFlags.Unmade : ConnectionFlags.None;
        SetState(connection, id, ConnectionState.Open);
        return waits || by == null || Forward(guest, q, id, e, job: true);
    }

    // As socket(2) was called.
    private static void SetKind(ConnectionRow* row, ulong arguments)
    {
        row->Domain = (ushort)arguments;
        row->Type = (uint)(arguments >> 16 & 0xF);
    }

    private bool Accept(GuestPort guest, uint q, Nqe* e, uint mapped)
    {
        if (!MakeRoom(guest, q, e->Socket, mapped))
        {
            return true;
        }

        bool shared = (e->OpData & SharedHandle) != 0;
        NsmPort? by = shared ? guest.Shared : guest.Nsms[(int)(e->OpData >> OwnShift & 3) % GuestPort.MaxOwn];
        if (by is { } nsm && nsm.Send.Free(1) == 0)
        {
            BreakIf(nsm, nsm.Send.IsBroken);
            return false;
        }

        if (MustWait(guest))
        {
            return false;
        }

        e->OpData &= HandleMask;

        // The listener may belong to another loop; then the row goes without the peer's address. The NSM checks the handle in any case.
        uint listener = guest.Map[(uint)e->DataPtr];
        SocketMemory* memory = null;
        Connection* from = null;
        uint announcer = 0;
        int announced = -1;
        if (listener is not 0 and not GuestPort.Refused)
        {
            from = _table.Items + (listener - 1);
            if ((from->Flags & ConnectionFlags.Listening) == 0 && from->Phase == Phase.Active && from->Errno == 0)
            {
                return Violate(guest, Violation.NotListening, q, e->DataPtr);
            }

            announcer = AnnouncerOf(listener - 1, by);
            if (announcer != 0 && (_table.Items[announcer - 1].Flags & ConnectionFlags.HasMemory) != 0)
            {
                memory = _table.Memories + (announcer - 1);
                announced = memory->Find(e->OpData);
            }
        }

        if (!TryMake(guest, q, e->Socket, by, out uint id))
        {
            // Nobody will ask for that connection again: its NSM ends it.
            if (by != null && announced >= 0)
            {
                Nqe decline = default;
                decline.Op = Op.Decline;
                decline.OpData = e->OpData;
                _ = Forward(guest, q, announcer - 1, &decline, job: false);
                memory->Forget(announced);
            }

            Answer(guest, q, e, Libc.ENOBUFS);
            return true;
        }

        Connection* connection = _table.Items + id;
        ConnectionRow* row = _table.Rows + id;
        if (from != null)
        {
            connection->SocketArguments = from->SocketArguments;
            SetKind(row, from->SocketArguments);
        }

        if (announced >= 0)
        {
            row->PeerLow = memory->PeerLow[announced];
            row->PeerHigh = memory->PeerHigh[announced];
            row->PeerPort = memory->PeerPorts[announced];
            Talks(guest, row->PeerLow, row->PeerHigh);
            memory->Forget(announced);
        }

        if (by == null)
        {
            Answer(guest, q, e, shared || guest.Nsm != null ? Libc.ECONNABORTED : Libc.ENETDOWN);
            return true;
        }

        connection->Flags |= ConnectionFlags.AcceptPending;
        SetState(connection, id, ConnectionState.Established);
        return Forward(guest, q, id, e, job: false);
    }

    /// <summary>Sees to it that a socket id is free for a new life; false when that was a violation.</summary>
    private bool MakeRoom(GuestPort guest, uint q, uint socket, uint mapped)
    {
        if (mapped is 0 or GuestPort.Refused)
        {
            return true;
        }

        if (_table.Items[mapped - 1].Phase != Phase.Dead)
        {
            _ = Violate(guest, Violation.SocketInUse, q, socket);
            return false;
        }

        Release(guest, mapped - 1);
        return true;
    }

    /// <summary>
    /// A request for a socket that its NSM has not heard of. True: the request goes on (and makes the socket if it has to reach the NSM); false: it is settled, or has to wait, as
    /// <paramref name="done"/> says.
    /// </summary>
    private bool GoesOn(GuestPort guest, uint q, Nqe* e, uint id, Connection* connection, out bool done)
    {
        done = true;
        switch (e->Op)
        {
            case Op.Close:
                FinishClose(guest, id, connection);
                return false;
            case Op.SetOption when (e->Flags & NqeFlags.Sync) == 0 && Memory(id, connection)->Options < SocketMemory.MaxOptions:
                KeepOption(id, connection, e);
                TellTwin(guest, connection, e);
                return false;
            case Op.SetOption when (e->Flags & NqeFlags.Sync) == 0:
                return Make(guest, q, id, connection, e, out done);
            case Op.Send when (connection->Flags & ConnectionFlags.Datagram) != 0:
                return Make(guest, q, id, connection, e, out done);
            case Op.Shutdown:
                TellTwin(guest, connection, e);
                return false; // of a socket that does not listen and is not connected nothing else comes of it
            default:
                return true;
        }
    }
}
