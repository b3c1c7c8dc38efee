using System.Threading;
using NetKernel.Channel.Host;

namespace NetKernel.CoreEngine;

/// <content>
/// A guest's sockets move between its own NSMs (docs/adr/0010). Connections stay where they are. A listener is made at the NSM where it belongs now, as a second entry of the table; when that
/// listens, it becomes the guest's socket, and the entry before its <see cref="Connection.Elder"/>, which goes on announcing what arrives there until that NSM is left.
/// </content>
internal sealed unsafe partial class SwitchLoop
{
    /// <summary>Whether a socket is to be made at another NSM than it is at now; at which.</summary>
    private bool Misplaced(GuestPort guest, uint id, Connection* connection, out NsmPort? nsm)
    {
        nsm = null;
        if (connection->Phase != Phase.Active || connection->Errno != 0 || connection->Replay != 0)
        {
            return false;
        }

        if ((connection->Flags & ConnectionFlags.Down) != 0)
        {
            nsm = Choose(guest, id, connection, null);
            return nsm != null;
        }

        if ((connection->Flags & ConnectionFlags.Listening) == 0 || _table.Memories[id].Bind.Op != Op.Bind)
        {
            return false;
        }

        nsm = Choose(guest, id, connection, null);
        if (nsm == null || nsm.Id == connection->Nsm)
        {
            return false;
        }

        if (connection->Elder == 0)
        {
            return true;
        }

        uint other = connection->Elder - 1;
        if (_table.Items[other].Nsm != nsm.Id)
        {
            DropElder(connection);
            return true;
        }

        if ((_table.Items[other].Flags & ConnectionFlags.Listening) != 0)
        {
            Change(guest, id, connection, other, _table.Items + other);
        }

        return false;
    }

    /// <summary>A listener is made at another NSM, under its address; there is room in the ring for that.</summary>
    private void BeginMove(GuestPort guest, NsmPort nsm, uint id, Connection* connection)
    {
        if (!_table.TryTake(out uint to))
        {
            return; // stays where it is
        }

        Connection* next = _table.Items + to;
        *next = default;
        next->Life = ++_lives;
        next->Socket = connection->Socket;
        next->Guest = guest.Id;
        next->QueueSet = connection->QueueSet;
        next->Nsm = (byte)nsm.Id;
        next->Phase = Phase.Active;
        next->Flags = ConnectionFlags.Elder | ConnectionFlags.HasMemory;
        next->State = (byte)ConnectionState.Open;
        next->SocketArguments = connection->SocketArguments;
        next->Elder = id + 1;
        next->Replay = 2;
        connection->Elder = to + 1;
        SocketMemory* memory = _table.Memories + to;
        *memory = _table.Memories[id];
        memory->Announced = 0;
        nsm.Counters->Open++;

        uint q = connection->QueueSet;
        Introduce(guest, q, to, to, next, again: true);
        Nqe request = memory->Bind;
        _ = Forward(guest, q, to, &request, job: true);
        request = default;
        request.Op = Op.Listen;
        request.OpData = memory->Backlog;
        request.Size = AnnouncedOwn;
        _ = Forward(guest, q, to, &request, job: true);
    }

    /// <summary>A completion of what <see cref="BeginMove"/> asked for. When the NSM will not have the listener, it stays where it is.</summary>
    private void ElderDone(NsmPort nsm, GuestPort guest, uint id, Connection* entry, Nqe* e)
    {
        if (e->Op is not (Op.BindDone or Op.ListenDone) || entry->Replay == 0)
        {
            nsm.Counters->Stray += e->Op == Op.SetOptionDone ? 0u : 1u;
            return;
        }

        entry->Replay--;
        if (e->Size != 0)
        {
            DropElder(entry);
            _ = Interlocked.Increment(ref guest.UnmovedListeners);
            CallControl();
        }
        else if (entry->Replay == 0)
        {
            entry->Flags |= ConnectionFlags.Listening;
            uint from = entry->Elder - 1;
            Change(guest, from, _table.Items + from, id, entry);
        }
    }

    /// <summary>The other entry of a listener becomes the guest's socket, and what was that its elder.</summary>
    private void Change(GuestPort guest, uint id, Connection* connection, uint to, Connection* next)
    {
        if (connection->Phase != Phase.Active || connection->Errno != 0)
        {
            return;
        }

        if (connection->Control != Op.None)
        {
            guest.MovesAgain = true; // when that request is done
            return;
        }

        ConnectionRow* old = _table.Rows + id;
        ConnectionRow* row = _table.Rows + to;
        *row = *old;
        row->State = ConnectionState.Free;
        row->Nsm = next->Nsm;
        Volatile.Write(ref old->State, ConnectionState.Free);
        connection->Flags |= ConnectionFlags.Elder;
        next->Flags &= ~ConnectionFlags.Elder;
        next->Twin = connection->Twin;
        connection->Twin = 0;
        if (next->Twin != 0)
        {
            _table.Items[next->Twin - 1].Twin = to + 1;
        }

        SocketMemory* from = _table.Memories + id;
        SocketMemory* memory = _table.Memories + to;
        memory->Backlog = from->Backlog;
        memory->Options = from->Options;
        for (uint i = 0; i < from->Options; i++)
        {
            memory->OptionNames[i] = from->OptionNames[i];
            memory->OptionValues[i] = from->OptionValues[i];
            memory->OptionSizes[i] = from->OptionSizes[i];
        }

        guest.Map[next->Socket] = to + 1;
        SetState(next, to, ConnectionState.Listen);
    }

    /// <summary>Closes the elder of a listener, from either side.</summary>
    private void DropElder(Connection* connection)
    {
        uint id = connection->Elder - 1;
        if (id >= ConnectionTable.Capacity)
        {
            return;
        }

        Connection* other = _table.Items + id;
        connection->Elder = 0;
        other->Elder = 0;
        Connection* gone = (other->Flags & ConnectionFlags.Elder) != 0 ? other : connection;
        Ghost((uint)(gone - _table.Items), gone);
    }

    /// <summary>The NSM of an elder, or of one that was just being made, is gone.</summary>
    private void ElderLost(uint id, Connection* entry)
    {
        Unlink(entry);
        _table.Free(id);
    }

    private void Unlink(Connection* entry)
    {
        if (entry->Elder != 0)
        {
            _table.Items[entry->Elder - 1].Elder = 0;
            entry->Elder = 0;
        }
    }

    /// <summary>A listener whose NSM is gone is served by its elder, if that listens.</summary>
    private bool TryPromoteElder(GuestPort guest, uint id, Connection* connection)
    {
        uint other = connection->Elder - 1;
        if (other >= ConnectionTable.Capacity || (_table.Items[other].Flags & ConnectionFlags.Listening) == 0)
        {
            return false;
        }

        Change(guest, id, connection, other, _table.Items + other);
        Unlink(connection);
        return true;
    }

    /// <summary>A listener is where it was to be; meanwhile that may have changed.</summary>
    private void MoveAgain(GuestPort guest)
    {
        guest.MovesAgain = false;
        guest.Replaying = AnyOf(guest) != null;
        guest.ReplayNext = 0;
    }
}
