namespace NetKernel.ControlPlane.Usage;

/// <summary>A resolution of the history: amounts are kept in buckets of so many seconds, for so long.</summary>
internal sealed record UsageLevel(int Seconds, TimeSpan Keep);

/// <summary>Which amounts are asked for; null: of all.</summary>
internal sealed record UsageFilter(string? Tenant = null, string? Guest = null, string? Nsm = null);

/// <summary>What rows are about: what is false is summed over.</summary>
internal readonly record struct UsageGrouping(bool Tenant, bool Guest, bool Nsm);

/// <summary>Amounts of somebody from a time on, for the length of the step.</summary>
internal sealed record UsagePoint(UsageKey Key, DateTimeOffset Start, Amounts Amounts);

/// <summary>All amounts of somebody since they were first seen.</summary>
internal sealed record UsageTotal(UsageKey Key, DateTimeOffset First, DateTimeOffset Last, Amounts Amounts);

/// <summary>
/// The history of usage: amounts are added and never changed, and the reading up to which they have been counted is written with them, in one transaction. So whoever crashes
/// and goes on from <see cref="Baseline"/> counts everything once. See docs/adr/0011.
/// </summary>
internal interface IUsageStore : IDisposable
{
    /// <summary>From fine to coarse.</summary>
    IReadOnlyList<UsageLevel> Levels { get; }

    /// <summary>The reading of the last <see cref="Add"/>; null when there was none.</summary>
    Reading? Baseline();

    /// <summary>Adds amounts to the buckets of a time, at every level and to the totals, and remembers the reading.</summary>
    void Add(DateTimeOffset time, IReadOnlyDictionary<UsageKey, Amounts> amounts, Reading reading);

    /// <summary>All totals.</summary>
    IReadOnlyList<UsageTotal> Totals();

    /// <summary>Amounts of a level from a time up to but without another, in steps; at most so many points.</summary>
    IReadOnlyList<UsagePoint> Query(UsageLevel level, DateTimeOffset from, DateTimeOffset to, TimeSpan step, UsageFilter filter, UsageGrouping grouping, int most);

    /// <summary>Forgets what has been kept long enough.</summary>
    void Trim(DateTimeOffset now);
}
