using NetKernel.Channel;

namespace NetKernel.ControlPlane.Usage;

/// <summary>
/// What happened between two readings, by whom. Counters that began anew in between (CoreEngine restarted, a guest made again) count from their beginning: what they
/// had counted after the earlier reading and before the end is lost, and nothing is ever negative or counted twice.
/// </summary>
/// <remarks>
/// Processor time is shared out by work done. A loop's time goes to the guests in proportion to their NQEs in that loop, in which payload that the loop itself copied
/// (<see cref="SharedNsm"/>) counts as an NQE per <see cref="EngineBytesPerNqe"/>; an NSM's time in proportion to the NQEs exchanged with it for each guest, plus payload at one per
/// <see cref="NsmBytesPerNqe"/>. What cannot be put down to work (threads that are no loop, an interval without work) is the platform's: the key with no guest.
/// So the sum over all keys is exactly the processes' time.
/// </remarks>
internal sealed class Interval
{
    /// <summary>Copying so much costs a loop about as much as switching an NQE.</summary>
    public const ulong EngineBytesPerNqe = 2048;

    /// <summary>Sending or receiving so much costs a stack about as much as an NQE and the system call or segment for it.</summary>
    public const ulong NsmBytesPerNqe = 4096;

    private readonly Reading? _before;
    private readonly Reading _now;
    private readonly long _milliseconds;
    private readonly Func<uint, string> _nameOf;
    private readonly uint _sharedNsm;
    private readonly List<(UsageKey Key, ulong Weight)>[] _loopWork;
    private readonly Dictionary<uint, List<(UsageKey Key, ulong Weight)>> _nsmWork = [];

    private Interval(Reading? before, Reading now, IReadOnlyList<(uint Id, GuestReading Guest)> ended, TimeSpan length, Func<uint, string> nameOf, uint sharedNsm)
    {
        _before = before?.EngineStarted == now.EngineStarted ? before : null;
        _now = now;
        _milliseconds = (long)length.TotalMilliseconds;
        _nameOf = nameOf;
        _sharedNsm = sharedNsm;
        _loopWork = [.. now.Loops.Select(_ => new List<(UsageKey, ulong)>())];
        foreach ((uint id, GuestReading guest) in ended.Concat(now.Guests.Select(pair => (pair.Key, pair.Value))))
        {
            Count(id, guest);
        }

        // What the NSMs measured and used does not end with CoreEngine.
        ShareEngine(before?.Engine ?? default, before?.Loops ?? []);
        ShareNsms(before);
        foreach (UsageKey key in Amounts.Where(pair => pair.Value.IsZero).Select(pair => pair.Key).ToArray())
        {
            _ = Amounts.Remove(key);
        }
    }

    public Dictionary<UsageKey, Amounts> Amounts { get; } = [];

    /// <summary>The amounts between two readings; before null: since the counters began. Ended are guests that were removed in between, as they were then.</summary>
    public static Dictionary<UsageKey, Amounts> Between(
        Reading? before, Reading now, IReadOnlyList<(uint Id, GuestReading Guest)> ended, TimeSpan length, Func<uint, string> nameOf, uint sharedNsm) =>
        new Interval(before, now, ended, length, nameOf, sharedNsm).Amounts;

    private void Count(uint id, GuestReading guest)
    {
        GuestReading? old = _before?.Guests.GetValueOrDefault(id);
        for (uint loop = 0; loop < guest.Loops.Length; loop++)
        {
            GuestCounters now = guest.Loops[loop];
            GuestCounters was = old is not null && loop < old.Loops.Length && old.Loops[loop].Since == now.Since ? old.Loops[loop] : default;
            bool same = was.Since != 0;
            var shares = new List<(uint Nsm, UsageKey Key, ulong Nqes, ulong Requests)>();
            foreach (((uint _, uint nsm), NsmShare share) in guest.Shares.Where(one => one.Key.Loop == loop))
            {
                NsmShare shareWas = same ? old!.Shares.GetValueOrDefault((loop, nsm)) : default;
                var key = new UsageKey(guest.Tenant, guest.Name, _nameOf(nsm));
                ulong requests = Less(share.NqesToNsm, shareWas.NqesToNsm);
                ulong nqes = requests + Less(share.NqesFromNsm, shareWas.NqesFromNsm);
                ulong bytes = Put(key, Amount.BytesSent, share.BytesSent, shareWas.BytesSent) + Put(key, Amount.BytesReceived, share.BytesReceived, shareWas.BytesReceived);
                _ = Put(key, Amount.Connects, share.Connects, shareWas.Connects);
                _ = Put(key, Amount.Accepts, share.Accepts, shareWas.Accepts);
                _ = Put(key, Amount.ConnectsFailed, share.ConnectsFailed, shareWas.ConnectsFailed);
                _ = Put(key, Amount.Resets, share.Resets, shareWas.Resets);
                shares.Add((nsm, key, nqes, requests));
                Work(nsm).Add((key, nqes + (bytes / NsmBytesPerNqe)));
                if (loop < _loopWork.Length)
                {
                    _loopWork[loop].Add((key, nsm == _sharedNsm ? bytes / EngineBytesPerNqe : 0));
                }
            }

            // The guest's own NQEs are not those of its NSMs one by one: some are answered by CoreEngine, and one may become several.
            var main = new UsageKey(guest.Tenant, guest.Name, guest.Nsm);
            UsageKey[] keys = [.. shares.Select(share => share.Key)];
            ulong taken = Less(now.NqesFromGuest, was.NqesFromGuest);
            ulong all = taken + Less(now.NqesToGuest, was.NqesToGuest);
            Divide(main, Amount.Operations, (long)taken, keys, [.. shares.Select(share => share.Requests)]);
            long[] nqesOf = Divide(main, Amount.Nqes, (long)all, keys, [.. shares.Select(share => share.Nqes)]);
            _ = Put(main, Amount.Refused, now.Refused, was.Refused);
            Divide(main, Amount.OpenMilliseconds, (long)now.Open * _milliseconds, [], []);
            if (loop < _loopWork.Length)
            {
                long given = nqesOf.Sum();
                _loopWork[loop].AddRange(keys.Zip(nqesOf, (key, nqes) => (key, (ulong)nqes)));
                _loopWork[loop].Add((main, all - (ulong)given));
            }
        }
    }

