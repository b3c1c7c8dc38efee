namespace NetKernel.Stack;

/// <content>Arriving segments: to their connection, through the checks that all states share (RFC 9293, 3.10.7.4; RFC 5961; RFC 7323).</content>
public sealed unsafe partial class TcpLayer
{
    /// <summary>RFC 7323, 5.5: a timestamp older than this says nothing any more.</summary>
    private const long PawsIdle = 24L * 86400 * 1_000_000;

    /// <summary>RFC 5961, 7: challenge ACKs per second, and per connection one in this time.</summary>
    private const int ChallengesPerSecond = 1000;
    private long _challengeWindow;
    private int _challenges;

    internal void Receive(byte* data, uint size, in Packet packet)
    {
        _counters.SegmentsIn += packet.Visited == 0 ? 1u : 0;
        TcpSegment s = default;
        s.Source = packet.Source;
        s.Destination = packet.Destination;
        s.Ecn = (byte)(packet.Tos & 3);
        s.Ttl = packet.Ttl;
        s.GsoSize = packet.GsoSize;
        if (!TcpSegment.TryParse(data, size, ref s, out DropReason reason))
        {
            _counters.Drop(reason);
            return;
        }

        if (s.IsSigned)
        {
            _counters.Drop(DropReason.TcpSigned); // As Linux does for sockets without a key.
            return;
        }

        Dispatch(ref s, in packet);
    }

    private void Dispatch(ref TcpSegment s, in Packet packet)
    {
        Tcb* t = Find(s.Destination, s.Source, s.DestinationPort, s.SourcePort, out uint hash);
        if (t != null)
        {
            t->SegmentsIn++;
            t->LastReceived = Now;
            if (t->State == TcpState.SynSent)
            {
                SynSentSegment(t, ref s);
            }
            else
            {
                Segment(t, ref s);
            }

            return;
        }

        uint leastIss = 0;
        TimeWait* w = _timeWaits.Find(s.Destination, s.Source, s.DestinationPort, s.SourcePort);
        if (w != null && !TimeWaitSegment(w, ref s, out leastIss))
        {
            return;
        }

        // Among shards, a segment that opens nothing is for a listener only when none of them has its connection.
        bool opens = s.Has(TcpFlag.Syn) && !s.Has(TcpFlag.Ack);
        Tcb* listener = opens || _stack.IsSecondRound(in packet) ? FindListener(s.Destination, s.DestinationPort, hash) : null;
        if (listener == null && _stack.PassOn(in packet, opens || s.Has(TcpFlag.Rst) ? 1u : 2u))
        {
            return;
        }

        if (listener != null)
        {
            ListenSegment(listener, ref s, leastIss);
            return;
        }

        _counters.Drop(DropReason.TcpNoSocket);
        ResetFor(in s);
    }

    /// <summary>RFC 9293, 3.10.7.3.</summary>
    private void SynSentSegment(Tcb* t, ref TcpSegment s)
    {
        if (s.Has(TcpFlag.Ack) && (Seq.AtMost(s.Ack, t->Iss) || Seq.After(s.Ack, t->SndNxt)))
        {
            ResetFor(in s);
            return;
        }

        if (s.Has(TcpFlag.Rst))
        {
            if (s.Has(TcpFlag.Ack))
            {
                End(t, Errno.ConnectionRefused);
            }

            return;
        }

        if (!s.Has(TcpFlag.Syn))
        {
            _counters.Drop(DropReason.TcpUnexpected);
            return;
        }

        TakeSyn(t, in s);
        if (!s.Has(TcpFlag.Ack))
        {
            // Simultaneous open (3.5, figure 8): our SYN goes out once more, with an ACK.
            t->State = TcpState.SynReceived;
            SendSyn(t);
            return;
        }

        t->State = TcpState.SynReceived;
        Synchronised(t, ref s);
        if (t->State != TcpState.Closed)
        {
            t->Flags |= TcbFlag.AckNow;
            Pend(t);
        }
    }

