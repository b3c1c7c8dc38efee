using System.Diagnostics;
using System.Threading;
using NetKernel.Channel.Host;

namespace NetKernel.CoreEngine;

/// <summary>
/// How fast a guest may ask for what is no data: sockets made, connected, accepted and closed, options, and whatever is refused. Each of these costs CoreEngine, the NSM and the machine's
/// cores far more than the guest that asks, so turns alone (SwitchLoop.Fairness.cs) share it fairly and leave a neighbour waiting for the processor all the same. A token bucket in the units
/// of <see cref="CostOf"/>, a multiple of them in tokens. Queue sets that stand before such a request without tokens are not looked at for a while; those with data go on. What a guest asks for because
/// of a connection with the only other guest that is busy is free while CoreEngine's default is in force (SwitchLoop.Peers.cs): nobody else is there to suffer from it.
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

    /// <summary>What a request that is no data, and is served by an NSM elsewhere, takes from the bucket. A stream's socket is paid for when it connects, for only then is its peer known.</summary>
    private static uint TokensOf(Nqe* e) =>
        e->Op == Op.Socket && (e->OpData >> 16 & 0xF) == Libc.SOCK_STREAM ? 1u
        : (uint)(CostOf(e->Op) + (e->Op == Op.Connect ? CostOf(Op.Socket) : 0)) * TokensPerUnit;

    /// <summary>Whether the guest may have a request that is no data handled now; if not, its queue set waits.</summary>
    private bool MayAsk(GuestPort guest, uint q, Nqe* e)
    {
        guest.AsksFree = false;
        bool window = guest.UnseenAsked < AskWindow || _guestCount <= 1;
        return window && ((!guest.Pressed && guest.Own.Setup.Available() != 0 && guest.Tenants.Setup.Available() != 0) || MayStillAsk(guest, q, e));
    }

    /// <summary>Charges a request that is no data. What went to no NSM elsewhere is one token, at no <paramref name="cost"/> for anybody else.</summary>
    private static void Ask(GuestPort guest, int cost, uint tokens)
    {
        guest.UnseenAsked += cost;
        if (!guest.AsksFree)
        {
            guest.Own.Setup.Take(tokens);
        }

        guest.Tenants.Setup.Take(tokens);
    }

    private bool MayStillAsk(GuestPort guest, uint q, Nqe* e)
    {
        ulong now = (ulong)Stopwatch.GetTimestamp();
        if (guest.Paced.IsEmpty)
        {
            guest.Own.Setup.Refill(now);
            guest.Tenants.Setup.Refill(now);
        }

        // Looked at from the moment on at which the bucket was empty until it is full: what is between two guests must not use up what they need for their sockets before it is free.
        guest.Pressed = guest.Own.SetupIsDefault && !guest.Own.Setup.IsFull;
        if (guest.Pressed)
        {
            LookForNeighbours(guest, now);
            guest.AsksFree = guest.BusyNeighbours == 1 && _guests[guest.BusyNeighbour] is { } only && IsBetween(guest, e, only, now);
            if (guest.BusyNeighbours == 0)
            {
                guest.Own.Setup.Fill();
            }
        }

        bool may = guest.AsksFree || guest.Own.Setup.Available() != 0;

        if (may && guest.Tenants.Setup.Available() != 0)
        {
            return true;
        }

        if (guest.Paced.IsEmpty)
        {
            Hold(guest, q, now);
        }
        else
        {
            guest.Paced.Set(q); // held in this pass already
        }

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

    /// <summary>Looks whether other guests have had something done lately, on whatever loop: none, which one, or several.</summary>
    private void LookForNeighbours(GuestPort guest, ulong now)
    {
        if (now < guest.LookForNeighboursAt)
        {
            return;
        }

        guest.LookForNeighboursAt = now + LookEvery;
        guest.BusyNeighbours = 0;
        for (uint id = 0; id < MaxGuests && guest.BusyNeighbours < 2; id++)
        {
            if (_guests[id] is { Dead: false } other && other != guest && other.Own.LastBusy + NeighbourFor > now)
            {
                guest.BusyNeighbours++;
                guest.BusyNeighbour = id;
            }
        }
    }

    /// <summary>The loop may sleep, for a millisecond at most.</summary>
    private void SleepBriefly() => _throttleMs = 1;
}
