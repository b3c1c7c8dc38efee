using System.Diagnostics;
using System.Diagnostics.Metrics;
using NetKernel.ControlPlane.Reconcile;
using NetKernel.ControlPlane.Resources;
using NetKernel.ControlPlane.Supervision;
using NetKernel.ControlPlane.Usage;

namespace NetKernel.ControlPlane.Metrics;

/// <summary>
/// What nkd tells monitoring, as instruments of one meter: the Prometheus page and OTLP both read these. Names are OpenTelemetry's; <see cref="PrometheusText"/> makes
/// netkernel_guest_sent_bytes_total of netkernel.guest.sent in By. Guests are told as long as they are declared and a while longer, so that their number is bounded.
/// </summary>
internal sealed class Instruments : IDisposable
{
    public const string MeterName = "NetKernel";

    /// <summary>The most guests times NSMs that are told.</summary>
    public const int MostSeries = 10_000;

    /// <summary>How long a guest is told of after it is gone, or has been idle for.</summary>
    public static readonly TimeSpan ToldFor = TimeSpan.FromMinutes(15);

    private readonly Meter _meter = new(MeterName, typeof(Instruments).Assembly.GetName().Version?.ToString(3));
    private readonly Histogram<double> _calls;
    private readonly Platform _platform;
    private readonly Registry _registry;
    private readonly UsageMeter _usage;

    public Instruments(Platform platform, Registry registry, UsageMeter usage)
    {
        (_platform, _registry, _usage) = (platform, registry, usage);
        _calls = _meter.CreateHistogram(
            "netkernel.api.call.duration", "s", "Calls of the API, by method and status code.", advice: new InstrumentAdvice<double> { HistogramBucketBoundaries = PrometheusText.Bounds });

        Guests("sent", "By", "Payload bytes that guests sent.", Amount.BytesSent);
        Guests("received", "By", "Payload bytes that guests received.", Amount.BytesReceived);
        Guests("operations", "{operation}", "Requests that CoreEngine took from guests.", Amount.Operations);
        Guests("nqes", "{nqe}", "Queue elements from and to guests.", Amount.Nqes);
        Guests("connects", "{connection}", "Connections that guests opened.", Amount.Connects);
        Guests("connects.failed", "{connection}", "Connects of guests that failed.", Amount.ConnectsFailed);
        Guests("accepts", "{connection}", "Connections that guests accepted.", Amount.Accepts);
        Guests("requests.refused", "{request}", "Requests that CoreEngine refused.", Amount.Refused);
        Guests("resets", "{connection}", "Connections that ended with an error.", Amount.Resets);
        Guests("segments.retransmitted", "{segment}", "TCP segments that stacks sent again.", Amount.Retransmits);
        _ = _meter.CreateObservableCounter("netkernel.guest.cpu", GuestCpu, "s", "Processor time on behalf of guests, by component (engine, nsm).");
        _ = _meter.CreateObservableGauge("netkernel.guest.rtt", GuestRtt, "s", "Mean smoothed round-trip time of the last interval.");
        _ = _meter.CreateObservableCounter("netkernel.guest.held", GuestsHeld, "{hold}", "Times that guests were held to their rate of connections, since CoreEngine's start.");
        _ = _meter.CreateObservableGauge("netkernel.guest.connections.open", GuestsOpen, "{connection}", "Sockets that guests have open.");

        _ = _meter.CreateObservableCounter("netkernel.engine.cpu", () => EngineCpu(), "s", "CoreEngine's processor time, since its usage was first counted.");
        _ = _meter.CreateObservableGauge("netkernel.engine.up", () => _platform.EngineUp ? 1 : 0, null, "Whether CoreEngine runs and answers.");
        _ = _meter.CreateObservableCounter("netkernel.engine.restarts", () => (long)(_platform.EngineProcess?.Restarts ?? 0), "{restart}", "Restarts of CoreEngine by this nkd.");
        _ = _meter.CreateObservableCounter("netkernel.nsm.cpu", NsmCpu, "s", "Processor time of NSMs, since their usage was first counted.");
        _ = _meter.CreateObservableGauge("netkernel.nsm.up", () => Nsms(nsm => nsm.Ready ? 1 : 0), null, "Whether an NSM is attached.");
        _ = _meter.CreateObservableCounter("netkernel.nsm.restarts", () => Nsms(nsm => _platform.ProcessOf(nsm)?.Restarts ?? 0), "{restart}", "Restarts of NSMs by this nkd.");
        _ = _meter.CreateObservableCounter("netkernel.nsm.dropped.packets", NsmDrops, "{packet}", "Packets that the stacks of NSMs have dropped since their processes started, by reason.");
        _ = _meter.CreateObservableGauge("netkernel.nsm.guests", () => Nsms(nsm => _registry.Now.GuestsOf(nsm.Name).Count()), "{guest}", "Guests that are declared with an NSM.");
        _ = _meter.CreateObservableGauge("netkernel.guests", TenantGuests, "{guest}", "Guests that are declared, by tenant.");
        _ = _meter.CreateObservableGauge(
            "netkernel.metrics.series.dropped", () => (long)Math.Max(0, Told().Count() - MostSeries), "{series}", "Guests times NSMs that are too many to be told.");
        _ = _meter.CreateObservableGauge("netkernel.nkd.uptime", () => _platform.Uptime.TotalSeconds, "s", "How long nkd has run.");
        _ = _meter.CreateObservableGauge("netkernel.nkd.memory", () => Environment.WorkingSet, "By", "nkd's resident memory.");
    }

