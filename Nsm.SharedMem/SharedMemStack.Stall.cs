using System.Diagnostics;
using NetKernel.Channel;
using NetKernel.Channel.Host;

namespace NetKernel.Nsm.SharedMem;

/// <content>
/// TCP_USER_TIMEOUT (tcp(7)): data that the peer has had no room for so many milliseconds ends the connection with ETIMEDOUT, as Linux ends one whose peer keeps its window shut (tcp_probe_timer). The
/// peer, which may be a stopped process, is told of a reset when it comes back. Without the option it is waited for without end.
/// </content>
public sealed unsafe partial class SharedMemStack
{
    private const long Millisecond = 1_000_000;

    /// <summary>The peer has no room. <paramref name="moved"/>: it had some a moment ago, and the time begins anew.</summary>
    private void Stall(SharedSocket* s, bool moved)
    {
        if (moved)
        {
            EndStall(s);
        }

        if (!s->Has(SharedFlags.Timed)) // a close has a time of its own
        {
            s->Set(SharedFlags.Stalled);
            SetTime(s, s->Options.UserTimeout * Millisecond);
        }
    }

    /// <summary>The peer has taken something, or the data waits no more.</summary>
    private void EndStall(SharedSocket* s)
    {
        if (s->Has(SharedFlags.Stalled))
        {
            s->Clear(SharedFlags.Stalled);
            ClearTime(s);
        }
    }

    /// <summary>The same for what lies in a ring, looked at with every tick. As with SO_LINGER, half a ring at most counts as taken by the peer's host.</summary>
    private void LookForStall(SharedSocket* s)
    {
        uint head = Volatile.Read(ref s->Ends[1 - s->Side].Head), waiting = Volatile.Read(ref s->Ends[s->Side].Tail) - head;
        uint most = Math.Min(Volatile.Read(ref s->Ends[1 - s->Side].ReceiveLimit), DirectLayout.RingBytes / 2);
        long now = Stopwatch.GetTimestamp();
        if (waiting <= most || head != s->StalledHead || s->StalledAt == 0)
        {
            s->StalledAt = now;
            s->StalledHead = head;
        }
        else if (now - s->StalledAt >= s->Options.UserTimeout * Millisecond)
        {
            TimeOut(s);
        }
    }

    private void TimeOut(SharedSocket* s)
    {
        EndStall(s);
        if (s->Self->Has(ServiceLib.ConnectionFlags.Closing))
        {
            s->Set(SharedFlags.Abort);
            _host.Schedule(s->Self);
            return;
        }

        Break(s, Libc.ETIMEDOUT);
        if (s->Peer != null)
        {
            Break(s->Peer, ErrorOfReset(s->Peer));
        }
    }

    /// <summary>How long a connect waits: for as many SYNs as TCP_SYNCNT says, each after twice the time of the one before and two minutes at most, or for TCP_USER_TIMEOUT.</summary>
    private static long ConnectTimeOf(SharedSocket* s)
    {
        const int Longest = 120;
        long seconds = 0;
        for (int i = 0, wait = 1; i <= s->Options.SynRetries; i++, wait = Math.Min(2 * wait, Longest))
        {
            seconds += wait;
        }

        long limit = s->Options.UserTimeout * Millisecond;
        return limit != 0 && limit < seconds * Second ? limit : seconds * Second;
    }

    /// <summary>How long a close waits for a peer that does not read.</summary>
    private static long CloseTimeOf(SharedSocket* s)
    {
        long limit = s->Options.UserTimeout * Millisecond;
        return limit != 0 && limit < CloseTime ? limit : CloseTime;
    }
}
