using System.Globalization;
using System.Text;
using NetKernel.Bench.Tcp;

namespace NetKernel.Bench.SharedMem;

/// <summary>The tables, as Markdown, and where they go.</summary>
internal static class SharedMemReport
{
    /// <summary>A goal of the form "ratio to veth and bridge".</summary>
    private sealed record Goal(string Name, double Asked, double Copies, double Direct);

    public static string Messages(Sides sides, MessageResult[,] results)
    {
        string[] names = [.. sides.All.Select(side => side.Name)];
        int bridge = Array.IndexOf(names, "veth+bridge"), unix = Array.IndexOf(names, "AF_UNIX"), copies = Array.IndexOf(names, "copies"), direct = Array.IndexOf(names, "direct");
        MessageCase[] cases = MessageCase.All;
        var text = new StringBuilder();
        Heading(text, ["case", "unit", .. names]);
        for (int c = 0; c < cases.Length; c++)
        {
            Row(text, [cases[c].Name, cases[c].Unit, .. names.Select((_, s) => cases[c].Show(results[c, s].Value))]);
        }

        if (sides.NoSockmap.Length > 0)
        {
            text.Append(CultureInfo.InvariantCulture, $"\nNo sockmap here: {sides.NoSockmap}.\n");
        }

        text.Append("\nHow many times as good:\n\n");
        Heading(text, ["case", "copies to bridge", "direct to bridge", "copies to AF_UNIX", "direct to AF_UNIX"]);
        for (int c = 0; c < cases.Length; c++)
        {
            string Ratio(int ours, int theirs) => Text.Invariant($"{cases[c].Ratio(results[c, ours], results[c, theirs]):F2}");
            Row(text, [cases[c].Name, Ratio(copies, bridge), Ratio(direct, bridge), Ratio(copies, unix), Ratio(direct, unix)]);
        }

        text.Append("\nAgainst the goals (ratio to TCP over veth and bridge):\n\n");
        Goals(text, [.. cases.Index().Where(pair => pair.Item.Asked > 0).Select(pair => new Goal(
            pair.Item.Name, pair.Item.Asked, pair.Item.Ratio(results[pair.Index, copies], results[pair.Index, bridge]), pair.Item.Ratio(results[pair.Index, direct], results[pair.Index, bridge])))]);
        text.Append("\nCPU seconds, user and system, per GB (streams), per million round trips or connections: both programs; of NetKernel's sides + CoreEngine + the kernel NSM.\n\n");
        Heading(text, ["case", .. names]);
        for (int c = 0; c < cases.Length; c++)
        {
            Row(text, [cases[c].Name, .. names.Select((_, s) => results[c, s] is var r && sides.All[s].Ours is null ? Text.Invariant($"{r.Programs.Median:F2}")
                : Text.Invariant($"{r.Programs.Median:F2} + {r.Engine.Median:F2} + {r.Nsm.Median:F2}"))]);
        }

        return text.ToString();
    }

    public static string Programs(ProgramRuns programs, (Sample Value, Sample Cpu, Sample Platform)[,] results)
    {
        var text = new StringBuilder();
        Heading(text, ["program", "unit", "veth+bridge", "copies", "direct", "copies to bridge", "direct to bridge"]);
        List<Goal> goals = [];
        for (int c = 0; c < programs.Cases.Count; c++)
        {
            ProgramCase which = programs.Cases[c];
            string format = which.Unit == "per s" ? "F0" : "F2";
            bool least = which.Least || which.Unit.StartsWith("s ", StringComparison.Ordinal);
            double Ratio(int s) => least ? results[c, 0].Value.Median / results[c, s].Value.Median : results[c, s].Value.Median / results[c, 0].Value.Median;
            Row(text, [which.Name, which.Unit, .. Enumerable.Range(0, 3).Select(s => $"{results[c, s].Value.Median.ToString(format, CultureInfo.InvariantCulture)} ({results[c, s].Value.Spread(format)})"),
                Text.Invariant($"{Ratio(1):F2}"), Text.Invariant($"{Ratio(2):F2}")]);
            if (which.Asked > 0)
            {
                goals.Add(new Goal(which.Name, which.Asked, Ratio(1), Ratio(2)));
            }
        }

        foreach (string missing in programs.Missing.Distinct())
        {
            text.Append(CultureInfo.InvariantCulture, $"\n{missing} is not installed here.\n");
        }

        text.Append("\nAgainst the goals (ratio to TCP over veth and bridge):\n\n");
        Goals(text, goals);
        text.Append("\nCPU seconds per million requests, or per GB (iperf3): both programs; of NetKernel's sides + CoreEngine and NSM.\n\n");
        Heading(text, ["program", "veth+bridge", "copies", "direct"]);
        for (int c = 0; c < programs.Cases.Count; c++)
        {
            Row(text, [programs.Cases[c].Name, Text.Invariant($"{results[c, 0].Cpu.Median:F2}"),
                .. Enumerable.Range(1, 2).Select(s => Text.Invariant($"{results[c, s].Cpu.Median:F2} + {results[c, s].Platform.Median:F2}"))]);
        }

        return text.ToString();
    }

