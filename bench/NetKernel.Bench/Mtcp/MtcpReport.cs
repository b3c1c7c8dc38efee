using System.Text;
using NetKernel.Bench.Tcp;

namespace NetKernel.Bench.Mtcp;

/// <summary>The tables of bench mtcp, in markdown: rates; work per CPU second of the server's side (program, engine, NSM) and of everybody; and where the CPU time went.</summary>
internal sealed class MtcpReport(string[] sides)
{
    private const string Begin = "<!-- bench mtcp: begin -->", End = "<!-- bench mtcp: end -->";
    private const int Native = 0, Mtcp = 2;
    private readonly StringBuilder _rates = new(), _server = new(), _total = new(), _shares = new(), _failures = new();

    public void Add(Workload workload, BenchCase bench, SideResult[] results)
    {
        Metric metric = bench.Metrics[0];
        bool bytes = workload.Name == "bulk";
        Row(_rates, bench.Name, results, side => side.Of(0)?.Median, metric.Show, spread: side => side.Of(0) is { } s ? $" ({metric.Show(s.Least)} - {metric.Show(s.Most)})" : "");
        string Per(double value) => bytes ? Text.Bits(8 * value) : Text.PerSecond(value);
        Row(_server, bench.Name, results, side => side.Cpu is { } cpu ? 1 / (cpu.Server + cpu.Engine + cpu.Nsm) : null, Per);
        Row(_total, bench.Name, results, side => side.Cpu is { } cpu ? 1 / cpu.Sum : null, Per);
        string Micros(double perWork) => Text.Invariant($"{perWork * (bytes ? 1e9 : 1e6):F2}");
        string Use(SideResult side) => side.Cpu is { } cpu ? $"{Micros(cpu.Server)} / {Micros(cpu.Engine)} / {Micros(cpu.Nsm)} / {Micros(cpu.Client)}" : "failed";
        _ = _shares.Append($"| {bench.Name} | {string.Join(" | ", results.Select(Use))} |\n");
        for (int i = 0; i < results.Length; i++)
        {
            foreach (IGrouping<string, string> reason in results[i].Failures.GroupBy(line => line))
            {
                _ = _failures.Append($"* {bench.Name}, {sides[i]}, {reason.Count()} runs failed: {reason.Key}\n");
            }
        }
    }

    /// <summary>The whole; also between the markers of a file, unless its name is empty.</summary>
    public string Write(DateTime began, int runs, int seconds, int cores, string before, string after, string file)
    {
        string heads = $"| case | {string.Join(" | ", sides)} | mtcp to native | mtcp to kernel NSM | both: mtcp to native | both: mtcp to kernel NSM |\n|{string.Concat(Enumerable.Repeat("---|", sides.Length + 5))}\n";
        string text = Text.Invariant($"""
            Measured {began:yyyy-MM-dd HH:mm} UTC, {Environment.ProcessorCount} cores, kernel {File.ReadAllText("/proc/sys/kernel/osrelease").Trim()}, {runs} runs of {seconds} s, sides taking turns; mtcp on {cores} core{(cores == 1 ? "" : "s")}; load average before {before}, after {after}. Medians (least - most).

            ### Rates

            {heads}{_rates}
            ### Work per CPU second of the server's side (server program, engine, NSM)

            The kernel works for the receiver in the sender's time on a veth: a native server's share is too small by that, and so is the kernel NSM's. With both peers on NetKernel engine and NSM serve both.

            {heads}{_server}
            ### Work per CPU second in total, the client's too

            {heads}{_total}
            ### Microseconds of CPU per request or connection, seconds per GB: server program / engine / NSM / client

            | case | {string.Join(" | ", sides)} |
            |{string.Concat(Enumerable.Repeat("---|", sides.Length + 1))}
            {_shares}
            {_failures}
            """).ReplaceLineEndings("\n").Trim() + "\n";
        if (file.Length > 0)
        {
            string old = File.Exists(file) ? File.ReadAllText(file) : $"# The user-space stack: speed\n\n{Begin}\n{End}\n";
            int from = old.IndexOf(Begin, StringComparison.Ordinal), to = old.IndexOf(End, StringComparison.Ordinal);
            File.WriteAllText(file, from < 0 || to < from ? throw new RunFailure($"{file} has no markers {Begin} and {End}") : $"{old[..(from + Begin.Length)]}\n\n{text}\n{old[to..]}");
        }

        return text;
    }

    private static void Row(StringBuilder table, string name, SideResult[] results, Func<SideResult, double?> value, Func<double, string> show, Func<SideResult, string>? spread = null)
    {
        string Cell(SideResult side) => value(side) is { } known ? show(known) + (spread?.Invoke(side) ?? "") : "failed";
        string Ratio(int over, int under) => value(results[over]) / value(results[under]) is { } ratio ? Text.Invariant($"{ratio:F2}") : "-";
        _ = table.Append($"| {name} | {string.Join(" | ", results.Select(Cell))} | {Ratio(Mtcp, Native)} | {Ratio(Mtcp, Mtcp - 1)} | {Ratio(Mtcp + 2, Native)} | {Ratio(Mtcp + 2, Mtcp + 1)} |\n");
    }
}
