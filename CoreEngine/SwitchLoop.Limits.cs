using System.Diagnostics;

namespace NetKernel.CoreEngine;

/// <summary>
/// Limits of guests and tenants. A guest out of tokens is not served where it would spend them: its rings fill, and its programs wait as they do for any full buffer. Bytes to the
/// guest are charged as they pass, for an NSM's ring is everybody's and must not wait; while they are overdrawn, the guest's RxCredits are held here, so that the NSM comes to the end
/// of the connection's window and stops reading. A guest without limits costs one branch a batch.
/// </summary>
internal sealed unsafe partial class SwitchLoop
{
    private const int LongestThrottleMs = 5; // what a throttled guest has published just before it would have rung is seen by then

    private const ulong ReleaseEvery = 1_000_000; // ns
    private const long FarOver = 8 << 20;

    private int _throttleMs; // some guest waits for tokens: how long to sleep at most; 0: none
    private uint _lives;

    /// <summary>A guest's limits, or its tenant's, have changed.</summary>
    public void LimitsChanged(uint guest)
    {
        if (_guests[guest] is { Dead: false } port)
        {
            port.IsLimited = port.Own.HasRates || port.Tenants.HasRates;
            port.ReceivedSeen = port.Counters->BytesReceived;
            Activate(port);
        }
    }

    /// <summary>Before a limited guest is served: charges what it has received, and lets go of credits if it may receive again. True when any went.</summary>
    private bool BeginLimited(GuestPort guest)
    {
        ulong now = (ulong)Stopwatch.GetTimestamp();
        WakeThrottled(guest);
        guest.Own.Refill(now);
        guest.Tenants.Refill(now);
        ulong received = guest.Counters->BytesReceived;
        if (received != guest.ReceivedSeen)
        {
            guest.Own.Receive.Take(received - guest.ReceivedSeen);
            guest.Tenants.Receive.Take(received - guest.ReceivedSeen);
            guest.ReceivedSeen = received;
        }

        return guest.Held is { Count: not 0 } hold && ReleaseCredits(guest, hold, now);
    }

    /// <summary>A guest whose limits were lifted gets what is still held; true when any went.</summary>
    private bool EndLimited(GuestPort guest)
    {
        WakeThrottled(guest);
        return ReleaseCredits(guest, guest.Held!, 0);
    }

    private static void WakeThrottled(GuestPort guest)
    {
        if (guest.Throttled)
        {
            guest.Throttled = false;
            System.Threading.Volatile.Write(ref guest.Bell->Asleep, 0u);
        }
    }

    private bool ReleaseCredits(GuestPort guest, CreditHold hold, ulong now)
    {
        uint before = hold.Count;
        ulong left = ulong.MaxValue;
        if (guest.IsLimited)
        {
            if (ReceiveSpent(guest))
            {
                return false;
            }

            if (now < guest.ReleaseAfter)
            {
                Throttle(guest, guest.Own.Receive, guest.Tenants.Receive);
                return false;
            }

            // As much as there are tokens for, and then a moment for the NSM to answer with data, which is what is charged.
            left = Math.Min(guest.Own.Receive.Available(), guest.Tenants.Receive.Available());
            guest.ReleaseAfter = now + ReleaseEvery;
        }

        while (hold.Count != 0)
        {
            if (left == 0)
            {
                Throttle(guest, guest.Own.Receive, guest.Tenants.Receive);
                break;
            }

            CreditHold.Held* first = hold.First;
            Connection* connection = _table.Items + first->Id;

            // Of a connection that has closed since, its NSM has taken everything back by itself.
            if (first->Life != 0 && connection->Life == first->Life)
            {
                bool open = connection->Phase == Phase.Active || (connection->Flags & ConnectionFlags.CloseQueued) != 0;
                if (open && (connection->Flags & ConnectionFlags.Down) == 0
                    && !Forward(guest, connection->QueueSet, first->Id, &first->Credit, job: false))
                {
                    _stalled = true;
                    break;
                }

                connection->Held--;
                left -= Math.Min(left, first->Credit.Size);
            }

            hold.RemoveFirst();
        }

        return hold.Count != before;
    }

