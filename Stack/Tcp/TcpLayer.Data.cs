namespace NetKernel.Stack;

/// <content>The text of segments: in order to the owner, out of order into blocks (RFC 9293, 3.10.7.4).</content>
public sealed unsafe partial class TcpLayer
{
    /// <summary>Seventh and eighth of 3.10.7.4: text and FIN.</summary>
    private void TakeText(Tcb* t, ref TcpSegment s)
    {
        if (s.Span == 0)
        {
            if (s.Seq != t->RcvNxt && Seq.Before(s.Seq, t->RcvNxt))
            {
                AckSoon(t); // A keep-alive probe (3.8.4), or an old ACK.
            }

            return;
        }

        if (t->State is not (TcpState.Established or TcpState.FinWait1 or TcpState.FinWait2))
        {
            return; // The peer has said FIN before: what follows it is ignored.
        }

        NoteCe(t, in s);
        uint seq = s.Seq;
        byte* data = s.Data;
        uint length = s.Length;
        bool fin = s.Has(TcpFlag.Fin);
        if (Seq.Before(seq, t->RcvNxt))
        {
            // Its front was here before (RFC 2883, 4: say so).
            uint old = t->RcvNxt - seq;
            if (t->IsFlag(TcbFlag.Sack))
            {
                t->DsackFrom = seq;
                t->DsackTo = Seq.Min(t->RcvNxt, seq + length);
            }

            t->Flags |= TcbFlag.AckNow;
            old = old < length ? old : length;
            data += old;
            length -= old;
            seq = t->RcvNxt;
        }

        // What lies beyond the window is cut off, and FIN with it. A window of 0 may be overrun by what came while it was shrinking: not taken.
        uint room = Seq.After(t->RcvAdv, seq) ? t->RcvAdv - seq : 0;
        if (length > room)
        {
            length = room;
            fin = false;
            t->Flags |= TcbFlag.AckNow;
        }

        if (length != 0)
        {
            t->DataSegmentsIn += s.GsoSize > 1 ? (s.Length + s.GsoSize - 1) / s.GsoSize : 1;
            t->LastDataReceived = Now;
            uint full = s.GsoSize != 0 ? s.GsoSize : s.Length;
            if (full > t->RcvMss || full > DefaultMss)
            {
                t->RcvMss = full < 65535 ? full : 65535;
            }

            if (t->User == null && t->Parent == null)
            {
                // RFC 9293, 3.6.1; RFC 1122, 4.2.2.13: nobody is there to read it any more.
                SendReset(t);
                End(t, 0);
                return;
            }
        }

        if (seq == t->RcvNxt)
        {
            InOrder(t, data, length, fin);
        }
        else
        {
            t->OutOfOrderSegments += length == 0 ? 0 : s.GsoSize > 1 ? (s.Length + s.GsoSize - 1) / s.GsoSize : 1;
            OutOfOrder(t, seq, data, length);
        }

        if (t->State != TcpState.Closed)
        {
            Pend(t);
        }
    }

    private void InOrder(Tcb* t, byte* data, uint length, bool fin)
    {
        uint taken = 0;
        uint finSeq = t->RcvNxt + length;
        bool hadGap = t->RxLast != null && Seq.After(t->RxLast->End, t->RcvNxt);
        if (length != 0)
        {
            if (t->IsFlag(TcbFlag.ReadShut) && !hadGap && t->Unread == 0)
            {
                taken = length;
            }
            else if (t->User != null && t->Unread == 0)
            {
                taken = _user.Receive(t, data, length);
            }

            uint kept = taken;
            if (taken < length)
            {
                kept += Store(t, t->RcvNxt + taken, data + taken, length - taken);
                if (t->User != null)
                {
                    Tell(t);
                }
            }

            t->RcvNxt += kept;
            if (t->RcvRead == t->RcvNxt - kept)
            {
                t->RcvRead += taken;
            }

            t->BytesReceived += kept;
            t->UnackedBytes += kept;
            if (kept < length)
            {
                fin = false;
                t->Flags |= TcbFlag.AckNow;
                _counters.Drop(DropReason.NoMemory);
            }

            TuneReceive(t, taken);
        }

        if (hadGap)
        {
            Merge(t);
            t->Flags |= TcbFlag.AckNow; // RFC 5681, 4.2: a filled gap is told at once.
        }

        if (fin && t->RcvNxt == finSeq)
        {
            TakeFin(t);
        }

        ScheduleAck(t);
    }

