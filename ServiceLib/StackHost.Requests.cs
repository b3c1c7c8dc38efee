using NetKernel.Channel;
using NetKernel.Channel.Host;

namespace NetKernel.ServiceLib;

/// <content>Requests: from the rings, through the checks, to the stack.</content>
public sealed unsafe partial class StackHost
{
    private uint Drain(uint q)
    {
        ref QueueSet set = ref _sets[q];

        // The send ring's tail is read first and the job ring then emptied: so whatever CoreEngine put into the job ring before
        // something in the send ring is also handled before it.
        uint sends = set.Send.Refresh();
        uint jobs = set.Job.Refresh();
        if ((sends | jobs) == 0)
        {
            if (set.IsBroken)
            {
                _exit = HostExit.EngineGone;
            }

            return 0;
        }

        uint work = 0;
        while (jobs > 0)
        {
            uint n = set.Job.Dequeue(_batch, set.RequestRoom(jobs < Batch ? jobs : Batch));
            if (n == 0)
            {
                return work; // CoreEngine does not drain: it gets nothing more done until it does.
            }

            for (uint i = 0; i < n; i++)
            {
                Job(q, &_batch[i]);
            }

            jobs -= n;
            work += n;
        }

        sends = sends < SendsPerTurn ? sends : SendsPerTurn;
        while (sends > 0)
        {
            uint n = set.Send.Dequeue(_batch, set.RequestRoom(sends < Batch ? sends : Batch));
            if (n == 0)
            {
                break;
            }

            for (uint i = 0; i < n; i++)
            {
                Data(q, &_batch[i]);
            }

            sends -= n;
            work += n;
        }

        return work;
    }

    private void Job(uint q, Nqe* e)
    {
        if (e->Op == Op.Socket)
        {
            OpenSocket(q, e);
            return;
        }

        Connection* c = Find(q, e);
        int error = c == null ? Libc.EBADF : c->SocketError;
        if (c != null && c->Has(ConnectionFlags.Closing))
        {
            error = Libc.EBADF;
        }

        if (error != 0)
        {
            Refuse(q, e, error);
            return;
        }

        Endpoint address;
        switch (e->Op)
        {
            case Op.Bind:
                address = Endpoint.From(e);
                _stack.Bind(c, in address, e->Flags);
                break;
            case Op.Listen:
                c->AnnounceLimit = e->Size < SocketSlot.AcceptEntries ? e->Size : SocketSlot.AcceptEntries;
                _stack.Listen(c, (int)(uint)e->OpData);
                break;
            case Op.Connect:
                address = Endpoint.From(e);
                c->Flags |= ConnectionFlags.Connects;
                _stack.Connect(c, in address, e->Flags);
                break;
            case Op.GetOption:
                GetOption(c, e);
                break;
            case Op.SetOption:
                SetOption(q, c, e);
                break;
            default:
                break; // Not a request of this ring: CoreEngine lets none through.
        }
    }

    private void Data(uint q, Nqe* e)
    {
        Connection* c;
        switch (e->Op)
        {
            case Op.Send:
                QueueSend(q, e);
                break;
            case Op.RxCredit:
                c = Find(q, e);
                if (c != null)
                {
                    Credit(c, e->DataPtr);
                }

                break;
            case Op.GetOption:
                Job(q, e);
                break;
            case Op.SetOption:
                c = Find(q, e);
                SetOption(q, c, e);
                break;
            case Op.Shutdown:
                c = Find(q, e);
                if (c != null && c->SocketError == 0 && !c->Has(ConnectionFlags.Closing))
                {
                    _stack.Shutdown(c, (int)(uint)e->OpData);
                }

                break;
            case Op.Kick:
                c = Find(q, e);
                if (c != null && c->SocketError == 0 && !c->Has(ConnectionFlags.Closing))
                {
                    _stack.Nudge(c, data: e->OpData != 0);
                }

                break;
            case Op.Accept:
                Accept(q, e);
                break;
            case Op.Decline:
                Decline(e);
                break;
            case Op.Close:
                Close(q, e);
                break;
            default:
                break;
        }
    }

    /// <summary>The connection that a request names, if it is the guest's: a request of a guest that was removed since names nobody.</summary>
    private Connection* Find(uint q, Nqe* e)
    {
        Connection* c = _connections.Find(q, e->Socket);
        return c != null && c->GuestId == e->Vm ? c : null;
    }

