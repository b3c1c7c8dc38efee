namespace NetKernel.CoreEngine;

/// <summary>
/// The two runs that make up nearly all traffic: Sends to an NSM and SendDones to a guest. An NQE goes from slot to slot through registers, checked
/// on the way. Whatever is not plain ends the run, and the general path reads that element again and decides anew.
/// </summary>
internal sealed unsafe partial class SwitchLoop
{
    /// <summary>
    /// Forwards Sends of established connections until something else comes up, which is left to <see cref="Request"/>; returns how many.
    /// The elements may lie in the guest's ring. <paramref name="look"/>: of these flags of the connection, CanSend alone may be set.
    /// </summary>
    private uint ForwardSends(GuestPort guest, NsmPort nsm, uint q, Nqe* elements, uint count, ConnectionFlags look = ConnectionFlags.CanSend | ConnectionFlags.Twofold)
    {
        count = nsm.Send.Window(count, out Nqe* slots);
        uint* map = guest.Map;
        uint sockets = guest.Sockets;
        Connection* connections = _table.Items;
        ConnectionRow* rows = _table.Rows;
        var stamp = new NqeStamp(guest.VmLow, guest.VmHigh, q);
        uint nsmId = nsm.Id;
        ulong bytes = 0;
        Nqe* at = elements;
        for (Nqe* end = elements + count; at != end; at++, slots++)
        {
            var e = new NqeWords(at);
            uint socket = e.Socket;
            if (e.Op != Op.Send || socket >= sockets)
            {
                break;
            }

            uint id = map[socket] - 1; // not known: above every id
            if (id >= ConnectionTable.Capacity)
            {
                break;
            }

            Connection* connection = connections + id;
            uint size = e.Size;
            uint sends = connection->Sends;
            if ((connection->Flags & look) != ConnectionFlags.CanSend || connection->Nsm != nsmId || sends >= SocketSlot.MaxSends || !guest.Tx.Holds(e.DataPtr, size))
            {
                break;
            }

            e.Write(slots, stamp, id);
            connection->Sends = (ushort)++sends;
            ConnectionRow* row = rows + id;
            row->Sends = sends;
            row->BytesSent += size;
            row->Nqes++;
            row->SendQueue += size;
            bytes += size;
        }

        uint done = (uint)(at - elements);
        if (done != 0)
        {
            nsm.Send.Stage(done);
            SendStaged(nsm);
            guest.StagedNsms |= 1ul << (int)nsm.Id;
            guest.Counters->BytesSent += bytes;
            nsm.Counters->BytesSent += bytes;
            nsm.Counters->NqesToNsm += done;
            NsmShare* share = guest.Shares + nsmId;
            share->BytesSent += bytes;
            share->NqesToNsm += done;
        }

        return done;
    }

    /// <summary>
    /// Forwards SendDones as long as they are for one queue set of one guest, and fit; the rest is left to <see cref="OneCompletion"/>.
    /// Returns how many. The elements lie in the NSM's ring.
    /// </summary>
    private uint ForwardDones(NsmPort nsm, Nqe* elements, uint count)
    {
        Connection* connections = _table.Items;
        uint hint = new NqeWords(elements).Socket; // only says where to look first: every element is held against what is found
        if (hint >= ConnectionTable.Capacity)
        {
            return 0;
        }

        uint guestId = connections[hint].Guest;
        uint q = connections[hint].QueueSet;
        if (_guests[guestId] is not { Dead: false } guest)
        {
            return 0;
        }

        QueueSetPort* set = guest.Sets + q;
        if (set->Orphan || set->ParkedCompletion.Count != 0)
        {
            return 0;
        }

        count = set->Completion.Window(count, out Nqe* slots);
        ConnectionRow* rows = _table.Rows;
        uint nsmId = nsm.Id;
        var stamp = new NqeStamp(guest.VmLow, guest.VmHigh, q);
        Nqe* at = elements;
        for (Nqe* end = elements + count; at != end; at++, slots++)
        {
            var e = new NqeWords(at);
            uint id = e.Socket;
            if (e.Op != Op.SendDone || id >= ConnectionTable.Capacity)
            {
                break;
            }

            Connection* connection = connections + id;
            if (connection->Phase is not (Phase.Active or Phase.Closing) || connection->Nsm != nsmId
                || connection->Guest != guestId || connection->QueueSet != q)
            {
                break;
            }

            uint size = e.Size;
            uint sends = connection->Sends;
            if (sends == 0 || !guest.Tx.Holds(e.DataPtr, size))
            {
                break;
            }

            e.Write(slots, stamp, connection->Socket);
            connection->Sends = (ushort)--sends;
            ConnectionRow* row = rows + id;
            row->Sends = sends;
            row->Nqes++;
            uint queue = row->SendQueue;
            row->SendQueue = queue > size ? queue - size : 0;
        }

        uint done = (uint)(at - elements);
        if (done != 0)
        {
            set->Completion.Stage(done);
            set->CompletionProduced += done;
            Touch(guest);
            guest.TouchedCompletion.Set(q);
            guest.Counters->NqesToGuest += done;
            guest.Shares[nsmId].NqesFromNsm += done;
        }

        return done;
    }
}
