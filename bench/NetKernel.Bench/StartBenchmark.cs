using System.Globalization;
using NetKernel.Bench.Tcp;
using NetKernel.Cli.Testbed;

namespace NetKernel.Bench;

/// <summary>
/// ./nk bench start: what the library costs a process that is started in a guest: time until it has ended again, and memory of its own. Baseline: the same
/// program in the same guest without the preload.
/// </summary>
internal sealed class StartBenchmark : Benchmark
{
    private const string Loop = "i=0; while [ $i -lt $0 ]; do /bin/true; i=$((i+1)); done";

    // Private and resident memory of the process itself, in KB: of a program without sockets, and of one that has just opened one.
    private const string Memory = """
        import socket, sys
        s = socket.socket() if sys.argv[1] == "socket" else None
        values = {}
        for line in open("/proc/self/smaps_rollup"):
            name, _, rest = line.partition(":")
            if rest.strip().endswith("kB"):
                values[name] = int(rest.split()[0])
        print(values["Private_Clean"] + values["Private_Dirty"], values["Rss"])
        """;

    public override string Name => "start";

    public override string Summary => "what the library costs a process: start and memory (root; --runs 5, --processes 500)";

    public override int Run(Options options)
    {
        int runs = options.Number("runs", 5), processes = options.Number("processes", 500);
        using NkInstance nk = NkInstance.Up("start");
        nk.CreateGuest("a");
        string script = Path.Combine(nk.Folder, "memory.py");
        File.WriteAllText(script, Memory);
        var bare = new List<double>();
        var preloaded = new List<double>();
        for (int run = 0; run <= runs; run++)
        {
            double without = Time(nk, processes, "env", "-u", "LD_PRELOAD"), with = Time(nk, processes);
            if (run > 0)
            {
                bare.Add(without); // the first is for warming
                preloaded.Add(with);
            }
        }

        Spread theirs = Spread.Of([.. bare])!.Value, ours = Spread.Of([.. preloaded])!.Value;
        Console.Out.WriteLine("| /bin/true | without | with the library | difference | ratio |\n|---|---|---|---|---|");
        Console.Out.WriteLine(Text.Invariant(
            $"| start to end, us | {theirs.Median:F0} ({theirs.Least:F0} to {theirs.Most:F0}) | {ours.Median:F0} ({ours.Least:F0} to {ours.Most:F0}) | {ours.Median - theirs.Median:F0} | {ours.Median / theirs.Median:F2} |"));
        Console.Out.WriteLine("\n| python3, KB | without | with | difference |\n|---|---|---|---|");
        foreach (string kind in new[] { "none", "socket" })
        {
            double[] without = Kilobytes(nk, kind, "env", "-u", "LD_PRELOAD"), with = Kilobytes(nk, kind);
            string what = kind == "none" ? "no socket" : "one socket";
            Console.Out.WriteLine(Text.Invariant($"| private, {what} | {without[0]:F0} | {with[0]:F0} | {with[0] - without[0]:F0} |"));
            Console.Out.WriteLine(Text.Invariant($"| resident, {what} | {without[1]:F0} | {with[1]:F0} | {with[1] - without[1]:F0} |"));
        }

        return 0;
    }

    /// <summary>Microseconds per process.</summary>
    private static double Time(NkInstance nk, int processes, params string[] prefix)
    {
        double empty = One(nk, 0, prefix), all = One(nk, processes, prefix);
        return (all - empty) * 1e6 / processes;
    }

    private static double One(NkInstance nk, int processes, string[] prefix)
    {
        using GuestProcess shell = nk.Start("a", [.. prefix, "bash", "-c", "TIMEFORMAT=%R; time sh -c '" + Loop + "' " + processes.ToString(CultureInfo.InvariantCulture)]);
        CommandResult result = shell.Wait(TimeSpan.FromSeconds(120));
        return result.Succeeded ? double.Parse(result.Error.Trim().Split('\n')[^1], CultureInfo.InvariantCulture) : throw new RunFailure(result.Tail());
    }

    private static double[] Kilobytes(NkInstance nk, string kind, params string[] prefix)
    {
        List<double[]> values = [];
        for (int i = 0; i < 5; i++)
        {
            CommandResult result = nk.Run("a", TimeSpan.FromSeconds(30), [.. prefix, "/usr/bin/python3", "-I", Path.Combine(nk.Folder, "memory.py"), kind]);
            values.Add(result.Succeeded ? [.. result.Output.Split().Where(word => word.Length > 0).Select(word => double.Parse(word, CultureInfo.InvariantCulture))] : throw new RunFailure(result.Tail()));
        }

        return [Spread.Of([.. values.Select(pair => pair[0])])!.Value.Median, Spread.Of([.. values.Select(pair => pair[1])])!.Value.Median];
    }
}
