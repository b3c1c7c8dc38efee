using System.Globalization;
using System.Text.RegularExpressions;
using NetKernel.Bench.Tcp;
using NetKernel.Cli.Testbed;

namespace NetKernel.Bench.SharedMem;

/// <summary>
/// ./nk bench sharedmem: two guests by shared memory, beside the same programs over TCP on the loopback, TCP over veth and a bridge (what containers of one host use), and AF_UNIX streams.
/// All alternate within a round, because the machine drifts.
/// </summary>
internal sealed partial class SharedMemBenchmark : Benchmark
{
    private const int Port = 7200;

    private static readonly (string Name, string[] Arguments, bool Least)[] Cases =
    [
        ("64 B stream", ["stream", "64", "1"], false),
        ("1 KB stream", ["stream", "1024", "1"], false),
        ("8 KB stream", ["stream", "8192", "1"], false),
        ("64 KB stream", ["stream", "65536", "1"], false),
        ("8 KB, 8 streams", ["stream", "8192", "8"], false),
        ("64 KB, 8 streams", ["stream", "65536", "8"], false),
        ("64 B round trip, p50", ["rtt", "64", "1"], true),
        ("connect, 64 B each way, close", ["connect", "64", "1"], false),
    ];

    public override string Name => "sharedmem";

    public override string Summary => "two guests by shared memory beside loopback, veth and bridge, AF_UNIX (root; --runs N --seconds S --out FILE)";

    public override int Run(Options options)
    {
        int runs = options.Number("runs", 5);
        string seconds = options.Text("seconds", "1");
        using NkInstance nk = NkInstance.Up("shm");
        nk.CreateGuest("a");
        nk.CreateGuest("b");
        foreach (string guest in (string[])["c", "d"])
        {
            nk.CreateGuest(guest);
            CommandResult direct = nk.Nk("guest", "update", guest, "--shared-memory", "direct");
            if (!direct.Succeeded)
            {
                throw new RunFailure($"{direct}");
            }
        }

        var native = new NativeMachine(nk);
        string program = Build(nk);
        string path = Path.Combine(nk.Folder, "unix");
        Side[] sides =
        [
            new("loopback", ["127.0.0.1", Text.Invariant($"{Port}")], nk.Outside.Start, nk.Outside.Start),
            new("veth+bridge", [native.Ipv4, Text.Invariant($"{Port}")], command => native.Start(command), nk.Outside.Start),
            new("AF_UNIX", ["unix", path], nk.Outside.Start, nk.Outside.Start),
            new("NetKernel", [nk.Ipv4("b"), Text.Invariant($"{Port}")], command => nk.Start("b", command), command => nk.Start("a", command)),
            new("direct", [nk.Ipv4("d"), Text.Invariant($"{Port}")], command => nk.Start("d", command), command => nk.Start("c", command)),
        ];
        List<GuestProcess> servers = [];
        try
        {
            foreach (Side side in sides)
            {
                string[] where = side.Name == "veth+bridge" ? ["0.0.0.0", side.Where[1]] : side.Where;
                GuestProcess server = side.Serve([program, "server", .. where]);
                servers.Add(server);
                if (!NkInstance.WaitFor(() => server.Output.Contains("ready", StringComparison.Ordinal) || server.Ended, TimeSpan.FromSeconds(20)) || server.Ended)
                {
                    throw new RunFailure($"the server of {side.Name} does not start: {server.Error}");
                }
            }

            var results = new Result[Cases.Length, sides.Length];
            for (int run = 0; run < runs; run++)
            {
                for (int c = 0; c < Cases.Length; c++)
                {
                    for (int s = 0; s < sides.Length; s++)
                    {
                        Measure(nk, servers[s], sides[s], Cases[c], program, seconds, results[c, s] ??= new Result());
                    }
                }
            }

            Programs(nk, native, runs, out string table);
            string report = Table(sides, results) + "\n" + table;
            Console.Out.WriteLine(report);
            Write(options.Text("out", ""), report, runs, seconds);
            return 0;
        }
        finally
        {
            servers.ForEach(server => server.Dispose());
        }
    }

