namespace NetKernel.Stack;

/// <content>What acknowledgements tell besides a number: congestion marks (RFC 3168), blocks out of order (RFC 2018), duplicates (RFC 2883).</content>
public sealed unsafe partial class TcpLayer
{
    /// <summary>RFC 3168, 6.1.3: CE is echoed until the peer says CWR. DCTCP (RFC 8257, 3.2) echoes it exactly: a change is acknowledged at once.</summary>
    private void NoteCe(Tcb* t, in TcpSegment s)
    {
        if (!t->IsFlag(TcbFlag.Ecn) || s.Length == 0)
        {
            return;
        }

        t->EctSeen |= s.Ecn != 0 ? (byte)1 : (byte)0;
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

    /// <summary>Blocks to send (RFC 2018, 4): the newest first, then those told before.</summary>
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
