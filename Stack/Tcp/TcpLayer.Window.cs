namespace NetKernel.Stack;

/// <content>When to acknowledge, and the window to tell (RFC 9293, 3.8.6); tuning of the receive buffer.</content>
public sealed unsafe partial class TcpLayer
{
    private const long DelayedAck = 40_000; // RFC 9293, 3.8.6.3: less than 0.5 s.

    /// <summary>How long the acknowledgement of a small first segment waits for the answer: longer than a program takes, and far too short to be missed by a sender with Nagle.</summary>
    private const long RequestAck = 1_000;

    /// <summary>RFC 9293, 3.8.6.3: at least every second full-sized segment is acknowledged, and none later than <see cref="DelayedAck"/>.</summary>
    private void ScheduleAck(Tcb* t)
    {
        if (t->IsFlag(TcbFlag.AckNow) || t->UnackedBytes == 0)
        {
            return;
        }

        // The first ones at once, because slow start at the other end counts them; but less than a segment is mostly a request, whose answer is about to go out with the acknowledgement.
        bool quick = t->QuickAcks != 0;
        t->QuickAcks -= (byte)(quick ? 1 : 0);
        if (t->UnackedBytes >= 2 * t->RcvMss || t->IsFlag(TcbFlag.QuickAck) || (quick && t->UnackedBytes >= t->RcvMss))
        {
            t->Flags |= TcbFlag.AckNow;
        }
        else if (!t->AckTimer.IsArmed)
        {
            _stack.Wheel.Set(&t->AckTimer, Now + (quick ? RequestAck : DelayedAck));
        }
    }

    /// <summary>
    /// The window to tell, before scaling. It never moves left (RFC 9293, 3.8.6.2.1), and moves right in steps worth a segment (3.8.6.2.2, silly
    /// window syndrome).
    /// </summary>
    private uint Window(Tcb* t)
    {
        uint free = RoomOf(t);
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

    /// <summary>The program has read: the window may open.</summary>
    public void Reopen(Tcb* t)
    {
        if (t->State is TcpState.Established or TcpState.FinWait1 or TcpState.FinWait2 && t->RcvAdv - t->RcvNxt < t->RcvBuf / 2)
        {
            UpdateWindow(t);
        }
    }

    /// <summary>
    /// What the receive buffer has room for: what waits here counts, and what the program has not read of that which its owner has taken. Else the owner would be full at all times, everything would
    /// wait here before, and be copied once more.
    /// </summary>
    private uint RoomOf(Tcb* t)
    {
        uint held = t->RcvNxt - t->RcvRead + (t->User != null ? _user.Untaken(t) : 0);
        return t->RcvBuf > held ? t->RcvBuf - held : 0;
    }

    /// <summary>Tells the peer of a window that has opened by a good deal.</summary>
    private void UpdateWindow(Tcb* t)
    {
        uint free = RoomOf(t);
        uint told = t->RcvAdv - t->RcvNxt;
        if (free > told && (free - told >= t->RcvBuf / 4 || free - told >= 2u * t->RcvMss) && (told < t->RcvBuf / 2 || told < 2u * t->RcvMss))
        {
            t->Flags |= TcbFlag.AckNow;
            Pend(t);
        }
    }

    /// <summary>
    /// Receive-buffer tuning (dynamic right-sizing): what the owner takes per round trip, twice, is what the buffer should hold, so that the window never is
    /// the limit. A program that does not keep up needs no larger one; and what has waited here all the time since the last look is more than was needed.
    /// </summary>
    private void TuneReceive(Tcb* t, uint taken)
    {
        t->TuneCopied += taken;
        t->TuneLeast = Math.Min(t->TuneLeast, t->Unread);

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

        if (t->UserReceiveBuffer == 0 && t->TuneLeast != 0)
        {
            t->RcvBuf = Math.Max(Math.Min(t->RcvBuf, _options.OwnerHolds), t->RcvBuf - Math.Min(t->TuneLeast, t->RcvBuf));
        }
        else if (t->UserReceiveBuffer == 0)
        {
            uint most = RoomOf(t) == t->RcvBuf ? _options.MaxReceiveBuffer : Math.Min(_options.OwnerHolds, _options.MaxReceiveBuffer);
            ulong want = (2ul * t->TuneCopied) + (16ul * t->RcvMss);
            want = want > most ? most : want;
            t->RcvBuf = want > t->RcvBuf ? (uint)want : t->RcvBuf;
        }

        t->TuneCopied = 0;
        t->TuneLeast = uint.MaxValue;
        t->TuneTime = Now;
    }
}
