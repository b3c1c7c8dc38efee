using System.Diagnostics;
using OpenTelemetry;
using OpenTelemetry.Exporter;
using OpenTelemetry.Metrics;
using OpenTelemetry.Resources;
using OpenTelemetry.Trace;

namespace NetKernel.ControlPlane.Metrics;

/// <summary>Where OTLP goes: a collector's address, and how.</summary>
internal sealed record OtlpTarget(Uri Endpoint, OtlpExportProtocol Protocol);

/// <summary>Metrics and the traces of API calls, sent by OTLP.</summary>
internal sealed class Telemetry : IDisposable
{
    /// <summary>The source of one activity per call of the API.</summary>
    public static readonly ActivitySource Calls = new("NetKernel.Api");

    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(2);

    private readonly MeterProvider _metrics;
    private readonly TracerProvider _traces;

    private Telemetry(MeterProvider metrics, TracerProvider traces)
    {
        _metrics = metrics;
        _traces = traces;
    }

    /// <summary>Begins to send; every so often, and once more at the end.</summary>
    public static Telemetry Start(OtlpTarget target, TimeSpan every, string instance, Instruments instruments)
    {
        // The instruments must exist before: the provider finds their meter by its name.
        Debug.Assert(instruments.Meter.Name == Instruments.MeterName, "another meter");
        ResourceBuilder resource = ResourceBuilder.CreateEmpty().AddService(
            "netkernel", serviceVersion: instruments.Meter.Version, autoGenerateServiceInstanceId: false, serviceInstanceId: $"{Environment.MachineName}/{instance}");
        MeterProvider metrics = Sdk.CreateMeterProviderBuilder().SetResourceBuilder(resource).AddMeter(Instruments.MeterName)
            .AddView(instrument => new MetricStreamConfiguration { CardinalityLimit = (2 * Instruments.MostSeries) + 1 })
            .AddOtlpExporter((exporter, reader) =>
            {
                Set(exporter, target, "v1/metrics");
                reader.PeriodicExportingMetricReaderOptions.ExportIntervalMilliseconds = (int)every.TotalMilliseconds;
            }).Build();
        TracerProvider traces = Sdk.CreateTracerProviderBuilder().SetResourceBuilder(resource).AddSource(Calls.Name)
            .AddOtlpExporter(exporter =>
            {
                Set(exporter, target, "v1/traces");
                exporter.BatchExportProcessorOptions.ScheduledDelayMilliseconds = (int)Math.Min(every.TotalMilliseconds, 5000);
            }).Build();
        return new Telemetry(metrics, traces);
    }

    public void Dispose()
    {
        // A collector that does not answer holds nobody up for long.
        _ = _metrics.Shutdown((int)Patience.TotalMilliseconds);
        _ = _traces.Shutdown((int)Patience.TotalMilliseconds);
        _metrics.Dispose();
        _traces.Dispose();
    }

    // Over HTTP each signal has a path of its own, which the exporter adds only to an address out of its own environment variable.
    private static void Set(OtlpExporterOptions options, OtlpTarget target, string path)
    {
        options.Protocol = target.Protocol;
        options.Endpoint = target.Protocol == OtlpExportProtocol.HttpProtobuf ? new Uri(target.Endpoint.ToString().TrimEnd('/') + "/" + path) : target.Endpoint;
        options.TimeoutMilliseconds = (int)Patience.TotalMilliseconds;
    }
}
