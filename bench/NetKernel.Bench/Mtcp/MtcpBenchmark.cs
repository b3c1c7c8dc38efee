using NetKernel.Bench.Tcp;
using NetKernel.Cli.Testbed;

namespace NetKernel.Bench.Mtcp;

/// <summary>
/// ./nk bench mtcp: the user-space stack beside the kernel NSM and beside the native kernel stack, in one run, the sides taking turns. With the client outside (an ordinary stack in a
/// namespace on the bridge) all three serve it; with both peers on NetKernel, client and server are guests of one NSM. With --sides links the sides are the links that an mtcp NSM may have, each beside
/// native and the kernel NSM, with the client outside.
/// </summary>
internal sealed class MtcpBenchmark : Benchmark
{
    private const int ShortPort = 7300;
    private const string Kernel = "server-kernel";
    private static readonly string[] Links = ["packet", "tap", "xdp"];
    private static readonly string[] AllParts = ["short", "nginx-short", "nginx", "redis", "bulk"];

    public override string Name => "mtcp";

    public override string Summary => "the user-space stack beside the kernel NSM and native TCP (root; --runs N --seconds S --only PARTS --cores N --sides peers|links --out FILE)";

    public override int Run(Options options)
    {
        int runs = options.Number("runs", 5), seconds = options.Number("seconds", 2), cores = options.Number("cores", 1);
        string kind = options.Text("sides", "peers");
        bool links = kind == "links";
        string[] parts = options.Text("only", links ? "short,bulk" : string.Join(',', AllParts)).Split(',');
        if (parts.Except(AllParts).FirstOrDefault() is { } wrong)
        {
            Console.Error.WriteLine($"bench: --only takes some of {string.Join(',', AllParts)}, not '{wrong}'");
            return 2;
        }

        if (!links && kind != "peers")
        {
            Console.Error.WriteLine($"bench: --sides takes peers or links, not '{kind}'");
            return 2;
        }

        DateTime began = DateTime.UtcNow;
        string load = Load();
        using NkInstance nk = NkInstance.Up("mtcp", "--shared-memory", "off", "--loops", Text.Invariant($"{cores}"));
        _ = nk.Outside.Run(TimeSpan.FromSeconds(2), "bash", "-c", "echo 1024 65000 >/proc/sys/net/ipv4/ip_local_port_range");
        Side[] sides = links ? LinkSides(nk, cores) : PeerSides(nk, cores);
        foreach (string guest in links ? [Kernel, .. Links.Select(Server)] : (string[])[Kernel, Server("mtcp"), "client-kernel", "client-mtcp"])
        {
            // Sides that take turns would be held to nkd's conn-rate beside each other.
            CommandResult limited = nk.Nk("guest", "update", guest, "--limit-conn-rate", "1000000");
            if (!limited.Succeeded)
            {
                throw new RunFailure($"guest {guest}: {limited.Tail()}");
            }
        }

        string program = Build(nk);
        var report = new MtcpReport([.. sides.Select(side => side.Name)], links);
        bool failed = false;
        foreach (Workload workload in Workloads(program, seconds).Where(workload => parts.Contains(workload.Name)))
        {
            var servers = sides.Select(side => side.Machine).Distinct().ToDictionary(machine => machine, machine => new Server(workload, machine, nk.Folder));
            try
            {
                foreach (BenchCase bench in workload.Cases)
                {
                    SideResult[] results = [.. sides.Select(_ => new SideResult())];
                    for (int run = 0; run < runs; run++)
                    {
                        for (int i = 0; i < sides.Length; i++)
                        {
                            int at = (i + run) % sides.Length; // none is always first
                            One(workload, bench, sides[at], servers[sides[at].Machine], seconds, results[at]);
                        }
                    }

                    failed |= results.Any(result => result.Failures.Count > 0);
                    report.Add(workload, bench, results);
                }
            }
            finally
            {
                foreach (Server server in servers.Values)
                {
                    server.Dispose();
                }
            }
        }

        string text = report.Write(began, runs, seconds, cores, load, Load(), options.Text("out", ""));
        Console.Out.Write(text);
        return failed ? 1 : 0;
    }

    private static Side[] PeerSides(NkInstance nk, int cores)
    {
        CreateNsm(nk, "m0", "packet", cores);
        nk.CreateGuest("client-kernel", "kernel0");
        nk.CreateGuest("client-mtcp", "m0");
        var kernel = new GuestMachine(nk, "kernel-nsm", Kernel, "kernel0");
        var mtcp = new GuestMachine(nk, "mtcp", Server("mtcp"), "m0");
        return
        [
            new("native", new NativeMachine(nk), (time, command) => nk.Outside.Run(time, command)),
            new("kernel NSM", kernel, (time, command) => nk.Outside.Run(time, command)),
            new("mtcp", mtcp, (time, command) => nk.Outside.Run(time, command)),
            new("kernel NSM, both", kernel, (time, command) => nk.Run("client-kernel", time, command)),
            new("mtcp, both", mtcp, (time, command) => nk.Run("client-mtcp", time, command)),
        ];
    }