    /// <summary>Every other state: 3.10.7.4.</summary>
    private void Segment(Tcb* t, ref TcpSegment s)
    {
        // RFC 7323, 5.3, R1: PAWS comes before everything else.
        if (t->IsFlag(TcbFlag.Timestamps))
        {
            if (s.HasTimestamp)
            {
                if (Seq.Before(s.TsValue, t->TsRecent) && Now - t->TsRecentTime < PawsIdle && !s.Has(TcpFlag.Rst))
                {
                    _counters.Drop(DropReason.TcpPaws);
                    NoteDuplicate(t, in s);
                    AckSoon(t);
                    return;
                }
            }
            else if (!s.Has(TcpFlag.Rst))
            {
                _counters.Drop(DropReason.TcpPaws); // RFC 7323, 3.2: a segment without the option is dropped.
                return;
            }
        }

        // First, the sequence number.
        uint window = t->RcvAdv - t->RcvNxt;
        bool acceptable = s.Span == 0
            ? (s.Seq == t->RcvNxt || Seq.AtLeast(s.Seq, t->RcvNxt)) && (window == 0 ? s.Seq == t->RcvNxt : Seq.AtMost(s.Seq, t->RcvAdv))
            : Seq.After(s.End, t->RcvNxt) && (Seq.Before(s.Seq, t->RcvAdv) || s.Seq == t->RcvNxt);
        if (!acceptable)
        {
            bool early = (t->FastOpen & FastOpenBit.Early) != 0;
            if ((t->State == TcpState.SynReceived || early) && s.Has(TcpFlag.Syn) && !s.Has(TcpFlag.Rst) && s.Seq == t->Irs)
            {
                if (!early && s.Has(TcpFlag.Ack) && Seq.After(s.Ack, t->Iss) && Seq.AtMost(s.Ack, t->SndNxt))
                {
                    Synchronised(t, ref s); // Simultaneous open: the peer's SYN-ACK.
                    return;
                }

                SendSyn(t); // Our SYN-ACK was lost.
                return;
            }

            if (!s.Has(TcpFlag.Rst))
            {
                _counters.Drop(DropReason.TcpOutOfWindow);
                NoteDuplicate(t, in s);

                // What the peer acknowledges with an old segment is still news (Linux and BSD take it too); data is not.
                if (s.Has(TcpFlag.Ack) && s.Span != 0 && Seq.AtMost(s.End, t->RcvNxt) && t->State != TcpState.SynReceived && IsAckPlausible(t, in s))
                {
                    TakeAck(t, ref s);
                }

                if (t->State != TcpState.Closed)
                {
                    AckSoon(t);
                }
            }

            return;
        }

        // Second, RST; RFC 5961, 3.2: only the exact number ends a connection.
        if (s.Has(TcpFlag.Rst))
        {
            if (s.Seq == t->RcvNxt)
            {
                ResetReceived(t);
            }
            else
            {
                Challenge(t);
            }

            return;
        }

        // Fourth, SYN; RFC 5961, 4.2.
        if (s.Has(TcpFlag.Syn))
        {
            if (t->State == TcpState.SynReceived && s.Seq == t->Irs)
            {
                SendSyn(t);
            }
            else
            {
                Challenge(t);
            }

            return;
        }

        // Fifth, ACK.
        if (!s.Has(TcpFlag.Ack))
        {
            _counters.Drop(DropReason.TcpUnexpected);
            return;
        }

        UpdateTimestamp(t, in s);
        if (t->State == TcpState.SynReceived)
        {
            if (!Seq.After(s.Ack, t->SndUna) || Seq.After(s.Ack, t->SndNxt))
            {
                ResetFor(in s);
                return;
            }

            if (t->Parent != null && IsFull(t->Parent))
            {
                _counters.Drop(DropReason.TcpBacklog); // As on Linux: it stays half-open, and the SYN-ACK is sent again.
                return;
            }

            if (Defers(t, in s))
            {
                return;
            }

            Synchronised(t, ref s);
            return;
        }

        bool unconfirmed = (t->FastOpen & FastOpenBit.Early) != 0;
        if (!IsAckPlausible(t, in s) || (unconfirmed && Seq.AtMost(s.Ack, t->Iss)))
        {
            _counters.Drop(DropReason.TcpBadAck);
            Challenge(t);
            return;
        }

        if (unconfirmed)
        {
            Confirm(t);
        }

        TakeAck(t, ref s);
        if (t->State != TcpState.Closed)
        {
            TakeText(t, ref s);
        }
    }

    /// <summary>RFC 5961, 5.2.</summary>
    private static bool IsAckPlausible(Tcb* t, in TcpSegment s) =>
        Seq.AtMost(s.Ack, t->SndNxt) && Seq.AtLeast(s.Ack, t->SndUna - t->MaxWnd);

    /// <summary>The handshake is over: our SYN is acknowledged.</summary>
    private void Synchronised(Tcb* t, ref TcpSegment s)
    {
        uint early = LearnFastOpen(t, in s);
        t->SndUna = t->Iss + 1 + early;
        t->SndNxt = t->SndUna;
        t->HighSeq = t->FackSeq = t->SmallEnd = t->SndUna;
        t->SndWnd = s.Has(TcpFlag.Syn) ? s.Window : (uint)s.Window << t->SndScale; // RFC 7323, 2.2
        t->MaxWnd = t->SndWnd;
        t->SndWl1 = s.Seq;
        t->SndWl2 = s.Ack;
        t->State = TcpState.Established;
        t->LastAckReceived = Now;
        StopRetransmit(t);
        if (s.HasTimestamp && t->IsFlag(TcbFlag.Timestamps) && s.TsEcho != 0 && t->SynRetries != 0)
        {
            MeasureRtt(t, Math.Max(1, (long)((uint)(Now / 1000) + t->TsOffset - s.TsEcho)) * 1000);
        }
        else if (t->SynRetries == 0 && t->LastSent != 0)
        {
            MeasureRtt(t, Now - t->LastSent);
        }
        else if (t->SynRetries != 0)
        {
            t->Rto = 3_000_000; // RFC 6298, 5.7
        }

        InitWindow(t);
        t->TuneTime = Now;
        t->QuickAcks = 16;
        if (early != 0)
        {
            t->BytesAcked += early;
            if (t->User != null)
            {
                _user.Acked(t, early);
            }
        }

        if (t->IsFlag(TcbFlag.KeepAlive))
        {
            StartLife(t, t->KeepIdle * 1_000_000L);
        }
        else
        {
            _stack.Wheel.Cancel(&t->LifeTimer);
        }

        if (t->Parent != null)
        {
            BecomeReady(t);
        }
        else
        {
            Tell(t);
        }

        Pend(t);
        if (t->State == TcpState.Established && !s.Has(TcpFlag.Syn) && s.Span != 0)
        {
            TakeText(t, ref s);
        }
    }

