using System.Runtime.InteropServices;

namespace NetKernel.Stack;

/// <content>Timers: retransmission (RFC 6298), tail loss probe and reordering (RFC 8985), persist, keep-alive, delayed ACK, the ends of half-dead connections.</content>
public sealed unsafe partial class TcpLayer
{
    private const long MaxRto = 120_000_000;
    private const int MaxBackoff = 15; // RFC 1122, 4.2.3.5: R2; with 200 ms about 15 minutes, as on Linux.
    private const int SynAckRetries = 5;
    private const long FinWait2Timeout = 60_000_000, OrphanTimeout = 240_000_000;

    private readonly Timer* _timeWaitTimer = (Timer*)NativeMemory.AllocZeroed((nuint)sizeof(Timer));

    internal void Fired(Timer* timer)
    {
        if (timer == _timeWaitTimer)
        {
            _timeWaits.Expire(Now);
            ArmTimeWait();
            return;
        }

        Tcb* t = (Tcb*)timer->Owner;
        switch ((TcbTimer)timer->Kind)
        {
            case TcbTimer.Retransmit:
                RetransmitFired(t);
                break;
            case TcbTimer.DelayedAck:
                if (t->UnackedBytes != 0)
                {
                    t->Flags |= TcbFlag.AckNow;
                    Pend(t);
                }

                break;
            case TcbTimer.Pace:
                Pend(t);
                break;
            default:
                LifeFired(t);
                break;
        }
    }

    private void StartRetransmit(Tcb* t, RetransmitTimer mode, long delay)
    {
        t->TimerMode = mode;
        delay = delay > MaxRto ? MaxRto : delay;

        // The one that is armed may be for later: the wheel moves only forward for free.
        _stack.Wheel.Set(&t->RetransmitTimer, Now + delay);
    }

    private void StopRetransmit(Tcb* t)
    {
        t->TimerMode = RetransmitTimer.Idle;
        _stack.Wheel.Cancel(&t->RetransmitTimer);
    }

    private void StartLife(Tcb* t, long delay) => _stack.Wheel.Set(&t->LifeTimer, Now + delay);

    /// <summary>RFC 6298, 5.2 and 5.3: new data acknowledged.</summary>
    private void Rearm(Tcb* t)
    {
        if (t->TxFirst == null)
        {
            StopRetransmit(t);
            return;
        }

        if (t->TimerMode != RetransmitTimer.Reorder)
        {
            ArmForNew(t);
        }
    }

    /// <summary>Data is in flight: a probe for its tail (RFC 8985, 7.2) where SACK makes one useful, else the retransmission timer.</summary>
    private void ArmForNew(Tcb* t)
    {
        if (t->TimerMode == RetransmitTimer.Reorder)
        {
            return;
        }

        long rto = t->Rto << t->Backoff;
        if (t->IsFlag(TcbFlag.Sack) && t->CaState == CaState.Open && t->SackedBytes == 0 && t->Srtt != 0 && t->TlpEnd == 0 && t->Backoff == 0)
        {
            long probe = 2 * t->Srtt;
            probe += t->SndNxt - t->SndUna <= t->Mss ? 200_000 : 2_000; // One segment: its ACK may be delayed.
            if (probe < rto)
            {
                StartRetransmit(t, RetransmitTimer.TailLoss, probe);
                return;
            }
        }

        StartRetransmit(t, RetransmitTimer.Timeout, rto);
    }

    private void RetransmitFired(Tcb* t)
    {
        RetransmitTimer mode = t->TimerMode;
        t->TimerMode = RetransmitTimer.Idle;
        switch (mode)
        {
            case RetransmitTimer.Timeout:
                TimedOut(t);
                break;
            case RetransmitTimer.TailLoss:
                ProbeTail(t);
                break;
            case RetransmitTimer.Reorder:
                ReorderFired(t);
                break;
            case RetransmitTimer.Persist:
                Persist(t);
                break;
            default:
                break;
        }
    }

