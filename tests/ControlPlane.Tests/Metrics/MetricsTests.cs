using System.Diagnostics;
using System.Net;
using System.Net.Sockets;
using System.Text.Json;
using System.Text.RegularExpressions;
using Grpc.Core;
using NetKernel.Api.V1;
using NetKernel.ControlPlane.Metrics;
using NetKernel.ControlPlane.Tests.Usage;

namespace NetKernel.ControlPlane.Tests.Metrics;

/// <summary>Metrics of a whole nkd: the page as Prometheus's own parser reads it, and OTLP as it arrives.</summary>
public sealed partial class MetricsTests
{
    // Families as {name, type, samples: [[name, labels, value], ...]}.
    private const string Parser =
        "import sys, json\nfrom prometheus_client.parser import text_string_to_metric_families\n"
        + "json.dump([dict(name=f.name, type=f.type, help=f.documentation, samples=[[s.name, s.labels, s.value] for s in f.samples]) for f in text_string_to_metric_families(sys.stdin.read())], sys.stdout)\n";

    [Fact]
    public async Task The_page_is_what_prometheus_reads_and_the_dashboard_names_nothing_else()
    {
        int port = FreePort();
        await using NkdHost host = await NkdHost.StartAsync("--metrics", $"127.0.0.1:{port}");
        using StatsWriter stats = await UseAsync(host);
        using var http = new HttpClient();
        using HttpResponseMessage answer = await http.GetAsync($"http://127.0.0.1:{port}/metrics");
        Assert.Equal("text/plain; version=0.0.4; charset=utf-8", answer.Content.Headers.ContentType!.ToString());
        Dictionary<string, JsonElement> families = await ParseAsync(await answer.Content.ReadAsStringAsync());

        JsonElement sent = families["netkernel_guest_sent_bytes"];
        Assert.Equal("counter", sent.GetProperty("type").GetString());
        JsonElement sample = sent.GetProperty("samples").EnumerateArray().Single();
        Assert.Equal("netkernel_guest_sent_bytes_total", sample[0].GetString());
        Assert.Equal("""{"tenant":"default","guest":"web","nsm":"kernel0"}""", JsonSerializer.Serialize(sample[1]));
        Assert.Equal(5000, sample[2].GetDouble());
        Assert.Equal(2, families["netkernel_guest_connections_open"].GetProperty("samples")[0][2].GetDouble());
        Assert.Equal("gauge", families["netkernel_engine_up"].GetProperty("type").GetString());
        Assert.True(families["netkernel_engine_cpu_seconds"].GetProperty("samples")[0][2].GetDouble() > 0);
        Assert.Equal("histogram", families["netkernel_api_call_duration_seconds"].GetProperty("type").GetString());
        Assert.Contains(
            families["netkernel_api_call_duration_seconds"].GetProperty("samples").EnumerateArray(),
            one => one[0].GetString()!.EndsWith("_count", StringComparison.Ordinal) && one[1].GetProperty("method").GetString() == "GuestService/CreateGuest" && one[2].GetDouble() == 1);

        // Prometheus's conventions: a prefix, base units, one help text each, only the labels that are promised.
        Assert.All(families, family => Assert.StartsWith("netkernel_", family.Key));
        Assert.All(families.Values, family => Assert.NotEmpty(family.GetProperty("help").GetString()!));
        Assert.All(families.Values.SelectMany(family => family.GetProperty("samples").EnumerateArray()), one => Assert.All(
            one[1].EnumerateObject(), label => Assert.Contains(label.Name, new[] { "tenant", "guest", "nsm", "component", "method", "code", "le" })));

        HashSet<string> names = [.. families.Values.SelectMany(family => family.GetProperty("samples").EnumerateArray()).Select(one => one[0].GetString()!), .. families.Keys];
        string[] used = [.. MetricName().Matches(await File.ReadAllTextAsync(Dashboard())).Select(match => match.Value).Distinct()];
        Assert.True(used.Length > 15, "the dashboard shows next to nothing");
        Assert.Empty(used.Except(names).Except(["netkernel_guest_rtt_seconds"])); // there is none without an NSM that measures

        using HttpResponseMessage other = await http.GetAsync($"http://127.0.0.1:{port}/netkernel.v1.PlatformService/GetStatus");
        Assert.Equal(HttpStatusCode.NotFound, other.StatusCode);
    }

