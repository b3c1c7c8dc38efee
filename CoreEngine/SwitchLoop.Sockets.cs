using System.Threading;
using NetKernel.Channel.Host;

namespace NetKernel.CoreEngine;

/// <summary>The life of an entry of the connection table, and of the guest's slot that it stands for.</summary>
internal sealed unsafe partial class SwitchLoop
{
    /// <summary>Makes an entry for a guest's socket; when the table is full, or the guest may have no more, the socket is remembered as refused.</summary>
    private bool TryMake(GuestPort guest, uint q, uint socket, NsmPort? by, out uint id)
    {
        id = 0;
        bool counted = TryOpen(guest);
        if (!counted || !_table.TryTake(out id))
        {
            if (counted)
            {
                guest.Own.Closed();
                guest.Tenants.Closed();
            }

            guest.Map[socket] = GuestPort.Refused;
            guest.Counters->Refused++;
            return false;
        }

        guest.Map[socket] = id + 1;
        Connection* connection = _table.Items + id;
        *connection = default;
        connection->Life = ++_lives;
        connection->Socket = socket;
        connection->Guest = guest.Id;
        connection->QueueSet = (byte)q;
        ConnectionRow* row = _table.Rows + id;
        row->Guest = guest.Id;
        row->GuestSocket = socket;
        row->QueueSet = (ushort)q;
        row->Opened = _now;
        guest.Counters->Open++;
        if (by is { } nsm)
        {
            connection->Nsm = (byte)nsm.Id;
            row->Nsm = nsm.Id;
            connection->Phase = Phase.Active;
            nsm.Counters->Open++;
        }
        else
        {
            connection->Phase = Phase.Dead;
            connection->Errno = Libc.ENETDOWN;
            SetState(connection, id, ConnectionState.Reset);
        }

        return true;
    }

    /// <summary>Counts a socket for the guest and its tenant; false when one of them has as many as it may.</summary>
    private static bool TryOpen(GuestPort guest)
    {
        if (!guest.Own.TryOpen())
        {
            return false;
        }

        if (guest.Tenants.TryOpen())
        {
            return true;
        }

        guest.Own.Closed();
        return false;
    }

    private void SetState(Connection* connection, uint id, uint state)
    {
        if (connection->Phase == Phase.Dead)
        {
            state = ConnectionState.Reset;
        }

        connection->State = (byte)state;
        bool open = state is ConnectionState.Established or ConnectionState.CloseWait
            || (state == ConnectionState.Open && (connection->Flags & ConnectionFlags.Datagram) != 0);
        bool can = open && connection->Phase == Phase.Active && connection->Errno == 0 && connection->Replay == 0
            && (connection->Flags & (ConnectionFlags.Down | ConnectionFlags.Unmade)) == 0;
        connection->Flags = can ? connection->Flags | ConnectionFlags.CanSend : connection->Flags & ~ConnectionFlags.CanSend;
        if ((connection->Flags & (ConnectionFlags.Second | ConnectionFlags.Ghost | ConnectionFlags.Elder)) == 0)
        {
            Volatile.Write(ref _table.Rows[id].State, state);
        }
    }

    private SocketMemory* Memory(uint id, Connection* connection)
    {
        SocketMemory* memory = _table.Memories + id;
        if ((connection->Flags & ConnectionFlags.HasMemory) == 0)
        {
            memory->Clear();
            connection->Flags |= ConnectionFlags.HasMemory;
        }

        return memory;
    }

    /// <summary>Close has been handed to the NSM, or is about to be: nothing but SendDone and Closed matters from now on.</summary>
    private void BeginClose(uint id, Connection* connection)
    {
        DropTwin(connection);
        DropElder(connection);
        connection->Phase = Phase.Closing;
        SetState(connection, id, ConnectionState.Closing);
    }

    /// <summary>The end of a socket: the guest is told, and its ids become free.</summary>
    private void FinishClose(GuestPort guest, uint id, Connection* connection)
    {
        if ((connection->Flags & (ConnectionFlags.Second | ConnectionFlags.Datagram)) == (ConnectionFlags.Second | ConnectionFlags.Datagram))
        {
            TwinGone(guest, id, connection, lost: false);
            return;
        }

        if ((connection->Flags & (ConnectionFlags.Ghost | ConnectionFlags.Second)) != 0)
        {
            Forget(id, connection);
            return;
        }

        if (WaitsForTwin(connection))
        {
            return;
        }

        DropTwin(connection);
        DropElder(connection);
        uint q = connection->QueueSet;
        uint socket = connection->Socket;
        if (connection->Sends != 0 || (connection->Flags & ConnectionFlags.Bereaved) != 0)
        {
            FreeChunksOf(guest, socket); // the NSM has not answered them all, or was never asked
        }

        Release(guest, id);
        TellClosed(guest, q, socket);
        Defer(guest, q, socket);
    }

