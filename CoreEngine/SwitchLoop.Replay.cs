using System.Threading;
using NetKernel.Channel.Host;

namespace NetKernel.CoreEngine;

/// <content>Sockets that outlive their NSM, listeners and datagram sockets: the next one is told again what they are.</content>
internal sealed unsafe partial class SwitchLoop
{
    /// <summary>The most requests that make a socket again: Socket, its options, Bind, and Listen or Connect.</summary>
    private const uint ReplayMost = SocketMemory.MaxOptions + 3;

    /// <summary><see cref="Nqe.Aux"/> of a SetOption that makes a socket again, and of its completion, which is not the guest's.</summary>
    private const ushort SetAgain = 1;

    /// <summary>Makes the guest's sockets where they belong, as far as there is room in the NSMs' rings; true when it got anywhere.</summary>
    private bool Replay(GuestPort guest)
    {
        bool moved = false;
        for (; guest.ReplayNext < guest.Sockets; guest.ReplayNext++)
        {
            uint id = guest.Map[guest.ReplayNext] - 1;
            if (id >= ConnectionTable.Capacity || !Misplaced(guest, id, _table.Items + id, out NsmPort? nsm))
            {
                continue;
            }

            if (nsm!.Job.Free(ReplayMost) < ReplayMost)
            {
                BreakIf(nsm, nsm.Job.IsBroken);
                _stalled = true;
                return moved;
            }

            if ((_table.Items[id].Flags & ConnectionFlags.Down) != 0)
            {
                ReplaySocket(guest, nsm, id, _table.Items + id);
            }
            else
            {
                BeginMove(guest, nsm, id, _table.Items + id);
            }

            moved = true;
        }

        guest.Replaying = false;
        return moved;
    }

    private void ReplaySocket(GuestPort guest, NsmPort nsm, uint id, Connection* connection)
    {
        SocketMemory* memory = Memory(id, connection);
        uint q = connection->QueueSet;
        connection->Nsm = (byte)nsm.Id;
        _table.Rows[id].Nsm = nsm.Id;
        connection->Flags &= ~ConnectionFlags.Down;
        nsm.Counters->Open++;

        Nqe request;
        Introduce(guest, q, id, id, connection, again: true);
        connection->Replay = 0;
        if (memory->Bind.Op == Op.Bind)
        {
            request = memory->Bind;
            _ = Forward(guest, q, id, &request, job: true);
            connection->Replay++;
        }

        if ((connection->Flags & ConnectionFlags.Datagram) == 0)
        {
            request = default;
            request.Op = Op.Listen;
            request.OpData = memory->Backlog;
            request.Size = guest.HasParts ? AnnouncedOwn : 0;
            _ = Forward(guest, q, id, &request, job: true);
            connection->Replay++;
        }
        else if (memory->Connect.Op == Op.Connect)
        {
            request = memory->Connect;
            _ = Forward(guest, q, id, &request, job: true);
            connection->Replay++;
        }
        else if (connection->Replay == 0)
        {
            Resume(guest, id, connection);
        }
    }

    /// <summary>What the next NSM says of an option that the one before had. When it does not have it, the socket goes on without, and the log says so.</summary>
    private void OptionSetAgain(NsmPort nsm, GuestPort guest, Nqe* e)
    {
        if (e->Size != 0)
        {
            guest.LostOption = e->DataPtr;
            guest.LostOptionNsm = nsm.Id;
            _ = Interlocked.Increment(ref guest.LostOptions);
            CallControl();
        }
    }

    /// <summary>A completion of what <see cref="ReplaySocket"/> asked for; the guest never asked, so it is not told, unless it failed.</summary>
    private void ReplayDone(NsmPort nsm, GuestPort guest, uint id, Connection* connection, Nqe* e)
    {
        connection->Replay--;
        if (e->Size == 0)
        {
            if (e->Op is Op.BindDone or Op.ConnectDone)
            {
                SetLocal(_table.Rows + id, e);
            }

            if (connection->Replay == 0 && (connection->Flags & ConnectionFlags.Datagram) != 0)
            {
                Resume(guest, id, connection);
            }
            else if (connection->Replay == 0)
            {
                MoveAgain(guest);
            }

            return;
        }

        if (connection->Errno == 0 && connection->Phase == Phase.Active)
        {
            DropTwin(connection);
            DropElder(connection);
            WasReset(guest, id, connection, (int)Math.Min(e->Size, 4095));
            TellReset(guest, connection, connection->Errno, NqeFlags.None);
            _ = Interlocked.Increment(ref guest.LostListeners);
            CallControl();
        }
    }

    /// <summary>A datagram socket has lost its NSM: what is under way is gone, as datagrams may be, and the socket waits.</summary>
    private void Suspend(GuestPort guest, uint id, Connection* connection)
    {
        if (connection->Control == Op.Bind)
        {
            Memory(id, connection)->Bind = default; // it fails now
        }

        FailControl(guest, connection, Libc.ENETDOWN);
        connection->Flags = (connection->Flags | ConnectionFlags.Down) & ~ConnectionFlags.Dissolving;
        connection->Replay = 0;
        connection->RxOut = 0;
        connection->Held = 0;
        connection->Life = ++_lives; // its credits that are held belong to the life before
        _table.Rows[id].ReceiveQueue = 0;
        SetState(connection, id, connection->State);
        TellReset(guest, connection, Libc.ENETDOWN, NqeFlags.Abort);

        // What lies unread is void, whichever NSM it came by: the second entry takes back what is its, and is made again with the socket.
        connection->Flags |= TwinSends(connection) != 0 ? ConnectionFlags.Bereaved : 0;
        CloseTwin(connection);
    }

    /// <summary>A datagram socket is at its new NSM what it was at the one before.</summary>
    private void Resume(GuestPort guest, uint id, Connection* connection)
    {
        if (connection->Phase != Phase.Active || connection->Errno != 0)
        {
            return;
        }

        SetState(connection, id, connection->State);
        Nqe renewed = default;
        renewed.Op = Op.Renewed;
        renewed.Socket = connection->Socket;
        renewed.OpData = guest.RoutedEpoch;
        renewed.VmLow = guest.VmLow;
        renewed.VmHigh = guest.VmHigh;
        renewed.QueueSet = connection->QueueSet;
        guest.Counters->NqesToGuest++;
        Announce(guest, connection->QueueSet, &renewed);
        ShadowDatagrams(guest, id, connection);
    }
}
