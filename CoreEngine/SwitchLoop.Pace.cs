using System.Diagnostics;
using System.Threading;
using NetKernel.Channel.Host;

namespace NetKernel.CoreEngine;

/// <summary>
/// How fast a guest may ask for what is no data: sockets made, connected, accepted and closed, options, and whatever is refused. Each of these costs CoreEngine, the NSM and the machine's
/// cores far more than the guest that asks, so turns alone (SwitchLoop.Fairness.cs) share it fairly and leave a neighbour waiting for the processor all the same. A token bucket in the units
/// of <see cref="CostOf"/>, a multiple of them in tokens. Queue sets that stand before such a request without tokens are not looked at for a while; those with data go on.
/// </summary>
internal sealed unsafe partial class SwitchLoop
{
    /// <summary>Tokens that a connection's life costs at an NSM besides data: Socket, Connect, Close, and three options, 50 units.</summary>
    public const uint TokensPerConnection = 50 * TokensPerUnit;

    private const uint TokensPerUnit = 4; // a request that goes to no NSM, or to the one in this process, is one token: it makes no system call

    private const int AskWindow = 64; // units; twice that may wait at the NSMs beside others: the beginnings of four connections
    private const ulong PaceStep = 200_000; // ns; short, so that what a step lets through is about one connection
    private const ulong NeighbourFor = 10_000_000_000; // ns that a guest counts as a busy neighbour after it last did something
    private const ulong LookEvery = 100_000_000; // ns between two looks for such
    private const ulong TellEvery = 10_000_000_000; // ns between two words to the control thread

    private ulong _forwarded; // requests that went to an NSM, or are held for one; runs of Sends are not counted
    private ulong _served; // those of them that went to another process

    /// <summary>
    /// Takes a guest with queue sets that are held through the beginning of a turn: they are looked at again when the step is over. Until then a timer looks after them, and what the guest
    /// rings is not heard: a guest that is held must not be able to keep the loop awake.
    /// </summary>
    private void BeginPaced(GuestPort guest)
    {
        if ((ulong)Stopwatch.GetTimestamp() < guest.PacedUntil)
        {
            SleepBriefly();
            return;
        }

        guest.Paced = default;
        guest.Junk = false;
    }

    private void EndPaced(GuestPort guest)
    {
        if (guest.Muted && guest.Paced.IsEmpty)
        {
            guest.Muted = false;
            Watch(guest.BellFd, GuestTag | guest.Id); // edge-triggered, and told at once of what was rung meanwhile
        }
    }

    /// <summary>Whether the guest may have a request that is no data handled now; if not, its queue set waits.</summary>
    private bool MayAsk(GuestPort guest, uint q)
    {
        bool window = guest.UnseenAsked < AskWindow || _guestCount <= 1;
        return window && ((guest.Own.Setup.Available() != 0 && guest.Tenants.Setup.Available() != 0) || MayStillAsk(guest, q));
    }

    /// <summary>Charges a request that is no data, or went nowhere; <paramref name="served"/>: by an NSM, elsewhere.</summary>
    private static void Ask(GuestPort guest, int cost, bool served)
    {
        guest.UnseenAsked += served ? cost : 0;
        uint tokens = served ? (uint)cost * TokensPerUnit : 1;
        guest.Own.Setup.Take(tokens);
        guest.Tenants.Setup.Take(tokens);
    }

    private bool MayStillAsk(GuestPort guest, uint q)
    {
        if (!guest.Paced.IsEmpty)
        {
            guest.Paced.Set(q); // looked at in this pass already
            return false;
        }

        ulong now = (ulong)Stopwatch.GetTimestamp();
        guest.Own.Setup.Refill(now);
        guest.Tenants.Setup.Refill(now);
        if (guest.Own.SetupIsDefault && guest.Own.Setup.Available() == 0 && !HasBusyNeighbour(guest, now))
        {
            guest.Own.Setup.Fill();
        }

        if (guest.Own.Setup.Available() != 0 && guest.Tenants.Setup.Available() != 0)
        {
            return true;
        }

        Hold(guest, q, now);
        return false;
    }

    private void Hold(GuestPort guest, uint q, ulong now)
    {
        guest.Paced.Set(q);
        guest.PacedUntil = now + PaceStep;
        guest.Counters->Paced++;
        SleepBriefly();
        if (!guest.Muted)
        {
            guest.Muted = true;
            Unwatch(guest.BellFd);
        }

        if (now >= guest.TellPacedAt)
        {
            guest.TellPacedAt = now + TellEvery;
            Volatile.Write(ref guest.PacedNews, true);
            CallControl();
        }
    }

    /// <summary>Whether another guest has had something done lately, on whatever loop.</summary>
    private bool HasBusyNeighbour(GuestPort guest, ulong now)
    {
        if (now < guest.LookForNeighboursAt)
        {
            return guest.HasNeighbour;
        }

        guest.LookForNeighboursAt = now + LookEvery;
        guest.HasNeighbour = false;
        for (uint id = 0; id < MaxGuests && !guest.HasNeighbour; id++)
        {
            guest.HasNeighbour = _guests[id] is { Dead: false } other && other != guest && other.Own.LastBusy + NeighbourFor > now;
        }

        return guest.HasNeighbour;
    }

    /// <summary>The loop may sleep, for a millisecond at most.</summary>
    private void SleepBriefly() => _throttleMs = 1;
}
