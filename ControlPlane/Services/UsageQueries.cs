using System.Globalization;
using Google.Protobuf.WellKnownTypes;
using NetKernel.Api.V1;
using NetKernel.ControlPlane.Access;
using NetKernel.ControlPlane.Usage;
using UsageLevel = NetKernel.ControlPlane.Usage.UsageLevel;
using UsagePoint = NetKernel.ControlPlane.Usage.UsagePoint;

namespace NetKernel.ControlPlane.Services;

/// <summary>Questions about usage: now, and over a time.</summary>
internal sealed class UsageQueries(UsageMeter meter, TimeProvider clock)
{
    /// <summary>The most points of one answer.</summary>
    public const int MostPoints = 100_000;

    private static readonly TimeSpan UsualTime = TimeSpan.FromHours(1);

    public GetUsageResponse Now(GetUsageRequest request, Caller caller)
    {
        UsageGrouping grouping = Grouping(request.GroupBy);
        UsageFilter filter = Filter(request.Tenant, request.Guest, request.Nsm, caller);
        UsageState state = meter.Now();
        var answer = new GetUsageResponse { Time = Timestamp.FromDateTimeOffset(state.Time), IntervalSeconds = state.Interval.TotalSeconds };
        var open = new Dictionary<UsageKey, ulong>();
        foreach (GuestReading guest in state.Reading?.Guests.Values ?? Enumerable.Empty<GuestReading>())
        {
            UsageKey key = Group(new UsageKey(guest.Tenant, guest.Name, guest.Nsm), grouping);
            open[key] = open.GetValueOrDefault(key) + guest.Open;
        }

        foreach (IGrouping<UsageKey, UsageNow> of in state.Items.Values.Where(one => Passes(filter, one.Total.Key)).GroupBy(one => Group(one.Total.Key, grouping))
            .OrderBy(of => of.Key.Tenant, StringComparer.Ordinal).ThenBy(of => of.Key.Guest, StringComparer.Ordinal).ThenBy(of => of.Key.Nsm, StringComparer.Ordinal))
        {
            (Amounts total, Amounts last) = (new(), new());
            foreach (UsageNow one in of)
            {
                total.Add(one.Total.Amounts);
                last.Add(one.Last);
            }

            answer.Usage.Add(new Api.V1.Usage
            {
                Tenant = of.Key.Tenant,
                Guest = of.Key.Guest,
                Nsm = of.Key.Nsm,
                FirstSeen = Timestamp.FromDateTimeOffset(of.Min(one => one.Total.First)),
                LastUsed = Timestamp.FromDateTimeOffset(of.Max(one => one.Total.Last)),
                Total = Message(total),
                Last = Message(last),
                Open = filter.Nsm is null ? open.GetValueOrDefault(of.Key) : 0,
            });
        }

        return answer;
    }

    /// <summary>The points, and what was read for them.</summary>
    public (IReadOnlyList<Api.V1.UsagePoint> Points, DateTimeOffset From, DateTimeOffset To, UsageLevel Level) Query(QueryUsageRequest request, Caller caller)
    {
        UsageGrouping grouping = Grouping(request.GroupBy);
        UsageFilter filter = Filter(request.Tenant, request.Guest, request.Nsm, caller);
        DateTimeOffset now = meter.Now() is { Interval.Ticks: > 0 } state ? state.Time : clock.GetUtcNow();
        DateTimeOffset to = request.To is null ? now : Time(request.To, "to");
        DateTimeOffset from = request.From is null ? to - UsualTime : Time(request.From, "from");
        if (from >= to)
        {
            throw ServiceException.Invalid("from", $"from ({Text(from)}) is to be before to ({Text(to)})");
        }

        if (request.StepSeconds % 10 != 0)
        {
            throw ServiceException.Invalid("step_seconds", $"a step is a multiple of 10 s, not {request.StepSeconds} s");
        }

        UsageLevel level = LevelOf(from, to, request.StepSeconds, now);
        from = Floor(from, level.Seconds);
        to = Floor(to.AddTicks(TimeSpan.FromSeconds(level.Seconds).Ticks - 1), level.Seconds);
        TimeSpan step = request.StepSeconds == 0 ? to - from : TimeSpan.FromSeconds(request.StepSeconds);
        IReadOnlyList<UsagePoint> points = meter.Store.Query(level, from, to, step, filter, grouping, MostPoints + 1);
        if (points.Count > MostPoints)
        {
            throw new ServiceException(FailureCode.ResourceExhausted, $"that is more than {MostPoints} points: ask for a shorter time, a longer step, or fewer guests");
        }

        return ([.. points.Select(point => Message(point, point.Start + step < to ? point.Start + step : to))], from, to, level);
    }

