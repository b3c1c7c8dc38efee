using NetKernel.Cli;
using NetKernel.Cli.Testbed;

namespace NetKernel.Bench.Tcp;

/// <summary>Runs the cases of a workload: both servers stay up, the runs alternate between them, and who is first alternates too.</summary>
internal sealed class WorkloadRunner(NkInstance instance, NativeMachine native, GuestMachine guest, BenchOptions options, CancellationToken stopping)
{
    public List<CaseResult> Run(Workload workload)
    {
        using var theirs = new Server(workload, native, instance.Folder);
        using var ours = new Server(workload, guest, instance.Folder);
        var results = new List<CaseResult>();
        foreach (BenchCase bench in workload.Cases)
        {
            if (results.Count == 0)
            {
                WarmUp(bench, theirs);
                WarmUp(bench, ours);
            }

            var result = new CaseResult(bench, new SideResult(), new SideResult());
            for (int run = 0; run < options.Runs; run++)
            {
                (Server, SideResult)[] order = [(theirs, result.Native), (ours, result.NetKernel)];
                foreach ((Server server, SideResult side) in run % 2 == 0 ? order : order.Reverse())
                {
                    One(workload, bench, server, side);
                }
            }

            results.Add(result);
            Progress(workload, result);
        }

        return results;
    }

    private void WarmUp(BenchCase bench, Server server)
    {
        stopping.ThrowIfCancellationRequested();
        try
        {
            server.Ensure();
            _ = Client(bench, server);
        }
        catch (RunFailure) when (!stopping.IsCancellationRequested)
        {
            // The measured runs will say so.
            server.Stop();
        }
    }

    private void One(Workload workload, BenchCase bench, Server server, SideResult side)
    {
        stopping.ThrowIfCancellationRequested();
        try
        {
            server.Ensure();
            CpuUse before = server.Cpu();
            CommandResult client = Client(bench, server);
            CpuUse used = server.Cpu() - before;
            server.MustLive();
            Reading reading = bench.Read(client.Output);
            side.Add(reading, (used with { Client = ToolOutput.ClientCpu(client.Error) }) / (reading.Work / workload.Per));
        }
        catch (Exception e) when (!stopping.IsCancellationRequested && e is RunFailure or CliException or InvalidOperationException or IOException)
        {
            string line = e.Message.Split('\n')[0];
            side.Failures.Add(line);
            Console.Error.WriteLine($"bench: {workload.Name}, {bench.Name}, {server.Machine.Name}: FAILED: {line}");
            server.Stop();
        }
    }

    private CommandResult Client(BenchCase bench, Server server)
    {
        CommandResult result = ClientRun.Of(bench, server.Machine.Ipv4, options.Seconds, (time, command) => instance.Outside.Run(time, command));
        server.MustLive();
        return result;
    }

    private static void Progress(Workload workload, CaseResult result)
    {
        for (int i = 0; i < result.Case.Metrics.Length; i++)
        {
            Metric metric = result.Case.Metrics[i];
            Console.Error.WriteLine(
                $"bench: {workload.Name}, {result.Case.Name}, {metric.Name}: native {Show(result.Native)}, NetKernel {Show(result.NetKernel)}, ratio {result.Ratio(i)?.ToString("F2") ?? "-"}");

            string Show(SideResult side) => side.Of(i) is { } sample ? metric.Show(sample.Median) : "failed";
        }
    }
}
