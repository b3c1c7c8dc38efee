namespace NetKernel.Stack;

/// <content>Recovery from loss and congestion: fast recovery with PRR (RFC 6937) or, without SACK, NewReno's (RFC 6582); after timeouts; ECN; undoing.</content>
public sealed unsafe partial class TcpLayer
{
    private void Recover(Tcb* t, ref TcpSegment s, ref AckSample sample, bool duplicate, bool dsack)
    {
        bool sack = t->IsFlag(TcbFlag.Sack);
        CongestionControl control = CongestionControl.Of(t);
        if (dsack)
        {
            WidenReorderWindow(t);
        }

        if (t->TlpEnd != 0)
        {
            TailProbeAnswered(t, in s, in sample, duplicate, dsack);
        }

        if (t->IsFlag(TcbFlag.Undo) && MayUndo(t, in s, in sample, dsack))
        {
            if (sample.Acked != 0 && t->CaState == CaState.Recovery && Seq.Before(t->SndUna - sample.Acked, sample.PriorFack))
            {
                SeeReordering(t, t->SndUna - sample.Acked, sample.PriorFack); // What was sent again had been late only.
            }

            Undo(t);
        }

        if (t->Forward != ForwardRto.Idle && t->CaState == CaState.Loss)
        {
            JudgeTimeout(t, in sample, duplicate);
        }

        if (!sack && duplicate && t->DupAcks < 255)
        {
            t->DupAcks++;
        }
        else if (sample.Acked != 0)
        {
            t->DupAcks = 0;
        }

        // The end of what was being recovered from.
        if (t->CaState is CaState.Recovery or CaState.Loss or CaState.Cwr && Seq.AtLeast(t->SndUna, t->HighSeq) && sample.Acked != 0)
        {
            EndTimeouts(t);
            if (t->CaState != CaState.Loss && !control.OwnsWindow)
            {
                t->Cwnd = t->Ssthresh; // RFC 6937; RFC 6582, 3.2, full acknowledgement.
            }

            t->Cwnd = t->Cwnd < t->Mss ? t->Mss : t->Cwnd;
            t->CaState = CaState.Open;
            t->Forward = ForwardRto.Idle;
            t->Flags &= ~TcbFlag.Undo;
            t->DupAcks = 0;
            control.StateChanged(t, CaState.Open);
            t->RackWindowMult = t->RackPersist == 0 || --t->RackPersist == 0 ? (byte)1 : t->RackWindowMult;
        }

        if (sack)
        {
            if (t->SackedBytes != 0 || t->CaState is CaState.Recovery or CaState.Loss)
            {
                sample.Lost = DetectLoss(t);
            }
        }
        else
        {
            sample.Lost = NewRenoLoss(t, in sample);
        }

        if (t->LostBytes != 0 && t->CaState is CaState.Open or CaState.Disorder or CaState.Cwr && sample.Lost != 0)
        {
            EnterRecovery(t, CaState.Recovery);
        }
        else if (t->CaState == CaState.Open && (t->SackedBytes != 0 || t->DupAcks != 0))
        {
            t->CaState = CaState.Disorder;
        }
        else if (t->CaState == CaState.Disorder && t->SackedBytes == 0 && t->DupAcks == 0)
        {
            t->CaState = CaState.Open;
        }

        // RFC 3168, 6.1.2: an echo is like a loss, once per window.
        if (sample.Ece && t->CaState is CaState.Open or CaState.Disorder && sample.Acked != 0 && !t->IsFlag(TcbFlag.SendCwr) && Seq.After(s.Ack, t->CwrEnd))
        {
            EnterRecovery(t, CaState.Cwr);
            t->Flags |= TcbFlag.SendCwr;
        }

        control.Sampled(t, in sample);
        if (control.OwnsWindow)
        {
            return;
        }

        if (t->CaState is CaState.Recovery or CaState.Cwr)
        {
            if (sack || t->CaState == CaState.Cwr)
            {
                ReduceProportionally(t, in sample);
            }
        }
        else if ((sample.Acked != 0 || (t->Reordering > DupThresh && sample.Delivered != 0)) && t->IsFlag(TcbFlag.CwndLimited))
        {
            // What had arrived before counts once: a hole that is filled after a recovery is no burst (RFC 5681, 3.1: a segment per round trip). On a path that reorders much, what
            // arrives behind a hole counts when it arrives, for by the time the hole is filled it would have been forgotten (Linux: tcp_may_raise_cwnd).
            AckSample growth = sample;
            growth.Acked = sample.Acked == 0 ? sample.Delivered : Math.Min(sample.Acked, sample.Delivered);
            control.Acked(t, in growth);
        }

        Pace(t, control);
    }

