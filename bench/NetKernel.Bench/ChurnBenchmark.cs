using System.Globalization;
using NetKernel.Bench.Tcp;
using NetKernel.Cli.Testbed;

namespace NetKernel.Bench;

/// <summary>
/// ./nk bench churn: very many short connections to nginx in a guest, in windows, each beside one to nginx in a native namespace. The question is whether the
/// last are as fast as the first and whether anything is left behind; the native windows show how the machine itself drifts.
/// </summary>
internal sealed class ChurnBenchmark : Benchmark
{
    public override string Name => "churn";

    public override string Summary => "a million short connections: speed of the first and of the last, and what is left (root; --connections N --window-seconds S)";

    public override int Run(Options options)
    {
        int wanted = options.Number("connections", 1_000_000), seconds = options.Number("window-seconds", 10);
        Workload workload = Workloads.Of(new BenchOptions(1, seconds, 0, ["short"], null))[0];
        using NkInstance nk = NkInstance.Up("churn");
        _ = nk.Outside.Run(TimeSpan.FromSeconds(2), "bash", "-c", "echo 1024 65000 >/proc/sys/net/ipv4/ip_local_port_range");
        using var native = new Server(workload, new NativeMachine(nk), nk.Folder);
        using var guest = new Server(workload, new GuestMachine(nk), nk.Folder);
        native.Ensure();
        guest.Ensure();
        _ = Window(nk, native, workload); // warm
        _ = Window(nk, guest, workload);
        string before = Held(nk);
        var windows = new List<(double Native, double NetKernel)>();
        double done = 0;
        while (done < wanted)
        {
            Reading theirs = Window(nk, native, workload), ours = Window(nk, guest, workload);
            windows.Add((theirs.Values[0], ours.Values[0]));
            done += ours.Work;
            Console.Error.WriteLine(Text.Invariant($"bench: {done:F0} connections; native {theirs.Values[0]:F0}/s, NetKernel {ours.Values[0]:F0}/s"));
        }

        Print(windows, done, before, Held(nk));
        return 0;
    }

    private static void Print(List<(double Native, double NetKernel)> windows, double done, string before, string after)
    {
        int tenth = Math.Max(1, windows.Count / 10);
        Console.Out.WriteLine(Text.Invariant($"{done:F0} connections through NetKernel in {windows.Count} windows\n"));
        Console.Out.WriteLine("| | native, per second | NetKernel, per second | NetKernel/native |\n|---|---|---|---|");
        Row("first 10%", windows[..tenth]);
        Row("last 10%", windows[^tenth..]);
        Row("all", windows);
        Console.Out.WriteLine(Text.Invariant($"\nlast/first: native {Of(windows[^tenth..], w => w.Native).Median / Of(windows[..tenth], w => w.Native).Median:F2}, ")
            + Text.Invariant($"NetKernel {Of(windows[^tenth..], w => w.NetKernel).Median / Of(windows[..tenth], w => w.NetKernel).Median:F2}"));
        Console.Out.WriteLine($"\nheld before: {before}\nheld after: {after}");
    }

    private static void Row(string name, IReadOnlyList<(double Native, double NetKernel)> windows) => Console.Out.WriteLine(Text.Invariant(
        $"| {name} | {Show(Of(windows, w => w.Native))} | {Show(Of(windows, w => w.NetKernel))} | {Of(windows, w => w.NetKernel).Median / Of(windows, w => w.Native).Median:F2} |"));

    private static string Show(Spread spread) => Text.Invariant($"{spread.Median:F0} ({spread.Least:F0} to {spread.Most:F0})");

    private static Spread Of(IEnumerable<(double Native, double NetKernel)> windows, Func<(double Native, double NetKernel), double> side) => Spread.Of([.. windows.Select(side)])!.Value;

    private static Reading Window(NkInstance nk, Server server, Workload workload)
    {
        server.Ensure();
        CommandResult result = nk.Outside.Run(TimeSpan.FromSeconds(120), workload.Cases[0].Client(server.Machine.Ipv4));
        return result.Succeeded ? ToolOutput.Wrk(result.Output) : throw new RunFailure(result.Tail());
    }

    /// <summary>What the data plane's processes and the table hold.</summary>
    private static string Held(NkInstance nk)
    {
        int engine = nk.EnginePid, nsm = nk.NsmPid();
        // Closed connections are still on their way out for a moment.
        _ = NkInstance.WaitFor(() => nk.TrafficOf().Open <= 1, TimeSpan.FromSeconds(60));
        return string.Create(
            CultureInfo.InvariantCulture,
            $"table {nk.TrafficOf().Open} entries; engine {Descriptors(engine)} fds, {MemoryUse.Resident(engine) / 1e6:F1} MB; NSM {Descriptors(nsm)} fds, {MemoryUse.Resident(nsm) / 1e6:F1} MB");
    }

    private static int Descriptors(int pid) => Directory.GetFiles(Text.Invariant($"/proc/{pid}/fd")).Length;
}
