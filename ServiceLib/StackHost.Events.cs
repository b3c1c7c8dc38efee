using NetKernel.Channel;

namespace NetKernel.ServiceLib;

/// <content>What a stack calls to tell the guest something.</content>
public sealed unsafe partial class StackHost
{
    /// <summary>What one gather call takes at most, to within one Send.</summary>
    private const uint GatherBytes = 256 << 10;

    /// <summary>
    /// Completes Bind, Listen, Connect or Accept: <paramref name="error"/> and the socket's local address. One completion, so that requests may be
    /// answered at once.
    /// </summary>
    public void CompleteAddress(Connection* c, Op done, int error, in Endpoint local)
    {
        Nqe* e = Complete(c, done);
        local.To(e);
        e->Size = (uint)error;
    }

    /// <summary>Instead of completing Connect at once: it is under way, from that address. The program may ask for it (getsockname(2)).</summary>
    public void Connecting(Connection* c, in Endpoint local) => local.To(Complete(c, Op.Connecting));

    /// <summary>The stack has taken that many bytes of the queued Sends: those that are done are completed.</summary>
    public void Sent(Connection* c, ulong bytes)
    {
        bytes += c->SendOffset;
        while (c->SendCount != 0)
        {
            PendingSend send = c->SendAt(c->SendHead);
            if (send.Size > bytes)
            {
                break;
            }

            bytes -= send.Size;
            c->SendHead++;
            SendDone(c, send, 0);
        }

        c->SendOffset = (uint)bytes;
    }

    /// <summary>Bytes of the queued Sends that the stack has not taken.</summary>
    public static ulong QueuedBytes(Connection* c)
    {
        ulong bytes = 0;
        for (uint i = 0; i < c->SendCount; i++)
        {
            bytes += c->SendAt(c->SendHead + i).Size;
        }

        return bytes - c->SendOffset;
    }

    /// <summary>All queued Sends end with that errno.</summary>
    public void FailSends(Connection* c, int error)
    {
        while (c->SendCount != 0)
        {
            SendDone(c, c->SendAt(c->SendHead++), error);
        }

        c->SendOffset = 0;
    }

    /// <summary>
    /// Makes up to <paramref name="count"/> iovecs' worth of the queued Sends readable for a gather call: start addresses and lengths go to
    /// <paramref name="vectors"/>, not much more than <see cref="GatherBytes"/>, for others wait meanwhile. Returns how many; <paramref name="bytes"/> is their sum,
    /// <paramref name="more"/> whether the last one said More or some were left out.
    /// </summary>
    public uint Gather(Connection* c, NetKernel.Channel.Host.Libc.IoVec* vectors, uint count, out ulong bytes, out bool more)
    {
        Guest guest = GuestOf(c);
        uint queued = c->SendCount;
        uint most = queued < count ? queued : count;
        uint n = 0;
        uint skip = c->SendOffset;
        bytes = 0;
        more = false;
        for (; n < most && bytes < GatherBytes; n++)
        {
            PendingSend send = c->SendAt(c->SendHead + n);
            vectors[n].Base = guest.TxAt(send.Offset) + skip;
            vectors[n].Length = send.Size - skip;
            bytes += send.Size - skip;
            skip = 0;
            more = send.More;
        }

        more |= queued > n;
        return n;
    }

    /// <summary>Whether the listener may announce another connection.</summary>
    public static bool CanAnnounce(Connection* listener) => listener->Announced < (listener->AnnounceLimit == 0 ? SocketSlot.AcceptEntries : listener->AnnounceLimit) && !listener->Has(ConnectionFlags.Closing);

    /// <summary>Announces a connection that waits; <paramref name="token"/> comes back with Accept or Decline. False when no more handles exist.</summary>
    public bool Announce(Connection* listener, in Endpoint peer, ulong token)
    {
        uint handle = _handles.Add(listener, token);
        if (handle == 0)
        {
            return false;
        }

        Nqe* e = Event(listener, Op.NewConnection);
        peer.To(e);
        e->Size = handle;
        return true;
    }

    /// <summary>The peer's FIN: no data follows.</summary>
    public void PeerClosed(Connection* c)
    {
        if ((c->Flags & (ConnectionFlags.EndTold | ConnectionFlags.ResetTold | ConnectionFlags.Closing)) == 0)
        {
            c->Flags |= ConnectionFlags.EndTold;
            _ = Event(c, Op.PeerClosed);
        }
    }