    /// <summary>RFC 6298, 5.4 to 5.7.</summary>
    private void TimedOut(Tcb* t)
    {
        if (t->State is TcpState.SynSent or TcpState.SynReceived)
        {
            if (StillDefers(t))
            {
                return;
            }

            int most = t->State == TcpState.SynSent ? t->SynCount : SynAckRetries;
            if (t->SynRetries >= most || UserTimedOut(t))
            {
                End(t, t->SoftError != 0 ? t->SoftError : Errno.TimedOut);
                return;
            }

            t->SynRetries++;
            t->Backoff++;
            _counters.Timeouts++;
            SendSyn(t);
            return;
        }

        if ((t->FastOpen & FastOpenBit.Early) != 0)
        {
            // The SYN-ACK first; what was sent behind it goes again when it has arrived.
            if (t->SynRetries >= SynAckRetries)
            {
                End(t, Errno.TimedOut);
                return;
            }

            t->SynRetries++;
            t->Backoff++;
            _counters.Timeouts++;
            SendSyn(t);
            return;
        }

        if (t->TxFirst == null)
        {
            return;
        }

        if (t->FirstUnackedTimeout == 0)
        {
            t->FirstUnackedTimeout = t->TxFirst->Sent;
        }

        if (t->Backoff >= MaxBackoff || UserTimedOut(t))
        {
            End(t, t->SoftError != 0 ? t->SoftError : Errno.TimedOut);
            return;
        }

        _counters.Timeouts++;
        t->Timeouts++;
        t->LossSince = t->LossSince == 0 ? Now : t->LossSince;
        GiveProbeUp(t);
        SuspectPath(t);
        EnterLoss(t);
        t->Backoff++;
        StartRetransmit(t, RetransmitTimer.Timeout, t->Rto << t->Backoff);
        t->NextSend = 0;
        Pend(t);
    }

    private bool UserTimedOut(Tcb* t)
    {
        long since = t->FirstUnackedTimeout != 0 ? t->FirstUnackedTimeout : t->State is TcpState.SynSent or TcpState.SynReceived ? t->Opened : Now;
        return t->UserTimeout != 0 && Now - since >= t->UserTimeout * 1000L;
    }

    /// <summary>RFC 8985, 7.3: new data if there is any, else the last segment again.</summary>
    private void ProbeTail(Tcb* t)
    {
        TxSegment* last = t->TxLast;
        if (last == null)
        {
            return;
        }

        t->TlpEnd = t->SndNxt;
        t->Flags &= ~TcbFlag.TlpRetransmit;
        uint before = t->SndNxt;
        bool limited = false;
        if (Seq.After(t->WriteSeq, t->SndNxt) && Seq.After(t->SndUna + t->SndWnd, t->SndNxt))
        {
            // The congestion window does not hold a probe back.
            uint cwnd = t->Cwnd;
            t->Cwnd = t->Pipe + t->Mss;
            _ = SendNew(t, t->Pipe, ref limited);
            t->Cwnd = cwnd;
        }

        if (t->SndNxt == before)
        {
            t->Flags |= TcbFlag.TlpRetransmit;
            if (last->Length > t->Mss)
            {
                last = Split(t, last, (last->Length - 1) / t->Mss * t->Mss);
            }

            if (last != null)
            {
                t->TotalRetransmits++;
                _counters.Retransmits++;
                last->Flags |= TxSegment.EverRetransmitted;
                Stamp(t, last);
                _ = SendData(t, last->Start, last->Length - (last->Is(TxSegment.Fin) ? 1u : 0), last->Is(TxSegment.Fin), push: true, again: true);
            }
        }

        t->TlpEnd = t->SndNxt == 0 ? 1 : t->SndNxt;
        StartRetransmit(t, RetransmitTimer.Timeout, t->Rto);
    }

