namespace NetKernel.Stack;

/// <content>
/// Paths that swallow large packets and send no ICMP, or whose ICMP is lost (RFC 4821, 3 and 7.7; RFC 2923, 2.1): after timeouts in a row for a large segment, smaller ones are tried.
/// </content>
/// <remarks>
/// What is suspected holds for the connection, which searches upwards again (TcpLayer.PathSearch.cs); new ones begin with the link's MTU, or with what ICMP said in the last ten minutes.
/// </remarks>
public sealed unsafe partial class TcpLayer
{
    /// <summary>Timeouts in a row (a "full stop", 7.7) before the size is suspected; Linux's tcp_retries1 is the same.</summary>
    private const int SuspiciousTimeouts = 3;

    /// <summary>7.2: a size that nearly every path carries.</summary>
    private const uint BaseMtu = 1024;

    /// <summary>
    /// The retransmission timer has run out: is the path a black hole for segments of this size? Then half the MTU, at most <see cref="BaseMtu"/>, and once more after as many timeouts,
    /// down to what ICMP is believed at all (<see cref="PathMtuCache"/>).
    /// </summary>
    private void SuspectPath(Tcb* t)
    {
        if ((t->Backoff + 1) % SuspiciousTimeouts != 0 || t->TxFirst == null || t->TxFirst->Length < t->Mss)
        {
            return; // A small segment is lost for another reason.
        }

        uint before = t->BlackHoleMtu != 0 ? t->BlackHoleMtu : _stack.MtuTo(t->Remote);
        uint least = t->Remote.IsV4 ? PathMtuCache.MinV4 : PathMtuCache.MinV6;
        uint mtu = Math.Max(Math.Min(before / 2, BaseMtu), least);
        if (mtu >= before)
        {
            return;
        }

        t->BlackHoleMtu = (ushort)mtu;
        t->SearchHigh = 0;
        t->NextSearch = Now;
        LowerMss(t);
    }
}
