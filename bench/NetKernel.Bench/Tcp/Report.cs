using System.Text;

namespace NetKernel.Bench.Tcp;

/// <summary>The tables, in markdown.</summary>
internal static class Report
{
    private const string Begin = "<!-- bench tcp: begin -->", End = "<!-- bench tcp: end -->";

    public static string Header(BenchOptions options, DateTime date, string loadBefore, string loadAfter)
    {
        string model = Line("/proc/cpuinfo", "model name");
        string kernel = File.ReadAllText("/proc/sys/kernel/osrelease").Trim();
        return Text.Invariant($"""
            ## Measured {date:yyyy-MM-dd HH:mm} UTC

            CPU: {model}, {Environment.ProcessorCount} cores; kernel {kernel}; {options.Runs} runs of {options.Seconds} s each; load average before {loadBefore}, after {loadAfter}.
            Cells are the median of the runs (least to most). The client runs natively in a namespace on the bridge, in front of both servers; native is a
            namespace with a veth on the same bridge. Runs alternate between the two. CPU is in CPU seconds per the work named, of the server program, the client,
            `nk-engine` and `nk-nsm-kernel`; work that the kernel does in interrupts counts for whoever it interrupts.


            """).Replace("            ", "", StringComparison.Ordinal);
    }

    public static string Of(Workload workload, IReadOnlyList<CaseResult> results)
    {
        var text = new StringBuilder();
        Line(text, $"### {workload.Title}\n");
        Line(text, $"| case | value | native | NetKernel | NetKernel/native | goal |");
        Line(text, $"|---|---|---|---|---|---|");
        foreach (CaseResult result in results)
        {
            for (int i = 0; i < result.Case.Metrics.Length; i++)
            {
                Metric metric = result.Case.Metrics[i];
                double? ratio = result.Ratio(i);
                string met = ratio is { } known && metric.Met(known) is { } yes ? yes ? ": met" : ": missed" : "";
                Line(
                    text,
                    $"| {result.Case.Name} | {metric.Name} | {Cell(result.Native, i, metric)} | {Cell(result.NetKernel, i, metric)} | {Ratio(ratio)} | {metric.Goal}{met} |");
            }
        }

        Line(text, $"\nCPU seconds per {workload.PerName}:\n");
        Line(text, $"| case | native: server | client | sum | NetKernel: server | client | engine | NSM | sum | NetKernel/native |");
        Line(text, $"|---|---|---|---|---|---|---|---|---|---|");
        foreach (CaseResult result in results)
        {
            CpuUse? native = result.Native.Cpu, ours = result.NetKernel.Cpu;
            Line(
                text,
                $"| {result.Case.Name} | {Use(native, use => use.Server)} | {Use(native, use => use.Client)} | {Use(native, use => use.Sum)} | {Use(ours, use => use.Server)} | {Use(ours, use => use.Client)} | {Use(ours, use => use.Engine)} | {Use(ours, use => use.Nsm)} | {Use(ours, use => use.Sum)} | {Ratio(ours?.Sum / native?.Sum)} |");
        }

        Failures(text, results);
        return text.Append('\n').ToString();
    }

    public static string Of(IReadOnlyList<IdleRow> rows)
    {
        var text = new StringBuilder();
        Line(text, $"### Idle guests\n\nOne attached process each, which listens and waits. CPU over 10 s, in % of one core; the goal is under 1% for engine and NSM.\n");
        Line(text, $"| guests | engine | NSM | engine + NSM | goal | nkd | the guests' programs | engine RSS | NSM RSS | shared memory allocated, per guest |");
        Line(text, $"|---|---|---|---|---|---|---|---|---|---|");
        foreach (IdleRow row in rows)
        {
            string shared = row.Guests == 0 ? "-" : Text.Mib((row.Shared - rows[0].Shared) / row.Guests);
            string met = row.Guests == 0 ? "" : row.Platform < 0.01 ? "< 1%: met" : "< 1%: missed";
            Line(
                text,
                $"| {row.Guests} | {100 * row.Engine:F3}% | {100 * row.Nsm:F3}% | {100 * row.Platform:F3}% | {met} | {100 * row.ControlPlane:F3}% | {100 * row.Programs:F3}% | {Text.Mib(row.EngineResident)} | {Text.Mib(row.NsmResident)} | {shared} |");
        }

        return text.Append('\n').ToString();
    }

    /// <summary>Puts the text between the markers of a file, or at its end with markers.</summary>
    public static string Into(string? file, string report)
    {
        string block = $"{Begin}\n\n{report.TrimEnd()}\n\n{End}\n";
        if (file is null)
        {
            return "# TCP: NetKernel beside native\n\nWritten by `./nk bench tcp --out docs/performance-tcp.md`.\n\n" + block;
        }

        int begin = file.IndexOf(Begin, StringComparison.Ordinal);
        int end = file.IndexOf(End, StringComparison.Ordinal);
        return begin >= 0 && end > begin
            ? file[..begin] + block + file[(end + End.Length)..].TrimStart('\n')
            : file.TrimEnd() + "\n\n" + block;
    }

    private static void Failures(StringBuilder text, IReadOnlyList<CaseResult> results)
    {
        string[] lines =
        [
            .. results.SelectMany(result => new[] { ("native", result.Native), ("NetKernel", result.NetKernel) }
                .SelectMany(side => side.Item2.Failures.GroupBy(reason => reason)
                    .Select(group => $"* {result.Case.Name}, {side.Item1}, {group.Count()} of {group.Count() + side.Item2.Count + side.Item2.Failures.Count - group.Count()} runs: {group.Key}"))),
        ];
        if (lines.Length > 0)
        {
            Line(text, $"\nFailed:\n\n{string.Join('\n', lines)}");
        }
    }

    private static string Cell(SideResult side, int metric, Metric shown)
    {
        string failed = side.Failures.Count == 0 ? "" : $", {side.Failures.Count} failed";
        if (side.Of(metric) is not { } sample)
        {
            return "failed";
        }

        // The spread without the unit, where it is the median's.
        string median = shown.Show(sample.Median);
        string unit = median.TrimStart('0', '1', '2', '3', '4', '5', '6', '7', '8', '9', '.');
        string Short(double value) => shown.Show(value) is { } text && text.EndsWith(unit, StringComparison.Ordinal) ? text[..^unit.Length] : shown.Show(value);
        return $"{median} ({Short(sample.Least)} to {Short(sample.Most)}{failed})";
    }

    private static string Use(CpuUse? use, Func<CpuUse, double> part) => use is { } known ? Text.Seconds(part(known)) : "-";

    private static string Ratio(double? ratio) => ratio is { } known ? Text.Invariant($"{known:F2}") : "-";

    private static void Line(StringBuilder text, FormattableString line) => text.Append(Text.Invariant(line)).Append('\n');

    private static string Line(string file, string key) =>
        File.ReadLines(file).FirstOrDefault(line => line.StartsWith(key, StringComparison.Ordinal))?.Split(':', 2)[^1].Trim() ?? "unknown";
}
