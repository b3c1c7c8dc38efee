namespace NetKernel.Bench.Tcp;

/// <summary>What the runs of one case gave on one side.</summary>
internal sealed class SideResult
{
    private readonly List<Reading> _readings = [];
    private readonly List<CpuUse> _cpu = [];

    public List<string> Failures { get; } = [];

    public int Count => _readings.Count;

    public void Add(Reading reading, CpuUse cpuPerWork)
    {
        _readings.Add(reading);
        _cpu.Add(cpuPerWork);
    }

    /// <summary>Median and spread of one metric; null when every run failed.</summary>
    public Spread? Of(int metric) => Spread.Of([.. _readings.Select(reading => reading.Values[metric])]);

    /// <summary>Medians of the CPU use; null when every run failed.</summary>
    public CpuUse? Cpu => _cpu.Count == 0 ? null : new CpuUse(
        Median(use => use.Server), Median(use => use.Client), Median(use => use.Engine), Median(use => use.Nsm));

    private double Median(Func<CpuUse, double> part) => Spread.Of([.. _cpu.Select(part)])!.Value.Median;
}

/// <summary>Median, least and most of some runs.</summary>
internal readonly record struct Spread(double Median, double Least, double Most)
{
    public static Spread? Of(double[] values)
    {
        if (values.Length == 0)
        {
            return null;
        }

        double[] sorted = [.. values.Order()];
        int half = sorted.Length / 2;
        return new Spread(sorted.Length % 2 == 1 ? sorted[half] : (sorted[half - 1] + sorted[half]) / 2, sorted[0], sorted[^1]);
    }
}

/// <summary>A case and what came of it on both sides.</summary>
internal sealed record CaseResult(BenchCase Case, SideResult Native, SideResult NetKernel)
{
    /// <summary>NetKernel/native of the medians; null when a side has none.</summary>
    public double? Ratio(int metric) => NetKernel.Of(metric) is { } ours && Native.Of(metric) is { } theirs ? ours.Median / theirs.Median : null;
}
