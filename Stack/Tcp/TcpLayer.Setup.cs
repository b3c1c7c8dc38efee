namespace NetKernel.Stack;

/// <content>What a connection begins with: initial numbers, options, windows.</content>
public sealed unsafe partial class TcpLayer
{
    private const uint DefaultMss = 536, DefaultMss6 = 1220; // RFC 9293, 3.7.1
    private const long InitialRto = 1_000_000; // RFC 6298, 2.1

    /// <summary>RFC 6528, 3: a clock of 4 microseconds, and a keyed hash of the connection.</summary>
    private uint NewIss(Tcb* t) => (uint)(Now >> 2) + (uint)_random.Hash(t->Local, t->Remote, t->LocalPort, t->RemotePort, 0);

    /// <summary>RFC 7323, 5.4: a timestamp clock of its own per pair of hosts.</summary>
    private uint TsOffsetOf(in Address local, in Address remote) => (uint)_random.Hash(local, remote, 0, 0, 2);

    private void InitSending(Tcb* t, uint iss)
    {
        t->Iss = t->SndUna = t->SndNxt = iss;
        t->WriteSeq = iss + 1;
        t->HighSeq = t->FackSeq = t->SmallEnd = t->CwrEnd = iss + 1;
        t->Rto = InitialRto;
        t->PeerMss = (ushort)(t->Remote.IsV4 ? DefaultMss : DefaultMss6);
        t->TsOffset = TsOffsetOf(t->Local, t->Remote);
        t->Mss = (ushort)Math.Min(t->PeerMss, OwnMss(t->Remote, t->UserMss));
        t->Ssthresh = int.MaxValue;
        t->Cwnd = t->Mss;
        t->RackWindowMult = 1;
        t->Srtt = 0;
        t->MinRtt = long.MaxValue;
    }

    private void InitReceiving(Tcb* t)
    {
        t->RcvBuf = t->UserReceiveBuffer != 0 ? t->UserReceiveBuffer : _options.InitialReceiveBuffer;
        t->RcvScale = (byte)OwnScale();
        t->RcvMss = DefaultMss;
    }

    private uint InitialWindow(Tcb* t)
    {
        uint buffer = t->UserReceiveBuffer != 0 ? t->UserReceiveBuffer : _options.InitialReceiveBuffer;
        return buffer > 65535 ? 65535 : buffer;
    }

    /// <summary>The scale that makes the largest buffer expressible (RFC 7323, 2.3).</summary>
    private uint OwnScale()
    {
        uint scale = 0;
        while (scale < 14 && _options.MaxReceiveBuffer >> (int)scale > 65535)
        {
            scale++;
        }

        return scale;
    }

    /// <summary>What we tell the peer (RFC 9293, 3.7.1; RFC 6691): the link's MTU less the fixed headers.</summary>
    private uint OwnMss(in Address remote, ushort userMss)
    {
        uint headers = remote.IsV4 ? (uint)(Field.V4Length + Field.TcpLength) : Field.V6Length + Field.TcpLength;
        uint mss = _stack.Link.Mtu - headers;
        mss = mss > 65495 ? 65495 : mss;
        return userMss != 0 && userMss < mss ? userMss : mss;
    }

    /// <summary>Takes what a SYN says: number, options.</summary>
    private void TakeSyn(Tcb* t, in TcpSegment s)
    {
        t->Irs = s.Seq;
        t->RcvNxt = t->RcvRead = s.Seq + 1;
        t->LastAckSent = t->RcvNxt;
        t->RcvAdv = t->RcvNxt + InitialWindow(t);
        t->PeerMss = s.Mss != 0 ? s.Mss : (ushort)(t->Remote.IsV4 ? DefaultMss : DefaultMss6);
        if (t->PeerMss < 64)
        {
            t->PeerMss = 64; // A tiny one would make each byte cost a packet.
        }

        t->Flags &= ~(TcbFlag.Timestamps | TcbFlag.Sack | TcbFlag.WindowScale);
        if (s.HasTimestamp)
        {
            t->Flags |= TcbFlag.Timestamps;
            t->TsRecent = s.TsValue;
            t->TsRecentTime = Now;
        }

        if (s.SackPermitted)
        {
            t->Flags |= TcbFlag.Sack;
        }

        if (s.WindowScale >= 0)
        {
            t->Flags |= TcbFlag.WindowScale;
            t->SndScale = (byte)s.WindowScale;
        }
        else
        {
            t->SndScale = 0;
            t->RcvScale = 0; // RFC 7323, 2.2: both or neither.
        }

        // RFC 3168, 6.1.1: a SYN with both bits asks, a SYN-ACK with ECE alone agrees.
        byte ecn = (byte)(s.Flags & (TcpFlag.Ece | TcpFlag.Cwr));
        if (s.Has(TcpFlag.Ack))
        {
            if (ecn != TcpFlag.Ece)
            {
                t->Flags &= ~TcbFlag.Ecn;
            }
        }
        else if (t->IsFlag(TcbFlag.Accepted) && ecn == (TcpFlag.Ece | TcpFlag.Cwr))
        {
            t->Flags |= TcbFlag.Ecn;
        }

        t->SndWnd = s.Window;
        t->MaxWnd = s.Window;
        t->SndWl1 = s.Seq;
        SetMss(t);
    }

    /// <summary>What fits into a segment towards the peer, without the options that every segment has (RFC 6691).</summary>
    private void SetMss(Tcb* t)
    {
        uint headers = t->Remote.IsV4 ? (uint)(Field.V4Length + Field.TcpLength) : Field.V6Length + Field.TcpLength;
        uint mtu = _stack.MtuTo(t->Remote);
        mtu = t->BlackHoleMtu != 0 && t->BlackHoleMtu < mtu ? t->BlackHoleMtu : mtu;
        uint mss = mtu - headers;
        mss = mss < t->PeerMss ? mss : t->PeerMss;
        mss = t->UserMss != 0 && t->UserMss < mss ? t->UserMss : mss;
        mss -= t->IsFlag(TcbFlag.Timestamps) ? 12u : 0;
        t->Mss = (ushort)(mss < 48 ? 48 : mss);
    }

    /// <summary>RFC 6928, 2: ten segments.</summary>
    private void InitWindow(Tcb* t)
    {
        SetMss(t);
        t->Cwnd = Math.Min(10u * t->Mss, Math.Max(2u * t->Mss, 14600));
        if (t->SynRetries > 1)
        {
            t->Cwnd = t->Mss; // RFC 5681, 3.1: a lost SYN shows congestion (RFC 6298, 5.7).
        }

        t->Ssthresh = int.MaxValue;
        t->DeliveredTime = t->FirstSentTime = Now;
        t->CaState = CaState.Open;
        CongestionControl.Of(t).Init(t);
    }

    /// <summary>ICMP said that the path is narrower: smaller segments, and what was too large again (RFC 1191, 6.4; RFC 8201, 5.4).</summary>
    private void LowerMss(Tcb* t)
    {
        uint before = t->Mss;
        SetMss(t);
        if (t->Mss >= before || t->State is TcpState.SynSent or TcpState.SynReceived)
        {
            return;
        }

        // No sign of congestion: the window stays.
        for (TxSegment* s = t->TxFirst; s != null; s = s->Next)
        {
            if (!s->Is(TxSegment.Sacked) && s->Length > t->Mss)
            {
                MarkLost(t, s);
            }
        }

        Pend(t);
    }
}