    private Connection* Open(uint q, Nqe* e)
    {
        Guest? guest = FindGuest(e->Vm);
        if (guest == null)
        {
            return null;
        }

        // An id in use that is opened again: CoreEngine knows better than this table.
        Connection* old = _connections.Find(q, e->Socket);
        if (old != null)
        {
            DropConnection(old);
        }

        Connection* c = _connections.Add(q, e->Socket, guest.Id);
        if (c != null)
        {
            guest.Enter(c);
            BeginMeasures(c);
        }

        return c;
    }

    private void OpenSocket(uint q, Nqe* e)
    {
        Connection* c = Open(q, e);
        if (c != null)
        {
            c->SocketError = _stack.Socket(c, (int)(e->OpData & 0xFFFF), (int)(e->OpData >> 16 & 0xFFFF), (int)(uint)(e->OpData >> 32));
            BeginCongestion(c);
        }
    }

    private void GetOption(Connection* c, Nqe* e)
    {
        Guest guest = GuestOf(c);
        uint room = e->Size < PoolLayout.SmallBytes ? e->Size : PoolLayout.SmallBytes;
        uint chunk = guest.Rx.Take(0, first: true);
        if (chunk == RxPool.None)
        {
            Complete(c, Op.GetOptionDone)->Size = Libc.ENOBUFS;
            return;
        }

        int error = _stack.GetOption(c, (int)(uint)e->OpData, (int)(uint)(e->OpData >> 32), guest.RxAt(chunk), room, out uint length);
        Nqe* done = Complete(c, Op.GetOptionDone);
        done->Size = (uint)error;
        if (error != 0 || length == 0)
        {
            guest.Rx.Free(chunk);
            return;
        }

        done->OpData = length;
        done->DataPtr = guest.Rx.OffsetOf(chunk);
        guest.Rx.Own(chunk, c, data: 0);
    }

    private void SetOption(uint q, Connection* c, Nqe* e)
    {
        // In order with data (TCP_CORK, TCP_NODELAY): what is queued goes out first. The rest of the batch keeps its room.
        if (c != null && c->SendCount != 0 && c->SocketError == 0 && !c->Has(ConnectionFlags.Closing)
            && _sets[q].HasRoom(RunCompletions + Batch, RunEvents + Batch))
        {
            _stack.Run(c);
        }

        int error = c == null || c->Has(ConnectionFlags.Closing) ? Libc.EBADF
            : c->SocketError != 0 ? c->SocketError
            : e->Size is 0 or > 8 ? Libc.EINVAL
            : _stack.SetOption(c, (int)(uint)e->DataPtr, (int)(uint)(e->DataPtr >> 32), e->OpData, e->Size);
        if (error == 0 && e->DataPtr == (IPPROTO_TCP | ((ulong)TCP_CONGESTION << 32)))
        {
            c->Flags |= ConnectionFlags.OwnCongestion;
        }

        if ((e->Flags & NqeFlags.Sync) != 0)
        {
            Nqe* done = CompleteRaw(q, e, Op.SetOptionDone);
            done->Size = (uint)error;
            done->DataPtr = e->DataPtr;
            done->Aux = e->Aux;
        }
    }

    private void QueueSend(uint q, Nqe* e)
    {
        Connection* c = Find(q, e);
        int error = c == null || c->Has(ConnectionFlags.Closing) ? Libc.EPIPE
            : c->SocketError != 0 ? c->SocketError
            : !FindGuest(c->GuestId)!.IsTx(e->DataPtr, e->Size) ? Libc.EINVAL
            : c->SendCount == Connection.MaxSends ? Libc.ENOBUFS
            : 0;
        if (error != 0)
        {
            Nqe* done = CompleteRaw(q, e, Op.SendDone);
            done->DataPtr = e->DataPtr;
            done->Size = e->Size;
            done->OpData = (ulong)error;
            done->Flags = e->Flags & NqeFlags.Sync;
            return;
        }

        c->QueueSend(new PendingSend((uint)e->DataPtr, e->Size, e->Flags));
        Schedule(c);
    }