    /// <summary>What an NSM's stack has dropped, out of its file of measures; nothing that an NSM writes there can do more than be left out.</summary>
    [Fact]
    public async Task Packets_dropped_are_told_by_reason()
    {
        int port = FreePort();
        await using NkdHost host = await NkdHost.StartAsync("--metrics", $"127.0.0.1:{port}");
        WriteMeasures(host, 2, ("tcp_checksum", [3, 4]), ("ip_malformed", [0, 0]), ("Not a name\"", [5, 5]), ("oversized", [1, 0]));
        Nsm shown = await new NsmService.NsmServiceClient(host.Operator.CreateCallInvoker()).GetNsmAsync(new GetNsmRequest { Name = "kernel0" });
        Assert.Equal([("oversized", 1ul), ("tcp_checksum", 7ul)], shown.DroppedPackets.Select(one => (one.Key, one.Value)).Order());
        using var http = new HttpClient();
        JsonElement family = (await ParseAsync(await http.GetStringAsync($"http://127.0.0.1:{port}/metrics")))["netkernel_nsm_dropped_packets"];
        Assert.Equal("counter", family.GetProperty("type").GetString());
        Assert.Equal(
            [("netkernel_nsm_dropped_packets_total", """{"nsm":"kernel0","reason":"oversized"}""", 1.0), ("netkernel_nsm_dropped_packets_total", """{"nsm":"kernel0","reason":"tcp_checksum"}""", 7.0)],
            family.GetProperty("samples").EnumerateArray().Select(one => (one[0].GetString()!, JsonSerializer.Serialize(one[1]), one[2].GetDouble())));

        WriteMeasures(host, uint.MaxValue, ("tcp_checksum", [3, 4]));
        Assert.Empty((await new NsmService.NsmServiceClient(host.Operator.CreateCallInvoker()).GetNsmAsync(new GetNsmRequest { Name = "kernel0" })).DroppedPackets);
    }