    /// <summary>An event of the direct form: <see cref="Op.Direct"/>, <see cref="Op.DirectNews"/> or <see cref="Op.Moved"/>.</summary>
    public void Tell(Connection* c, Op op, ulong data = 0, ulong more = 0)
    {
        if (op == Op.Moved || (c->Flags & (ConnectionFlags.ResetTold | ConnectionFlags.Closing)) == 0)
        {
            Nqe* e = Event(c, op);
            e->OpData = data;
            e->DataPtr = more;
        }
    }

    /// <summary>Bytes that may wait for a connection's program to read them.</summary>
    public uint ReceiveLimitOf(Connection* c) => LimitOf(c);

    /// <summary>The connection ended with an error. Told once, and not after Close.</summary>
    public void Reset(Connection* c, int error)
    {
        if ((c->Flags & (ConnectionFlags.ResetTold | ConnectionFlags.Closing)) == 0)
        {
            c->Flags |= ConnectionFlags.ResetTold;
            Event(c, Op.Reset)->OpData = (ulong)error;
        }
    }

    /// <summary>The stack has finished with a connection that was being closed; the pointer is dead to it after this.</summary>
    public void Closed(Connection* c)
    {
        FailSends(c, NetKernel.Channel.Host.Libc.ECONNRESET); // A stack completes them itself; none may be forgotten.
        Unschedule(c);
        c->Flags |= ConnectionFlags.Finished;
        if (!TryFinish(c))
        {
            c->ReadyNext = _firstFinished;
            _firstFinished = c;
        }
    }

    /// <summary>
    /// Tells Closed, if CoreEngine has taken every event of the connection: with Closed its id is free, and an event still in the receive ring would
    /// then be taken for the next owner's.
    /// </summary>
    private bool TryFinish(Connection* c)
    {
        ref QueueSet set = ref _sets[c->QueueSet];
        if (!set.HasTaken(c->LastEvent) || !set.HasRoom(1, 0))
        {
            return false;
        }

        _ = Complete(c, Op.Closed);
        Forget(c);
        return true;
    }

    private void FinishClosed()
    {
        Connection* c = _firstFinished;
        _firstFinished = null;
        while (c != null)
        {
            Connection* next = c->ReadyNext;
            if (!TryFinish(c))
            {
                c->ReadyNext = _firstFinished;
                _firstFinished = c;
            }

            c = next;
        }
    }

    private void Unfinish(Connection* c)
    {
        if (_firstFinished == c)
        {
            _firstFinished = c->ReadyNext;
            return;
        }

        Connection* before = _firstFinished;
        while (before->ReadyNext != c)
        {
            before = before->ReadyNext;
        }

        before->ReadyNext = c->ReadyNext;
    }

    private void SendDone(Connection* c, PendingSend send, int error)
    {
        Nqe* e = Complete(c, Op.SendDone);
        e->DataPtr = send.Offset;
        e->Size = send.Size;
        e->OpData = (ulong)error;
        e->Flags = send.Sync ? NqeFlags.Sync : NqeFlags.None;
    }

    private Nqe* Complete(Connection* c, Op op)
    {
        Nqe* e = _sets[c->QueueSet].StageCompletion();
        return Fill(e, op, c->Id, c->GuestId);
    }

    private Nqe* CompleteRaw(uint q, Nqe* request, Op op) => Fill(_sets[q].StageCompletion(), op, request->Socket, request->Vm);

    private Nqe* Event(Connection* c, Op op)
    {
        Nqe* e = _sets[c->QueueSet].StageEvent();
        c->LastEvent = _sets[c->QueueSet].EventPosition;
        return Fill(e, op, c->Id, c->GuestId);
    }

    private Nqe* Fill(Nqe* e, Op op, uint socket, uint vm)
    {
        if (e == null)
        {
            // Room was checked before; a ring that is full now has impossible indices, and CoreEngine is not to be trusted any more.
            _exit = HostExit.EngineGone;
            e = _batch + Batch;
        }

        e->Op = op;
        e->Socket = socket;
        e->Vm = vm;
        return e;
    }
}
