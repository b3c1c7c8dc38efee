using System.Globalization;
using System.Text;
using System.Text.Encodings.Web;
using System.Text.Json;
using NetKernel.Api.V1;

namespace NetKernel.Cli.Commands;

/// <summary>
/// nk usage export: what a bill is made from. A row per guest and NSM (and step), units in the headings, whole numbers or exact decimals, and a last row that is the sum of those above it.
/// </summary>
internal static class UsageExport
{
    private static readonly (string Name, Func<UsageAmounts, decimal> Value)[] Columns =
    [
        ("sent_bytes", a => a.SentBytes), ("received_bytes", a => a.ReceivedBytes), ("operations", a => a.Operations), ("nqes", a => a.Nqes), ("connects", a => a.Connects),
        ("connects_failed", a => a.ConnectsFailed), ("accepts", a => a.Accepts), ("refused_requests", a => a.Refused), ("resets", a => a.Resets),
        ("retransmitted_segments", a => a.Retransmits), ("engine_cpu_seconds", a => a.EngineCpuNanoseconds / 1_000_000_000m), ("nsm_cpu_seconds", a => a.NsmCpuNanoseconds / 1_000_000_000m),
        ("open_connection_seconds", a => (decimal)a.OpenSeconds),
    ];

    public static int Run(string directory, string format, string tenant, string from, string? to, string? step)
    {
        using var client = new NkdClient(directory);
        (UsagePoint[] points, QueryUsageResponse about) = client.Usage(new UsageQuestion(UsageGroup.GuestAndNsm, "", tenant, from, to, step).Request(DateTimeOffset.UtcNow));
        Console.Out.Write(format == "json" ? Json(points, about, tenant) : Csv(points, about));
        Console.Error.WriteLine(
            $"nk: {points.Length} rows, from {Times.Text(about.From.ToDateTime())} to {Times.Text(about.To.ToDateTime())}, kept in steps of {about.ResolutionSeconds} s");
        return ExitCode.Success;
    }

    internal static string Csv(UsagePoint[] points, QueryUsageResponse about)
    {
        var text = new StringBuilder();
        Line(text, ["start_utc", "end_utc", "tenant", "guest", "nsm", .. Columns.Select(column => column.Name)]);
        foreach (UsagePoint p in points)
        {
            Line(text, [Times.Text(p.Start.ToDateTime()), Times.Text(p.End.ToDateTime()), p.Tenant, p.Guest, p.Nsm, .. Columns.Select(column => Number(column.Value(p.Amounts)))]);
        }

        Line(text, [Times.Text(about.From.ToDateTime()), Times.Text(about.To.ToDateTime()), "TOTAL", "", "", .. Totals(points).Select(Number)]);
        return text.ToString();
    }

    internal static string Json(UsagePoint[] points, QueryUsageResponse about, string tenant)
    {
        using var buffer = new MemoryStream();
        using (var json = new Utf8JsonWriter(buffer, new JsonWriterOptions { Indented = true, Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping }))
        {
            json.WriteStartObject();
            if (tenant.Length > 0)
            {
                json.WriteString("tenant", tenant);
            }

            json.WriteString("start_utc", Times.Text(about.From.ToDateTime()));
            json.WriteString("end_utc", Times.Text(about.To.ToDateTime()));
            json.WriteNumber("resolution_seconds", about.ResolutionSeconds);
            json.WriteStartArray("rows");
            foreach (UsagePoint p in points)
            {
                json.WriteStartObject();
                json.WriteString("start_utc", Times.Text(p.Start.ToDateTime()));
                json.WriteString("end_utc", Times.Text(p.End.ToDateTime()));
                json.WriteString("tenant", p.Tenant);
                json.WriteString("guest", p.Guest);
                json.WriteString("nsm", p.Nsm);
                Write(json, [.. Columns.Select(column => column.Value(p.Amounts))]);
                json.WriteEndObject();
            }

            json.WriteEndArray();
            json.WriteStartObject("total");
            Write(json, Totals(points));
            json.WriteEndObject();
            json.WriteEndObject();
        }

        return Encoding.UTF8.GetString(buffer.ToArray()) + "\n";
    }

    private static void Write(Utf8JsonWriter json, decimal[] values)
    {
        foreach ((string name, decimal value) in Columns.Select(column => column.Name).Zip(values))
        {
            json.WritePropertyName(name);
            json.WriteRawValue(Number(value));
        }
    }

    private static decimal[] Totals(UsagePoint[] points) => [.. Columns.Select(column => points.Sum(point => column.Value(point.Amounts)))];

    private static string Number(decimal value) => value.ToString("0.#########", CultureInfo.InvariantCulture);

    // Names are letters, digits and '-': nothing needs quotes.
    private static void Line(StringBuilder text, IEnumerable<string> cells) => text.AppendJoin(',', cells).Append('\n');
}
