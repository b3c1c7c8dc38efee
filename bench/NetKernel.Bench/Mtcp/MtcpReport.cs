using System.Text;
using NetKernel.Bench.Tcp;

namespace NetKernel.Bench.Mtcp;

/// <summary>The tables of bench mtcp, in markdown: rates; work per CPU second of the server's side (program, engine, NSM) and of everybody; and where the CPU time went.</summary>
internal sealed class MtcpReport(string[] sides, bool links)
{
    private const int Native = 0, KernelNsm = 1, Mtcp = 2;
    private readonly string _begin = $"<!-- bench mtcp{(links ? " --sides links" : "")}: begin -->", _end = $"<!-- bench mtcp{(links ? " --sides links" : "")}: end -->";

    /// <summary>The last columns: which side is divided by which.</summary>
    private readonly (string Head, int Over, int Under)[] _ratios = links
        ? [.. Enumerable.Range(Mtcp, sides.Length - Mtcp).SelectMany(i => ((string, int, int)[])[($"{sides[i]} to native", i, Native), ($"{sides[i]} to kernel NSM", i, KernelNsm)])]
        :
        [
            ("mtcp to native", Mtcp, Native), ("mtcp to kernel NSM", Mtcp, KernelNsm), ("both: mtcp to native", Mtcp + 2, Native), ("both: mtcp to kernel NSM", Mtcp + 2, Mtcp + 1),
        ];

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
        string heads = $"| case | {string.Join(" | ", sides)} | {string.Join(" | ", _ratios.Select(ratio => ratio.Head))} |\n|{string.Concat(Enumerable.Repeat("---|", sides.Length + 1 + _ratios.Length))}\n";
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
            string old = File.Exists(file) ? File.ReadAllText(file) : $"# The user-space stack: speed\n\n{_begin}\n{_end}\n";
            int from = old.IndexOf(_begin, StringComparison.Ordinal), to = old.IndexOf(_end, StringComparison.Ordinal);
            File.WriteAllText(file, from < 0 || to < from ? throw new RunFailure($"{file} has no markers {_begin} and {_end}") : $"{old[..(from + _begin.Length)]}\n\n{text}\n{old[to..]}");
        }

        return text;
    }

    private void Row(StringBuilder table, string name, SideResult[] results, Func<SideResult, double?> value, Func<double, string> show, Func<SideResult, string>? spread = null)
    {
        string Cell(SideResult side) => value(side) is { } known ? show(known) + (spread?.Invoke(side) ?? "") : "failed";
        string Ratio(int over, int under) => value(results[over]) / value(results[under]) is { } ratio ? Text.Invariant($"{ratio:F2}") : "-";
        _ = table.Append($"| {name} | {string.Join(" | ", results.Select(Cell))} | {string.Join(" | ", _ratios.Select(ratio => Ratio(ratio.Over, ratio.Under)))} |\n");
    }
}
