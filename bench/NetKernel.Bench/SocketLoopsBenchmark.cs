namespace NetKernel.Bench;

/// <summary>The kernel NSM's way to wait for its sockets: io_uring beside epoll.</summary>
internal sealed class SocketLoopsBenchmark : Benchmark
{
    public override string Name => "socketloops";

    public override string Summary => "io_uring beside epoll, as the kernel NSM could use them";

    public override int Run(Options options) => SocketLoops.Run(options.All);
}