    /// <summary>
    /// A connection is about to be closed: its held credits go first, for data that its NSM takes for unread would make the close a reset. False when the NSM's ring is full.
    /// </summary>
    private bool ReleaseCreditsOf(GuestPort guest, uint id, Connection* connection)
    {
        for (uint i = 0; connection->Held != 0 && i < guest.Held!.Count; i++)
        {
            CreditHold.Held* held = guest.Held.At(i);
            if (held->Id != id || held->Life != connection->Life)
            {
                continue;
            }

            if (!Forward(guest, connection->QueueSet, id, &held->Credit, job: false))
            {
                return false;
            }

            held->Life = 0;
            connection->Held--;
        }

        return true;
    }

    /// <summary>How many of so many NQEs a limited guest may have handled now.</summary>
    private uint OperationsLeft(GuestPort guest, uint wanted)
    {
        ulong left = Math.Min(guest.Own.Operations.Available(), guest.Tenants.Operations.Available());
        if (left == 0)
        {
            Throttle(guest, guest.Own.Operations, guest.Tenants.Operations);
            return 0;
        }

        return (uint)Math.Min(left, wanted);
    }

    private static void TakeOperations(GuestPort guest, uint count)
    {
        if (guest.IsLimited)
        {
            guest.Own.Operations.Take(count);
            guest.Tenants.Operations.Take(count);
        }
    }

    /// <summary><see cref="ForwardSends"/> as far as the guest's limits allow.</summary>
    private uint ForwardWithin(GuestPort guest, NsmPort nsm, uint q, Nqe* elements, uint count, ConnectionFlags look = ConnectionFlags.CanSend | ConnectionFlags.Twofold)
    {
        if (!guest.IsLimited)
        {
            return ForwardSends(guest, nsm, q, elements, count, look);
        }

        ulong left = Math.Min(guest.Own.Send.Available(), guest.Tenants.Send.Available());
        if (left == 0)
        {
            Throttle(guest, guest.Own.Send, guest.Tenants.Send);
            return 0;
        }

        // As many as fit whatever their size, at least one: no more than one overdraws.
        count = (uint)Math.Clamp(left / PoolLayout.LargeBytes, 1, count);
        ulong before = guest.Counters->BytesSent;
        uint done = ForwardSends(guest, nsm, q, elements, count, look);
        ulong bytes = guest.Counters->BytesSent - before;
        guest.Own.Send.Take(bytes);
        guest.Tenants.Send.Take(bytes);
        return done;
    }

    /// <summary>Keeps a credit of a guest that has received too much; false: it can go on.</summary>
    private bool TryHold(GuestPort guest, Nqe* e, uint id, Connection* connection, out bool done)
    {
        done = true;
        if (!ReceiveSpent(guest) && guest.Held is not { Count: not 0 })
        {
            return false;
        }

        guest.Held ??= MakeHold();
        if (!guest.Held.TryAdd(e, id, connection->Life))
        {
            Throttle(guest, guest.Own.Receive, guest.Tenants.Receive);
            done = false;
            return true;
        }

        connection->Held++;
        _forwarded++; // it will be
        return true;
    }

    // An allocation that a loop makes: once per guest that has ever been over its receive limit.
    private static CreditHold MakeHold() => new();

    private bool ReceiveSpent(GuestPort guest)
    {
        if (guest.Own.Receive.Available() != 0 && guest.Tenants.Receive.Available() != 0)
        {
            return false;
        }

        Throttle(guest, guest.Own.Receive, guest.Tenants.Receive);
        return true;
    }

    /// <summary>
    /// Whether a guest must wait with new connections: it is far over its receive limit. Each connection brings a window that nothing holds back.
    /// </summary>
    private bool MustWait(GuestPort guest)
    {
        if (!guest.IsLimited || (guest.Own.Receive.Debt() < FarOver && guest.Tenants.Receive.Debt() < FarOver))
        {
            return false;
        }

        Throttle(guest, guest.Own.Receive, guest.Tenants.Receive);
        return true;
    }

    /// <summary>Something of the guest's waits for tokens: the loop may sleep, but not beyond their coming.</summary>
    private void Throttle(GuestPort guest, TokenBucket own, TokenBucket tenants)
    {
        guest.Throttled = true;
        int ms = (int)Math.Clamp((Math.Max(own.Wait(), tenants.Wait()) / 1_000_000) + 1, 1, LongestThrottleMs);
        _throttleMs = _throttleMs == 0 ? ms : Math.Min(_throttleMs, ms);
    }
}