    internal static UsageAmounts Message(Amounts a) => new()
    {
        SentBytes = (ulong)a[Amount.BytesSent],
        ReceivedBytes = (ulong)a[Amount.BytesReceived],
        Operations = (ulong)a[Amount.Operations],
        Nqes = (ulong)a[Amount.Nqes],
        Connects = (ulong)a[Amount.Connects],
        ConnectsFailed = (ulong)a[Amount.ConnectsFailed],
        Accepts = (ulong)a[Amount.Accepts],
        Refused = (ulong)a[Amount.Refused],
        Resets = (ulong)a[Amount.Resets],
        Retransmits = (ulong)a[Amount.Retransmits],
        RttMicroseconds = a[Amount.RttSamples] == 0 ? 0 : Math.Round((double)a[Amount.RttMicroseconds] / a[Amount.RttSamples], 1),
        RttSamples = (ulong)a[Amount.RttSamples],
        EngineCpuNanoseconds = (ulong)a[Amount.EngineCpu],
        NsmCpuNanoseconds = (ulong)a[Amount.NsmCpu],
        OpenSeconds = a[Amount.OpenMilliseconds] / 1000.0,
    };

    private static Api.V1.UsagePoint Message(UsagePoint point, DateTimeOffset end) => new()
    {
        Tenant = point.Key.Tenant,
        Guest = point.Key.Guest,
        Nsm = point.Key.Nsm,
        Start = Timestamp.FromDateTimeOffset(point.Start),
        End = Timestamp.FromDateTimeOffset(end),
        Amounts = Message(point.Amounts),
    };

    // The coarsest level whose buckets end where the steps do; of those the finest one that reaches back far enough when there is none.
    private UsageLevel LevelOf(DateTimeOffset from, DateTimeOffset to, uint step, DateTimeOffset now)
    {
        IReadOnlyList<UsageLevel> levels = meter.Store.Levels;
        UsageLevel[] kept = [.. levels.Where(level => from >= now - level.Keep)];
        if (kept.Length == 0)
        {
            kept = [levels[^1]];
        }

        bool Fits(UsageLevel level) => step % level.Seconds == 0 && from == Floor(from, level.Seconds) && (to == Floor(to, level.Seconds) || to >= now);
        if (kept.LastOrDefault(Fits) is { } best)
        {
            return best;
        }

        return step == 0 || step % kept[0].Seconds == 0 ? kept[0] : throw ServiceException.Invalid(
            "step_seconds", $"usage of {Text(from)} is kept in steps of {kept[0].Seconds} s by now (nkd's usage-retention): ask for a multiple of that, or for a later time");
    }

    private static UsageFilter Filter(string tenant, string guest, string nsm, Caller caller)
    {
        if (caller.Tenant is { } own)
        {
            if (tenant.Length > 0 && tenant != own)
            {
                throw new ServiceException(FailureCode.PermissionDenied, $"the usage of tenant {tenant} is not for you; you are {caller.Description}", "tenant");
            }

            tenant = own;
        }

        return new UsageFilter(Given(tenant), Given(guest), Given(nsm));
    }

    private static string? Given(string text) => text.Length == 0 ? null : text;

    private static bool Passes(UsageFilter filter, UsageKey key) =>
        (filter.Tenant ?? key.Tenant) == key.Tenant && (filter.Guest ?? key.Guest) == key.Guest && (filter.Nsm ?? key.Nsm) == key.Nsm;

    private static UsageGrouping Grouping(UsageGroup by) => by switch
    {
        UsageGroup.Unspecified or UsageGroup.Tenant => new(true, false, false),
        UsageGroup.Guest => new(true, true, false),
        UsageGroup.Nsm => new(false, false, true),
        UsageGroup.GuestAndNsm => new(true, true, true),
        _ => throw ServiceException.Invalid("group_by", $"there is no group {(int)by}"),
    };

    private static UsageKey Group(UsageKey key, UsageGrouping by) => new(by.Tenant ? key.Tenant : "", by.Guest ? key.Guest : "", by.Nsm ? key.Nsm : "");

    private static DateTimeOffset Floor(DateTimeOffset time, int seconds) => new(time.Ticks - (time.Ticks % TimeSpan.FromSeconds(seconds).Ticks), TimeSpan.Zero);

    private static string Text(DateTimeOffset time) => time.UtcDateTime.ToString("yyyy-MM-ddTHH:mm:ssZ", CultureInfo.InvariantCulture);

    private static DateTimeOffset Time(Timestamp time, string field)
    {
        try
        {
            return time.ToDateTimeOffset();
        }
        catch (InvalidOperationException)
        {
            throw ServiceException.Invalid(field, "this is no time");
        }
    }
}
