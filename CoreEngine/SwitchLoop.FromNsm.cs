using NetKernel.Channel.Host;

namespace NetKernel.CoreEngine;

/// <summary>The way from an NSM to the guests. The NSM is trusted less than CoreEngine: what makes no sense is counted and dropped.</summary>
internal sealed unsafe partial class SwitchLoop
{
    private const uint MaxEventsPerPass = 4 * Batch; // all guests meet in an NSM's rings
    private const uint MaxRxOut = SocketSlot.RxEntries + 1; // and the answer to a GetOption

    private bool DrainNsm(NsmPort nsm)
    {
        if (nsm.Broken)
        {
            return false;
        }

        // The receive ring is looked at first and the completion ring drained before it, so that what the NSM published in this order
        // (connected, then data) is told in this order.
        uint events = nsm.Receive.Available();
        uint done = 0;
        uint seen = nsm.Completion.Refresh(); // what comes after this look waits for the next pass: no NSM can hold the loop here
        while (done < seen)
        {
            uint n = nsm.Completion.Window(0, Batch, out Nqe* first);
            Completions(nsm, first, n);
            nsm.Completion.Release(n);
            done += n;
        }

        events = Math.Min(events, MaxEventsPerPass);
        while (events != 0)
        {
            uint n = nsm.Receive.Peek(_batch, Math.Min(events, Batch));
            if (n == 0)
            {
                break;
            }

            bool half = _batch[n - 1].Op == Op.Data && (_batch[n - 1].Flags & NqeFlags.More) != 0;
            Events(nsm, _batch, n);
            nsm.Receive.Release(n);
            done += n;
            events -= n;
            events += events == 0 && half ? 1u : 0; // the halves of a datagram stay together: another NSM may have one for the same socket
        }

        nsm.Counters->NqesFromNsm += done;
        BreakIf(nsm, nsm.Completion.IsBroken | nsm.Receive.IsBroken);
        return done != 0;
    }

    /// <summary>The guest and connection that an NQE of an NSM is about; null when there is none.</summary>
    private GuestPort? Find(NsmPort nsm, uint id, out Connection* connection)
    {
        connection = _table.Items + id;
        if (id >= ConnectionTable.Capacity)
        {
            return null;
        }

        return connection->Phase is Phase.Active or Phase.Closing && connection->Nsm == nsm.Id ? _guests[connection->Guest] : null;
    }

    private static void Address(Nqe* e, GuestPort guest, Connection* connection)
    {
        e->Socket = connection->Socket;
        e->VmLow = guest.VmLow;
        e->VmHigh = guest.VmHigh;
        e->QueueSet = connection->QueueSet;
    }

    private void Completions(NsmPort nsm, Nqe* elements, uint count)
    {
        uint done = 0;
        while (done < count)
        {
            uint run = ForwardDones(nsm, elements + done, count - done);
            done += run;
            if (run == 0)
            {
                *_batch = elements[done++];
                OneCompletion(nsm, _batch);
            }
        }
    }

    /// <summary>A completion that <see cref="ForwardDones"/> had questions about.</summary>
    private void OneCompletion(NsmPort nsm, Nqe* e)
    {
        uint id = e->Socket;
        GuestPort? guest = Find(nsm, id, out Connection* connection);
        if (guest == null)
        {
            nsm.Counters->Stray++;
            return;
        }

        if (guest.Dead)
        {
            return;
        }

        ConnectionRow* row = _table.Rows + id;
        row->Nqes++;
        guest.Shares[nsm.Id].NqesFromNsm++;
        if (e->Op == Op.SendElsewhere)
        {
            SendElsewhere(nsm, guest, connection, e);
            return;
        }

        if (e->Op != Op.SendDone)
        {
            Address(e, guest, connection);
            Completion(nsm, guest, id, connection, e);
            return;
        }

        if (connection->Sends == 0 || !guest.Tx.Holds(e->DataPtr, e->Size))
        {
            nsm.Counters->Stray++;
            return;
        }

        connection->Sends--;
        row->Sends = connection->Sends;
        row->SendQueue -= Math.Min(row->SendQueue, e->Size);
        guest.Counters->NqesToGuest++;
        Address(e, guest, connection);
        Complete(guest, connection->QueueSet, e, loud: false);
    }

    private void Events(NsmPort nsm, Nqe* elements, uint count)
    {
        for (uint i = 0; i < count; i++)
        {
            Nqe* e = elements + i;
            uint id = e->Socket;
            GuestPort? guest = Find(nsm, id, out Connection* connection);
            if (guest == null)
            {
                nsm.Counters->Stray++;
                continue;
            }

            if (e->Op == Op.Moved && nsm.Id == SharedNsm)
            {
                MovedDirectly(nsm, guest, id, e);
                continue;
            }

            // What crosses the guest's Close is not told any more: the NSM takes its RX chunks and unaccepted connections back by itself.
            if (guest.Dead || connection->Phase == Phase.Closing || (connection->Flags & ConnectionFlags.Severed) != 0)
            {
                continue;
            }

            ConnectionRow* row = _table.Rows + id;
            row->Nqes++;
            NsmShare* share = guest.Shares + nsm.Id;
            share->NqesFromNsm++;
            uint q = connection->QueueSet;
            if (e->Op == Op.Data)
            {
                if ((connection->Flags & ConnectionFlags.Second) != 0 && connection->Twin != 0)
                {
                    row = _table.Rows + (connection->Twin - 1);
                    row->Nqes++;
                    row->Direct = ConnectionForm.Near;
                }

                if (!guest.Rx.Holds(e->DataPtr, e->Size) || connection->RxOut >= MaxRxOut)
                {
                    Sever(nsm, guest, id, connection);
                    continue;
                }

                connection->RxOut++;
                row->ReceiveQueue += e->Size;
                row->BytesReceived += e->Size;
                guest.Counters->BytesReceived += e->Size;
                guest.Counters->NqesToGuest++;
                nsm.Counters->BytesReceived += e->Size;
                share->BytesReceived += e->Size;
                Address(e, guest, connection);
                Announce(guest, q, e);
            }
            else
            {
                Address(e, guest, connection);
                Event(nsm, guest, id, connection, e);
            }
        }
    }

    private static void SetLocal(ConnectionRow* row, Nqe* e)
    {
        row->LocalLow = e->OpData;
        row->LocalHigh = e->DataPtr;
        row->LocalPort = e->Aux;
    }
}
