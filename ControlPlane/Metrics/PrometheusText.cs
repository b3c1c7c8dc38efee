using System.Diagnostics.Metrics;
using System.Globalization;
using System.Text;

namespace NetKernel.ControlPlane.Metrics;

/// <summary>
/// The instruments of one meter as a page of text for Prometheus (exposition format 0.0.4). Names and units become Prometheus's as OpenTelemetry's compatibility rules have it: dots
/// to underscores, the unit behind the name, _total behind counters.
/// </summary>
internal sealed class PrometheusText : IDisposable
{
    /// <summary>Of the page.</summary>
    public const string ContentType = "text/plain; version=0.0.4; charset=utf-8";

    /// <summary>Upper bounds of the histograms' buckets, seconds.</summary>
    public static readonly double[] Bounds = [0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 10];

    private const int MostHistograms = 1000;

    private readonly MeterListener _listener = new();
    private readonly Lock _sync = new();
    private readonly SortedDictionary<string, (Instrument Instrument, List<(string Labels, double Value)> Samples)> _page = new(StringComparer.Ordinal);
    private readonly SortedDictionary<string, Dictionary<string, Buckets>> _histograms = new(StringComparer.Ordinal);

    public PrometheusText(Meter meter)
    {
        _listener.InstrumentPublished = (instrument, listener) =>
        {
            if (instrument.Meter == meter)
            {
                listener.EnableMeasurementEvents(instrument);
            }
        };
        _listener.SetMeasurementEventCallback<long>((instrument, value, tags, _) => Take(instrument, value, tags));
        _listener.SetMeasurementEventCallback<int>((instrument, value, tags, _) => Take(instrument, value, tags));
        _listener.SetMeasurementEventCallback<double>((instrument, value, tags, _) => Take(instrument, value, tags));
        _listener.Start();
    }

    /// <summary>All of it, now.</summary>
    public string Page()
    {
        lock (_sync)
        {
            _page.Clear();
            _listener.RecordObservableInstruments();
            var text = new StringBuilder();
            foreach ((string name, (Instrument instrument, List<(string Labels, double Value)> samples)) in _page)
            {
                Head(text, name, instrument.Description, IsCounter(instrument) ? "counter" : "gauge");
                foreach ((string labels, double value) in samples)
                {
                    Sample(text, name, labels, value);
                }
            }

            foreach ((string name, Dictionary<string, Buckets> all) in _histograms)
            {
                Head(text, name, all.Values.First().Description, "histogram");
                foreach ((string labels, Buckets buckets) in all)
                {
                    buckets.Write(text, name, labels);
                }
            }

            return text.ToString();
        }
    }

    public void Dispose() => _listener.Dispose();

    /// <summary>netkernel_guest_sent_bytes_total for netkernel.guest.sent in By.</summary>
    internal static string NameOf(string name, string? unit, bool counter)
    {
        string text = string.Concat(name.Select(c => char.IsAsciiLetterOrDigit(c) ? c : '_'));
        string suffix = unit switch { "By" => "_bytes", "s" => "_seconds", _ => "" };
        return text + (text.EndsWith(suffix, StringComparison.Ordinal) ? "" : suffix) + (counter ? "_total" : "");
    }

    private static bool IsCounter(Instrument instrument) => instrument.GetType().Name.Contains("Counter", StringComparison.Ordinal);

    private static void Head(StringBuilder text, string name, string? help, string type) =>
        text.Append("# HELP ").Append(name).Append(' ').Append((help ?? "").Replace("\\", "\\\\", StringComparison.Ordinal).Replace("\n", "\\n", StringComparison.Ordinal))
            .Append("\n# TYPE ").Append(name).Append(' ').Append(type).Append('\n');

    private static void Sample(StringBuilder text, string name, string labels, double value)
    {
        _ = text.Append(name);
        if (labels.Length > 0)
        {
            _ = text.Append('{').Append(labels).Append('}');
        }

        _ = text.Append(' ').Append(value.ToString("R", CultureInfo.InvariantCulture)).Append('\n');
    }

    private static string Labels(ReadOnlySpan<KeyValuePair<string, object?>> tags)
    {
        var text = new StringBuilder();
        foreach ((string key, object? value) in tags)
        {
            string escaped = Convert.ToString(value, CultureInfo.InvariantCulture)!.Replace("\\", "\\\\", StringComparison.Ordinal).Replace("\"", "\\\"", StringComparison.Ordinal)
                .Replace("\n", "\\n", StringComparison.Ordinal);
            _ = text.Append(text.Length > 0 ? "," : "").Append(key).Append("=\"").Append(escaped).Append('"');
        }

        return text.ToString();
    }

    private void Take(Instrument instrument, double value, ReadOnlySpan<KeyValuePair<string, object?>> tags)
    {
        string labels = Labels(tags);
        lock (_sync)
        {
            if (instrument is Histogram<double>)
            {
                string name = NameOf(instrument.Name, instrument.Unit, counter: false);
                if (!_histograms.TryGetValue(name, out Dictionary<string, Buckets>? all))
                {
                    _histograms.Add(name, all = new(StringComparer.Ordinal));
                }

                if (!all.TryGetValue(labels, out Buckets? buckets) && all.Count < MostHistograms)
                {
                    all.Add(labels, buckets = new Buckets(instrument.Description));
                }

                buckets?.Add(value);
                return;
            }

            string key = NameOf(instrument.Name, instrument.Unit, IsCounter(instrument));
            if (!_page.TryGetValue(key, out (Instrument, List<(string Labels, double Value)> Samples) of))
            {
                _page.Add(key, of = (instrument, []));
            }

            of.Samples.Add((labels, value));
        }
    }

    private sealed class Buckets(string? description)
    {
        private readonly long[] _counts = new long[Bounds.Length];
        private long _count;
        private double _sum;

        public string? Description { get; } = description;

        public void Add(double value)
        {
            for (int i = 0; i < Bounds.Length; i++)
            {
                _counts[i] += value <= Bounds[i] ? 1 : 0;
            }

            _count++;
            _sum += value;
        }

        public void Write(StringBuilder text, string name, string labels)
        {
            string comma = labels.Length > 0 ? "," : "";
            for (int i = 0; i < Bounds.Length; i++)
            {
                Sample(text, name + "_bucket", $"{labels}{comma}le=\"{Bounds[i].ToString("R", CultureInfo.InvariantCulture)}\"", _counts[i]);
            }

            Sample(text, name + "_bucket", $"{labels}{comma}le=\"+Inf\"", _count);
            Sample(text, name + "_sum", labels, _sum);
            Sample(text, name + "_count", labels, _count);
        }
    }
}
