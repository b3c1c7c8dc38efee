using NetKernel.Channel.Host;

namespace NetKernel.CoreEngine;

/// <summary>
/// Requests of guests, one by one. Each method returns false when the request must wait because the NSM's ring is full, true when it needs no
/// more attention: forwarded, answered, dropped, or the guest was found to break the rules.
/// </summary>
internal sealed unsafe partial class SwitchLoop
{
    private bool Request(GuestPort guest, uint q, Nqe* e, bool job)
    {
        bool allowed = job
            ? e->Op is Op.Socket or Op.Bind or Op.Listen or Op.Connect or Op.GetOption or Op.SetOption
            : e->Op is Op.Send or Op.RxCredit or Op.GetOption or Op.SetOption or Op.Shutdown or Op.Close or Op.Accept or Op.Decline or Op.Kick;
        if (!allowed)
        {
            return Violate(guest, job ? Violation.JobRingOp : Violation.SendRingOp, q, (byte)e->Op);
        }

        uint socket = e->Socket;
        if (socket >= guest.Sockets)
        {
            return Violate(guest, Violation.SocketRange, q, socket);
        }

        if (WrongArguments(guest, q, e))
        {
            return true;
        }

        uint mapped = guest.Map[socket];
        if (e->Op is Op.Socket or Op.Accept)
        {
            return e->Op == Op.Socket ? MakeSocket(guest, q, e, mapped) : Accept(guest, q, e, mapped);
        }

        if (mapped is 0 or GuestPort.Refused)
        {
            return Unknown(guest, q, e, mapped);
        }

        uint id = mapped - 1;
        Connection* connection = _table.Items + id;
        if (connection->Phase != Phase.Active || connection->Errno != 0 || (connection->Flags & ConnectionFlags.Down) != 0)
        {
            return Ended(guest, e, id, connection, job);
        }

        if ((connection->Flags & ConnectionFlags.Unmade) != 0 && !GoesOn(guest, q, e, id, connection, out bool done))
        {
            return done;
        }

        return e->Op switch
        {
            Op.Bind or Op.Listen or Op.Connect or Op.GetOption => Control(guest, e, id, connection, job),
            Op.SetOption => SetOption(guest, e, id, connection, job),
            Op.Send => Send(guest, q, e, id, connection),
            Op.RxCredit => Credit(guest, e, id, connection),
            Op.Decline => Decline(guest, e, id, connection),
            Op.Close => Close(guest, e, id, connection),
            Op.Shutdown when (connection->Twin | connection->Elder) != 0 => ShutdownBoth(guest, e, id, connection),
            Op.Kick when connection->Nsm != SharedNsm => true, // of no meaning there
            _ => Forward(guest, connection->QueueSet, id, e, job),
        };
    }

    /// <summary>What is wrong whatever the state of the socket.</summary>
    private bool WrongArguments(GuestPort guest, uint q, Nqe* e)
    {
        switch (e->Op)
        {
            case Op.Send when !guest.Tx.Holds(e->DataPtr, e->Size):
                return Violate(guest, Violation.TxRange, q, e->DataPtr);
            case Op.RxCredit when !guest.Rx.Holds(e->DataPtr, e->Size):
                return Violate(guest, Violation.RxRange, q, e->DataPtr);
            case Op.SetOption when e->Size is 0 or > 8:
                return Violate(guest, Violation.OptionLength, q, e->Size);
            case Op.Shutdown when e->OpData > 2:
                return Violate(guest, Violation.ShutdownHow, q, e->OpData);
            case Op.Accept when e->DataPtr >= guest.Sockets:
                return Violate(guest, Violation.SocketRange, q, e->DataPtr);
            case Op.Accept or Op.Decline when e->OpData is 0 or > uint.MaxValue:
                return Violate(guest, Violation.HandleZero, q, e->OpData);
            default:
                return false;
        }
    }

    private bool Control(GuestPort guest, Nqe* e, uint id, Connection* connection, bool job)
    {
        uint q = connection->QueueSet;
        if (connection->Control != Op.None)
        {
            if ((connection->Flags & ConnectionFlags.ControlOrphaned) == 0)
            {
                return Violate(guest, Violation.ControlTwice, q, e->Socket);
            }

            Answer(guest, q, e, Libc.EBUSY);
            return true;
        }

        const int EISCONN = 106;
        bool datagrams = (connection->Flags & ConnectionFlags.Datagram) != 0;
        int refuse = e->Op switch
        {
            Op.Listen when datagrams => Libc.EOPNOTSUPP,
            _ when datagrams => 0, // the stack knows best
            Op.Bind when connection->State != ConnectionState.Open => Libc.EINVAL,
            Op.Listen when connection->State is not ((byte)ConnectionState.Open) and not ((byte)ConnectionState.Listen) => Libc.EINVAL,
            Op.Connect when connection->State == ConnectionState.Listen => Libc.EINVAL,
            Op.Connect when connection->State != ConnectionState.Open => EISCONN,
            _ => 0,
        };
        if (refuse != 0)
        {
            Answer(guest, q, e, refuse);
            return true;
        }

        if (e->Op == Op.Connect && !datagrams && IsLocal(guest, e, out bool direct) && guest.Shared!.Job.Free(TrialRequests) >= TrialRequests && TrySecond(guest, id, connection, out uint second))
        {
            ConnectShared(guest, id, connection, second, e, direct);
            return true;
        }

        if ((connection->Flags & ConnectionFlags.Unmade) != 0 && !Make(guest, q, id, connection, e, out bool settled))
        {
            return settled;
        }

        if (e->Op == Op.Listen && guest.HasParts)
        {
            e->Size = AnnouncedOwn; // others announce, too
        }

        if (!Forward(guest, q, id, e, job))
        {
            return false;
        }

        connection->Control = e->Op;
        if (e->Op == Op.Connect)
        {
            ConnectionRow* row = _table.Rows + id;
            row->PeerLow = e->OpData;
            row->PeerHigh = e->DataPtr;
            row->PeerPort = e->Aux;
            if (!datagrams)
            {
                Talks(guest, e->OpData, e->DataPtr);
                SetState(connection, id, ConnectionState.Connecting);
                return true;
            }

            Memory(id, connection)->Asked = *e;
            if ((e->Flags & NqeFlags.Abort) != 0)
            {
                connection->Flags |= ConnectionFlags.Dissolving;
            }
        }
        else if (e->Op == Op.SetOption && IsKept(connection))
        {
            Memory(id, connection)->Asked = *e;
        }
        else if (e->Op == Op.Bind)
        {
            Memory(id, connection)->Bind = *e;
        }
        else if (e->Op == Op.Listen)
        {
            Memory(id, connection)->Backlog = e->OpData;
        }

        return true;
    }

