namespace NetKernel.Stack;

/// <content>
/// TCP_DEFER_ACCEPT (tcp(7)) as Linux has it: while a listener defers, an acknowledgement without data does not end the handshake. The SYN-ACK is not sent again meanwhile; once more at the
/// end of the time, and what answers that is accepted, data or none.
/// </content>
public sealed unsafe partial class TcpLayer
{
    private const int LongestSynTimeout = 120, MostDeferrals = 255;

    /// <summary>TCP_DEFER_ACCEPT in seconds, kept as the number of SYN-ACK timeouts that cover them; 0 or less: off.</summary>
    public static void SetDeferAccept(Tcb* listener, int seconds)
    {
        byte count = 0;
        long covered = 0;
        for (int timeout = 1; covered < seconds && count < MostDeferrals; timeout = Math.Min(timeout * 2, LongestSynTimeout))
        {
            covered += timeout;
            count++;
        }

        listener->DeferAccept = count;
    }

    /// <summary>The seconds that are covered, at least those that were asked for.</summary>
    public static int DeferAcceptOf(Tcb* listener)
    {
        int seconds = 0, timeout = 1;
        for (int i = 0; i < listener->DeferAccept; i++)
        {
            seconds += timeout;
            timeout = Math.Min(timeout * 2, LongestSynTimeout);
        }

        return seconds;
    }

    /// <summary>The acknowledgement of the SYN-ACK brings no data (nor the end of it), and the listener waits for some.</summary>
    private static bool Defers(Tcb* t, in TcpSegment s)
    {
        if (t->Parent == null || t->SynRetries >= t->Parent->DeferAccept || s.Span != 0 || s.Has(TcpFlag.Syn))
        {
            return false;
        }

        t->Flags |= TcbFlag.Deferred;
        return true;
    }

    /// <summary>The SYN-ACK's timer fired while data is waited for: true when there is nothing to send yet.</summary>
    private bool StillDefers(Tcb* t)
    {
        if (!t->IsFlag(TcbFlag.Deferred) || t->SynRetries + 1 >= t->Parent->DeferAccept)
        {
            return false;
        }

        t->SynRetries++;
        t->Backoff++;
        StartRetransmit(t, RetransmitTimer.Timeout, t->Rto << t->Backoff);
        return true;
    }
}
