using NetKernel.Bench;
using NetKernel.Bench.Tcp;

// bench NAME [options]: one class per benchmark. A benchmark prints a markdown table to standard output and how it goes to standard error.
Benchmark[] benchmarks = [new SwitchBenchmark(), new SocketLoopsBenchmark(), new TcpBenchmark(), new NetKernel.Bench.Mtcp.MtcpBenchmark(), new IdleBenchmark(), new ChurnBenchmark(), new StartBenchmark(), new ApiBenchmark(), new NetKernel.Bench.SharedMem.SharedMemBenchmark(), new NetKernel.Bench.Isolation.IsolationBenchmark(), new NetKernel.Bench.Impaired.ImpairedBenchmark()];

if (args is ["relay", ..])
{
    return Relay.Serve(args); // the other process of a benchmark
}

if (args.Length == 0 || args[0] is "-h" or "--help")
{
    Console.Error.WriteLine("usage: bench NAME [options]");
    foreach (Benchmark benchmark in benchmarks)
    {
        Console.Error.WriteLine($"  {benchmark.Name,-10} {benchmark.Summary}");
    }

    return args.Length == 0 ? 2 : 0;
}

foreach (Benchmark benchmark in benchmarks)
{
    if (benchmark.Name.Equals(args[0], StringComparison.OrdinalIgnoreCase))
    {
        return benchmark.Run(new Options(args.AsSpan(1)));
    }
}

Console.Error.WriteLine($"bench: no benchmark '{args[0]}'; bench --help lists them");
return 2;