    private static void Measure(
        NkInstance nk, GuestProcess server, Side side, (string Name, string[] Arguments, bool Least) which, string program, string seconds, Result result)
    {
        CpuUse Cpu() => new(ProcessCpu.TreeSeconds(server.Pid), 0, side.Name is "NetKernel" or "direct" ? ProcessCpu.Seconds(nk.EnginePid) : 0, 0);
        CpuUse before = Cpu();
        using GuestProcess client = side.Call([program, "client", .. side.Where, which.Arguments[0], which.Arguments[1], seconds, which.Arguments[2]]);
        CommandResult done = client.Wait(TimeSpan.FromSeconds(60));
        if (!done.Succeeded)
        {
            throw new RunFailure($"{side.Name}, {which.Name}: {done}");
        }

        CpuUse used = Cpu() - before;
        double value = double.Parse(done.Output.Split()[0], CultureInfo.InvariantCulture);
        result.Value.Add(value);
        string[] words = done.Output.Split((char[])[' ', '\n'], StringSplitOptions.RemoveEmptyEntries);
        double cpu = double.Parse(words[^3], CultureInfo.InvariantCulture), work = double.Parse(words[^1], CultureInfo.InvariantCulture);
        result.Cpu.Add((cpu + used.Sum) / work * (which.Arguments[0] == "stream" ? 1e9 : 1e6));
        Console.Error.WriteLine(Text.Invariant($"bench: {which.Name}, {side.Name}: {done.Output.Trim()}"));
    }

    private static string Table(Side[] sides, Result[,] results)
    {
        var text = new System.Text.StringBuilder("| case | " + string.Join(" | ", sides.Select(side => side.Name)) + " | to bridge | to AF_UNIX | direct to bridge | to AF_UNIX |\n|---|");
        text.Insert(text.Length, "---|", sides.Length + 4).Append('\n');
        for (int c = 0; c < Cases.Length; c++)
        {
            text.Append(CultureInfo.InvariantCulture, $"| {Cases[c].Name} |");
            for (int s = 0; s < sides.Length; s++)
            {
                text.Append(CultureInfo.InvariantCulture, $" {Show(Cases[c], results[c, s].Value)} |");
            }

            double Ratio(int which, int other) => Cases[c].Least ? results[c, other].Value.Median / results[c, which].Value.Median : results[c, which].Value.Median / results[c, other].Value.Median;
            text.Append(CultureInfo.InvariantCulture, $" {Ratio(3, 1):F2} | {Ratio(3, 2):F2} | {Ratio(4, 1):F2} | {Ratio(4, 2):F2} |\n");
        }

        text.Append("\nCPU seconds of client, server and engine, user and system: per GB, or per million round trips or connections.\n\n| case | ")
            .AppendJoin(" | ", sides.Select(side => side.Name)).Append(" | bridge to ours | AF_UNIX to ours |\n|---|---|---|---|---|---|---|---|\n");
        for (int c = 0; c < Cases.Length; c++)
        {
            double ours = results[c, 3].Cpu.Median;
            text.Append(CultureInfo.InvariantCulture, $"| {Cases[c].Name} |");
            for (int s = 0; s < sides.Length; s++)
            {
                text.Append(CultureInfo.InvariantCulture, $" {results[c, s].Cpu.Median:F2} |");
            }

            text.Append(CultureInfo.InvariantCulture, $" {results[c, 1].Cpu.Median / ours:F2} | {results[c, 2].Cpu.Median / ours:F2} |\n");
        }

        return text.ToString();
    }

    private static string Show((string Name, string[] Arguments, bool Least) which, Sample sample) => which.Arguments[0] switch
    {
        "stream" => Text.Invariant($"{sample.Median * 8 / 1e9:F2} Gbit/s ({string.Join(" - ", sample.Spread("F0").Split(" - ").Select(x => (double.Parse(x, CultureInfo.InvariantCulture) * 8 / 1e9).ToString("F2", CultureInfo.InvariantCulture)))})"),
        "rtt" => Text.Invariant($"{sample.Median:F1} us ({sample.Spread("F1")})"),
        _ => Text.Invariant($"{sample.Median:F0}/s ({sample.Spread("F0")})"),
    };

