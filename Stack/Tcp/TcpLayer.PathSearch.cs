namespace NetKernel.Stack;

/// <content>
/// The search upwards (RFC 4821, 7; RFC 8899, 5): a connection that has fallen back to small segments asks, by single larger ones, what the path does carry. An outage of some seconds looks like a black
/// hole, too: so the largest size is tried first, then half of what is left, and so on.
/// </content>
/// <remarks>
/// Probes are new data, and their loss is no sign of congestion (RFC 4821, 7.4 and 7.6). Only with SACK, which tells at once that a probe alone is lost; a connection without keeps its small segments.
/// </remarks>
public sealed unsafe partial class TcpLayer
{
    /// <summary>RFC 8899, 5.1.1, PMTU_RAISE_TIMER: a search that has ended below the top begins anew after ten minutes.</summary>
    private const long SearchRest = 600_000_000;

    /// <summary>Bytes for which no further probe is sent.</summary>
    private const uint SearchStep = 16;

    /// <summary>Sends a probe, if it is time for one and there is enough behind it to show what became of it (7.4). Waits: there will be room for it soon, and nothing else is to be sent before.</summary>
    private bool ProbePath(Tcb* t, uint pipe, ref bool waits)
    {
        if (t->ProbeMtu != 0 || Now < t->NextSearch || t->CaState != CaState.Open || t->LostBytes != 0 || t->Backoff != 0 || !t->IsFlag(TcbFlag.Sack)
            || t->SackBlocks != 0 || t->DsackFrom != t->DsackTo || t->State is not (TcpState.Established or TcpState.CloseWait))
        {
            return false;
        }

        uint high = t->SearchHigh != 0 ? t->SearchHigh : PathLimit(t);
        if (high < t->BlackHoleMtu + SearchStep)
        {
            t->SearchHigh = 0;
            t->NextSearch = Now + SearchRest;
            return false;
        }

        uint mtu = t->SearchHigh == 0 ? high : (t->BlackHoleMtu + high + 1) / 2;
        uint mss = t->Mss + mtu - t->BlackHoleMtu;
        uint needed = mss + (DupThresh * t->Mss);
        if (!Seq.AtLeast(t->WriteSeq, t->SndNxt + needed) || !Seq.AtLeast(t->SndUna + t->SndWnd, t->SndNxt + needed) || t->Cwnd < needed)
        {
            return false;
        }

        if (t->Cwnd - Math.Min(pipe, t->Cwnd) < mss)
        {
            waits = true;
            return false;
        }

        ushort before = t->Mss;
        bool limited = false;
        t->Mss = (ushort)mss;
        bool sent = SendNew(t, pipe, ref limited, most: mss);
        t->Mss = before;
        if (sent && t->TxLast->Length > before)
        {
            t->TxLast->Flags |= TxSegment.Probe;
            t->ProbeMtu = (ushort)mtu;
        }

        return sent;
    }

    /// <summary>A probe has arrived: so much the path carries.</summary>
    private void ProbeArrived(Tcb* t, TxSegment* x)
    {
        x->Flags &= unchecked((ushort)~TxSegment.Probe);
        if (t->ProbeMtu == 0)
        {
            return;
        }

        t->BlackHoleMtu = t->ProbeMtu < PathLimit(t) ? t->ProbeMtu : (ushort)0;
        t->ProbeMtu = 0;
        SetMss(t);
    }

    /// <summary>A probe is lost, alone: so much the path does not carry. It goes again in smaller pieces.</summary>
    private static void ProbeLost(Tcb* t, TxSegment* x)
    {
        x->Flags &= unchecked((ushort)~TxSegment.Probe);
        t->SearchHigh = t->ProbeMtu != 0 ? (ushort)(t->ProbeMtu - 1) : t->SearchHigh;
        t->ProbeMtu = 0;
    }

    /// <summary>A timeout with a probe out: it is taken for lost (7.6.3).</summary>
    private static void GiveProbeUp(Tcb* t)
    {
        for (TxSegment* x = t->ProbeMtu != 0 ? t->TxFirst : null; x != null; x = x->Next)
        {
            if (x->Is(TxSegment.Probe))
            {
                ProbeLost(t, x);
            }
        }

        t->ProbeMtu = 0;
    }

    /// <summary>The largest packet that link, ICMP, peer and program let us send.</summary>
    private uint PathLimit(Tcb* t)
    {
        uint headers = t->Remote.IsV4 ? (uint)(Field.V4Length + Field.TcpLength) : Field.V6Length + Field.TcpLength;
        uint mss = t->UserMss != 0 && t->UserMss < t->PeerMss ? t->UserMss : t->PeerMss;
        return Math.Min(_stack.MtuTo(t->Remote), mss + headers);
    }
}