    private void ShareEngine(ProcessTime before, long[] loopsBefore)
    {
        long left = _now.Engine.Since(before);
        bool same = before.Pid == _now.Engine.Pid && before.Start == _now.Engine.Start;
        for (int loop = 0; loop < _now.Loops.Length; loop++)
        {
            long was = same && loop < loopsBefore.Length ? loopsBefore[loop] : 0;
            long time = Math.Clamp(_now.Loops[loop] - was, 0, left);
            left -= Give(Amount.EngineCpu, time, _loopWork[loop]);
        }

        Of(new UsageKey("", "", ""))[Amount.EngineCpu] += left;
    }

    private void ShareNsms(Reading? before)
    {
        foreach ((uint id, NsmReading nsm) in _now.Nsms)
        {
            NsmReading? old = before?.Nsms.GetValueOrDefault(id);
            long time = nsm.Process.Since(old?.Process ?? default);
            long given = Give(Amount.NsmCpu, time, Work(id));
            Of(new UsageKey("", "", nsm.Name))[Amount.NsmCpu] += time - given;
            bool same = old is not null && old.MeasuredSince == nsm.MeasuredSince;
            foreach ((uint guest, GuestMeasures measures) in nsm.Guests)
            {
                if (_now.Guests.GetValueOrDefault(guest) is { } whose)
                {
                    GuestMeasures was = same && old!.Guests.GetValueOrDefault(guest) is var earlier && earlier.Since == measures.Since ? earlier : default;
                    var key = new UsageKey(whose.Tenant, whose.Name, nsm.Name);
                    _ = Put(key, Amount.Retransmits, measures.Retransmits, was.Retransmits);
                    _ = Put(key, Amount.RttMicroseconds, measures.RttMicroseconds, was.RttMicroseconds);
                    _ = Put(key, Amount.RttSamples, measures.RttSamples, was.RttSamples);
                }
            }
        }
    }

    /// <summary>Shares time out by work; how much of it found somebody.</summary>
    private long Give(Amount kind, long time, List<(UsageKey Key, ulong Weight)> work)
    {
        long[] parts = Split.InProportion(time, [.. work.Select(one => one.Weight)]);
        for (int i = 0; i < parts.Length; i++)
        {
            if (parts[i] != 0)
            {
                Of(work[i].Key)[kind] += parts[i];
            }
        }

        return parts.Sum();
    }

    private long[] Divide(UsageKey main, Amount kind, long amount, UsageKey[] keys, ulong[] weights)
    {
        long[] parts = Split.InProportion(amount, weights);
        long left = amount - parts.Sum();
        for (int i = 0; i < parts.Length; i++)
        {
            if (parts[i] != 0)
            {
                Of(keys[i])[kind] += parts[i];
            }
        }

        if (left > 0)
        {
            Of(main)[kind] += left;
        }

        return parts;
    }

    private ulong Put(UsageKey key, Amount kind, ulong now, ulong was)
    {
        ulong more = Less(now, was);
        if (more != 0)
        {
            Of(key)[kind] += (long)more;
        }

        return more;
    }

    private List<(UsageKey Key, ulong Weight)> Work(uint nsm)
    {
        if (!_nsmWork.TryGetValue(nsm, out List<(UsageKey, ulong)>? work))
        {
            _nsmWork.Add(nsm, work = []);
        }

        return work;
    }

    private Amounts Of(UsageKey key)
    {
        if (!Amounts.TryGetValue(key, out Amounts? amounts))
        {
            Amounts.Add(key, amounts = new Amounts());
        }

        return amounts;
    }

    // A row that is read while it is being cleared is smaller than before: it has begun anew by the next reading.
    private static ulong Less(ulong now, ulong was) => now > was && now - was < long.MaxValue ? now - was : 0;
}
