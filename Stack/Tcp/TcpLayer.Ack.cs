namespace NetKernel.Stack;

/// <summary>What one acknowledgement told, for congestion control and the delivery rate (draft-cheng-iccrg-delivery-rate-estimation).</summary>
public struct AckSample
{
    /// <summary>Bytes newly acknowledged in order.</summary>
    public uint Acked;

    /// <summary>Bytes newly known to have arrived, in order or not.</summary>
    public uint Delivered;

    /// <summary>Bytes newly known to be lost.</summary>
    public uint Lost;

    /// <summary>Bytes in flight before it.</summary>
    public uint PriorPipe;

    /// <summary>Round trip, microseconds; -1: none measured.</summary>
    public long Rtt;

    /// <summary>Whether it carried an ECN echo.</summary>
    public bool Ece;

    /// <summary>Bytes delivered over <see cref="Interval"/> microseconds; interval 0: no sample.</summary>
    public ulong RateBytes;

    /// <summary>See <see cref="RateBytes"/>.</summary>
    public long Interval;

    /// <summary>The sender had too little to send when the sample began.</summary>
    public bool IsAppLimited;

    /// <summary>Bytes delivered when the newest segment acknowledged was sent; ulong.MaxValue: none.</summary>
    public ulong PriorDelivered;

    internal long PriorTime, SendElapsed, NewestSent;

    /// <summary>The end of the highest segment that was known to have arrived before it.</summary>
    internal uint PriorFack;

    /// <summary>Something sent before the last timeout, and once only, has arrived (RFC 5682, 3.1, step 3 b).</summary>
    internal bool OriginalArrived;
}

/// <content>Acknowledgements: windows, what they free, round trips (RFC 9293, 3.10.7.4, fifth; RFC 6298).</content>
public sealed unsafe partial class TcpLayer
{
    private void TakeAck(Tcb* t, ref TcpSegment s)
    {
        t->LastAckReceived = Now;
        t->KeepProbes = 0;
        AckSample sample = default;
        sample.Rtt = -1;
        sample.PriorDelivered = ulong.MaxValue;
        sample.NewestSent = -1;
        sample.PriorPipe = t->Pipe;
        sample.PriorFack = t->FackSeq;
        uint delivered = t->DeliveredSegments;
        sample.Ece = s.Has(TcpFlag.Ece) && t->IsFlag(TcbFlag.Ecn);
        bool dsack = false;
        uint before = t->SndUna;
        if (s.SackCount != 0 && t->IsFlag(TcbFlag.Sack))
        {
            dsack = TakeSacks(t, ref s, ref sample);
        }

        bool opened = TakeWindow(t, in s);
        if (Seq.After(s.Ack, before))
        {
            Acknowledge(t, s.Ack, in s, ref sample);
            if (t->State == TcpState.Closed)
            {
                return;
            }
        }

        bool duplicate = s.Ack == before && s.Length == 0 && !opened && !s.Has(TcpFlag.Fin) && t->SndNxt != t->SndUna;
        if (t->TxFirst != null || sample.Acked != 0)
        {
            t->DeliveredCeSegments += sample.Ece ? t->DeliveredSegments - delivered : 0;
            FinishRate(t, ref sample);
            Recover(t, ref s, ref sample, duplicate, dsack);
        }

        if (sample.Acked != 0)
        {
            t->Backoff = 0;
            t->SoftError = 0;
            t->FirstUnackedTimeout = 0;
            Rearm(t);
        }
        else if (t->TimerMode == RetransmitTimer.Persist && t->SndWnd != 0)
        {
            StopRetransmit(t);
            t->Backoff = 0;
        }

        if (t->LostBytes != 0 || opened || sample.Delivered != 0 || t->WriteSeq != t->SndNxt || t->IsFlag(TcbFlag.FinQueued))
        {
            Pend(t);
        }

        StateAfterAck(t);
    }

    /// <summary>3.10.7.4: an older segment must not change the window back.</summary>
    private static bool TakeWindow(Tcb* t, in TcpSegment s)
    {
        if (!(Seq.Before(t->SndWl1, s.Seq) || (t->SndWl1 == s.Seq && Seq.AtMost(t->SndWl2, s.Ack))))
        {
            return false;
        }

        uint window = (uint)s.Window << t->SndScale;
        bool changed = window != t->SndWnd;
        t->SndWnd = window;
        t->SndWl1 = s.Seq;
        t->SndWl2 = s.Ack;
        t->MaxWnd = window > t->MaxWnd ? window : t->MaxWnd;
        return changed;
    }

