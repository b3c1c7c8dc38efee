using System.Threading;
using NetKernel.Channel.Host;

namespace NetKernel.CoreEngine;

/// <content>
/// Datagrams to guests of this host. A socket that has a port at the guest's own NSM has it at the shared-memory NSM, too, by a second entry that lives as long as the first. A datagram whose
/// destination may be a neighbour's goes there; what that NSM finds nobody for comes back, and goes by the guest's own, which answers as its stack does. Each of the two NSMs has its part of the
/// RX half: by that a credit is known to be the one's or the other's.
/// </content>
internal sealed unsafe partial class SwitchLoop
{
    /// <summary>Opens the second entry of a datagram socket, as soon as the one before is gone; none where the socket has no port, or the ring has no room: then its own NSM serves it alone.</summary>
    private void ShadowDatagrams(GuestPort guest, uint id, Connection* connection)
    {
        bool bound = (connection->Flags & ConnectionFlags.HasMemory) != 0 && _table.Memories[id].Bind.Op == Op.Bind && (connection->Flags & ConnectionFlags.Down) == 0;
        if (!bound || guest.Shared is not { Broken: false } shared || connection->Phase != Phase.Active || connection->Errno != 0)
        {
            return;
        }

        if (connection->Twin != 0)
        {
            connection->Way |= DatagramWay.TwinWanted;
            return;
        }

        if (shared.Job.Free(TrialRequests) < TrialRequests || !TrySecond(guest, id, connection, out uint to))
        {
            return;
        }

        _table.Items[to].Flags |= ConnectionFlags.Datagram;
        connection->Flags |= ConnectionFlags.Twofold;
        connection->Way = DatagramWay.None;
        Nqe request = _table.Memories[id].Bind;
        _ = Forward(guest, connection->QueueSet, to, &request, job: true);
        if (_table.Memories[id].Connect.Op == Op.Connect)
        {
            request = _table.Memories[id].Connect;
            _ = Forward(guest, connection->QueueSet, to, &request, job: true);
        }
    }

    /// <summary>The guest's own NSM has bound or connected the socket, or ended its association: so has the second entry, or it is made, or goes.</summary>
    private void FollowDatagrams(GuestPort guest, uint id, Connection* connection, Nqe* asked)
    {
        if ((connection->Flags & ConnectionFlags.Twofold) == 0)
        {
            ShadowDatagrams(guest, id, connection);
        }
        else if (_table.Memories[id].Bind.Op != Op.Bind || guest.Shared is not { } shared || shared.Job.Free(2) < 2)
        {
            DropTwin(connection);
        }
        else
        {
            Nqe request = _table.Memories[id].Bind;
            if (asked->Op == Op.Connect && _table.Memories[id].BoundByConnect != 0)
            {
                _ = Forward(guest, connection->QueueSet, connection->Twin - 1, &request, job: true); // another peer may mean another address of its own
            }

            request = *asked;
            _ = Forward(guest, connection->QueueSet, connection->Twin - 1, &request, job: true);
        }
    }

    /// <summary>The second entry closes; the socket keeps it until it has.</summary>
    private void CloseTwin(Connection* connection)
    {
        uint id = connection->Twin - 1;
        if ((connection->Flags & ConnectionFlags.Second) != 0 || id >= ConnectionTable.Capacity)
        {
            return; // it is the second entry itself that closes
        }

        connection->Flags &= ~ConnectionFlags.Twofold;
        connection->Way &= ~DatagramWay.TwinWanted;
        Connection* second = _table.Items + id;
        if (second->Phase == Phase.Active && _nsms[second->Nsm] is { } nsm)
        {
            QueueClose(nsm, id, second);
        }
    }

    /// <summary>The second entry is over: closed, or its NSM is <paramref name="lost"/>. What has waited for that goes on.</summary>
    private void TwinGone(GuestPort guest, uint id, Connection* second, bool lost)
    {
        uint first = second->Twin - 1;
        bool sends = second->Sends != 0;
        if (lost)
        {
            _table.Free(id);
        }
        else
        {
            Forget(id, second);
        }

        if (first >= ConnectionTable.Capacity)
        {
            return;
        }

        Connection* connection = _table.Items + first;
        DatagramWay way = connection->Way;
        connection->Twin = 0;
        connection->Way = DatagramWay.None;
        connection->Flags &= ~ConnectionFlags.Twofold;
        connection->Flags |= sends ? ConnectionFlags.Bereaved : 0; // chunks that nobody answers for any more: looked for at the end
        if ((way & DatagramWay.Ended) != 0)
        {
            FinishClose(guest, first, connection);
        }
        else if ((way & DatagramWay.TwinWanted) != 0)
        {
            ShadowDatagrams(guest, first, connection);
        }
    }

    /// <summary>Whether the end of a datagram socket has to wait for that of its second entry: what that has in flight still names the socket.</summary>
    private bool WaitsForTwin(Connection* connection)
    {
        if ((connection->Flags & ConnectionFlags.Datagram) == 0 || connection->Twin == 0)
        {
            return false;
        }

        CloseTwin(connection);
        connection->Way |= DatagramWay.Ended;
        return true;
    }