    /// <summary>RFC 8985, 6.3: what was waited for did not come.</summary>
    private void ReorderFired(Tcb* t)
    {
        if (t->TxFirst == null)
        {
            return;
        }

        uint lost = DetectLoss(t);
        if (lost != 0 && t->CaState is CaState.Open or CaState.Disorder or CaState.Cwr)
        {
            EnterRecovery(t, CaState.Recovery);
            AckSample none = default;
            none.Rtt = -1;
            none.Lost = lost;
            none.PriorDelivered = ulong.MaxValue;
            if (!CongestionControl.Of(t).OwnsWindow)
            {
                ReduceProportionally(t, in none);
            }
        }

        if (t->TimerMode == RetransmitTimer.Idle)
        {
            StartRetransmit(t, RetransmitTimer.Timeout, t->Rto);
        }

        Pend(t);
    }

    /// <summary>A window that stays closed is asked about for ever, ever more seldom (3.8.6.1); a cork comes off.</summary>
    private void Persist(Tcb* t)
    {
        if (!Seq.After(t->WriteSeq, t->SndNxt) && !t->IsFlag(TcbFlag.FinQueued))
        {
            return;
        }

        uint right = t->SndUna + t->SndWnd;
        if (t->TxFirst == null && Seq.After(right, t->SndNxt))
        {
            // Room, but little: it is sent now in spite of all rules (3.8.6.2.1, the override timeout).
            uint flags = t->Flags;
            uint most = t->MaxWnd;
            t->Flags = (t->Flags | TcbFlag.NoDelay) & ~(TcbFlag.Cork | TcbFlag.More);
            t->MaxWnd = 0;
            bool limited = false;
            _ = SendNew(t, t->Pipe, ref limited);
            t->MaxWnd = most;
            t->Flags |= flags & (TcbFlag.Cork | TcbFlag.More);
            t->Flags &= ~(TcbFlag.NoDelay & ~flags);
            if (t->TxFirst != null)
            {
                return;
            }
        }

        if (t->FirstUnackedTimeout == 0)
        {
            t->FirstUnackedTimeout = Now;
        }

        bool silent = Now - t->LastAckReceived > 900_000_000 || (t->User == null && t->Backoff >= 8);
        if (UserTimedOut(t) || silent)
        {
            End(t, Errno.TimedOut);
            return;
        }

        SendProbe(t);
        t->Backoff = (byte)(t->Backoff < MaxBackoff ? t->Backoff + 1 : MaxBackoff);
        StartRetransmit(t, RetransmitTimer.Persist, t->Rto << t->Backoff);
    }

    private void LifeFired(Tcb* t)
    {
        if (t->User == null && t->Parent == null)
        {
            // Nobody's connection: the peer had its time.
            if (t->State is TcpState.Established or TcpState.CloseWait or TcpState.FinWait1 or TcpState.LastAck or TcpState.Closing)
            {
                SendReset(t);
            }

            End(t, 0);
            return;
        }

        if (!t->IsFlag(TcbFlag.KeepAlive) || t->State is not (TcpState.Established or TcpState.CloseWait))
        {
            return;
        }

        long idle = Now - Math.Max(t->LastReceived, t->LastAckReceived);
        long wait = t->KeepIdle * 1_000_000L;
        if (t->TxFirst != null || idle < wait)
        {
            StartLife(t, t->TxFirst != null ? wait : wait - idle);
            return;
        }

        bool userTimeout = t->UserTimeout != 0 && idle >= t->UserTimeout * 1000L && t->KeepProbes > 0;
        if (userTimeout || (t->UserTimeout == 0 && t->KeepProbes >= t->KeepCount))
        {
            SendReset(t);
            End(t, t->SoftError != 0 ? t->SoftError : Errno.TimedOut);
            return;
        }

        t->KeepProbes++;
        SendProbe(t);
        StartLife(t, t->KeepInterval * 1_000_000L);
    }
}
