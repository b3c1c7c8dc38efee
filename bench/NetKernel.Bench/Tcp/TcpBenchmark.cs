namespace NetKernel.Bench.Tcp;

/// <summary>./nk bench tcp.</summary>
internal sealed class TcpBenchmark : Benchmark
{
    public override string Name => "tcp";

    public override string Summary => "TCP through NetKernel beside the same programs natively (root; tcp --help)";

    public override int Run(Options options) => TcpBench.Run(options.All);
}

/// <summary>./nk bench idle: the last part of bench tcp alone.</summary>
internal sealed class IdleBenchmark : Benchmark
{
    public override string Name => "idle";

    public override string Summary => "what 100 idle guests cost (root)";

    public override int Run(Options options) => TcpBench.Run(["--only", "idle", .. options.All]);
}