    /// <summary>RFC 9293, 3.10.7.4, second.</summary>
    private void ResetReceived(Tcb* t)
    {
        switch (t->State)
        {
            case TcpState.SynReceived:
                End(t, Errno.ConnectionRefused); // A listener's child has no owner: it is forgotten.
                break;
            case TcpState.CloseWait:
                End(t, Errno.BrokenPipe);
                break;
            case TcpState.Closing or TcpState.LastAck:
                End(t, t->User != null && t->Buffered != 0 ? Errno.ConnectionReset : 0);
                break;
            default:
                End(t, Errno.ConnectionReset);
                break;
        }
    }

    /// <summary>RFC 7323, 4.3: (2) and (3).</summary>
    private void UpdateTimestamp(Tcb* t, in TcpSegment s)
    {
        if (s.HasTimestamp && t->IsFlag(TcbFlag.Timestamps) && Seq.AtMost(s.Seq, t->LastAckSent) && Seq.AtLeast(s.TsValue, t->TsRecent))
        {
            t->TsRecent = s.TsValue;
            t->TsRecentTime = Now;
        }
        else if (s.HasTimestamp && t->IsFlag(TcbFlag.Timestamps) && Now - t->TsRecentTime >= PawsIdle)
        {
            t->TsRecent = s.TsValue;
            t->TsRecentTime = Now;
        }
    }

    /// <summary>RFC 5961, 10: an ACK that makes an honest peer say what it means, and tells a blind one nothing; counted out.</summary>
    private void Challenge(Tcb* t)
    {
        if (Now - _challengeWindow > 1_000_000)
        {
            _challengeWindow = Now;

            // A little noise in the limit, so that it cannot be used to count (the remedy for CVE-2016-5696).
            _challenges = (int)_random.Below(ChallengesPerSecond / 2);
        }

        if (_challenges < ChallengesPerSecond)
        {
            _challenges++;
            _counters.ChallengeAcks++;
            SendAck(t);
        }
    }

    /// <summary>An ACK for something that was not acceptable: counted out as a challenge, because two peers out of step would answer each other for ever.</summary>
    private void AckSoon(Tcb* t) => Challenge(t);

    /// <summary>RFC 9293, 3.10.7.1: a segment that belongs to nobody.</summary>
    private void ResetFor(in TcpSegment s)
    {
        if (s.Has(TcpFlag.Rst))
        {
            return;
        }

        _counters.ResetsSent++;
        if (s.Has(TcpFlag.Ack))
        {
            SendRaw(s.Destination, s.Source, s.DestinationPort, s.SourcePort, s.Ack, 0, TcpFlag.Rst, 0, 0, 0, 64);
        }
        else
        {
            SendRaw(s.Destination, s.Source, s.DestinationPort, s.SourcePort, 0, s.End, TcpFlag.Rst | TcpFlag.Ack, 0, 0, 0, 64);
        }
    }

    internal bool HasSentTo(in Address local, in Address remote, ushort localPort, ushort remotePort, uint seq)
    {
        // RFC 5927, 4.1: the quoted number must be in flight.
        Tcb* t = Find(local, remote, localPort, remotePort, out _);
        return t != null && Seq.AtLeast(seq, t->SndUna) && Seq.AtMost(seq, t->SndNxt);
    }

    /// <summary>ICMP about a connection: soft errors are remembered (RFC 1122, 4.2.3.9), and end only an attempt to connect.</summary>
    internal void ReceiveError(in Address local, in Address remote, ushort localPort, ushort remotePort, int errno, uint mtu)
    {
        Tcb* t = Find(local, remote, localPort, remotePort, out _);
        if (t == null)
        {
            return;
        }

        if (mtu != 0)
        {
            LowerMss(t);
            return;
        }

        // RFC 5461, 4: while connecting, an error is the answer. Afterwards none of them ends a connection (RFC 5927, 5.2).
        if (t->State is TcpState.SynSent)
        {
            End(t, errno);
        }
        else
        {
            t->SoftError = errno;
        }
    }
}