    /// <summary>Unmodified programs: redis-benchmark without pipelining, wrk on nginx.</summary>
    private static void Programs(NkInstance nk, NativeMachine native, int runs, out string table)
    {
        string folder = Directory.CreateDirectory(Path.Combine(nk.Folder, "www"), (UnixFileMode)0x1ED).FullName;
        File.WriteAllText(Path.Combine(folder, "index.html"), new string('x', 1024));
        List<GuestProcess> started = [];
        Sample[,] results = { { new(), new() }, { new(), new() }, { new(), new() } };
        try
        {
            for (int side = 0; side < 2; side++)
            {
                string configuration = Path.Combine(nk.Folder, Text.Invariant($"nginx{side}.conf"));
                File.WriteAllText(
                    configuration,
                    $"worker_processes 1; daemon off; pid {nk.Folder}/nginx{side}.pid; error_log {nk.Folder}/nginx{side}.log; events {{ worker_connections 512; }} "
                    + $"http {{ access_log off; server {{ listen 8080 backlog=1024; root {folder}; }} }}");
                Func<string[], GuestProcess> start = side == 0 ? command => native.Start(command) : command => nk.Start("b", command);
                started.Add(start(["nginx", "-c", configuration]));
                started.Add(start(["redis-server", "--bind", "0.0.0.0", "--port", "6390", "--save", "", "--protected-mode", "no", "--dir", nk.Folder]));
                bool up = side == 0 ? native.WaitForListener(8080, TimeSpan.FromSeconds(20)) && native.WaitForListener(6390, TimeSpan.FromSeconds(20))
                    : nk.WaitForListener("b", 8080, TimeSpan.FromSeconds(20)) && nk.WaitForListener("b", 6390, TimeSpan.FromSeconds(20));
                if (!up)
                {
                    throw new RunFailure("nginx or redis does not start");
                }
            }

            for (int run = 0; run < runs; run++)
            {
                for (int side = 0; side < 2; side++)
                {
                    string address = side == 0 ? native.Ipv4 : nk.Ipv4("b");
                    results[0, side].Add(Call(nk, side, RedisRate(), "redis-benchmark", "-h", address, "-p", "6390", "-c", "1", "-n", "20000", "-t", "get", "-q", "--csv"));
                    results[1, side].Add(Call(nk, side, RedisRate(), "redis-benchmark", "-h", address, "-p", "6390", "-c", "50", "-n", "50000", "-t", "get", "-q", "--csv"));
                    results[2, side].Add(Call(nk, side, WrkRate(), "wrk", "-t1", "-c16", "-d1s", $"http://{address}:8080/index.html"));
                }
            }
        }
        finally
        {
            started.ForEach(process => process.Dispose());
        }

        string[] names = ["redis-benchmark GET, 1 client", "redis-benchmark GET, 50 clients", "wrk on nginx, 1 KB, 16 connections"];
        table = "| program | veth+bridge | NetKernel | to bridge |\n|---|---|---|---|\n" + string.Concat(names.Select((name, i) => Text.Invariant(
            $"| {name} | {results[i, 0].Median:F0}/s ({results[i, 0].Spread("F0")}) | {results[i, 1].Median:F0}/s ({results[i, 1].Spread("F0")}) | {results[i, 1].Median / results[i, 0].Median:F2} |\n")));
    }

    private static double Call(NkInstance nk, int side, Regex rate, params string[] command)
    {
        using GuestProcess client = side == 0 ? nk.Outside.Start(command) : nk.Start("a", command);
        CommandResult done = client.Wait(TimeSpan.FromSeconds(60));
        Match match = rate.Match(done.Output);
        Console.Error.WriteLine($"bench: {command[0]}, side {side}: {match.Value}");
        return match.Success ? double.Parse(match.Groups[1].Value, CultureInfo.InvariantCulture) : throw new RunFailure(done.ToString());
    }

    [GeneratedRegex("\"GET\",\"([0-9.]+)\"")]
    private static partial Regex RedisRate();

    [GeneratedRegex("Requests/sec: *([0-9.]+)")]
    private static partial Regex WrkRate();

    private static string Build(NkInstance nk)
    {
        string program = Path.Combine(nk.Folder, "messages");
        using GuestProcess gcc = nk.StartRaw(["gcc", "-O2", "-pthread", "-o", program, Path.Combine(AppContext.BaseDirectory, "SharedMem", "messages.c")]);
        CommandResult built = gcc.Wait(TimeSpan.FromSeconds(60));
        return built.Succeeded ? program : throw new RunFailure(built.ToString());
    }

    /// <summary>Puts the table between the marks of a document.</summary>
    private static void Write(string file, string report, int runs, string seconds)
    {
        const string Begin = "<!-- bench sharedmem: begin -->", End = "<!-- bench sharedmem: end -->";
        if (file.Length == 0)
        {
            return;
        }

        string text = File.ReadAllText(file);
        string load = File.ReadAllText("/proc/loadavg").Split(' ')[0];
        text = text[..(text.IndexOf(Begin, StringComparison.Ordinal) + Begin.Length)]
            + Text.Invariant($"\n\nMeasured {DateTime.UtcNow:yyyy-MM-dd HH:mm} UTC, {Environment.ProcessorCount} cores, load average {load} at the end, {runs} runs of {seconds} s; median (least - most).\n\n{report}\n")
            + text[text.IndexOf(End, StringComparison.Ordinal)..];
        File.WriteAllText(file, text);
    }

    private sealed record Side(string Name, string[] Where, Func<string[], GuestProcess> Serve, Func<string[], GuestProcess> Call);

    private sealed class Result
    {
        public Sample Value { get; } = new();

        /// <summary>CPU seconds of client, server and engine per GB, or per million.</summary>
        public Sample Cpu { get; } = new();
    }
}