    /// <summary>The second entry of a datagram socket, when datagrams can go by it.</summary>
    private Connection* TwinOf(Connection* connection)
    {
        uint id = connection->Twin - 1;
        bool open = (connection->Flags & ConnectionFlags.Twofold) != 0 && id < ConnectionTable.Capacity && _table.Items[id].Phase == Phase.Active;
        return open ? _table.Items + id : null;
    }

    /// <summary>Sends that are in flight by the second entry.</summary>
    private uint TwinSends(Connection* connection) =>
        (connection->Flags & ConnectionFlags.Datagram) != 0 && connection->Twin != 0 ? _table.Items[connection->Twin - 1].Sends : 0u;

    /// <summary>Whether a datagram may be for a guest of this host that policy lets the sender reach: by what the guest says of it. The second half of one goes where the first went.</summary>
    private bool IsForNeighbour(GuestPort guest, Nqe* e, Connection* connection)
    {
        bool to = (e->Flags & NqeFlags.Continued) != 0
            ? (connection->Way & DatagramWay.Near) != 0
            : TwinOf(connection) != null && e->OpData != 0 && _neighbours.Find(e->OpData) is { } other && other != guest && guest.Address.MayReach(in other.Address);
        connection->Way = to ? connection->Way | DatagramWay.Near : connection->Way & ~DatagramWay.Near;
        return to;
    }

    /// <summary>Forwards a datagram to the shared-memory NSM; false when it has to wait, for room or for tokens.</summary>
    private bool SendNear(GuestPort guest, uint q, Nqe* e, uint id, Connection* connection)
    {
        if (TwinOf(connection) == null)
        {
            Answer(guest, q, e, 0); // the second half of one whose first half went before the second entry closed
            return true;
        }

        ulong left = guest.IsLimited ? Math.Min(guest.Own.Send.Available(), guest.Tenants.Send.Available()) : ulong.MaxValue;
        if (left == 0)
        {
            Throttle(guest, guest.Own.Send, guest.Tenants.Send);
            return false;
        }

        uint size = e->Size;
        if (!Forward(guest, q, connection->Twin - 1, e, job: false))
        {
            return false;
        }

        _table.Items[connection->Twin - 1].Sends++;
        ConnectionRow* row = _table.Rows + id;
        row->BytesSent += size;
        row->Nqes++;
        row->Direct = ConnectionForm.Near;
        guest.Counters->BytesSent += size;
        guest.Shared!.Counters->BytesSent += size;
        guest.Shares[SharedNsm].BytesSent += size;
        if (guest.IsLimited)
        {
            guest.Own.Send.Take(size);
            guest.Tenants.Send.Take(size);
        }

        return true;
    }

    /// <summary>
    /// The shared-memory NSM has nobody for a datagram, or may not deliver it: it goes by the guest's own NSM. Where that has no room it is lost, as in any full queue; a half is not sent without
    /// the other.
    /// </summary>
    private void SendElsewhere(NsmPort nsm, GuestPort guest, Connection* second, Nqe* e)
    {
        uint first = second->Twin - 1;
        if (nsm.Id != SharedNsm || second->Sends == 0 || first >= ConnectionTable.Capacity || !guest.Tx.Holds(e->DataPtr, e->Size))
        {
            nsm.Counters->Stray++;
            return;
        }

        second->Sends--;
        Connection* connection = _table.Items + first;
        uint needed = (e->Flags & NqeFlags.More) != 0 ? 2u : 1;
        bool lost = (e->Flags & NqeFlags.Continued) != 0 ? (connection->Way & DatagramWay.Lost) != 0
            : _nsms[connection->Nsm] is not { Broken: false } own || own.Send.Free(needed) < needed;
        connection->Way = lost ? connection->Way | DatagramWay.Lost : connection->Way & ~DatagramWay.Lost;
        e->Op = Op.Send;
        e->OpData = 0;
        e->Socket = connection->Socket;
        e->Flags &= NqeFlags.More | NqeFlags.Continued | NqeFlags.Sync;
        bool open = connection->Phase == Phase.Active ? (connection->Flags & ConnectionFlags.CanSend) != 0
            : connection->Phase == Phase.Closing && connection->Errno == 0 && (connection->Flags & (ConnectionFlags.CloseQueued | ConnectionFlags.Down)) == ConnectionFlags.CloseQueued;
        if (!open)
        {
            Answer(guest, connection->QueueSet, e, Libc.ENETDOWN);
        }
        else if (lost || !Forward(guest, connection->QueueSet, first, e, job: false))
        {
            Answer(guest, connection->QueueSet, e, 0);
        }
        else
        {
            connection->Sends++;
            _table.Rows[first].Sends = connection->Sends;
            _table.Rows[first].SendQueue += e->Size;
        }
    }

    /// <summary>The entry of a datagram socket that a credit is for.</summary>
    private Connection* CreditorOf(GuestPort guest, Connection* connection, Nqe* e) =>
        (connection->Flags & ConnectionFlags.Datagram) == 0 || !guest.SharedRx.Holds(e->DataPtr, e->Size) ? connection : TwinOf(connection);
}
