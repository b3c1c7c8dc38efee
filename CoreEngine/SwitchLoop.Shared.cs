using NetKernel.Channel.Host;

namespace NetKernel.CoreEngine;

/// <summary>
/// The choice of the NSM for each connection: the shared-memory NSM when the peer is a guest of this host that listens, else the guest's own. A socket whose choice is open has two
/// entries in the table, each other's <see cref="Connection.Twin"/>; the guest knows one, at its own NSM unless the connection goes by shared memory:
/// <list type="bullet">
/// <item>connecting: the second entry tries at the shared-memory NSM; connected, it becomes the guest's socket, refused, the first connects at the guest's own NSM;</item>
/// <item>listening: both listen, and the guest is told of connections of either, by handles that say whose they are;</item>
/// <item>connected by shared memory, and bound before: the first keeps the port.</item>
/// </list>
/// </summary>
internal sealed unsafe partial class SwitchLoop
{
    /// <summary>Id of the shared-memory NSM.</summary>
    public const uint SharedNsm = MaxNsms - 1;

    /// <summary>A handle of the shared-memory NSM, as the guest is told of it. NSMs leave that bit alone.</summary>
    private const ulong SharedHandle = 1u << 31;

    /// <summary>Connections that the shared-memory NSM may have announced for one listener.</summary>
    private const uint AnnouncedShared = SocketSlot.AcceptEntries / 4;

    /// <summary>The most requests that make a second entry: Socket, options, Bind, and Connect or Listen.</summary>
    private const uint TrialRequests = SocketMemory.MaxOptions + 3;

    private readonly GuestPort[] _locals = new GuestPort[MaxGuests]; // those that the shared-memory NSM serves
    private int _localCount;

    /// <summary>The shared-memory NSM has mapped the guest's pool: connections may go by it, and its listeners listen there, too.</summary>
    private void RouteShared(GuestPort guest)
    {
        guest.Shared = _nsms[SharedNsm];
        if (guest.Shared == null)
        {
            return;
        }

        _localCount = Remove(_locals, _localCount, guest);
        _locals[_localCount++] = guest;
        for (uint socket = 0; socket < guest.Sockets; socket++)
        {
            uint id = guest.Map[socket] - 1;
            if (id < ConnectionTable.Capacity && (_table.Items[id].Flags & ConnectionFlags.Listening) != 0)
            {
                Shadow(guest, id, _table.Items + id);
            }
        }

        Activate(guest);
    }

    /// <summary>Another policy for a guest's connections: those that are made from now on. Bits of <see cref="RegionFlags"/>.</summary>
    public void SharedMemoryChanged(uint guest, uint policy)
    {
        if (_guests[guest] is { } port)
        {
            port.Address = port.Address.With(policy);
        }
    }

    /// <summary>A guest goes: entries that are no socket's wait for the NSMs like the others.</summary>
    private void RemoveSeconds(uint guest)
    {
        if (_guests[guest] is { } port)
        {
            _localCount = Remove(_locals, _localCount, port);
        }

        for (uint id = 0; id < _table.High; id++)
        {
            Connection* connection = _table.Items + id;
            if (connection->Guest == guest && (connection->Flags & (ConnectionFlags.Second | ConnectionFlags.Ghost | ConnectionFlags.Elder)) != 0)
            {
                connection->Twin = 0;
                connection->Elder = 0;
                connection->Phase = Phase.Zombie;
            }
        }
    }

    /// <summary>The NSM of the socket that a Send in the guest's ring seems to be about. Only a hint: what counts is what ForwardSends reads.</summary>
    private NsmPort? NsmHint(GuestPort guest, Nqe* e)
    {
        uint socket = e->Socket;
        uint id = socket < guest.Sockets ? guest.Map[socket] - 1 : uint.MaxValue;
        return id < ConnectionTable.Capacity ? _nsms[_table.Items[id].Nsm] : null;
    }