    /// <summary>Everything before <paramref name="ack"/> has arrived.</summary>
    private void Acknowledge(Tcb* t, uint ack, in TcpSegment s, ref AckSample sample)
    {
        bool onlyRetransmitted = true, anyRetransmitted = false;
        long newest = -1;
        while (t->TxFirst != null && Seq.Before(t->TxFirst->Start, ack))
        {
            TxSegment* x = t->TxFirst;
            if (Seq.After(x->End, ack))
            {
                // In part: a peer that acknowledges inside of a segment, or one of a GSO frame.
                TxSegment* rest = Split(t, x, ack - x->Start);
                if (rest == null)
                {
                    TrimFront(t, x, ack);
                    break;
                }
            }

            Uncount(t, x);
            if (!x->Is(TxSegment.Sacked))
            {
                Arrived(t, x, in s, ref sample);
                if (!x->Is(TxSegment.EverRetransmitted))
                {
                    onlyRetransmitted = false;
                    newest = x->Sent > newest ? x->Sent : newest;
                    if (Seq.Before(x->End, sample.PriorFack) && !x->Is(TxSegment.Lost))
                    {
                        SeeReordering(t, x->Start, sample.PriorFack);
                    }
                }
            }
            else
            {
                onlyRetransmitted = false;
            }

            anyRetransmitted |= x->Is(TxSegment.EverRetransmitted);
            t->TxFirst = x->Next;
            if (t->TxFirst != null)
            {
                t->TxFirst->Previous = null;
            }
            else
            {
                t->TxLast = null;
            }

            _segments.Give(x);
        }

        // Without SACK what was acknowledged together with a retransmission may have waited for it at the peer.
        sample.OriginalArrived &= t->IsFlag(TcbFlag.Sack) || !anyRetransmitted;
        uint bytes = ack - t->SndUna;
        sample.Acked = bytes;
        if (newest >= 0)
        {
            sample.Rtt = Now - newest; // Karn's rule: only of what was sent once.
        }
        else if (onlyRetransmitted && s.HasTimestamp && s.TsEcho != 0 && t->IsFlag(TcbFlag.Timestamps))
        {
            long ticks = (uint)(Now / 1000) + t->TsOffset - s.TsEcho; // RFC 7323, 4.1
            sample.Rtt = (uint)ticks < 600_000 ? ((uint)ticks * 1000L) + 500 : -1;
        }

        if (sample.Rtt >= 0)
        {
            MeasureRtt(t, sample.Rtt);
        }

        bool fin = t->IsFlag(TcbFlag.FinSent) && ack == t->SndNxt;
        uint data = bytes - (fin && Seq.AtMost(t->SndUna, t->WriteSeq) ? 1u : 0);
        t->SndUna = ack;
        t->FackSeq = Seq.Max(t->FackSeq, ack);
        t->BytesAcked += data;
        if (t->TxFirst == null && !Seq.After(t->WriteSeq, ack))
        {
            Turn(t, SendPhase.Idle);
        }

        if (data != 0 && t->User != null)
        {
            _user.Acked(t, data);
        }
    }

    /// <summary>A segment is known to have arrived, by an ACK or by SACK.</summary>
    private void Arrived(Tcb* t, TxSegment* x, in TcpSegment s, ref AckSample sample)
    {
        if (x->Is(TxSegment.Probe))
        {
            ProbeArrived(t, x);
        }

        t->Delivered += x->Length;
        t->DeliveredTime = Now;
        t->DeliveredSegments += x->Length <= t->Mss ? 1 : (x->Length + t->Mss - 1) / t->Mss;
        sample.Delivered += x->Length;
        sample.OriginalArrived |= !x->Is(TxSegment.EverRetransmitted) && Seq.AtMost(x->End, t->HighSeq);
        RackSample(t, x, in s);
        if (x->Sent >= sample.NewestSent)
        {
            // The newest one's sending is where the rate sample began.
            sample.NewestSent = x->Sent;
            sample.PriorDelivered = x->Delivered;
            sample.PriorTime = x->DeliveredTime;
            sample.IsAppLimited = x->Is(TxSegment.AppLimited);
            sample.SendElapsed = x->Sent - x->FirstSent;
            t->FirstSentTime = x->Sent;
        }
    }

