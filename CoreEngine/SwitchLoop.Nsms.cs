using System.Threading;
using NetKernel.Channel.Host;

namespace NetKernel.CoreEngine;

/// <summary>NSMs come and go: routes, and what happens to connections. Called by commands.</summary>
internal sealed unsafe partial class SwitchLoop
{
    /// <summary>Takes an NSM's queue set into the loop.</summary>
    public void AddNsm(NsmPort nsm)
    {
        _nsms[nsm.Id] = nsm;
        *nsm.Counters = default;
        Watch(nsm.BellFd, NsmTag | nsm.Id);
        Activate(nsm);
    }

    /// <summary>
    /// An NSM has mapped the guest's pool, and has a part of its RX half: from now on requests are forwarded to it, and listeners that belong there, or waited for any, are made there.
    /// </summary>
    public void Route(GuestPort guest, uint nsm, uint part)
    {
        if (nsm == SharedNsm)
        {
            RouteShared(guest);
            return;
        }

        guest.Nsms[part] = _nsms[nsm];
        guest.RoutedEpoch = Volatile.Read(ref guest.Header->NsmEpoch);
        Reconsider(guest);
    }

    /// <summary>An NSM is gone: every connection through it ends; listeners and datagram sockets wait for the next.</summary>
    public void RemoveNsm(uint nsm)
    {
        NsmPort? port = _nsms[nsm];
        if (port == null)
        {
            return;
        }

        Unwatch(port.BellFd);
        port.Broken = true;
        port.CloseHead = 0;
        RemoveActive(port);
        for (uint id = 0; id < MaxGuests; id++)
        {
            if (_guests[id] is { } guest && (guest.Shared == port || guest.PartOf(port) >= 0))
            {
                FreeChunksOfNsm(guest, nsm);
                if (guest.Shared == port)
                {
                    guest.Shared = null;
                    continue;
                }

                DropParked(guest, port);
                guest.Lose(port);
                Reconsider(guest);
            }
        }

        for (uint id = 0; id < _table.High; id++)
        {
            Connection* connection = _table.Items + id;
            if (connection->Nsm == nsm && connection->Phase is Phase.Active or Phase.Closing or Phase.Zombie)
            {
                EndWithNsm(id, connection);
            }
        }

        _nsms[nsm] = null;
        *port.Counters = default;
    }

    private void EndWithNsm(uint id, Connection* connection)
    {
        GuestPort? guest = connection->Phase == Phase.Zombie ? null : _guests[connection->Guest];
        if (guest != null && (connection->Flags & (ConnectionFlags.Second | ConnectionFlags.Ghost)) != 0)
        {
            SecondLost(guest, id, connection);
            return;
        }

        if (guest == null)
        {
            _table.Free(id);
            return;
        }

        if ((connection->Flags & ConnectionFlags.Elder) != 0)
        {
            ElderLost(id, connection);
            return;
        }

        connection->Sends = 0;
        connection->Flags &= ~ConnectionFlags.CloseQueued;
        ConnectionRow* row = _table.Rows + id;
        row->Sends = 0;
        row->SendQueue = 0;
        if (connection->Phase == Phase.Closing)
        {
            connection->Flags |= ConnectionFlags.Down; // nobody's to count, should it have to wait
            FinishClose(guest, id, connection);
            return;
        }

        if ((connection->Flags & ConnectionFlags.Unmade) != 0 && connection->Errno == 0)
        {
            Unplace(id, connection);
            return;
        }

        if ((connection->Flags & ConnectionFlags.Datagram) != 0 && connection->Errno == 0)
        {
            Suspend(guest, id, connection);
            return;
        }

        bool listening = (connection->Flags & ConnectionFlags.Listening) != 0 && connection->Errno == 0;
        if (!listening)
        {
            DropTwin(connection);
        }

        if (listening && connection->Control == Op.SetOption)
        {
            KeepAsked(id, connection); // the guest library takes it for set until the next NSM says no
        }

        FailControl(guest, connection, Libc.ECONNRESET);
        if (listening && TryPromoteElder(guest, id, connection))
        {
            _table.Free(id);
            return;
        }

        DropElder(connection);
        if (listening)
        {
            guest.Replaying = true;
            guest.ReplayNext = 0;
            connection->Flags |= ConnectionFlags.Down;
            connection->Replay = 0;
            Memory(id, connection)->Announced = 0;
            return;
        }

        if ((connection->Flags & ConnectionFlags.AcceptPending) != 0)
        {
            Nqe accept = default;
            accept.Op = Op.Accept;
            accept.Socket = connection->Socket;
            connection->Flags &= ~ConnectionFlags.AcceptPending;
            Answer(guest, connection->QueueSet, &accept, Libc.ECONNRESET);
        }

        connection->Phase = Phase.Dead;
        connection->Errno = Libc.ECONNRESET;
        guest.Counters->Resets++;
        guest.Shares[connection->Nsm].Resets++;
        SetState(connection, id, ConnectionState.Reset);
        TellReset(guest, connection, connection->Errno, NqeFlags.Abort);
    }

    /// <summary>Frees every TX chunk in flight through the NSM, in one walk over the owner words.</summary>
    private void FreeChunksOfNsm(GuestPort guest, uint nsm)
    {
        uint* owners = guest.TxOwners;
        for (uint chunk = 0; chunk < guest.Tx.Count; chunk++)
        {
            uint word = Volatile.Read(ref owners[chunk]);
            uint socket = word & TxOwner.IdMask;
            if ((word & ~TxOwner.IdMask) != TxOwner.InFlight || socket >= guest.Sockets)
            {
                continue;
            }

            uint id = guest.Map[socket] - 1;
            if (id < ConnectionTable.Capacity && _table.Items[id].Nsm == nsm && _table.Items[id].Phase is Phase.Active or Phase.Closing && TwinSends(_table.Items + id) == 0)
            {
                _ = Interlocked.CompareExchange(ref owners[chunk], TxOwner.Free, word);
            }
        }
    }

    /// <summary>CoreEngine closes a connection on its own: as soon as the NSM's ring has room.</summary>
    private void QueueClose(NsmPort nsm, uint id, Connection* connection)
    {
        BeginClose(id, connection);
        connection->Flags |= ConnectionFlags.CloseQueued;
        connection->NextClose = 0;
        if (nsm.CloseTail == 0 || nsm.CloseHead == 0)
        {
            nsm.CloseHead = id + 1;
        }
        else
        {
            _table.Items[nsm.CloseTail - 1].NextClose = id + 1;
        }

        nsm.CloseTail = id + 1;
        Activate(nsm);
    }

    private bool FlushCloses(NsmPort nsm)
    {
        bool moved = false;
        while (nsm.CloseHead != 0 && !nsm.Broken)
        {
            uint id = nsm.CloseHead - 1;
            Connection* connection = _table.Items + id;
            if (connection->Phase == Phase.Closing && _guests[connection->Guest] is { } guest)
            {
                Nqe close = default;
                close.Op = Op.Close;
                if (TwinSends(connection) != 0 || (connection->Held != 0 && !ReleaseCreditsOf(guest, id, connection)) || !Forward(guest, connection->QueueSet, id, &close, job: false))
                {
                    _stalled = true;
                    return moved;
                }
            }

            connection->Flags &= ~ConnectionFlags.CloseQueued;
            nsm.CloseHead = connection->NextClose;
            moved = true;
        }

        return moved;
    }
}