    /// <summary>The meter, for a listener that wants this nkd's instruments only.</summary>
    public Meter Meter => _meter;

    /// <summary>A call of the API has ended.</summary>
    public void Called(string method, string code, TimeSpan took) =>
        _calls.Record(took.TotalSeconds, new TagList { { "method", method }, { "code", code } });

    public void Dispose() => _meter.Dispose();

    private void Guests(string name, string unit, string description, Amount kind) => _meter.CreateObservableCounter(
        "netkernel.guest." + name, () => Told().Take(MostSeries).Select(one => new Measurement<long>(one.Total.Amounts[kind], Tags(one.Total.Key))), unit, description);

    private IEnumerable<UsageNow> Told()
    {
        UsageState now = _usage.Now();
        Snapshot declared = _registry.Now;
        return now.Items.Values.Where(one => one.Total.Key.Guest.Length > 0
            && (one.Total.Last > now.Time - ToldFor || declared.Guests.GetValueOrDefault(one.Total.Key.Guest)?.Declared.Tenant == one.Total.Key.Tenant));
    }

    private IEnumerable<Measurement<double>> GuestCpu() => Told().Take(MostSeries).SelectMany(one => new[]
    {
        new Measurement<double>(one.Total.Amounts[Amount.EngineCpu] / 1e9, [.. Tags(one.Total.Key), new("component", "engine")]),
        new Measurement<double>(one.Total.Amounts[Amount.NsmCpu] / 1e9, [.. Tags(one.Total.Key), new("component", "nsm")]),
    });

    private IEnumerable<Measurement<double>> GuestRtt() => Told().Take(MostSeries).Where(one => one.Last[Amount.RttSamples] > 0).Select(one =>
        new Measurement<double>(one.Last[Amount.RttMicroseconds] / 1e6 / one.Last[Amount.RttSamples], Tags(one.Total.Key)));

    private IEnumerable<Measurement<long>> GuestsOpen() =>
        (_usage.Now().Reading?.Guests.Values ?? Enumerable.Empty<GuestReading>()).Select(guest => new Measurement<long>((long)guest.Open, Tags(new UsageKey(guest.Tenant, guest.Name, guest.Nsm))));

    private IEnumerable<Measurement<long>> GuestsHeld() =>
        (_usage.Now().Reading?.Guests.Values ?? Enumerable.Empty<GuestReading>()).Select(guest => new Measurement<long>((long)guest.Held, Tags(new UsageKey(guest.Tenant, guest.Name, guest.Nsm))));

    private double EngineCpu() => _usage.Now().Items.Values.Sum(one => one.Total.Amounts[Amount.EngineCpu]) / 1e9;

    private IEnumerable<Measurement<double>> NsmCpu() => _usage.Now().Items.Values.Where(one => one.Total.Amounts[Amount.NsmCpu] > 0).GroupBy(one => one.Total.Key.Nsm)
        .Where(of => _registry.Now.Nsms.ContainsKey(of.Key))
        .Select(of => new Measurement<double>(of.Sum(one => one.Total.Amounts[Amount.NsmCpu]) / 1e9, new KeyValuePair<string, object?>("nsm", of.Key)));

    private IEnumerable<Measurement<long>> NsmDrops()
    {
        foreach (NsmRecord nsm in _registry.Now.Nsms.Values)
        {
            using MeasuresFile? file = MeasuresFile.TryOpen(_platform.Directory.MeasuresPath(nsm.Id));
            foreach ((string reason, ulong count) in file?.Drops() ?? [])
            {
                yield return new Measurement<long>((long)count, [new("nsm", nsm.Name), new("reason", reason)]);
            }
        }
    }

    private IEnumerable<Measurement<long>> Nsms(Func<NsmRecord, long> value) =>
        _registry.Now.Nsms.Values.Select(nsm => new Measurement<long>(value(nsm), new KeyValuePair<string, object?>("nsm", nsm.Name)));

    private IEnumerable<Measurement<long>> TenantGuests()
    {
        Snapshot now = _registry.Now;
        ILookup<string, GuestRecord> guests = now.Guests.Values.ToLookup(guest => guest.Declared.Tenant);
        return now.Tenants.Keys.Select(tenant => new Measurement<long>(guests[tenant].Count(), new KeyValuePair<string, object?>("tenant", tenant)));
    }

    private static KeyValuePair<string, object?>[] Tags(UsageKey key) => [new("tenant", key.Tenant), new("guest", key.Guest), new("nsm", key.Nsm)];
}