    public static string Idle((double Engine, double Nsm, double Programs) used, TimeSpan time) => Text.Invariant(
        $"A connection of each form open and silent, over {time.TotalSeconds:F0} s: CoreEngine {used.Engine * 1000:F1} ms of CPU, the kernel NSM {used.Nsm * 1000:F1} ms, the four programs {used.Programs * 1000:F1} ms.\n");

    public static string Long(IEnumerable<Endurance.Result> results)
    {
        var text = new StringBuilder();
        Heading(text, ["form", "GB, every 8 bytes checked", "seconds", "stalls over 10 ms", "longest, ms", "the machine was away", "it ran something else", "neither", "longest of these, ms", "the machine away, % of the time", "memory after 5 s, MB", "at the end"]);
        foreach (Endurance.Result r in results)
        {
            Row(text, [r.Name, Text.Invariant($"{r.Gigabytes:F1}"), Text.Invariant($"{r.Seconds:F0}"), Text.Invariant($"{r.Stalls}"), Text.Invariant($"{r.Longest * 1000:F1}"),
                Text.Invariant($"{r.Away}"), Text.Invariant($"{r.Waited}"), Text.Invariant($"{r.Unexplained}"), Text.Invariant($"{r.LongestUnexplained * 1000:F1}"), Text.Invariant($"{r.AwayShare * 100:F1}"), Text.Invariant($"{r.MemoryBefore / 1e6:F0}"), Text.Invariant($"{r.MemoryAfter / 1e6:F0}")]);
        }

        return text.ToString();
    }

    public static string Faults(IEnumerable<FaultTimes.Result> results)
    {
        var text = new StringBuilder();
        Heading(text, ["killed", "streams by", "what the survivors' connections were told", "median, ms", "worst, ms"]);
        foreach (FaultTimes.Result r in results)
        {
            Row(text, [r.Killed, r.Side, r.Told, Text.Invariant($"{r.Times.Median:F1}"), Text.Invariant($"{r.Times.Most:F1}")]);
        }

        return text.ToString();
    }

    /// <summary>Puts a part's text between its marks in a document.</summary>
    public static void Write(string file, string part, string report, string how)
    {
        if (file.Length == 0)
        {
            return;
        }

        string begin = $"<!-- bench sharedmem {part}: begin -->", end = $"<!-- bench sharedmem {part}: end -->";
        string text = File.ReadAllText(file);
        int from = text.IndexOf(begin, StringComparison.Ordinal) + begin.Length, to = text.IndexOf(end, StringComparison.Ordinal);
        if (from < begin.Length || to < from)
        {
            throw new RunFailure($"{file} has no {begin} and {end}");
        }

        string load = File.ReadAllText("/proc/loadavg").Split(' ')[0];
        text = text[..from]
            + Text.Invariant($"\n\nMeasured {DateTime.UtcNow:yyyy-MM-dd HH:mm} UTC, {Environment.ProcessorCount} cores, load average {load} at the end, {how}.\n\n{report}\n") + text[to..];
        File.WriteAllText(file, text);
    }

    private static void Goals(StringBuilder text, IEnumerable<Goal> goals)
    {
        Heading(text, ["goal", "asked", "copies", "direct"]);
        foreach (Goal goal in goals)
        {
            string Verdict(double ratio) => Text.Invariant($"{ratio:F2}{(ratio >= goal.Asked ? ", met" : "")}");
            Row(text, [goal.Name, Text.Invariant($"{goal.Asked:0.##}"), Verdict(goal.Copies), Verdict(goal.Direct)]);
        }
    }

    private static void Heading(StringBuilder text, string[] columns)
    {
        Row(text, columns);
        text.Append('|').Insert(text.Length, "---|", columns.Length).Append('\n');
    }

    private static void Row(StringBuilder text, string[] cells) => text.Append("| ").AppendJoin(" | ", cells).Append(" |\n");
}