    // An NSM's file, with a number of threads that may be a lie.
    private static void WriteMeasures(NkdHost host, uint threads, params (string Name, ulong[] Counts)[] drops)
    {
        var header = new NetKernel.Channel.MeasuresHeader { Magic = NetKernel.Channel.MeasuresHeader.MagicValue, Guests = 4, DropReasons = (uint)drops.Length, DropRows = threads };
        header.DropsAt = header.GuestOf(header.Guests);
        byte[] file = new byte[header.DropsOf((uint)drops[0].Counts.Length)];
        System.Runtime.InteropServices.MemoryMarshal.Write(file, in header);
        for (int i = 0; i < drops.Length; i++)
        {
            _ = System.Text.Encoding.ASCII.GetBytes(drops[i].Name, file.AsSpan((int)header.DropsAt + (i * (int)NetKernel.Channel.MeasuresHeader.DropNameBytes)));
            for (uint row = 0; row < drops[i].Counts.Length; row++)
            {
                _ = BitConverter.TryWriteBytes(file.AsSpan((int)header.DropsOf(row) + (8 * i)), drops[i].Counts[row]);
            }
        }

        File.WriteAllBytes(Path.Combine(host.RunDirectory, "nsm-1.measures"), file);
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task Metrics_and_calls_arrive_by_otlp(bool grpc)
    {
        await using OtlpReceiver receiver = await OtlpReceiver.StartAsync(grpc);
        await using NkdHost host = await NkdHost.StartAsync("--otlp-endpoint", receiver.Address.ToString(), "--otlp-protocol", grpc ? "grpc" : "http/protobuf", "--otlp-interval", "1");
        using StatsWriter stats = await UseAsync(host);
        const string Trace = "0af7651916cd43dd8448eb211c80319c";
        _ = await new PlatformService.PlatformServiceClient(host.Operator.CreateCallInvoker()).GetStatusAsync(
            new Google.Protobuf.WellKnownTypes.Empty(), new Metadata { { "traceparent", $"00-{Trace}-b7ad6b7169203331-01" } });

        // ResourceMetrics (1) . ScopeMetrics (2) . Metric (2) { name 1, unit 3, gauge 5, sum 7 { data_points 1 { attributes 7, as_int 6 }, aggregation_temporality 2, is_monotonic 3 } }.
        Fields metric = await receiver.UntilAsync(() => receiver.Metrics.SelectMany(all => all.Messages(1)).SelectMany(all => all.Messages(2)).SelectMany(all => all.Messages(2))
            .FirstOrDefault(one => one.Text(1) == "netkernel.guest.sent" && one.Messages(7).Any(sum => sum.Messages(1).Any(point => point.Number(6) == 5000))));
        Assert.Equal("By", metric.Text(3));
        Fields sum = metric.Messages(7).Single();
        Assert.Equal((2ul, 1ul), (sum.Number(2), sum.Number(3)));
        Dictionary<string, string> attributes = sum.Messages(1).Single().Attributes(7);
        Assert.Equal(("default", "web", "kernel0"), (attributes["tenant"], attributes["guest"], attributes["nsm"]));
        Assert.True(receiver.Metrics.TryPeek(out Fields? first));
        Assert.Equal("netkernel", first.Messages(1).First().Messages(1).First().Attributes(1)["service.name"]);

        // ResourceSpans (1) . ScopeSpans (2) . Span (2) { trace_id 1, name 5, kind 6 }; the call that was made is a part of its caller's trace.
        Fields span = await receiver.UntilAsync(() => receiver.Traces.SelectMany(all => all.Messages(1)).SelectMany(all => all.Messages(2)).SelectMany(all => all.Messages(2))
            .FirstOrDefault(one => one.Text(5) == "netkernel.v1.PlatformService/GetStatus" && Convert.ToHexStringLower(one.Bytes(1)) == Trace));
        Assert.Equal(2ul, span.Number(6)); // SERVER
    }

    [Theory]
    [InlineData("netkernel.guest.sent", "By", true, "netkernel_guest_sent_bytes_total")]
    [InlineData("netkernel.guest.connects.failed", "{connection}", true, "netkernel_guest_connects_failed_total")]
    [InlineData("netkernel.nkd.uptime", "s", false, "netkernel_nkd_uptime_seconds")]
    [InlineData("netkernel.engine.up", null, false, "netkernel_engine_up")]
    public void Names_are_prometheuss(string name, string? unit, bool counter, string expected) => Assert.Equal(expected, PrometheusText.NameOf(name, unit, counter));

    [Fact]
    public async Task Labels_and_help_are_escaped()
    {
        using var meter = new System.Diagnostics.Metrics.Meter("escapes");
        using var text = new PrometheusText(meter);
        _ = meter.CreateObservableGauge("netkernel.x", () => new System.Diagnostics.Metrics.Measurement<long>(7, new KeyValuePair<string, object?>("tenant", "a\"b\\c\nd")), null, "one\\two\nthree");
        JsonElement family = (await ParseAsync(text.Page()))["netkernel_x"];
        Assert.Equal("one\\two\nthree", family.GetProperty("help").GetString());
        Assert.Equal("a\"b\\c\nd", family.GetProperty("samples")[0][1].GetProperty("tenant").GetString());
    }

    [GeneratedRegex("netkernel_[a-z_]+")]
    private static partial Regex MetricName();

    private static async Task<StatsWriter> UseAsync(NkdHost host)
    {
        Guest guest = await new GuestService.GuestServiceClient(host.Operator.CreateCallInvoker()).CreateGuestAsync(new CreateGuestRequest { Guest = new Guest { Name = "web" } });
        var stats = new StatsWriter(host.RunDirectory);
        stats.Guest(guest.Id, since: 1, nsm: 1, sent: 5000, received: 70, nqes: 30, open: 2, connects: 3, failed: 1);
        return stats;
    }

    private static async Task<Dictionary<string, JsonElement>> ParseAsync(string page)
    {
        var start = new ProcessStartInfo("/usr/bin/python3") { RedirectStandardInput = true, RedirectStandardOutput = true };
        start.ArgumentList.Add("-c");
        start.ArgumentList.Add(Parser);
        using Process parser = Process.Start(start)!;
        await parser.StandardInput.WriteAsync(page);
        parser.StandardInput.Close();
        string text = await parser.StandardOutput.ReadToEndAsync();
        await parser.WaitForExitAsync();
        Assert.True(parser.ExitCode == 0, $"Prometheus does not read this (or python3-prometheus-client is missing: ./nk deps):\n{page}");
        return JsonDocument.Parse(text).RootElement.EnumerateArray().ToDictionary(family => family.GetProperty("name").GetString()!);
    }

    private static int FreePort()
    {
        using var listener = new TcpListener(IPAddress.Loopback, 0);
        listener.Start();
        return ((IPEndPoint)listener.LocalEndpoint).Port;
    }

    private static string Dashboard()
    {
        string folder = AppContext.BaseDirectory;
        while (!File.Exists(Path.Combine(folder, "NetKernel.sln")))
        {
            folder = Path.GetDirectoryName(folder)!;
        }

        return Path.Combine(folder, "packaging", "grafana", "netkernel.json");
    }
}
