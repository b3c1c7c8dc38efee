namespace NetKernel.Stack;

/// <content>Listeners (RFC 9293, 3.10.7.2), half-open connections and their acceptance.</content>
public sealed unsafe partial class TcpLayer
{
    /// <summary>The listener for an address and port: of several with SO_REUSEPORT, the one that the peer's hash picks.</summary>
    private Tcb* FindListener(in Address local, ushort port, uint hash)
    {
        Tcb* found = null;
        uint count = 0;
        for (Tcb* t = _bound[BoundBucket(local, port)]; t != null; t = t->BindNext)
        {
            if (t->State == TcpState.Listen && t->LocalPort == port && t->Local == local)
            {
                count++;
                if (found == null || (uint)(((ulong)(hash * 2654435761u) * count) >> 32) == 0)
                {
                    found = t;
                }
            }
        }

        return found;
    }

    private void ListenSegment(Tcb* listener, ref TcpSegment s, uint leastIss)
    {
        if (s.Has(TcpFlag.Rst))
        {
            return; // First: an incoming RST is ignored.
        }

        if (s.Has(TcpFlag.Ack))
        {
            // Second: an ACK here is either the answer to a cookie or nonsense.
            if (s.Has(TcpFlag.Syn) || !TakeCookie(listener, ref s))
            {
                RefuseOrWait(in s);
            }

            return;
        }

        if (!s.Has(TcpFlag.Syn))
        {
            _counters.Drop(DropReason.TcpUnexpected);
            return;
        }

        if (IsFull(listener))
        {
            _counters.Drop(DropReason.TcpBacklog); // The peer tries again.
            return;
        }

        uint mostEmbryos = listener->Backlog > 16 ? listener->Backlog : 16;
        Tcb* t = _options.AlwaysCookies || listener->Embryos.Count >= mostEmbryos ? null : NewChild(listener, in s);
        if (t == null)
        {
            SendCookie(listener, in s); // RFC 4987, 3.6: under a flood nothing is kept.
            return;
        }

        uint iss = NewIss(t);
        InitSending(t, leastIss != 0 && Seq.Before(iss, leastIss) ? leastIss : iss);
        InitReceiving(t);
        TakeSyn(t, in s);
        if (TakeFastOpen(listener, t, ref s))
        {
            return;
        }

        t->State = TcpState.SynReceived;
        t->Flags |= TcbFlag.Embryo;
        listener->Embryos.Add(t);
        Enter(t);
        SendSyn(t);
    }

    /// <summary>listen(2), as Linux has it: one more than the backlog may wait.</summary>
    private static bool IsFull(Tcb* listener) => listener->Ready.Count + listener->Held > listener->Backlog;

    private Tcb* NewChild(Tcb* listener, in TcpSegment s)
    {
        Tcb* t = New();
        if (t == null)
        {
            return null;
        }

        t->Local = s.Destination;
        t->LocalPort = s.DestinationPort;
        t->Remote = s.Source;
        t->RemotePort = s.SourcePort;
        t->Parent = listener;
        t->Flags = TcbFlag.Accepted | (listener->Flags & (TcbFlag.NoDelay | TcbFlag.Cork | TcbFlag.KeepAlive));
        t->Congestion = listener->Congestion;
        t->Tos = listener->Tos;
        t->Ttl = listener->Ttl;
        t->KeepIdle = listener->KeepIdle;
        t->KeepInterval = listener->KeepInterval;
        t->KeepCount = listener->KeepCount;
        t->UserTimeout = listener->UserTimeout;
        t->UserMss = listener->UserMss;
        t->UserReceiveBuffer = listener->UserReceiveBuffer;
        t->MaxPacingRate = listener->MaxPacingRate;
        return t;
    }

    /// <summary>The handshake of a listener's child is complete.</summary>
    private void BecomeReady(Tcb* t)
    {
        Tcb* listener = t->Parent;
        if (t->IsFlag(TcbFlag.Embryo))
        {
            listener->Embryos.Remove(t);
            t->Flags &= ~TcbFlag.Embryo;
        }

        listener->Ready.Add(t);
        Tell(listener);
    }
}