    /// <summary>Takes an entry out of the table.</summary>
    private void Release(GuestPort guest, uint id)
    {
        Connection* connection = _table.Items + id;
        if (connection->Twin != 0)
        {
            _table.Items[connection->Twin - 1].Twin = 0;
        }

        guest.Map[connection->Socket] = 0;
        guest.Counters->Open--;
        guest.Counters->Closes++;
        guest.Own.Closed();
        guest.Tenants.Closed();
        Forget(id, connection);
    }

    /// <summary>Frees an id and counts it off at its NSM.</summary>
    private void Forget(uint id, Connection* connection)
    {
        if (_nsms[connection->Nsm] is { } nsm && connection->Phase != Phase.Dead && (connection->Flags & ConnectionFlags.Down) == 0)
        {
            nsm.Counters->Open--;
        }

        _table.Free(id);
    }

    private void TellClosed(GuestPort guest, uint q, uint socket)
    {
        Nqe closed = default;
        closed.Op = Op.Closed;
        closed.Socket = socket;
        closed.VmLow = guest.VmLow;
        closed.VmHigh = guest.VmHigh;
        closed.QueueSet = (byte)q;
        Complete(guest, q, &closed, loud: false);
    }

    /// <summary>
    /// Frees a socket slot of the guest once the guest has drained everything that names it: its next owner must not be given the old
    /// one's events.
    /// </summary>
    private void Defer(GuestPort guest, uint q, uint socket)
    {
        QueueSetPort* set = guest.Sets + q;
        if (set->Orphan)
        {
            Volatile.Write(ref guest.SlotOf(socket)->State, SocketState.Free);
            return;
        }

        if (guest.DeferredNext[socket] != 0)
        {
            return;
        }

        guest.DeferredCompletion[socket] = set->CompletionProduced + set->ParkedCompletion.Count;
        guest.DeferredReceive[socket] = set->ReceiveProduced + set->ParkedReceive.Count;
        guest.DeferredNext[socket] = uint.MaxValue;
        if (set->DeferredTail == 0)
        {
            set->DeferredHead = socket + 1;
        }
        else
        {
            guest.DeferredNext[set->DeferredTail - 1] = socket + 1;
        }

        set->DeferredTail = socket + 1;
        if (guest.Deferred.IsEmpty)
        {
            _deferredGuests++;
        }

        _lazyTicks = 0;
        guest.Deferred.Set(q);
    }

    private void FreeDeferred(GuestPort guest)
    {
        for (uint q = guest.Deferred.Next(0); q != ProcessMask.None; q = guest.Deferred.Next(q + 1))
        {
            QueueSetPort* set = guest.Sets + q;
            uint completion = Volatile.Read(ref guest.RingOf(q, RingKind.Completion)->Head);
            uint receive = Volatile.Read(ref guest.RingOf(q, RingKind.Receive)->Head);
            bool all = set->ParkedReceive.Count == 0 && receive == set->ReceiveProduced; // some of what was parked never comes: merged
            while (set->DeferredHead != 0)
            {
                uint socket = set->DeferredHead - 1;
                if (!set->Orphan
                    && ((int)(completion - guest.DeferredCompletion[socket]) < 0 || (!all && (int)(receive - guest.DeferredReceive[socket]) < 0)))
                {
                    break;
                }

                uint next = guest.DeferredNext[socket];
                guest.DeferredNext[socket] = 0;
                set->DeferredHead = next == uint.MaxValue ? 0 : next;
                set->DeferredTail = set->DeferredHead == 0 ? 0 : set->DeferredTail;
                if (guest.Map[socket] == 0)
                {
                    Volatile.Write(ref guest.SlotOf(socket)->State, SocketState.Free);
                }
            }

            if (set->DeferredHead == 0)
            {
                guest.Deferred.Clear(q);
            }
        }

        if (guest.Deferred.IsEmpty)
        {
            _deferredGuests--;
        }
    }

    /// <summary>Frees the TX chunk that a completion names which nobody will drain.</summary>
    private static void Settle(GuestPort guest, Nqe* element)
    {
        if (element->Op == Op.SendDone && guest.Tx.TryFind(element->DataPtr, element->Size, out uint chunk))
        {
            uint word = TxOwner.InFlight | element->Socket;
            _ = Interlocked.CompareExchange(ref guest.TxOwners[chunk], TxOwner.Free, word);
        }
    }

    private static void FreeChunksOf(GuestPort guest, uint socket)
    {
        uint word = TxOwner.InFlight | socket;
        FreeChunks(guest, word);
    }

    private static void FreeChunks(GuestPort guest, uint word)
    {
        uint* owners = guest.TxOwners;
        uint count = guest.Tx.Count;
        for (uint chunk = 0; chunk < count; chunk++)
        {
            if (Volatile.Read(ref owners[chunk]) == word)
            {
                _ = Interlocked.CompareExchange(ref owners[chunk], TxOwner.Free, word);
            }
        }
    }
}
