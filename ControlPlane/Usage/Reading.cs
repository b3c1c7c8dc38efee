using NetKernel.Channel;

namespace NetKernel.ControlPlane.Usage;

/// <summary>All counters as they were at one moment. Two of these give an interval (<see cref="Interval"/>); the last one is kept in the store.</summary>
internal sealed class Reading
{
    /// <summary>Monotonic clock, ns, when CoreEngine's counters began, and the times below them.</summary>
    public ulong EngineStarted { get; set; }

    /// <summary>CoreEngine's process: its identity, and its processor time so far.</summary>
    public ProcessTime Engine { get; set; }

    /// <summary>The processor time of each loop's thread, ns.</summary>
    public long[] Loops { get; set; } = [];

    /// <summary>By guest id.</summary>
    public Dictionary<uint, GuestReading> Guests { get; } = [];

    /// <summary>By NSM id.</summary>
    public Dictionary<uint, NsmReading> Nsms { get; } = [];
}

/// <summary>A process and its processor time so far. Start is what tells it from another one with the same id; 0: there is none.</summary>
internal readonly record struct ProcessTime(int Pid, ulong Start, long Nanoseconds)
{
    /// <summary>The time since an earlier reading: of the same process, or else all of it.</summary>
    public long Since(ProcessTime before) =>
        Start == 0 ? 0 : before.Pid == Pid && before.Start == Start ? Math.Max(0, Nanoseconds - before.Nanoseconds) : Nanoseconds;
}

/// <summary>A guest's counters, and whose they are.</summary>
internal sealed class GuestReading(string tenant, string name, string nsm)
{
    public string Tenant { get; } = tenant;

    public string Name { get; } = name;

    /// <summary>The NSM that the guest is declared with: what no NSM in particular did is put down to it.</summary>
    public string Nsm { get; } = nsm;

    /// <summary>By loop.</summary>
    public required GuestCounters[] Loops { get; init; }

    /// <summary>By loop and NSM id; those that are not all zeros.</summary>
    public Dictionary<(uint Loop, uint Nsm), NsmShare> Shares { get; } = [];

    /// <summary>Times it was held to its rate of connections.</summary>
    public ulong Held => Loops.Aggregate(0UL, (sum, loop) => sum + loop.Paced);

    public ulong Open
    {
        get
        {
            ulong open = 0;
            foreach (GuestCounters loop in Loops)
            {
                open += loop.Open;
            }

            return open;
        }
    }
}

/// <summary>An NSM's process, and what the stack has measured for each guest.</summary>
internal sealed class NsmReading(string name)
{
    public string Name { get; } = name;

    public ProcessTime Process { get; init; }

    /// <summary>Monotonic clock, ns, when its measures began; 0: it has none.</summary>
    public ulong MeasuredSince { get; init; }

    /// <summary>By guest id.</summary>
    public Dictionary<uint, GuestMeasures> Guests { get; } = [];
}
