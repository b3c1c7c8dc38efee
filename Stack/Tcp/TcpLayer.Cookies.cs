namespace NetKernel.Stack;

/// <content>
/// SYN cookies (RFC 4987, 3.6): the initial sequence number is a keyed hash of the connection, the minute and an MSS class; window scale,
/// SACK and ECN travel in the low bits of our timestamp, which the peer echoes. Nothing is kept until the third segment.
/// </content>
public sealed unsafe partial class TcpLayer
{
    private const long CookieMinute = 64_000_000;
    private const uint CookieTsMask = 63;
    private static readonly ushort[] CookieMss = [536, 1220, 1300, 1360, 1440, 1460, 4312, 8960];
    private long _lastCookie;

    private void SendCookie(Tcb* listener, in TcpSegment s)
    {
        int mss = 0;
        for (int i = 1; i < CookieMss.Length && CookieMss[i] <= (s.Mss == 0 ? 536 : s.Mss); i++)
        {
            mss = i;
        }

        uint minute = (uint)(Now / CookieMinute);
        uint cookie = CookieOf(s.Destination, s.Source, s.DestinationPort, s.SourcePort, s.Seq, minute, mss);
        byte* options = _stack.TransportHeader + Field.TcpLength;
        byte* p = options;
        uint ownMss = OwnMss(s.Source, listener->UserMss);
        p[0] = TcpOption.Mss;
        p[1] = 4;
        Wire.U16(p + 2, ownMss);
        p += 4;
        if (s.HasTimestamp)
        {
            uint scale = s.WindowScale >= 0 ? (uint)s.WindowScale : 15;
            uint clock = (uint)(Now / 1000) + TsOffsetOf(s.Destination, s.Source);
            uint value = (clock & ~CookieTsMask) | scale | (s.SackPermitted ? 16u : 0);
            value -= Seq.After(value, clock) ? CookieTsMask + 1 : 0;
            *(uint*)p = TcpSegment.TimestampPrefix;
            Wire.U32(p + 4, value);
            Wire.U32(p + 8, s.TsValue);
            p += 12;
            if (s.WindowScale >= 0)
            {
                Wire.U32(p, 0x01030300u | OwnScale());
                p += 4;
            }

            if (s.SackPermitted)
            {
                Wire.U32(p, 0x01010402);
                p += 4;
            }
        }

        _counters.CookiesSent++;
        _lastCookie = Now;
        uint window = InitialWindow(listener);
        SendRaw(s.Destination, s.Source, s.DestinationPort, s.SourcePort, cookie, s.Seq + 1, TcpFlag.Syn | TcpFlag.Ack,
            (ushort)(window > 65535 ? 65535 : window), (uint)(p - options), listener->Tos, listener->Ttl);
    }

    /// <summary>
    /// An ACK that answers no cookie is reset (RFC 9293, 3.10.7.2). But while cookies are out, it may have overtaken the one that does, and only that one has the number that the cookie was
    /// made of: then it is dropped, and comes again.
    /// </summary>
    private void RefuseOrWait(in TcpSegment s)
    {
        if (s.Has(TcpFlag.Syn) || _lastCookie == 0 || Now - _lastCookie > 2 * CookieMinute)
        {
            ResetFor(in s);
            return;
        }

        _counters.Drop(DropReason.TcpUnexpected);
    }

    /// <summary>A connection from the ACK that answers a cookie; false when it answers none.</summary>
    private bool TakeCookie(Tcb* listener, ref TcpSegment s)
    {
        uint cookie = s.Ack - 1;
        int mss = (int)(cookie & 7);
        uint minute = (uint)(Now / CookieMinute);
        if (CookieOf(s.Destination, s.Source, s.DestinationPort, s.SourcePort, s.Seq - 1, minute, mss) != cookie
            && CookieOf(s.Destination, s.Source, s.DestinationPort, s.SourcePort, s.Seq - 1, minute - 1, mss) != cookie)
        {
            return false;
        }

        if (IsFull(listener))
        {
            _counters.Drop(DropReason.TcpBacklog);
            return true;
        }

        Tcb* t = NewChild(listener, in s);
        if (t == null)
        {
            _counters.Drop(DropReason.NoMemory);
            return true;
        }

        // As if the SYN were here: its options from the cookie and the echoed timestamp.
        TcpSegment syn = s;
        syn.Seq = s.Seq - 1;
        syn.Flags = TcpFlag.Syn;
        syn.Length = 0;
        syn.Mss = CookieMss[mss];
        syn.WindowScale = s.HasTimestamp && (s.TsEcho & 15) != 15 ? (sbyte)(s.TsEcho & 15) : (sbyte)-1;
        syn.SackPermitted = s.HasTimestamp && (s.TsEcho & 16) != 0;
        InitSending(t, cookie);
        InitReceiving(t);
        TakeSyn(t, in syn);
        t->SndUna = cookie;
        t->SndNxt = cookie + 1;
        t->State = TcpState.SynReceived;
        t->Flags |= TcbFlag.Embryo;
        uint window = InitialWindow(t);
        t->RcvAdv = t->RcvNxt + (window > 65535 ? 65535 : window);
        t->LastAckSent = t->RcvNxt;
        listener->Embryos.Add(t);
        Enter(t);
        _counters.CookiesTaken++;
        Synchronised(t, ref s);
        return true;
    }

    private uint CookieOf(in Address local, in Address remote, ushort localPort, ushort remotePort, uint irs, uint minute, int mss)
    {
        uint hash = (uint)_random.Hash(local, remote, localPort, remotePort, ((ulong)irs << 32) | (minute << 4) | (uint)mss | 8);
        return (hash & ~7u) | (uint)mss;
    }
}
