using System.Diagnostics;
using System.Globalization;
using NetKernel.Api.V1;
using NetKernel.Cli;
using NetKernel.Cli.Testbed;

namespace NetKernel.Bench;

/// <summary>
/// ./nk bench api: guests created, read, listed, watched and deleted over the API, time per operation at the beginning and at the end; memory of nkd; how long an nkd that was killed takes
/// to be there again. Baseline of creating: what it starts, `ip netns add` and one batch of `ip` in the namespace, alone and without NetKernel, in turn with the operations: the machine drifts.
/// </summary>
internal sealed class ApiBenchmark : Benchmark
{
    public override string Name => "api";

    public override string Summary => "the control plane with many guests (root; --guests 1000, --mode private|bridge|host)";

    public override int Run(Options options)
    {
        int count = options.Number("guests", 1000);
        string mode = options.Text("mode", "private");
        int slice = Math.Max(1, count / 10);
        using NkInstance nk = NkInstance.Up("api", "--mode", mode);
        using var client = new NkdClient(nk.RunDirectory);
        _ = client.CreateGuest(new Guest { Name = "warm" }, mustBeNew: true);
        client.DeleteGuest("warm", force: false);
        long atStart = Kilobytes(nk.ControlPlanePid);

        int told = 0;
        using var watcher = new NkdClient(nk.RunDirectory);
        var watching = new Thread(() =>
        {
            try
            {
                foreach (Event e in watcher.Watch("guest"))
                {
                    _ = e.Type == Event.Types.Type.Added ? Interlocked.Increment(ref told) : 0;
                }
            }
            catch (CliException)
            {
                // nkd has been killed: the end of this part.
            }
        })
        { IsBackground = true };
        watching.Start();

        double[] created = new double[count], read = new double[count], bare = new double[count];
        var cost = new ApiCost(nk, slice);
        ApiCost.Cpu idleEmpty = cost.Idle();
        for (int i = 0; i < count; i++)
        {
            cost.Of("create", i, () => created[i] = Time(() => client.CreateGuest(new Guest { Name = Named(i) }, mustBeNew: true)));
            cost.Of("get", i, () => read[i] = Time(() => client.Guest(Named(i))));
            cost.OfOurs("bare", i, () => bare[i] = Bare(nk.Name));
        }

        ApiCost.Cpu idleFull = cost.Idle();
        double[] listed = Times(20, _ => client.Guests());
        long withAll = Kilobytes(nk.ControlPlanePid);
        bool watched = NkInstance.WaitFor(() => Volatile.Read(ref told) == count, TimeSpan.FromSeconds(30));

        int pid = nk.ControlPlanePid;
        _ = GuestProcess.SendSignal(pid, 9);
        _ = NkInstance.WaitFor(() => !Directory.Exists($"/proc/{pid}"), TimeSpan.FromSeconds(10));
        long began = Stopwatch.GetTimestamp();
        nk.StartControlPlane();
        double again = Stopwatch.GetElapsedTime(began).TotalSeconds;
        int ready = client.Guests().Count(guest => guest.State == GuestState.Ready);
        long afterwards = Kilobytes(nk.ControlPlanePid);
        cost.Renew();
        double[] deleted = new double[count];
        for (int i = 0; i < count; i++)
        {
            cost.Of("delete", i, () => deleted[i] = Time(() => client.DeleteGuest(Named(i), force: false)));
        }


        Console.Out.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{count} guests, {mode} mode; ms per operation: median (least to most)\n"));
        Console.Out.WriteLine("| operation | first tenth | last tenth | ratio |\n|---|---|---|---|");
        foreach ((string what, double[] times) in new[] { ("bare `ip netns add` + `ip` (the machine's part of create)", bare), ("create", created), ("get", read), ("delete", deleted) })
        {
            Console.Out.WriteLine(string.Create(CultureInfo.InvariantCulture, $"| {what} | {Show(times[..slice])} | {Show(times[^slice..])} | {Median(times[^slice..]) / Median(times[..slice]):F2} |"));
        }

        Console.Out.WriteLine("\nms of processor time per operation: nkd + what it starts + CoreEngine\n\n| operation | first tenth | middle | last tenth |\n|---|---|---|---|");
        foreach ((string what, string name) in new[] { ("bare `ip netns add`, `ip`, `ip netns del`", "bare"), ("create", "create"), ("get", "get"), ("delete", "delete") })
        {
            Console.Out.WriteLine($"| {what} | {Show(cost.Mean(name, 0))} | {Show(cost.Mean(name, 5))} | {Show(cost.Mean(name, 9))} |");
        }

        Console.Out.WriteLine(string.Create(CultureInfo.InvariantCulture, $"""

            | | |
            |---|---|
            | create without the machine's part, ms: first tenth, last tenth | {Median(created[..slice]) - Median(bare[..slice]):F2}, {Median(created[^slice..]) - Median(bare[^slice..]):F2} |
            | create over bare: first tenth, last tenth | {Median(created[..slice]) / Median(bare[..slice]):F2}, {Median(created[^slice..]) / Median(bare[^slice..]):F2} |
            | idle, ms of processor time a second: empty, with {count} | {Show(idleEmpty)}, {Show(idleFull)} |
            | list of all {count}, ms | {Show(listed)} |
            | a watch told of all | {(watched ? "yes" : $"no: {told}")} |
            | nkd's resident memory, MB: empty, with {count}, after the restart | {atStart / 1024.0:F0}, {withAll / 1024.0:F0}, {afterwards / 1024.0:F0} |
            | nkd killed and started again, s ({ready} of {count} guests ready) | {again:F2} |
            """));
        return watched && ready == count ? 0 : 1;
    }

    // What creating a guest in private mode starts, without anything around it.
    private static double Bare(string instance)
    {
        double time = Time(() =>
        {
            Ip($"netns add {instance}-bare");
            Ip($"-n {instance}-bare link set lo up");
        });
        Ip($"netns del {instance}-bare");
        return time;
    }

    private static void Ip(string arguments)
    {
        using Process process = Process.Start("ip", arguments);
        process.WaitForExit();
        if (process.ExitCode != 0)
        {
            throw new InvalidOperationException("ip " + arguments);
        }
    }

    private static double[] Times(int count, Action<int> action)
    {
        double[] times = new double[count];
        for (int i = 0; i < count; i++)
        {
            times[i] = Time(() => action(i));
        }

        return times;
    }

    private static double Time(Action action)
    {
        long began = Stopwatch.GetTimestamp();
        action();
        return Stopwatch.GetElapsedTime(began).TotalMilliseconds;
    }

    private static long Kilobytes(int pid) => long.Parse(
        File.ReadLines($"/proc/{pid}/status").First(line => line.StartsWith("VmRSS:", StringComparison.Ordinal)).Split(' ', StringSplitOptions.RemoveEmptyEntries)[1],
        CultureInfo.InvariantCulture);

    private static double Median(double[] times) => times.Order().ElementAt(times.Length / 2);

    private static string Show(double[] times) => string.Create(CultureInfo.InvariantCulture, $"{Median(times):F2} ({times.Min():F2} to {times.Max():F2})");

    private static string Show(ApiCost.Cpu cpu) => string.Create(CultureInfo.InvariantCulture, $"{cpu.Nkd:F2} + {cpu.Started:F2} + {cpu.Engine:F2}");

    private static string Named(int i) => string.Create(CultureInfo.InvariantCulture, $"g{i:D4}");
}