    private void Accept(uint q, Nqe* e)
    {
        if (_shards > 1 && HandleTable.ShardOf(e->OpData) != _shard)
        {
            AcceptElsewhere(q, e);
            return;
        }

        Connection* listener = _handles.Take(e->OpData, e->Vm, out ulong token);
        Connection* c = Open(q, e);
        if (c == null)
        {
            if (listener != null)
            {
                _stack.Decline(token);
                Schedule(listener);
            }

            CompleteRaw(q, e, Op.AcceptDone)->Size = Libc.ECONNABORTED;
            return;
        }

        c->Flags |= ConnectionFlags.Connects;
        Endpoint local = default;
        int error = Libc.ECONNABORTED;
        if (listener != null)
        {
            c->ReceiveLimit = listener->ReceiveLimit;
            error = _stack.Accept(c, listener, token, out local);
        }

        CompleteAddress(c, Op.AcceptDone, error, in local);
        if (error != 0)
        {
            c->SocketError = error;
            Reset(c, error);
        }

        if (listener != null)
        {
            Schedule(listener); // It may announce another.
        }
    }

    /// <summary>
    /// The process that accepts has its queue set here, and the connection was announced by another host: this one asks for it. The guest is answered by <see cref="TookOver"/>.
    /// </summary>
    private void AcceptElsewhere(uint q, Nqe* e)
    {
        ulong handle = e->OpData;
        Connection* c = Open(q, e);
        if (c != null)
        {
            c->Flags |= ConnectionFlags.Connects;
        }

        if (c == null)
        {
            _stack.DeclineElsewhere(e->Vm, HandleTable.ShardOf(handle), handle);
            CompleteRaw(q, e, Op.AcceptDone)->Size = Libc.ECONNABORTED;
        }
        else if (HandleTable.ShardOf(handle) >= _shards || !_stack.TakeOver(c, HandleTable.ShardOf(handle), handle))
        {
            Endpoint nowhere = default;
            TookOver(c, Libc.ECONNABORTED, in nowhere);
        }
    }

    private void Decline(Nqe* e)
    {
        if (_shards > 1 && HandleTable.ShardOf(e->OpData) != _shard)
        {
            _stack.DeclineElsewhere(e->Vm, HandleTable.ShardOf(e->OpData), e->OpData);
            return;
        }

        DeclineAnnounced(e->Vm, e->OpData);
    }

    /// <summary>The guest does not take what this host announced by that handle.</summary>
    public void DeclineAnnounced(uint guest, ulong handle)
    {
        Connection* listener = _handles.Take(handle, guest, out ulong token);
        if (listener != null)
        {
            _stack.Decline(token);
            Schedule(listener);
        }
    }

    /// <summary>Another host's guest takes what this one announced: its listener, and its token. Null when it is not the guest's, or not there any more.</summary>
    public Connection* TakeAnnounced(uint guest, ulong handle, out ulong token)
    {
        Connection* listener = _handles.Take(handle, guest, out token);
        if (listener != null)
        {
            Schedule(listener); // It may announce another.
        }

        return listener;
    }

    /// <summary>What <see cref="INetworkStack.TakeOver"/> began is done: the connection is there, or there is none.</summary>
    public void TookOver(Connection* c, int error, in Endpoint local)
    {
        CompleteAddress(c, Op.AcceptDone, error, in local);
        if (error != 0)
        {
            c->SocketError = error;
            Reset(c, error);
        }
    }

    private void Close(uint q, Nqe* e)
    {
        Connection* c = Find(q, e);
        if (c == null)
        {
            _ = CompleteRaw(q, e, Op.Closed);
            return;
        }

        if (c->Has(ConnectionFlags.Closing))
        {
            return;
        }

        // A program that closes with unread data makes the kernel send RST at once (RFC 2525, 2.17); what is in the guest's RX pool is unread data too.
        bool unread = c->RxDataOut != 0;
        c->Flags |= ConnectionFlags.Closing;
        DeclineAll(c);
        ReclaimReceive(c);
        if (c->SocketError != 0)
        {
            Closed(c); // The stack never had it, and no Send was taken.
            return;
        }

        Measure(c);
        _stack.Close(c, unread || (e->Flags & NqeFlags.Abort) != 0);
        Schedule(c);
    }

    private void DeclineAll(Connection* listener)
    {
        while (_handles.TakeAny(listener, out ulong token))
        {
            _stack.Decline(token);
        }
    }

    private void Refuse(uint q, Nqe* e, int error)
    {
        Op done = e->Op is Op.Bind or Op.Listen or Op.Connect or Op.GetOption || (e->Op == Op.SetOption && (e->Flags & NqeFlags.Sync) != 0)
            ? (Op)(0x80 | (byte)e->Op)
            : Op.None;
        if (done != Op.None)
        {
            Nqe* refused = CompleteRaw(q, e, done);
            refused->Size = (uint)error;
            refused->Aux = e->Op == Op.SetOption ? e->Aux : (ushort)0;
        }
    }
}
