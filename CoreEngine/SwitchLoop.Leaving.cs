using System.Threading;
using NetKernel.Channel.Host;

namespace NetKernel.CoreEngine;

/// <content>A guest leaves one of its NSMs, which runs on: what is left there is reset. The ids rest until the NSM has confirmed that it knows nothing of the guest any more.</content>
internal sealed unsafe partial class SwitchLoop
{
    /// <summary>Ends everything that a guest still has at an NSM. Listeners and datagram sockets go on at another.</summary>
    public void Leave(uint guestId, uint nsm)
    {
        if (_guests[guestId] is not { } guest || _nsms[nsm] is not { } port)
        {
            return;
        }

        FreeChunksOfNsm(guest, nsm);
        guest.Lose(port);
        Reconsider(guest);
        uint high = _table.High;
        for (uint id = 0; id < high; id++)
        {
            Connection* connection = _table.Items + id;
            if (connection->Guest == guestId && connection->Nsm == nsm && connection->Phase is Phase.Active or Phase.Closing)
            {
                LeaveOne(guest, id, connection);
            }
        }
    }

    private void LeaveOne(GuestPort guest, uint id, Connection* connection)
    {
        if ((connection->Flags & ConnectionFlags.Unmade) != 0)
        {
            Unplace(id, connection);
            return;
        }

        if ((connection->Flags & (ConnectionFlags.Elder | ConnectionFlags.Second | ConnectionFlags.Ghost)) != 0)
        {
            Unlink(connection);
            if (connection->Twin != 0)
            {
                _table.Items[connection->Twin - 1].Twin = 0;
                connection->Twin = 0;
            }

            connection->Phase = Phase.Zombie;
            return;
        }

        bool listening = (connection->Flags & ConnectionFlags.Listening) != 0 && connection->Errno == 0;
        if (listening)
        {
            FailControl(guest, connection, Libc.ECONNRESET);
        }

        if (listening && TryPromoteElder(guest, id, connection))
        {
            connection->Phase = Phase.Zombie;
            return;
        }

        DropElder(connection);
        uint to = Supplant(guest, id, connection);
        EndWithNsm(to, _table.Items + to);
    }

    /// <summary>
    /// Gives a guest's socket an entry of its own that no NSM knows, and leaves the old one to the NSM. When the table is full the old one is the socket's still: a late word of the NSM
    /// about it is dropped because it is dead.
    /// </summary>
    private uint Supplant(GuestPort guest, uint id, Connection* connection)
    {
        if (!_table.TryTake(out uint to))
        {
            Unplace(id, connection);
            return id;
        }

        Connection* next = _table.Items + to;
        *next = *connection;
        next->Life = ++_lives;
        next->Nsm = 0;
        _table.Rows[to] = _table.Rows[id];
        _table.Rows[to].Nsm = 0;
        if ((connection->Flags & ConnectionFlags.HasMemory) != 0)
        {
            _table.Memories[to] = _table.Memories[id];
        }

        if (next->Twin != 0)
        {
            _table.Items[next->Twin - 1].Twin = to + 1;
        }

        guest.Map[next->Socket] = to + 1;
        connection->Twin = 0;
        connection->Phase = Phase.Zombie;
        Volatile.Write(ref _table.Rows[id].State, ConnectionState.Free);
        return to;
    }
}