    private void FinishRate(Tcb* t, ref AckSample sample)
    {
        if (t->AppLimitedAt != 0 && t->Delivered > t->AppLimitedAt)
        {
            t->AppLimitedAt = 0;
        }

        if (sample.PriorDelivered == ulong.MaxValue)
        {
            return;
        }

        long ackElapsed = Now - sample.PriorTime;
        long interval = sample.SendElapsed > ackElapsed ? sample.SendElapsed : ackElapsed;
        if (interval < t->MinRtt && t->MinRtt != long.MaxValue)
        {
            return; // Faster than light: the acknowledgements were compressed.
        }

        sample.RateBytes = t->Delivered - sample.PriorDelivered;
        sample.Interval = interval < 1 ? 1 : interval;
        ulong rate = sample.RateBytes * 1_000_000 / (ulong)sample.Interval;
        if (!sample.IsAppLimited || rate > t->DeliveryRate)
        {
            t->DeliveryRate = rate;
        }
    }

    /// <summary>RFC 6298, 2: smoothed round trip and timeout.</summary>
    private void MeasureRtt(Tcb* t, long rtt)
    {
        rtt = rtt < 1 ? 1 : rtt;
        if (t->Srtt == 0)
        {
            t->Srtt = rtt;
            t->RttVar = rtt / 2;
        }
        else
        {
            long difference = t->Srtt > rtt ? t->Srtt - rtt : rtt - t->Srtt;
            t->RttVar += (difference - t->RttVar) / 4;
            t->Srtt += (rtt - t->Srtt) / 8;
            t->Srtt = t->Srtt < 1 ? 1 : t->Srtt;
        }

        // The variation counts at least MinRto: so a peer's delayed ACK never looks like a loss.
        long margin = 4 * t->RttVar;
        t->Rto = t->Srtt + (margin < _options.MinRto ? _options.MinRto : margin);
        t->Rto = t->Rto > MaxRto ? MaxRto : t->Rto;
        if (rtt <= t->MinRtt || Now - t->MinRttTime > 300_000_000)
        {
            t->MinRtt = rtt;
            t->MinRttTime = Now;
        }
    }

    /// <summary>What an ACK of our FIN leads to.</summary>
    private void StateAfterAck(Tcb* t)
    {
        if (!t->IsFlag(TcbFlag.FinSent) || t->SndUna != t->SndNxt)
        {
            return;
        }

        switch (t->State)
        {
            case TcpState.FinWait1:
                t->State = TcpState.FinWait2;
                if (t->User == null)
                {
                    StartLife(t, FinWait2Timeout);
                }

                Tell(t);
                break;
            case TcpState.Closing:
                EnterTimeWait(t);
                break;
            case TcpState.LastAck:
                End(t, 0);
                break;
            default:
                break;
        }
    }

    /// <summary>Takes a segment out of the sums that make the pipe.</summary>
    private static void Uncount(Tcb* t, TxSegment* x)
    {
        if (x->Is(TxSegment.Sacked))
        {
            t->SackedBytes -= x->Length;
            return;
        }

        if (x->Is(TxSegment.Lost))
        {
            t->LostBytes -= x->Length;
        }

        if (x->Is(TxSegment.Retransmitted))
        {
            t->RetransBytes -= x->Length;
        }
    }

    private static void TrimFront(Tcb* t, TxSegment* x, uint ack)
    {
        uint cut = ack - x->Start;
        t->SackedBytes -= x->Is(TxSegment.Sacked) ? cut : 0;
        t->LostBytes -= x->Is(TxSegment.Lost) && !x->Is(TxSegment.Sacked) ? cut : 0;
        t->RetransBytes -= x->Is(TxSegment.Retransmitted) && !x->Is(TxSegment.Sacked) ? cut : 0;
        x->Start = ack;
        x->Length -= cut;
    }

    /// <summary>Cuts a segment in two; returns the second, or null when memory is short.</summary>
    private TxSegment* Split(Tcb* t, TxSegment* x, uint first)
    {
        TxSegment* rest = (TxSegment*)_segments.Take();
        if (rest == null)
        {
            return null;
        }

        *rest = *x;
        rest->Start += first;
        rest->Length -= first;
        x->Length = first;
        x->Flags &= unchecked((ushort)~TxSegment.Fin);
        rest->Previous = x;
        x->Next = rest;
        if (rest->Next != null)
        {
            rest->Next->Previous = rest;
        }
        else
        {
            t->TxLast = rest;
        }

        return rest;
    }
}