    /// <summary>RFC 6582 for peers without SACK.</summary>
    private uint NewRenoLoss(Tcb* t, in AckSample sample)
    {
        if (t->TxFirst == null)
        {
            return 0;
        }

        if (t->CaState == CaState.Recovery)
        {
            if (sample.Acked != 0)
            {
                // 3.2, partial acknowledgement: the next hole is at its end; the window deflates by what was acknowledged.
                t->Cwnd = t->Cwnd > sample.Acked ? t->Cwnd - sample.Acked + t->Mss : t->Mss;
                return LoseFirst(t);
            }

            t->Cwnd += t->DupAcks > DupThresh ? t->Mss : 0u;
            return 0;
        }

        if (t->CaState == CaState.Loss)
        {
            return 0;
        }

        return t->DupAcks == DupThresh && Seq.AtLeast(t->SndUna, t->HighSeq) ? LoseFirst(t) : 0;
    }

    private uint LoseFirst(Tcb* t)
    {
        TxSegment* x = t->TxFirst;
        if (x->Length > t->Mss)
        {
            _ = Split(t, x, t->Mss);
        }

        MarkLost(t, x);
        return x->Length;
    }

    private void EnterRecovery(Tcb* t, CaState state)
    {
        CongestionControl control = CongestionControl.Of(t);
        if (t->CaState is CaState.Open or CaState.Disorder)
        {
            t->PriorCwnd = t->Cwnd;
            t->PriorSsthresh = t->Ssthresh;
            t->Ssthresh = control.SlowStartThreshold(t);
            t->Flags |= state == CaState.Recovery ? TcbFlag.Undo : 0;
            t->UndoRetrans = 0;
            t->UndoStamp = 0;
        }

        t->HighSeq = t->SndNxt;
        t->PrrDelivered = t->PrrOut = 0;
        t->RecoverFs = t->SndNxt - t->SndUna;
        t->CaState = state;
        control.StateChanged(t, state);
        if (!t->IsFlag(TcbFlag.Sack) && state == CaState.Recovery && !control.OwnsWindow)
        {
            t->Cwnd = t->Ssthresh + (DupThresh * t->Mss); // RFC 5681, 3.2, step 3
        }
    }

    /// <summary>RFC 6937, 3: what may be sent follows what has arrived, so that the window shrinks over a round trip and ends at ssthresh.</summary>
    private static void ReduceProportionally(Tcb* t, in AckSample sample)
    {
        t->PrrDelivered += sample.Delivered;
        uint pipe = t->Pipe;
        long send;
        if (pipe > t->Ssthresh)
        {
            send = (long)((((ulong)t->PrrDelivered * t->Ssthresh) + t->RecoverFs - 1) / Math.Max(1, t->RecoverFs)) - t->PrrOut;
        }
        else
        {
            long limit = Math.Max((long)t->PrrDelivered - t->PrrOut, sample.Delivered) + t->Mss; // slow start reduction bound
            send = Math.Min((long)t->Ssthresh - pipe, limit);
        }

        // The first retransmission always goes (RFC 6675, 5, step 4.3).
        send = Math.Max(send, t->PrrOut == 0 ? t->Mss : 0);
        t->Cwnd = pipe + (uint)Math.Max(0, send);
    }

    /// <summary>A timeout (RFC 5681, 3.1; RFC 6675, 5.1): everything that is not known to have arrived is taken for lost.</summary>
    private void EnterLoss(Tcb* t)
    {
        CongestionControl control = CongestionControl.Of(t);
        t->Forward = ForwardRto.Idle;
        if (t->CaState is CaState.Open or CaState.Disorder || Seq.AtLeast(t->SndUna, t->HighSeq))
        {
            t->Forward = ForwardRto.Asked; // RFC 5682, 3.1: not for a timeout within a recovery
            t->PriorCwnd = t->Cwnd;
            t->PriorSsthresh = t->Ssthresh;
            t->Ssthresh = control.SlowStartThreshold(t);
            t->Flags |= TcbFlag.Undo;
            t->UndoRetrans = 0;
            t->UndoStamp = 0;
        }

        bool reneged = t->TxFirst != null && t->TxFirst->Is(TxSegment.Sacked); // RFC 2018, 8: then nothing of it counts.
        for (TxSegment* x = t->TxFirst; x != null; x = x->Next)
        {
            if (reneged && x->Is(TxSegment.Sacked))
            {
                t->SackedBytes -= x->Length;
                x->Flags &= unchecked((ushort)~TxSegment.Sacked);
            }

            if (!x->Is(TxSegment.Sacked))
            {
                MarkLost(t, x);
            }
        }

        t->Cwnd = t->Mss;
        t->HighSeq = t->SndNxt;
        t->DupAcks = 0;
        t->TlpEnd = 0;
        t->CaState = CaState.Loss;
        control.StateChanged(t, CaState.Loss);
    }

