namespace NetKernel.Stack;

/// <content>The scoreboard (RFC 2018, RFC 2883, RFC 6675) and time-based loss detection (RACK, RFC 8985).</content>
public sealed unsafe partial class TcpLayer
{
    private const uint DupThresh = 3;

    /// <summary>Segments; as Linux's tcp_max_reordering.</summary>
    private const uint MostReordering = 300;

    /// <summary>Marks what SACK says has arrived. True: the first block told of a duplicate (RFC 2883, 4).</summary>
    private bool TakeSacks(Tcb* t, ref TcpSegment s, ref AckSample sample)
    {
        bool dsack = false;
        for (int i = 0; i < s.SackCount; i++)
        {
            uint from = s.Sacks[2 * i], to = s.Sacks[(2 * i) + 1];
            if (!Seq.Before(from, to))
            {
                continue;
            }

            if (i == 0 && (Seq.AtMost(to, s.Ack) || (s.SackCount > 1 && Seq.AtLeast(from, s.Sacks[2]) && Seq.AtMost(to, s.Sacks[3]))))
            {
                if (Seq.AtLeast(from, t->SndUna - t->MaxWnd) && Seq.AtMost(to, t->SndNxt))
                {
                    dsack = true;
                    t->DsackDups++;
                    t->UndoRetrans -= t->UndoRetrans > 0 ? 1u : 0;
                }

                continue;
            }

            if (Seq.AtMost(to, t->SndUna) || Seq.After(to, t->SndNxt) || Seq.Before(from, t->SndUna))
            {
                continue; // Never sent, or long past: not believed.
            }

            MarkSacked(t, from, to, in s, ref sample);
        }

        return dsack;
    }

    private void MarkSacked(Tcb* t, uint from, uint to, in TcpSegment s, ref AckSample sample)
    {
        for (TxSegment* x = t->TxFirst; x != null && Seq.Before(x->Start, to); x = x->Next)
        {
            if (Seq.AtMost(x->End, from) || x->Is(TxSegment.Sacked))
            {
                continue;
            }

            if (Seq.Before(x->Start, from))
            {
                if (Split(t, x, from - x->Start) == null)
                {
                    return;
                }

                continue; // The second part is next.
            }

            if (Seq.After(x->End, to) && Split(t, x, to - x->Start) == null)
            {
                return;
            }

            Uncount(t, x);
            bool wasLost = x->Is(TxSegment.Lost);
            x->Flags = (ushort)((x->Flags | TxSegment.Sacked) & ~(TxSegment.Lost | TxSegment.Retransmitted));
            t->SackedBytes += x->Length;
            Arrived(t, x, in s, ref sample);

            // RFC 8985, 6.2, step 3: an original that arrives behind later ones was reordered.
            if (!x->Is(TxSegment.EverRetransmitted) && !wasLost && Seq.Before(x->End, sample.PriorFack))
            {
                SeeReordering(t, x->Start, sample.PriorFack);
            }

            t->FackSeq = Seq.Max(t->FackSeq, x->End);
        }
    }

    /// <summary>
    /// What begins at <paramref name="low"/> was sent once and arrives only now, behind what had arrived before up to <paramref name="high"/>: how far behind is remembered, as Linux does. (What one
    /// acknowledgement tells of together is no reordering, in whatever order it is told.)
    /// </summary>
    private static void SeeReordering(Tcb* t, uint low, uint high)
    {
        t->Flags |= TcbFlag.ReorderSeen;
        t->ReorderSeen++;
        uint segments = (high - low + t->Mss - 1) / t->Mss;
        t->Reordering = (ushort)Math.Clamp(segments, t->Reordering, MostReordering);
    }

    /// <summary>RFC 8985, 6.2, step 2: the most recently sent segment that has arrived.</summary>
    private void RackSample(Tcb* t, TxSegment* x, in TcpSegment s)
    {
        long rtt = Now - x->Sent;
        if (x->Is(TxSegment.EverRetransmitted))
        {
            // It may be the original that arrived: not a sample, if time says so.
            if (s.HasTimestamp && t->IsFlag(TcbFlag.Timestamps) && Seq.Before(s.TsEcho, (uint)(x->Sent / 1000) + t->TsOffset))
            {
                return;
            }

            if (t->MinRtt != long.MaxValue && rtt < t->MinRtt)
            {
                return;
            }
        }

        t->RackRtt = rtt;
        if (x->Sent > t->RackTime || (x->Sent == t->RackTime && Seq.After(x->End, t->RackEnd)))
        {
            t->RackTime = x->Sent;
            t->RackEnd = x->End;
        }
    }

    /// <summary>RFC 8985, 6.2, step 4: how long reordered segments are waited for.</summary>
    private static long ReorderWindow(Tcb* t)
    {
        if (!t->IsFlag(TcbFlag.ReorderSeen))
        {
            if (t->CaState is CaState.Recovery or CaState.Loss || t->SackedBytes >= DupThresh * t->Mss)
            {
                return 0;
            }
        }

        long rtt = t->MinRtt == long.MaxValue ? t->Srtt : t->MinRtt;
        long window = t->RackWindowMult * rtt / 4;
        return window < t->Srtt ? window : t->Srtt;
    }

    /// <summary>RFC 8985, 6.2, step 5: what was sent well before something that has arrived is lost. Returns the bytes newly lost.</summary>
    private uint DetectLoss(Tcb* t)
    {
        if (t->RackTime == 0)
        {
            return 0;
        }

        uint lost = 0;
        long window = ReorderWindow(t), soonest = long.MaxValue;
        for (TxSegment* x = t->TxFirst; x != null; x = x->Next)
        {
            bool before = x->Sent < t->RackTime || (x->Sent == t->RackTime && Seq.Before(x->End, t->RackEnd));
            if (!before)
            {
                if (!x->Is(TxSegment.EverRetransmitted))
                {
                    break; // All that follow were sent later still.
                }

                continue;
            }

            if (x->Is(TxSegment.Sacked) || (x->Is(TxSegment.Lost) && !x->Is(TxSegment.Retransmitted)))
            {
                continue;
            }

            long remaining = x->Sent + t->RackRtt + window - Now;
            if (remaining <= 0)
            {
                MarkLost(t, x);
                if (x->Is(TxSegment.Probe))
                {
                    ProbeLost(t, x); // No sign of congestion.
                }
                else
                {
                    lost += x->Length;
                }
            }
            else
            {
                soonest = remaining < soonest ? remaining : soonest;
            }
        }

        if (soonest != long.MaxValue && t->TimerMode is not RetransmitTimer.Persist)
        {
            StartRetransmit(t, RetransmitTimer.Reorder, soonest + 1);
        }
        else if (t->TimerMode == RetransmitTimer.Reorder)
        {
            t->TimerMode = RetransmitTimer.Idle;
            Rearm(t);
        }

        return lost;
    }

    private static void MarkLost(Tcb* t, TxSegment* x)
    {
        if (x->Is(TxSegment.Retransmitted))
        {
            t->RetransBytes -= x->Length;
            x->Flags &= unchecked((ushort)~TxSegment.Retransmitted);
        }

        if (!x->Is(TxSegment.Lost))
        {
            x->Flags |= TxSegment.Lost;
            t->LostBytes += x->Length;
        }
    }
}
