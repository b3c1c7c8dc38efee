using NetKernel.Channel;
using NetKernel.Channel.Host;
using NetKernel.ServiceLib;
using NetKernel.Stack;

namespace NetKernel.Nsm.Mtcp;

/// <content>
/// Data: segments are built from where the guest's Sends lie in its TX pool, which stays the stack's until the peer has acknowledged it; what arrives is copied once, into the
/// guest's RX pool, several segments to a chunk.
/// </content>
internal sealed unsafe partial class MtcpStack
{
    public int Accept(Connection* c, Connection* listener, ulong token, out Endpoint local)
    {
        MtcpSocket* s = (MtcpSocket*)c->State;
        MtcpSocket* from = (MtcpSocket*)listener->State;
        s->T = (Tcb*)token;
        s->T->User = c;
        s->Domain = from->Domain;
        s->Phase = Phase.Connected;
        s->LingerOn = from->LingerOn;
        s->LingerSeconds = from->LingerSeconds;
        local = EndpointOf(s->T->Local, s->T->LocalPort);
        _host.Schedule(c);
        return 0;
    }

    public void Decline(ulong token) => _tcp.Abort((Tcb*)token);

    public void Shutdown(Connection* c, int how)
    {
        const int ShutRead = 0, ShutWrite = 1;
        MtcpSocket* s = (MtcpSocket*)c->State;
        if (s->Has(MtcpFlags.Datagram))
        {
            if (how != ShutRead && !s->Has(MtcpFlags.ShutdownWanted))
            {
                s->Flags |= MtcpFlags.ShutdownWanted;
                s->Told = c->SendTail; // Those before still go out.
            }

            return;
        }

        switch (s->Phase)
        {
            case Phase.Connected or Phase.Accepting or Phase.Arrived when how != ShutRead:
                s->Flags |= MtcpFlags.ShutdownWanted;
                _host.Schedule(c);
                break;
            case Phase.Connecting:
                _ = Renew(c, s); // gives the attempt up, whichever end it is
                _host.CompleteAddress(c, Op.ConnectDone, Libc.ECONNRESET, default);
                break;
            case Phase.Listening when how != ShutWrite:
                _tcp.Unlisten(s->T);
                if (s->T4 != null)
                {
                    _tcp.Unlisten(s->T4);
                }

                s->Phase = Phase.Bound;
                break;
            default:
                break; // SHUT_RD alone is the guest's own affair.
        }
    }

    uint ITcpUser.Receive(Tcb* t, byte* data, uint length)
    {
        if (t->User == AnnouncedOwner)
        {
            return 0;
        }

        Connection* c = (Connection*)t->User;
        MtcpSocket* s = (MtcpSocket*)c->State;
        if (c->Has(ConnectionFlags.Closing))
        {
            s->Flags |= MtcpFlags.Abort; // RFC 9293, 3.6.1: nobody reads any more.
            _host.Schedule(c);
            return length;
        }

        uint taken = 0;
        while (taken < length && (s->Open.Start != null || TryOpen(c, s, length - taken)))
        {
            uint space = s->Open.Capacity - s->Filled;
            uint n = length - taken < space ? length - taken : space;
            Buffer.MemoryCopy(data + taken, s->Open.Start + s->Filled, space, n);
            s->Filled += n;
            taken += n;
            if (s->Filled == s->Open.Capacity)
            {
                if (!_host.HasRoom(c))
                {
                    break;
                }

                s->RxClass = (byte)(s->RxClass < 2 ? s->RxClass + 1 : 2); // They come faster than chunks of this size serve.
                if (s->Held)
                {
                    s->Held = false;
                    StackHost.EndHold(c);
                }

                Hand(c, s);
            }
        }

        if (taken != 0)
        {
            _scheduled++;
            _host.Schedule(c);
        }

        return taken;
    }

    uint ITcpUser.Untaken(Tcb* t) => t->User == AnnouncedOwner ? 0 : StackHost.Unread((Connection*)t->User);

    void ITcpUser.Acked(Tcb* t, uint bytes)
    {
        if (t->User != AnnouncedOwner)
        {
            Connection* c = (Connection*)t->User;
            ((MtcpSocket*)c->State)->Acked += bytes;
            _scheduled++;
            _host.Schedule(c);
        }
    }

