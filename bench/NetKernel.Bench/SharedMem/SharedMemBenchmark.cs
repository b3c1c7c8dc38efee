using System.Globalization;
using NetKernel.Bench.Tcp;

namespace NetKernel.Bench.SharedMem;

/// <summary>
/// ./nk bench sharedmem: two guests by shared memory, in both forms, beside the same programs over TCP (loopback, veth, veth and a bridge, a sockmap redirect) and AF_UNIX streams.
/// All alternate within a round, because the machine drifts.
/// </summary>
internal sealed class SharedMemBenchmark : Benchmark
{
    public override string Name => "sharedmem";

    public override string Summary =>
        "two guests by shared memory beside loopback, veth, bridge, sockmap, AF_UNIX (root; --part messages|programs|idle|faults, --long GB, --runs N --seconds S --out FILE --plot FILE)";

    public override int Run(Options options)
    {
        int runs = options.Number("runs", 5);
        string seconds = options.Text("seconds", "1"), file = options.Text("out", ""), part = options.Text("part", "");
        double gigabytes = double.Parse(options.Text("long", "0"), CultureInfo.InvariantCulture);
        if (part is not ("" or "messages" or "programs" or "idle" or "faults"))
        {
            throw new RunFailure($"--part is messages, programs, idle or faults, not {part}");
        }

        if (part == "faults")
        {
            using var faults = new FaultTimes();
            Finish(file, "faults", SharedMemReport.Faults(faults.Run(runs)), Text.Invariant($"{FaultTimes.Connections} streams, each killed {runs} times"));
            return 0;
        }

        using var sides = new Sides();
        if (gigabytes > 0)
        {
            Endurance.Result[] ended = [.. new[] { sides.Copies, sides.Direct }.Select(side => Endurance.Run(sides, side, (long)(gigabytes * 1e9)))];
            Finish(file, "long", SharedMemReport.Long(ended), "one run");
            return ended.All(result => result.Unexplained == 0) ? 0 : 1;
        }

        if (part is "" or "messages")
        {
            MessageResult[,] results = new MessageRuns(sides, runs, seconds).Run();
            Finish(file, "messages", SharedMemReport.Messages(sides, results), Text.Invariant($"{runs} runs of {seconds} s; median (least - most)"));
            string plot = options.Text("plot", "");
            if (plot.Length > 0)
            {
                File.WriteAllText(plot, RatioPlot.Draw(sides.All, results));
            }
        }

        if (part is "" or "programs")
        {
            using var programs = new ProgramRuns(sides, runs);
            (Sample, Sample, Sample)[,] results = programs.Run();
            Finish(file, "programs", SharedMemReport.Programs(programs, results), Text.Invariant($"{runs} runs; median (least - most)"));
        }

        if (part is "" or "idle")
        {
            TimeSpan time = TimeSpan.FromSeconds(10);
            Finish(file, "idle", SharedMemReport.Idle(IdleCost.Measure(sides, time), time), "one run");
        }

        return 0;
    }

    private static void Finish(string file, string part, string report, string how)
    {
        Console.Out.WriteLine(report);
        SharedMemReport.Write(file, part, report, how);
    }
}
