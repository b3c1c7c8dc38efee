using NetKernel.Channel;
using NetKernel.Channel.Host;
using NetKernel.ServiceLib;
using NetKernel.Stack;

namespace NetKernel.Nsm.Mtcp;

/// <content>
/// The end of a connection. A graceful close waits until the peer has acknowledged what the guest sent, because it lies in the guest's memory; FIN and what
/// follows are then the stack's own affair. A peer that takes nothing can delay that for a minute.
/// </content>
internal sealed unsafe partial class MtcpStack
{
    private const uint CloseTimeoutMs = 60_000;

    public void Close(Connection* c, bool abort)
    {
        MtcpSocket* s = (MtcpSocket*)c->State;
        if (s->Has(MtcpFlags.Datagram))
        {
            return; // Run sends what is queued.
        }

        // SO_LINGER with 0 seconds asks for RST at close(2); so does data that nobody has read (RFC 2525, 2.17).
        if (abort || (s->LingerOn != 0 && s->LingerSeconds == 0) || s->Filled != 0 || (s->Phase == Phase.Connected && s->T->Unread != 0))
        {
            s->Flags |= MtcpFlags.Abort;
        }

        ReturnOpen(c, s);
    }

    public void Drop(Connection* c)
    {
        MtcpSocket* s = (MtcpSocket*)c->State;
        CloseDatagrams(s);
        DropEarlyOptions(s);
        ReturnOpen(c, s);
        EndHalf(s->T4);
        EndHalf(s->T);
        s->T = s->T4 = null;
    }

    private void EndHalf(Tcb* t)
    {
        if (t != null)
        {
            _tcp.Abort(t);
        }
    }

    private void ReturnOpen(Connection* c, MtcpSocket* s)
    {
        if (s->Open.Start != null)
        {
            _host.Return(c, in s->Open);
            s->Open = default;
            s->Filled = 0;
        }
    }

    private void RunClose(Connection* c, MtcpSocket* s)
    {
        Tcb* t = s->T;
        if (s->Phase == Phase.Accepting)
        {
            return; // Its answer schedules it again.
        }

        if (s->Phase == Phase.Connected)
        {
            TellSends(c, s);
            if (!s->Has(MtcpFlags.Abort) && t->State != TcpState.Closed)
            {
                _tcp.Shutdown(t);
                if (t->UserTimeout == 0)
                {
                    t->UserTimeout = CloseTimeoutMs;
                }

                bool lingers = s->LingerOn != 0 && !t->IsAllAcked;
                if (c->SendCount != 0 || t->Buffered != 0 || lingers)
                {
                    return; // An acknowledgement or an error schedules it again.
                }
            }
        }
        else if (s->Phase == Phase.Connecting)
        {
            _host.CompleteAddress(c, Op.ConnectDone, Libc.ECONNABORTED, default);
        }

        if (s->T4 != null)
        {
            _tcp.Detach(s->T4);
        }

        if (s->Has(MtcpFlags.Abort) && s->Phase == Phase.Connected)
        {
            // What the program has sent is on its way by then.
            _tcp.SendNow(t);
            _tcp.Abort(t);
        }
        else
        {
            _tcp.Detach(t);
        }

        s->T = s->T4 = null;
        _host.FailSends(c, Libc.ECONNRESET);
        _host.Closed(c);
    }
}