    uint ITcpUser.Gather(Tcb* t, uint offset, uint length, Extent* pieces, uint most, out uint found)
    {
        found = 0;
        if (t->User == AnnouncedOwner)
        {
            return 0;
        }

        Connection* c = (Connection*)t->User;
        MtcpSocket* s = (MtcpSocket*)c->State;
        Guest guest = _host.GuestOf(c);
        ulong skip = c->SendOffset + s->Acked + offset;
        uint count = 0;
        for (uint i = c->SendHead; i != s->Told && found < length && count < most; i++)
        {
            PendingSend send = c->SendAt(i);
            if (skip >= send.Size)
            {
                skip -= send.Size;
                continue;
            }

            uint n = send.Size - (uint)skip;
            n = n < length - found ? n : length - found;
            pieces[count].Start = guest.TxAt(send.Offset) + skip;
            pieces[count].Length = n;
            count++;
            found += n;
            skip = 0;
        }

        return count;
    }

    private bool TryOpen(Connection* c, MtcpSocket* s, uint length)
    {
        if (c->Has(ConnectionFlags.WaitsForCredit | ConnectionFlags.WaitsForPool) || !_host.HasRoom(c))
        {
            return false;
        }

        int wanted = PoolHalf.ClassFor(length);
        if (!_host.TryReserve(c, wanted > s->RxClass ? wanted : s->RxClass, out s->Open))
        {
            s->Open = default;
            return false;
        }

        s->Filled = 0;
        return true;
    }

    /// <summary>Gives the guest the chunk that was being filled.</summary>
    private void Hand(Connection* c, MtcpSocket* s)
    {
        if (s->Open.Start == null || s->Filled == 0)
        {
            return;
        }

        if (s->RxClass > 0 && s->Filled <= PoolHalf.BytesOf(s->RxClass - 1))
        {
            s->RxClass--;
        }

        _host.Deliver(c, in s->Open, s->Filled);
        s->Open = default;
        s->Filled = 0;
    }

    /// <summary>A guest that has fallen behind gets full chunks: it has few entries, and should not spend them on crumbs.</summary>
    private void HandUnlessHeld(Connection* c, MtcpSocket* s)
    {
        if (s->Open.Start == null)
        {
            return;
        }

        bool last = s->T->PeerFinished || s->T->State == TcpState.Closed;
        s->Held = !last && s->Filled < s->Open.Capacity && StackHost.MayHold(c);
        if (!s->Held)
        {
            Hand(c, s);
        }
    }

    private void RunConnected(Connection* c, MtcpSocket* s)
    {
        Tcb* t = s->T;
        TellSends(c, s);
        HandUnlessHeld(c, s);
        if (t->Unread != 0 && !c->Has(ConnectionFlags.WaitsForCredit | ConnectionFlags.WaitsForPool))
        {
            _tcp.Pull(t);
            HandUnlessHeld(c, s);
        }

        _tcp.Reopen(t);

        bool broken = t->State == TcpState.Closed && t->Error != 0;
        if (broken)
        {
            _host.FailSends(c, t->Error); // Also when nobody reads: a program may be waiting to write.
            s->Told = c->SendTail;
        }

        if (t->Unread != 0 || s->Open.Start != null)
        {
            return; // What had arrived comes first.
        }

        if (broken)
        {
            _host.Reset(c, t->Error);
        }
        else if (t->AtEnd)
        {
            _host.PeerClosed(c);
        }
    }

    /// <summary>Tells the stack of Sends that were queued since.</summary>
    private void TellSends(Connection* c, MtcpSocket* s)
    {
        Tcb* t = s->T;
        if (s->Told != c->SendTail)
        {
            if (!t->CanSend)
            {
                int error = t->Error != 0 ? t->Error : Libc.EPIPE;
                if (s->Told == c->SendHead)
                {
                    _host.FailSends(c, error);
                    s->Told = c->SendTail;
                }

                return; // Else those before them are still being acknowledged.
            }

            uint bytes = 0;
            bool more = false;
            for (; s->Told != c->SendTail; s->Told++)
            {
                PendingSend send = c->SendAt(s->Told);
                bytes += send.Size;
                more = send.More;
            }

            _tcp.Write(t, bytes, more);
        }

        if (s->Has(MtcpFlags.ShutdownWanted))
        {
            _tcp.Shutdown(t);
        }
    }
}
