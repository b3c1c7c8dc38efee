using NetKernel.Bench.Tcp;

namespace NetKernel.Bench.Tests;

/// <summary>Medians, goals, tables and the file they go to.</summary>
public class ReportTests
{
    private static readonly Workload Streams =
        new("streams", "Streams", 1, _ => ["server"], "GB", 1e9, [], []);

    [Theory]
    [InlineData(new[] { 3.0, 1.0, 2.0 }, 2.0)]
    [InlineData(new[] { 4.0, 1.0, 2.0, 3.0 }, 2.5)]
    [InlineData(new[] { 7.0 }, 7.0)]
    public void Median(double[] values, double median)
    {
        Spread sample = Spread.Of(values)!.Value;
        Assert.Equal(median, sample.Median);
        Assert.Equal(values.Min(), sample.Least);
        Assert.Equal(values.Max(), sample.Most);
    }

    [Fact]
    public void No_values_no_median() => Assert.Null(Spread.Of([]));

    [Fact]
    public void A_table_has_medians_spread_ratio_goal_and_cpu()
    {
        CaseResult result = Result();
        foreach (double rate in new[] { 10e9, 12e9, 8e9 })
        {
            result.Native.Add(new Reading([rate], 1e9), new CpuUse(0.5, 0.25, 0, 0));
            result.NetKernel.Add(new Reading([rate / 2], 1e9), new CpuUse(0.5, 0.25, 0.5, 0.25));
        }

        string text = Report.Of(Streams, [result]);
        Assert.Contains("| 8 KB | rate | 10.00 Gbit/s (8.00 to 12.00) | 5.00 Gbit/s (4.00 to 6.00) | 0.50 | >= 0.8: missed |", text, StringComparison.Ordinal);
        Assert.Contains("| 8 KB | 0.50 | 0.25 | 0.75 | 0.50 | 0.25 | 0.50 | 0.25 | 1.50 | 2.00 |", text, StringComparison.Ordinal);
        Assert.DoesNotContain("ailed", text, StringComparison.Ordinal);
    }

    [Fact]
    public void Failed_runs_are_told()
    {
        CaseResult result = Result();
        result.Native.Add(new Reading([1e9], 1e9), new CpuUse(1, 1, 0, 0));
        result.Native.Failures.Add("it hung");
        result.NetKernel.Failures.Add("refused");
        string text = Report.Of(Streams, [result]);
        Assert.Contains("| 1.00 Gbit/s (1.00 to 1.00, 1 failed) | failed | - | >= 0.8 |", text, StringComparison.Ordinal);
        Assert.Contains("* 8 KB, native, 1 of 2 runs: it hung\n* 8 KB, NetKernel, 1 of 1 runs: refused", text, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(0.8, 0.8, null, true)]
    [InlineData(0.79, 0.8, null, false)]
    [InlineData(2.1, null, 2.0, false)]
    [InlineData(1.0, null, 2.0, true)]
    [InlineData(1.0, null, null, null)]
    public void Goals(double ratio, double? least, double? most, bool? met) =>
        Assert.Equal(met, new Metric("m", Text.Bits, least, most).Met(ratio));

    [Fact]
    public void Idle_shared_memory_is_per_guest_above_the_control()
    {
        string text = Report.Of([new IdleRow(0, 0, 0, 0, 0, 0, 0, 1 << 20), new IdleRow(100, 0.002, 0.003, 0, 0, 5 << 20, 6 << 20, 201 << 20)]);
        Assert.Contains("| 100 | 0.200% | 0.300% | 0.500% | < 1%: met | 0.000% | 0.000% | 5.0 MiB | 6.0 MiB | 2.0 MiB |", text, StringComparison.Ordinal);
    }

    [Fact]
    public void The_file_keeps_its_other_text()
    {
        string first = Report.Into(null, "one\n");
        Assert.StartsWith("# TCP", first, StringComparison.Ordinal);
        string second = Report.Into(first + "\nby hand\n", "two\n");
        Assert.DoesNotContain("one", second, StringComparison.Ordinal);
        Assert.Contains("two", second, StringComparison.Ordinal);
        Assert.EndsWith("by hand\n", second, StringComparison.Ordinal);
        Assert.Contains("mine", Report.Into("mine\n", "two"), StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("--runs", "0")]
    [InlineData("--only", "streams,nothing")]
    [InlineData("--only")]
    [InlineData("--fast", "1")]
    public void Wrong_options(params string[] arguments) => Assert.Throws<UsageException>(() => BenchOptions.Parse(arguments));

    [Fact]
    public void Options()
    {
        var options = BenchOptions.Parse(["--runs", "3", "--seconds", "2", "--only", "redis,streams"]);
        Assert.Equal((3, 2), (options.Runs, options.Seconds));
        Assert.Equal(["streams", "redis"], options.Parts);
    }

    [Fact]
    public void Cpu_of_this_process_grows()
    {
        double before = ProcessCpu.Seconds(Environment.ProcessId);
        long end = Environment.TickCount64 + 50;
        while (Environment.TickCount64 < end)
        {
        }

        Assert.True(ProcessCpu.Seconds(Environment.ProcessId) > before);
        Assert.Equal(0, ProcessCpu.Seconds(1 << 22));
        Assert.Contains(Environment.ProcessId, ProcessCpu.Tree(Environment.ProcessId));
    }

    private static CaseResult Result() =>
        new(new BenchCase("8 KB", _ => ["client"], ToolOutput.Iperf, new Metric("rate", Text.Bits, AtLeast: 0.8)), new SideResult(), new SideResult());
}