    /// <summary>RFC 9293, 3.10.7.4, eighth.</summary>
    private void TakeFin(Tcb* t)
    {
        t->RcvNxt++;
        if (t->RcvRead == t->RcvNxt - 1)
        {
            t->RcvRead = t->RcvNxt;
        }

        t->RcvAdv = Seq.Max(t->RcvAdv, t->RcvNxt);
        t->Flags |= TcbFlag.FinReceived | TcbFlag.AckNow;
        switch (t->State)
        {
            case TcpState.Established:
                t->State = TcpState.CloseWait;
                Tell(t);
                break;
            case TcpState.FinWait1:
                t->State = TcpState.Closing; // Our FIN is not acknowledged, or TakeAck would have moved on.
                Tell(t);
                break;
            case TcpState.FinWait2:
                Tell(t);
                if (t->State == TcpState.FinWait2)
                {
                    EnterTimeWait(t);
                }

                break;
            default:
                break;
        }
    }

    private void OutOfOrder(Tcb* t, uint seq, byte* data, uint length)
    {
        // A FIN out of order is not remembered: it comes again with the retransmission that fills the gap, or by its own timer.
        if (length != 0)
        {
            uint before = t->RxBlocks;
            uint kept = Store(t, seq, data, length);
            if (kept != 0)
            {
                NoteSack(t, seq, seq + kept);
            }
            else if (before == t->RxBlocks && t->IsFlag(TcbFlag.Sack))
            {
                t->DsackFrom = seq; // Stored before, or no room.
                t->DsackTo = seq + length;
            }
        }

        // RFC 5681, 4.2: each one is told at once, since the peer counts duplicates.
        SendAck(t);
    }

    /// <summary>What now follows without a gap is received.</summary>
    private void Merge(Tcb* t)
    {
        uint before = t->RcvNxt;
        for (RxBlock* b = t->RxFirst; b != null && Seq.AtMost(b->Start, t->RcvNxt); b = b->Next)
        {
            t->RcvNxt = Seq.Max(t->RcvNxt, b->End);
        }

        t->BytesReceived += t->RcvNxt - before;
        t->UnackedBytes += t->RcvNxt - before;
        DropOldSacks(t);
        DeliverQueued(t);
    }

    /// <summary>Gives the owner what waits in order.</summary>
    private void DeliverQueued(Tcb* t)
    {
        uint end = t->IsFlag(TcbFlag.FinReceived) ? t->RcvNxt - 1 : t->RcvNxt;
        uint total = 0;
        while (t->RxFirst != null && Seq.Before(t->RcvRead, end))
        {
            RxBlock* b = t->RxFirst;
            uint offset = t->RcvRead - b->Start;
            if (offset < b->Length)
            {
                uint length = Seq.Min(b->End, end) - t->RcvRead;
                uint taken = t->IsFlag(TcbFlag.ReadShut) ? length : t->User == null ? 0 : _user.Receive(t, RxBlock.Data(b) + offset, length);
                t->RcvRead += taken;
                total += taken;
                if (taken < length)
                {
                    Tell(t);
                    break;
                }
            }

            if (Seq.AtLeast(t->RcvRead, b->End))
            {
                RemoveFirst(t);
            }
        }

        // Blocks whose bytes came another way.
        while (t->RxFirst != null && Seq.AtMost(t->RxFirst->End, t->RcvRead))
        {
            RemoveFirst(t);
        }

        if (t->IsFlag(TcbFlag.FinReceived) && t->RcvRead == end)
        {
            t->RcvRead = t->RcvNxt;
            Tell(t);
        }

        TuneReceive(t, total);
    }
}
