namespace NetKernel.Stack;

/// <content>The text of segments: in order to the owner, out of order into blocks; and the windows that come of it.</content>
public sealed unsafe partial class TcpLayer
{
    private const long DelayedAck = 40_000; // RFC 9293, 3.8.6.3: less than 0.5 s.

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

    /// <summary>Puts bytes into blocks where none are yet. Returns how many of them, from the first on, are held now.</summary>
    private uint Store(Tcb* t, uint seq, byte* data, uint length)
    {
        uint most = (t->RcvBuf / 1024) + 16;
        uint end = seq + length;
        uint at = seq;
        RxBlock* before = null;
        if (t->RxLast != null && Seq.AtLeast(seq, t->RxLast->Start))
        {
            before = t->RxLast;
        }
        else
        {
            for (RxBlock* b = t->RxFirst; b != null && Seq.AtMost(b->Start, seq); b = b->Next)
            {
                before = b;
            }
        }

        while (Seq.Before(at, end))
        {
            if (before != null && Seq.After(before->End, at))
            {
                at = before->End; // These are here already.
                continue;
            }

            RxBlock* next = before == null ? t->RxFirst : before->Next;
            uint stop = next != null && Seq.Before(next->Start, end) ? next->Start : end;
            if (at == stop)
            {
                before = next;
                continue;
            }

            uint space = before != null && before->End == at ? RxBlock.Capacity - before->Length : 0;
            if (space == 0)
            {
                RxBlock* b = t->RxBlocks >= most ? null : (RxBlock*)_blocks.Take();
                if (b == null)
                {
                    return at - seq;
                }

                t->RxBlocks++;
                b->Start = at;
                b->Length = 0;
                b->Next = next;
                if (before == null)
                {
                    t->RxFirst = b;
                }
                else
                {
                    before->Next = b;
                }

                if (next == null)
                {
                    t->RxLast = b;
                }

                before = b;
                space = RxBlock.Capacity;
            }

            uint piece = stop - at < space ? stop - at : space;
            Buffer.MemoryCopy(data + (at - seq), RxBlock.Data(before) + before->Length, piece, piece);
            before->Length += piece;
            at += piece;
        }

        return length;
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

    private void RemoveFirst(Tcb* t)
    {
        RxBlock* b = t->RxFirst;
        t->RxFirst = b->Next;
        if (t->RxFirst == null)
        {
            t->RxLast = null;
        }

        t->RxBlocks--;
        _blocks.Give(b);
    }

    /// <summary>RFC 9293, 3.8.6.3: at least every second full-sized segment is acknowledged, and none later than <see cref="DelayedAck"/>.</summary>
    private void ScheduleAck(Tcb* t)
    {
        if (t->IsFlag(TcbFlag.AckNow) || t->UnackedBytes == 0)
        {
            return;
        }

        if (t->UnackedBytes >= 2 * t->RcvMss || t->QuickAcks != 0 || t->IsFlag(TcbFlag.QuickAck))
        {
            if (t->QuickAcks != 0)
            {
                t->QuickAcks--; // The first ones at once: slow start at the other end counts them.
            }

            t->Flags |= TcbFlag.AckNow;
        }
        else if (!t->AckTimer.IsArmed)
        {
            _stack.Wheel.Set(&t->AckTimer, Now + DelayedAck);
        }
    }

    /// <summary>
    /// The window to tell, before scaling. It never moves left (RFC 9293, 3.8.6.2.1), and moves right in steps worth a segment (3.8.6.2.2, silly
    /// window syndrome).
    /// </summary>
    private uint Window(Tcb* t)
    {
        uint held = t->RcvNxt - t->RcvRead;
        uint free = t->RcvBuf > held ? t->RcvBuf - held : 0;
        uint right = t->RcvNxt + free;
        uint step = Math.Min(t->RcvBuf / 2, t->RcvMss);
        if (Seq.After(right, t->RcvAdv) && right - t->RcvAdv >= step)
        {
            t->RcvAdv = right;
        }

        uint window = t->RcvAdv - t->RcvNxt;
        uint most = 65535u << t->RcvScale;
        if (window > most)
        {
            window = most;
            t->RcvAdv = t->RcvNxt + most;
        }

        // Rounded up to what can be expressed, so that the edge does not move back.
        uint unit = (1u << t->RcvScale) - 1;
        if ((window & unit) != 0)
        {
            window = (window + unit) & ~unit;
            window = window > most ? most : window;
            t->RcvAdv = t->RcvNxt + window;
        }

        return window;
    }

    /// <summary>Tells the peer of a window that has opened by a good deal.</summary>
    private void UpdateWindow(Tcb* t)
    {
        uint held = t->RcvNxt - t->RcvRead;
        uint free = t->RcvBuf > held ? t->RcvBuf - held : 0;
        uint told = t->RcvAdv - t->RcvNxt;
        if (free > told && (free - told >= t->RcvBuf / 4 || free - told >= 2u * t->RcvMss) && (told < t->RcvBuf / 2 || told < 2u * t->RcvMss))
        {
            t->Flags |= TcbFlag.AckNow;
            Pend(t);
        }
    }

    /// <summary>
    /// Receive-buffer tuning (dynamic right-sizing): what the owner takes per round trip, twice, is what the buffer should hold, so that the window never is
    /// the limit.
    /// </summary>
    private void TuneReceive(Tcb* t, uint taken)
    {
        t->TuneCopied += taken;

        // Without timestamps of ours the time in which a full window came is the estimate.
        if (Seq.AtLeast(t->RcvNxt, t->RcvRttSeq))
        {
            if (t->RcvRttTime != 0)
            {
                long sample = Now - t->RcvRttTime;
                t->RcvRtt = t->RcvRtt == 0 || sample < t->RcvRtt ? sample : t->RcvRtt + ((sample - t->RcvRtt) / 8);
            }

            t->RcvRttSeq = t->RcvAdv;
            t->RcvRttTime = Now;
        }

        long rtt = t->Srtt != 0 && (t->RcvRtt == 0 || t->Srtt < t->RcvRtt) ? t->Srtt : t->RcvRtt;
        if (rtt == 0 || Now - t->TuneTime < rtt)
        {
            return;
        }

        if (t->UserReceiveBuffer == 0)
        {
            ulong want = (2ul * t->TuneCopied) + (16ul * t->RcvMss);
            want = want > _options.MaxReceiveBuffer ? _options.MaxReceiveBuffer : want;
            t->RcvBuf = want > t->RcvBuf ? (uint)want : t->RcvBuf;
        }

        t->TuneCopied = 0;
        t->TuneTime = Now;
    }

    /// <summary>RFC 3168, 6.1.3: CE is echoed until the peer says CWR. DCTCP (RFC 8257, 3.2) echoes it exactly: a change is acknowledged at once.</summary>
    private void NoteCe(Tcb* t, in TcpSegment s)
    {
        if (!t->IsFlag(TcbFlag.Ecn) || s.Length == 0)
        {
            return;
        }

        bool ce = s.Ecn == 3;
        if (CongestionControl.Of(t).EchoesExactly)
        {
            if (ce != t->IsFlag(TcbFlag.LastAckCe))
            {
                if (t->UnackedBytes != 0)
                {
                    SendAck(t); // With the old state.
                }

                t->Flags = ce ? t->Flags | TcbFlag.LastAckCe | TcbFlag.EchoCe : t->Flags & ~(TcbFlag.LastAckCe | TcbFlag.EchoCe);
            }

            return;
        }

        if (s.Has(TcpFlag.Cwr))
        {
            t->Flags &= ~TcbFlag.EchoCe;
        }

        if (ce)
        {
            t->Flags |= TcbFlag.EchoCe | TcbFlag.AckNow;
        }
    }

    // --- SACK blocks to send (RFC 2018, 4): the newest first, then those told before ---
    private static void NoteSack(Tcb* t, uint from, uint to)
    {
        if (!t->IsFlag(TcbFlag.Sack))
        {
            return;
        }

        int kept = 0;
        uint* rest = stackalloc uint[8];
        for (int i = 0; i < t->SackBlocks; i++)
        {
            uint a = t->Sacks[2 * i], b = t->Sacks[(2 * i) + 1];
            if (Seq.AtMost(a, to) && Seq.AtLeast(b, from))
            {
                from = Seq.Min(a, from);
                to = Seq.Max(b, to);
            }
            else if (kept < 3)
            {
                rest[2 * kept] = a;
                rest[(2 * kept) + 1] = b;
                kept++;
            }
        }

        t->Sacks[0] = from;
        t->Sacks[1] = to;
        for (int i = 0; i < 2 * kept; i++)
        {
            t->Sacks[i + 2] = rest[i];
        }

        t->SackBlocks = (byte)(kept + 1);
    }

    private static void DropOldSacks(Tcb* t)
    {
        int kept = 0;
        for (int i = 0; i < t->SackBlocks; i++)
        {
            if (Seq.After(t->Sacks[(2 * i) + 1], t->RcvNxt))
            {
                t->Sacks[2 * kept] = t->Sacks[2 * i];
                t->Sacks[(2 * kept) + 1] = t->Sacks[(2 * i) + 1];
                kept++;
            }
        }

        t->SackBlocks = (byte)kept;
    }

    private static void NoteDuplicate(Tcb* t, in TcpSegment s)
    {
        if (t->IsFlag(TcbFlag.Sack) && s.Length != 0 && Seq.Before(s.Seq, t->RcvNxt))
        {
            t->DsackFrom = s.Seq;
            t->DsackTo = Seq.Min(s.Seq + s.Length, t->RcvNxt);
        }
    }
}
