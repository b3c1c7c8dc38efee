using NetKernel.Channel.Host;

namespace NetKernel.CoreEngine;

/// <summary>
/// The choice of the NSM for each connection: the shared-memory NSM when the peer is a guest of this host that listens, else the guest's own. A socket whose choice is open has two
/// entries in the table, each other's <see cref="Connection.Twin"/>; the guest knows one, at its own NSM unless the connection goes by shared memory:
/// <list type="bullet">
/// <item>connecting: the second entry tries at the shared-memory NSM; connected, it becomes the guest's socket, refused, the first connects at the guest's own NSM;</item>
/// <item>listening: both listen, and the guest is told of connections of either, by handles that say whose they are;</item>
/// <item>connected by shared memory, and bound before: the first keeps the port;</item>
/// <item>a datagram socket that has a port: both have it, each datagram goes by one of them, and the guest takes what comes by either (SwitchLoop.SharedDatagrams.cs).</item>
/// </list>
/// </summary>
internal sealed unsafe partial class SwitchLoop
{
    /// <summary>Id of the shared-memory NSM.</summary>
    public const uint SharedNsm = MaxNsms - 1;

    /// <summary>A handle of the shared-memory NSM, as the guest is told of it. NSMs leave that bit alone.</summary>
    private const ulong SharedHandle = 1u << 31;

    /// <summary>The most requests that make a second entry: Socket, options, Bind, and Connect or Listen.</summary>
    private const uint TrialRequests = SocketMemory.MaxOptions + 3;

    private readonly Neighbours _neighbours = new();

    /// <summary>The shared-memory NSM has mapped the guest's pool: connections may go by it, and its listeners listen there, too.</summary>
    private void RouteShared(GuestPort guest)
    {
        guest.Shared = _nsms[SharedNsm];
        if (guest.Shared == null)
        {
            return;
        }

        _neighbours.Add(guest);
        for (uint socket = 0; socket < guest.Sockets; socket++)
        {
            uint id = guest.Map[socket] - 1;
            if (id < ConnectionTable.Capacity && (_table.Items[id].Flags & ConnectionFlags.Listening) != 0)
            {
                Shadow(guest, id, _table.Items + id);
            }
            else if (id < ConnectionTable.Capacity && (_table.Items[id].Flags & ConnectionFlags.Datagram) != 0)
            {
                ShadowDatagrams(guest, id, _table.Items + id);
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
            _neighbours.Remove(port);
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

    /// <summary>The NSM of a second entry is gone.</summary>
    private void SecondLost(GuestPort guest, uint id, Connection* second)
    {
        if ((second->Flags & ConnectionFlags.Datagram) != 0)
        {
            TwinGone(guest, id, second, lost: true);
            return;
        }

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

        if ((connection->Flags & ConnectionFlags.Datagram) != 0)
        {
            CloseTwin(connection);
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
}