    /// <summary>The reduction was needless: the timestamps say that an original arrived (RFC 3522), or duplicates account for all retransmissions (RFC 3708).</summary>
    private static bool MayUndo(Tcb* t, in TcpSegment s, in AckSample sample, bool dsack)
    {
        if (t->UndoStamp == 0 || t->CaState is not (CaState.Recovery or CaState.Loss))
        {
            return false;
        }

        return (sample.Acked != 0 && s.HasTimestamp && t->IsFlag(TcbFlag.Timestamps) && s.TsEcho != 0 && Seq.Before(s.TsEcho, t->UndoStamp))
            || (dsack && t->UndoRetrans == 0);
    }

    /// <summary>
    /// F-RTO (RFC 5682, 3.1, and 2.1 without SACK): after a timeout new data goes first, where there is any. What was sent only once and arrives shows that nothing was lost, and the
    /// timeout is undone; a duplicate, or SACK of the new data alone, shows that it was.
    /// </summary>
    private void JudgeTimeout(Tcb* t, in AckSample sample, bool duplicate)
    {
        if (sample.OriginalArrived && t->IsFlag(TcbFlag.Undo))
        {
            Undo(t);
        }
        else if (duplicate || sample.Acked == 0)
        {
            t->Forward = sample.Delivered != 0 || duplicate ? ForwardRto.Idle : t->Forward;
        }
        else if (t->Forward == ForwardRto.Asked && Seq.Before(t->SndUna, t->HighSeq))
        {
            bool canSend = Seq.After(t->WriteSeq, t->SndNxt) && Seq.After(t->SndUna + t->SndWnd, t->SndNxt);
            t->Forward = canSend ? ForwardRto.NewFirst : ForwardRto.Idle;
        }
        else
        {
            t->Forward = ForwardRto.Idle;
        }
    }

    private void Undo(Tcb* t)
    {
        EndTimeouts(t);
        t->Forward = ForwardRto.Idle;
        for (TxSegment* x = t->TxFirst; x != null; x = x->Next)
        {
            if (x->Is(TxSegment.Lost) && !x->Is(TxSegment.Retransmitted))
            {
                x->Flags &= unchecked((ushort)~TxSegment.Lost);
                t->LostBytes -= x->Length;
            }
        }

        t->Cwnd = Math.Max(t->Cwnd, CongestionControl.Of(t).WindowToRestore(t));
        t->Ssthresh = Math.Max(t->Ssthresh, t->PriorSsthresh);
        t->CaState = CaState.Open;
        t->HighSeq = t->SndUna;
        t->Flags &= ~TcbFlag.Undo;
        CongestionControl.Of(t).StateChanged(t, CaState.Open);
        CongestionControl.Of(t).Undone(t);
    }

    /// <summary>RFC 8985, 6.2, step 4: each round trip with a duplicate widens the window; 16 recoveries later it is narrow again.</summary>
    private static void WidenReorderWindow(Tcb* t)
    {
        if (t->RackDsackRound == 0 || Seq.AtLeast(t->SndUna, t->RackDsackRound))
        {
            t->RackDsackRound = t->SndNxt;
            t->RackWindowMult = (byte)Math.Min(t->RackWindowMult + 1, 200);
        }

        t->RackPersist = 16;
    }

    /// <summary>RFC 8985, 7.4: what the answer to a tail loss probe means.</summary>
    private void TailProbeAnswered(Tcb* t, in TcpSegment s, in AckSample sample, bool duplicate, bool dsack)
    {
        if (!Seq.AtLeast(s.Ack, t->TlpEnd))
        {
            return;
        }

        if (!t->IsFlag(TcbFlag.TlpRetransmit) || dsack)
        {
            t->TlpEnd = 0; // New data, or the original had come: nothing was lost.
        }
        else if (Seq.After(s.Ack, t->TlpEnd) || sample.Acked != 0)
        {
            // One loss that the probe repaired: the window answers as to any loss.
            t->TlpEnd = 0;
            if (t->CaState is CaState.Open or CaState.Disorder && t->TxFirst != null)
            {
                EnterRecovery(t, CaState.Cwr);
            }
            else if (t->CaState is CaState.Open or CaState.Disorder && !CongestionControl.Of(t).OwnsWindow)
            {
                t->Ssthresh = CongestionControl.Of(t).SlowStartThreshold(t);
                t->Cwnd = Math.Min(t->Cwnd, t->Ssthresh);
            }
        }
        else if (duplicate)
        {
            t->TlpEnd = 0;
        }
    }

    /// <summary>SO_MAX_PACING_RATE for congestion controls that do not pace themselves.</summary>
    private static void Pace(Tcb* t, CongestionControl control)
    {
        if (!control.OwnsWindow)
        {
            t->PacingRate = t->MaxPacingRate;
        }
    }
}
