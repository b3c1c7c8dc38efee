using System.Globalization;
using System.Text.Json;
using System.Text.RegularExpressions;

namespace NetKernel.Bench.Tcp;

/// <summary>A program did not do what it should; this is one run that failed.</summary>
internal sealed class RunFailure(string message) : Exception(message);

/// <summary>What one run measured: the values of its case's metrics, and how much work it did, for the CPU per work.</summary>
internal sealed record Reading(double[] Values, double Work);

/// <summary>Takes the figures out of what the programs print.</summary>
internal static partial class ToolOutput
{
    /// <summary>iperf3 -J: bytes received per second; work in bytes received.</summary>
    public static Reading Iperf(string output)
    {
        try
        {
            using JsonDocument report = JsonDocument.Parse(output);
            if (report.RootElement.TryGetProperty("error", out JsonElement error))
            {
                throw new RunFailure("iperf3: " + error.GetString());
            }

            JsonElement sum = report.RootElement.GetProperty("end").GetProperty("sum_received");
            double bytes = sum.GetProperty("bytes").GetDouble();
            return new Reading([Positive(sum.GetProperty("bits_per_second").GetDouble(), "iperf3")], bytes);
        }
        catch (Exception e) when (e is JsonException or KeyNotFoundException or InvalidOperationException)
        {
            throw new RunFailure("iperf3 gave no report");
        }
    }

    /// <summary>sockperf ping-pong: p50 and p99 of the whole round trip in µs (it prints half of it); work in round trips.</summary>
    public static Reading Sockperf(string output)
    {
        Match all = SockperfTotal().Match(output);
        double half50 = Find(SockperfMedian(), output, "sockperf");
        double half99 = Find(SockperfTail(), output, "sockperf");
        return new Reading([2 * half50, 2 * half99], Positive(all.Success ? Number(all.Groups[1].Value) : 0, "sockperf"));
    }

    /// <summary>wrk: requests per second; work in requests. Any error makes the run a failure.</summary>
    public static Reading Wrk(string output)
    {
        if (WrkTrouble().Match(output) is { Success: true } trouble)
        {
            throw new RunFailure("wrk: " + trouble.Value.Trim());
        }

        return new Reading([Find(WrkRate(), output, "wrk")], Find(WrkRequests(), output, "wrk"));
    }

    /// <summary>Mtcp/short.c: connections per second; work in connections. Any that failed make the run a failure.</summary>
    public static Reading Short(string output)
    {
        Match match = ShortLine().Match(output);
        return !match.Success ? throw new RunFailure("short gave no figures")
            : match.Groups[3].Value != "0" ? throw new RunFailure($"short: {match.Groups[3].Value} connections failed")
            : new Reading([Positive(Number(match.Groups[1].Value), "short")], Positive(Number(match.Groups[2].Value), "short"));
    }

    /// <summary>redis-benchmark --csv of one test: requests per second; the caller knows how many it asked for.</summary>
    public static Reading Redis(string output, double requests)
    {
        string[] lines = output.Split('\n', StringSplitOptions.RemoveEmptyEntries);
        int head = Array.FindIndex(lines, line => line.StartsWith("\"test\",\"rps\"", StringComparison.Ordinal));
        return head >= 0 && head + 1 < lines.Length && RedisRow().Match(lines[head + 1]) is { Success: true } row
            ? new Reading([Positive(Number(row.Groups[1].Value), "redis-benchmark")], requests)
            : throw new RunFailure("redis-benchmark gave no figures" + (lines.Length > 0 ? ": " + lines[^1].Trim() : ""));
    }

    /// <summary>CPU seconds of a client: the line that its shell's time wrote to standard error.</summary>
    public static double ClientCpu(string error)
    {
        Match match = CpuLine().Match(error);
        return match.Success ? Number(match.Groups[1].Value) + Number(match.Groups[2].Value) : throw new RunFailure("the client's shell gave no CPU time");
    }

    private static double Find(Regex pattern, string output, string program) =>
        pattern.Match(output) is { Success: true } match ? Positive(Number(match.Groups[1].Value), program) : throw new RunFailure(program + " gave no figures");

    private static double Positive(double value, string program) =>
        value > 0 && double.IsFinite(value) ? value : throw new RunFailure(program + " moved nothing");

    private static double Number(string text) => double.Parse(text, CultureInfo.InvariantCulture);

    [GeneratedRegex(@"^([\d.]+) connections/s, (\d+) done, (\d+) failed", RegexOptions.Multiline)]
    private static partial Regex ShortLine();

    [GeneratedRegex(@"\[Total Run\].*ReceivedMessages=(\d+)")]
    private static partial Regex SockperfTotal();

    [GeneratedRegex(@"percentile 50\.000 =\s*([\d.]+)")]
    private static partial Regex SockperfMedian();

    [GeneratedRegex(@"percentile 99\.000 =\s*([\d.]+)")]
    private static partial Regex SockperfTail();

    [GeneratedRegex(@"^.*(Socket errors|Non-2xx or 3xx responses|unable to connect).*$", RegexOptions.Multiline)]
    private static partial Regex WrkTrouble();

    [GeneratedRegex(@"Requests/sec:\s+([\d.]+)")]
    private static partial Regex WrkRate();

    [GeneratedRegex(@"(\d+) requests in")]
    private static partial Regex WrkRequests();

    [GeneratedRegex("^\"[A-Z]+\",\"([\\d.]+)\"")]
    private static partial Regex RedisRow();

    [GeneratedRegex(@"^nkcpu ([\d.]+) ([\d.]+)", RegexOptions.Multiline)]
    private static partial Regex CpuLine();
}