    private bool SetOption(GuestPort guest, Nqe* e, uint id, Connection* connection, bool job)
    {
        bool sync = (e->Flags & NqeFlags.Sync) != 0;
        e->Aux = 0; // SetAgain is not the guest's to say
        if (sync ? !Control(guest, e, id, connection, job) : !Forward(guest, connection->QueueSet, id, e, job))
        {
            return false;
        }

        if (!sync && !guest.Dead && IsKept(connection))
        {
            KeepOption(id, connection, e);
        }

        if (connection->Twin != 0)
        {
            TellTwin(guest, connection, e);
        }

        if (connection->Elder != 0)
        {
            TellEntry(guest, connection, connection->Elder - 1, e);
        }

        return true;
    }

    /// <summary>Whether a socket is one that may have to be made again.</summary>
    private static bool IsKept(Connection* connection) =>
        connection->State is (byte)ConnectionState.Open or (byte)ConnectionState.Listen || (connection->Flags & ConnectionFlags.Datagram) != 0;

    private void KeepOption(uint id, Connection* connection, Nqe* e) => Memory(id, connection)->KeepOption(e->DataPtr, e->OpData, e->Size);

    /// <summary>A Send that the fast path would not take.</summary>
    private bool Send(GuestPort guest, uint q, Nqe* e, uint id, Connection* connection)
    {
        if (connection->Sends + TwinSends(connection) >= SocketSlot.MaxSends)
        {
            return Violate(guest, Violation.TooManySends, q, e->Socket);
        }

        if ((connection->Flags & ConnectionFlags.CanSend) == 0)
        {
            Answer(guest, connection->QueueSet, e, connection->Replay != 0 ? Libc.ENETDOWN : Libc.ENOTCONN);
            return true;
        }

        if ((connection->Flags & ConnectionFlags.Twofold) != 0 && IsForNeighbour(guest, e, connection))
        {
            return SendNear(guest, connection->QueueSet, e, id, connection);
        }

        if (ForwardWithin(guest, _nsms[connection->Nsm]!, q, e, 1, ConnectionFlags.CanSend) != 1)
        {
            return false;
        }

        _forwarded++;
        return true;
    }

    private bool Credit(GuestPort guest, Nqe* e, uint id, Connection* connection)
    {
        ConnectionRow* row = _table.Rows + id;
        connection = CreditorOf(guest, connection, e);
        if (connection == null || connection->RxOut == 0)
        {
            guest.Counters->Refused++; // a credit too many, perhaps given twice by the heir of a process killed midway
            return true;
        }

        id = (uint)(connection - _table.Items);
        bool done = true;
        if ((!guest.IsLimited || !TryHold(guest, e, id, connection, out done)) && !Forward(guest, connection->QueueSet, id, e, job: false))
        {
            return false;
        }

        if (!done)
        {
            return false;
        }

        connection->RxOut--;
        row->ReceiveQueue -= Math.Min(row->ReceiveQueue, e->Size);
        return true;
    }

    private bool Decline(GuestPort guest, Nqe* e, uint id, Connection* connection)
    {
        if ((connection->Flags & ConnectionFlags.Listening) == 0)
        {
            return Violate(guest, Violation.NotListening, connection->QueueSet, e->Socket);
        }

        NsmPort? by = (e->OpData & SharedHandle) != 0 ? guest.Shared : guest.Nsms[(int)(e->OpData >> OwnShift & 3) % GuestPort.MaxOwn];
        uint announcer = AnnouncerOf(id, by);
        if (announcer == 0)
        {
            return true; // gone with its NSM
        }

        e->OpData &= HandleMask;
        id = announcer - 1;
        connection = _table.Items + id;

        if (!Forward(guest, connection->QueueSet, id, e, job: false))
        {
            return false;
        }

        int announced = Memory(id, connection)->Find(e->OpData);
        if (announced >= 0)
        {
            _table.Memories[id].Forget(announced);
        }

        return true;
    }

    private bool Close(GuestPort guest, Nqe* e, uint id, Connection* connection)
    {
        if ((connection->Held != 0 && !ReleaseCreditsOf(guest, id, connection)) || TwinSends(connection) != 0)
        {
            return false; // what the second entry has may come back to be sent
        }

        if (!Forward(guest, connection->QueueSet, id, e, job: false))
        {
            return false;
        }

        BeginClose(id, connection);
        return true;
    }
}