    /// <summary>Whether a Connect goes to another guest of this host that policy lets it reach by shared memory, and whether in the direct form.</summary>
    private bool IsLocal(GuestPort guest, Nqe* e, out bool direct)
    {
        direct = false;
        if (guest.Shared == null || (e->Flags & NqeFlags.Wildcard) != 0)
        {
            return false;
        }

        for (int i = 0; i < _localCount; i++)
        {
            GuestPort other = _locals[i];
            if (other.Address.Is(e->OpData, e->DataPtr))
            {
                // What goes past the switch cannot be held to a rate by it.
                direct = guest.Address.MayReachDirectly(other.Address) && !guest.IsLimited && !other.IsLimited;
                return other != guest && guest.Address.MayReach(other.Address);
            }
        }

        return false;
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

    /// <summary>Socket and options of entry <paramref name="of"/>, as entry <paramref name="id"/>; with <paramref name="again"/> another NSM has had them before.</summary>
    private void Introduce(GuestPort guest, uint q, uint id, uint of, Connection* connection, bool again = false)
    {
        Nqe request = default;
        request.Op = Op.Socket;
        request.OpData = connection->SocketArguments;
        _ = Forward(guest, q, id, &request, job: true);
        if ((connection->Flags & ConnectionFlags.HasMemory) == 0)
        {
            return;
        }

        SocketMemory* memory = _table.Memories + of;
        for (uint i = 0; i < memory->Options; i++)
        {
            request = default;
            request.Op = Op.SetOption;
            request.DataPtr = memory->OptionNames[i];
            request.OpData = memory->OptionValues[i];
            request.Size = memory->OptionSizes[i];
            request.Flags = again ? NqeFlags.Sync : NqeFlags.None;
            request.Aux = again ? SetAgain : (ushort)0;
            _ = Forward(guest, q, id, &request, job: true);
        }
    }

    /// <summary>Makes a second entry, at the shared-memory NSM; false when the table is full.</summary>
    private bool TrySecond(GuestPort guest, uint first, Connection* connection, out uint id)
    {
        if (!_table.TryTake(out id))
        {
            return false;
        }

        Connection* second = _table.Items + id;
        *second = default;
        second->Life = ++_lives;
        second->Socket = connection->Socket;
        second->Guest = guest.Id;
        second->QueueSet = connection->QueueSet;
        second->Nsm = (byte)SharedNsm;
        second->Phase = Phase.Active;
        second->Flags = ConnectionFlags.Second;
        second->State = (byte)ConnectionState.Open;
        second->SocketArguments = connection->SocketArguments;
        second->Twin = first + 1;
        connection->Twin = id + 1;
        guest.Shared!.Counters->Open++;
        Introduce(guest, connection->QueueSet, id, first, connection);
        return true;
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
        SetState(connection, id, ConnectionState.Connecting);
    }

    /// <summary>A listener listens at the shared-memory NSM, too.</summary>
    private void Shadow(GuestPort guest, uint id, Connection* connection)
    {
        SocketMemory* memory = Memory(id, connection);
        if (guest.Shared is not { Broken: false } shared || memory->Bind.Op != Op.Bind || shared.Job.Free(TrialRequests) < TrialRequests)
        {
            return; // served by the guest's own NSM alone
        }

        uint q = connection->QueueSet;
        if (connection->Twin == 0)
        {
            if (!TrySecond(guest, id, connection, out _))
            {
                return;
            }

            Nqe bind = memory->Bind;
            _ = Forward(guest, q, connection->Twin - 1, &bind, job: true);
        }

        Nqe listen = default;
        listen.Op = Op.Listen;
        listen.OpData = memory->Backlog;
        listen.Size = AnnouncedShared;
        _ = Forward(guest, q, connection->Twin - 1, &listen, job: true);
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
            case Op.BindDone or Op.SetOptionDone:
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

    /// <summary>The NSM of a second entry is gone.</summary>
    private void SecondLost(GuestPort guest, uint id, Connection* second)
    {
        uint first = second->Twin - 1;
        bool trial = second->Control == Op.Connect && second->Phase == Phase.Active;
        _table.Free(id);
        if (first < ConnectionTable.Capacity)
        {
            Connection* connection = _table.Items + first;
            connection->Twin = 0;
            if (trial && connection->Phase == Phase.Active)
            {
                ConnectByOwn(guest, first, connection);
            }
        }
    }

    /// <summary>Closes the second entry of a socket, if there is one.</summary>
    private void DropTwin(Connection* connection)
    {
        uint id = connection->Twin - 1;
        if (id >= ConnectionTable.Capacity)
        {
            return;
        }

        connection->Twin = 0;
        Connection* second = _table.Items + id;
        second->Twin = 0;
        Ghost(id, second);
    }

    /// <summary>An entry that is no socket's any more closes, unseen.</summary>
    private void Ghost(uint id, Connection* connection)
    {
        Volatile.Write(ref _table.Rows[id].State, ConnectionState.Free);
        connection->Flags = (connection->Flags | ConnectionFlags.Ghost) & ~(ConnectionFlags.Second | ConnectionFlags.Listening | ConnectionFlags.Elder);
        if (connection->Phase == Phase.Active && _nsms[connection->Nsm] is { } nsm)
        {
            QueueClose(nsm, id, connection);
        }
        else if (connection->Phase != Phase.Closing)
        {
            Forget(id, connection);
        }
    }

    /// <summary>What concerns both entries is told to the second, too: as far as its ring has room.</summary>
    private void TellTwin(GuestPort guest, Connection* connection, Nqe* e) => TellEntry(guest, connection, connection->Twin - 1, e);

    private void TellEntry(GuestPort guest, Connection* connection, uint id, Nqe* e)
    {
        if (id < ConnectionTable.Capacity && _table.Items[id].Phase == Phase.Active)
        {
            Nqe copy = *e;
            copy.Flags &= ~NqeFlags.Sync;
            _ = Forward(guest, connection->QueueSet, id, &copy, job: false);
        }
    }

    /// <summary>shutdown(2) of a socket with two entries: a connect is given up where it is under way, a listener stops at both.</summary>
    private bool ShutdownBoth(GuestPort guest, Nqe* e, uint id, Connection* connection)
    {
        const ulong SHUT_WR = 1;
        if (connection->Twin != 0 && _table.Items[connection->Twin - 1].Control == Op.Connect)
        {
            TellTwin(guest, connection, e);
            return true;
        }

        if (!Forward(guest, connection->QueueSet, id, e, job: false))
        {
            return false;
        }

        if ((connection->Flags & ConnectionFlags.Listening) != 0 && e->OpData != SHUT_WR)
        {
            DropTwin(connection);
            DropElder(connection);
        }

        return true;
    }
}
