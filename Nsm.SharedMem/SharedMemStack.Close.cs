using NetKernel.Channel;
using NetKernel.Channel.Host;
using NetKernel.ServiceLib;

namespace NetKernel.Nsm.SharedMem;

/// <content>The end of a connection. A graceful close first moves what is queued; how long a peer that does not read can delay that is bounded.</content>
public sealed unsafe partial class SharedMemStack
{
    /// <inheritdoc/>
    public void Close(Connection* c, bool abort)
    {
        SharedSocket* s = (SharedSocket*)c->State;
        if (s->Has(SharedFlags.Datagram))
        {
            _datagrams.Remove(s); // nobody reads what still comes
            return;
        }

        if (abort || (s->Options.LingerOn != 0 && s->Options.LingerSeconds == 0))
        {
            s->Set(SharedFlags.Abort); // SO_LINGER with 0 seconds asks for a reset
        }

        if (LeaveRing(s))
        {
            s->Set(SharedFlags.Abort); // unread data, as in the RX pool
        }

        if (s->Peer != null && s->Peer->Self->SendCount != 0)
        {
            _host.Schedule(s->Peer->Self); // it waited for this side to read, and will meet nobody
        }
    }

    /// <inheritdoc/>
    public void Drop(Connection* c)
    {
        SharedSocket* s = (SharedSocket*)c->State;
        if (s->Has(SharedFlags.Datagram))
        {
            _datagrams.Remove(s);
            return;
        }

        Leave(s, reset: true);
    }

    private void RunClose(Connection* c, SharedSocket* s)
    {
        if (s->Phase == Phase.Connected && s->Error == 0)
        {
            Flush(c, s); // also before a reset: what the program has sent is on its way by then
            if (!s->Has(SharedFlags.Abort) && (c->SendCount != 0 || s->Embryo != null))
            {
                if (s->Embryo == null)
                {
                    SetTime(s, CloseTimeOf(s));
                }

                return;
            }

            if (!s->Has(SharedFlags.Abort) && s->Error == 0 && !EndData(c, s))
            {
                return;
            }
        }

        if (s->Phase == Phase.Waiting || s->Has(SharedFlags.ConnectOver))
        {
            _host.CompleteAddress(c, Op.ConnectDone, Libc.ECONNABORTED, default);
        }

        if (s->Ends != null)
        {
            Count(s);
        }

        Leave(s, s->Has(SharedFlags.Abort));
        _host.FailSends(c, Libc.ECONNRESET);
        _host.Closed(c);
    }

    /// <summary>Takes a socket out of everything that knows it; its peer sees a reset, or that nobody is there any more.</summary>
    private void Leave(SharedSocket* s, bool reset)
    {
        ClearTime(s);
        LeaveDirect(s);
        if (s->Phase == Phase.Listening)
        {
            StopListening(s);
        }

        if (s->Listener != null)
        {
            LeaveQueue(s);
        }

        _ports.RemoveClient(s);
        if (IsDeferred(s))
        {
            Embryo* e = s->Embryo;
            Undefer(e);
            Free(e);
            s->Embryo = null;
        }
        else if (s->Embryo != null)
        {
            s->Embryo->Client = null;
            s->Embryo = null;
        }

        SharedSocket* p = s->Peer;
        if (p == null)
        {
            return;
        }

        p->Peer = null;
        s->Peer = null;
        p->Set(SharedFlags.PeerGone);
        bool over = p->Has(SharedFlags.ShutdownDone) && s->Has(SharedFlags.ShutdownDone); // TIME-WAIT on the other side: nothing is heard any more
        if (reset && !over)
        {
            Break(p, ErrorOfReset(p));
        }
        else if (p->Self->SendCount != 0 || p->Self->Has(ConnectionFlags.Closing))
        {
            _host.Schedule(p->Self);
        }
    }

    /// <summary>The connection of a socket has ended with an error: its turn tells it.</summary>
    private void Break(SharedSocket* s, int error)
    {
        if (s->Error == 0)
        {
            s->Error = error;
        }

        _host.Schedule(s->Self);
    }

    /// <summary>As Linux says it (tcp_reset): EPIPE after the peer's end of data, ECONNRESET else.</summary>
    private static int ErrorOfReset(SharedSocket* s) =>
        s->Self->Has(ConnectionFlags.EndTold) && !s->Has(SharedFlags.ShutdownDone) ? Libc.EPIPE : Libc.ECONNRESET;
}
