using System.Diagnostics;
using NetKernel.ControlPlane.Reconcile;
using NetKernel.ControlPlane.Resources;
using NetKernel.ControlPlane.Services;

namespace NetKernel.ControlPlane.Usage;

/// <summary>What somebody used in the last interval, and since they were first seen.</summary>
internal sealed record UsageNow(UsageTotal Total, Amounts Last);

/// <summary>Everything at one moment: the interval that ended then, and all totals.</summary>
internal sealed record UsageState(DateTimeOffset Time, TimeSpan Interval, IReadOnlyDictionary<UsageKey, UsageNow> Items, Reading? Reading)
{
    public static UsageState Empty { get; } = new(DateTimeOffset.UnixEpoch, TimeSpan.Zero, new Dictionary<UsageKey, UsageNow>(), null);
}

/// <summary>
/// Takes a reading every 10 s, and when somebody wants to know (at most two a second), and puts what has been used since the one before into the store.
/// </summary>
internal sealed partial class UsageMeter(Platform platform, Registry registry, Collector collector, IUsageStore store, TimeProvider clock, ILogger<UsageMeter> logger) : IDisposable
{
    /// <summary>How often it looks.</summary>
    public static readonly TimeSpan Every = TimeSpan.FromSeconds(10);

    private static readonly TimeSpan AtMostEvery = TimeSpan.FromMilliseconds(500);
    private static readonly TimeSpan TrimEvery = TimeSpan.FromMinutes(1);

    private readonly Lock _sync = new();
    private readonly CancellationTokenSource _ending = new();
    private readonly Dictionary<UsageKey, UsageTotal> _totals = [];
    private readonly List<(uint Id, GuestReading Guest)> _ended = [];
    private volatile UsageState _state = UsageState.Empty;
    private Reading? _before;
    private long _at;
    private long _trimmed;
    private Task _running = Task.CompletedTask;

    public IUsageStore Store => store;

    /// <summary>Goes on where the last nkd stopped counting.</summary>
    public void Start()
    {
        lock (_sync)
        {
            foreach (UsageTotal total in store.Totals())
            {
                _totals[total.Key] = total;
            }

            _at = clock.GetTimestamp();
            try
            {
                _before = store.Baseline();
            }
            catch (InvalidDataException e)
            {
                // Better to lose what was not counted yet than to count anything twice.
                LogNoBaseline(e.Message);
                _before = collector.Read(null);
            }
        }

        platform.GuestEnding += OnGuestEnding;
        _running = Task.Run(RunAsync);
    }

    /// <summary>A last reading, and no more.</summary>
    public async Task StopAsync()
    {
        platform.GuestEnding -= OnGuestEnding;
        await _ending.CancelAsync();
        await _running;
        Take(AtMostEvery);
    }

    /// <summary>How it is now, to a second.</summary>
    public UsageState Now()
    {
        Take(AtMostEvery);
        return _state;
    }

    public void Dispose() => _ending.Dispose();

    private async Task RunAsync()
    {
        try
        {
            while (true)
            {
                // On the 10 s of the clock, so that a bucket is one interval.
                TimeSpan past = TimeSpan.FromTicks(clock.GetUtcNow().Ticks % Every.Ticks);
                await Task.Delay(Every - past, clock, _ending.Token);
                Take(AtMostEvery);
                if (clock.GetElapsedTime(_trimmed) >= TrimEvery)
                {
                    _trimmed = clock.GetTimestamp();
                    store.Trim(clock.GetUtcNow());
                }
            }
        }
        catch (OperationCanceledException)
        {
            // The end.
        }
    }

    // What it has used up to now is not to go with it.
    private void OnGuestEnding(GuestRecord guest)
    {
        lock (_sync)
        {
            if (collector.ReadGuest(guest, _before) is { } last)
            {
                _ended.Add((guest.Id, last));
            }
        }
    }

    private void Take(TimeSpan atMostEvery)
    {
        lock (_sync)
        {
            long now = clock.GetTimestamp();
            TimeSpan length = clock.GetElapsedTime(_at, now);
            if (_state != UsageState.Empty && length < atMostEvery)
            {
                return;
            }

            try
            {
                if (collector.Read(_before) is not { } reading)
                {
                    return; // CoreEngine is away; its counters end with it
                }

                Snapshot names = registry.Now;
                Dictionary<UsageKey, Amounts> amounts = Interval.Between(_before, reading, _ended, length, nsm => Collector.NameOf(names, nsm), NsmRules.MaxId + 1);

                // Into the bucket of the interval's middle: one that ends a little after the full 10 s belongs to those before.
                DateTimeOffset time = clock.GetUtcNow() - (TimeSpan.FromTicks(Math.Min(length.Ticks, Every.Ticks)) / 2);
                store.Add(time, amounts, reading);
                _before = reading;
                _ended.Clear();
                _at = now;
                Publish(time, length, amounts, reading);
            }
            catch (Exception e) when (e is Microsoft.Data.Sqlite.SqliteException or IOException)
            {
                LogNotKept(e.Message); // the next reading covers this one's time, too
            }
        }
    }

    private void Publish(DateTimeOffset time, TimeSpan length, Dictionary<UsageKey, Amounts> amounts, Reading reading)
    {
        foreach ((UsageKey key, Amounts of) in amounts)
        {
            UsageTotal total = _totals.GetValueOrDefault(key) ?? new UsageTotal(key, time, time, new Amounts());
            Amounts sum = total.Amounts.Copy();
            sum.Add(of);
            _totals[key] = total with { Last = time, Amounts = sum };
        }

        var none = new Amounts();
        _state = new UsageState(
            clock.GetUtcNow(), length, _totals.ToDictionary(pair => pair.Key, pair => new UsageNow(pair.Value, amounts.GetValueOrDefault(pair.Key) ?? none)), reading);
    }

    [LoggerMessage(Level = LogLevel.Warning, Message = "usage up to now is not known to have been counted and is left out: {Why}")]
    private partial void LogNoBaseline(string why);

    [LoggerMessage(Level = LogLevel.Error, Message = "usage cannot be kept: {Why}")]
    private partial void LogNotKept(string why);
}
