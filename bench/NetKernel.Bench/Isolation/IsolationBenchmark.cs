using NetKernel.Bench.Tcp;
using NetKernel.Cli.Testbed;

namespace NetKernel.Bench.Isolation;

/// <summary>
/// ./nk bench isolation: what limits hold, and what a bad guest does to a good one. Three guests of one NSM with caps of 1 Gbit/s, 500 Mbit/s and none, over time; and the p99 of a
/// request and its response beside guests that burn a core, flood queue elements or open connections.
/// </summary>
internal sealed class IsolationBenchmark : Benchmark
{
    public override string Name => "isolation";

    public override string Summary => "caps of three guests over time, and a bad guest's effect on a neighbour (root; --seconds 30 --rounds 5 --only caps,neighbour --svg FOLDER)";

    public override int Run(Options options)
    {
        string only = options.Text("only", "caps,neighbour"), svg = options.Text("svg", "");
        if (only.Split(',').Except(["caps", "neighbour"]).FirstOrDefault() is { } wrong)
        {
            Console.Error.WriteLine($"bench: --only takes caps, neighbour, or both, not '{wrong}'");
            return 2;
        }

        bool met = true;
        if (only.Contains("caps", StringComparison.Ordinal))
        {
            using NkInstance nk = NkInstance.Up("isolation");
            met &= new CapsExperiment(nk, options.Number("seconds", 30), svg).Run();
        }

        if (only.Contains("neighbour", StringComparison.Ordinal))
        {
            using NkInstance nk = NkInstance.Up("isolation");
            met &= new NeighbourExperiment(nk, options.Number("rounds", 5)).Run();
        }

        return met ? 0 : 1;
    }
}