    private static Side[] LinkSides(NkInstance nk, int cores)
    {
        List<Side> sides =
        [
            new("native", new NativeMachine(nk), (time, command) => nk.Outside.Run(time, command)),
            new("kernel NSM", new GuestMachine(nk, "kernel-nsm", Kernel, "kernel0"), (time, command) => nk.Outside.Run(time, command)),
        ];
        foreach (string link in Links)
        {
            CreateNsm(nk, link, link, cores);
            sides.Add(new($"mtcp, {link}", new GuestMachine(nk, $"mtcp-{link}", Server(link), link), (time, command) => nk.Outside.Run(time, command)));
        }

        return [.. sides];
    }

    private static string Server(string of) => "server-" + of;

    private static void CreateNsm(NkInstance nk, string name, string link, int cores)
    {
        CommandResult made = nk.Nk("nsm", "create", name, "--kind", "mtcp", "--link", link, "--cores", Text.Invariant($"{cores}"));
        if (!made.Succeeded)
        {
            throw new RunFailure($"the NSM {name} cannot be made: {made.Tail()}");
        }
    }

    private static void One(Workload workload, BenchCase bench, Side side, Server server, int seconds, SideResult result)
    {
        try
        {
            server.Ensure();
            CpuUse before = server.Cpu();
            CommandResult client = ClientRun.Of(bench, side.Machine.Ipv4, seconds, side.Client);
            CpuUse used = server.Cpu() - before;
            server.MustLive();
            Reading reading = bench.Read(client.Output);
            result.Add(reading, (used with { Client = ToolOutput.ClientCpu(client.Error) }) / reading.Work);
            Console.Error.WriteLine($"bench: {workload.Name}, {bench.Name}, {side.Name}: {bench.Metrics[0].Show(reading.Values[0])}");
        }
        catch (Exception e) when (e is RunFailure or InvalidOperationException or IOException)
        {
            string line = e.Message.Split('\n')[0];
            result.Failures.Add(line);
            Console.Error.WriteLine($"bench: {workload.Name}, {bench.Name}, {side.Name}: FAILED: {line}");
            server.Stop();
        }
    }

    private static IEnumerable<Workload> Workloads(string program, int seconds)
    {
        yield return new Workload(
            "short", "Connect, 64 B each way, close", ShortPort, _ => [program, "server", Text.Invariant($"{ShortPort}")], "connection", 1,
            [
                new BenchCase(
                    "short connections, 64 at a time", host => [program, "client", host, Text.Invariant($"{ShortPort}"), Text.Invariant($"{seconds}"), "64"], ToolOutput.Short,
                    new Metric("connections", Text.PerSecond)),
            ],
            []);
        Workload[] others = Tcp.Workloads.Of(new BenchOptions(1, seconds, 1, ["streams", "short", "nginx", "redis"], null));
        Workload Named(string name) => others.Single(other => other.Name == name);
        yield return Named("short") with { Name = "nginx-short", Cases = [Named("short").Cases[0] with { Name = "nginx, a connection per request" }] };
        yield return Named("nginx") with { Cases = [Named("nginx").Cases[0] with { Name = "nginx, keep-alive" }] };
        yield return Named("redis") with { Cases = [.. Named("redis").Cases.Select(one => one with { Name = "redis " + one.Name })] };
        yield return Named("streams") with { Name = "bulk", Cases = [.. Named("streams").Cases.Where(one => one.Name.StartsWith("8 KB", StringComparison.Ordinal))] };
    }

    private static string Build(NkInstance nk)
    {
        string program = Path.Combine(nk.Folder, "short");
        using GuestProcess gcc = nk.StartRaw(["gcc", "-O2", "-o", program, Path.Combine(AppContext.BaseDirectory, "Mtcp", "short.c")]);
        CommandResult built = gcc.Wait(TimeSpan.FromSeconds(60));
        return built.Succeeded ? program : throw new RunFailure(built.ToString());
    }

    private static string Load() => string.Join(' ', File.ReadAllText("/proc/loadavg").Split(' ').Take(3));

    private sealed record Side(string Name, Machine Machine, Func<TimeSpan, string[], CommandResult> Client);
}
