using System.Globalization;
using System.Security.Cryptography;
using System.Text.Json;
using System.Text.RegularExpressions;
using NetKernel.Cli.Output;
using NetKernel.Cli.Testbed;

namespace NetKernel.Cli.Demo;

/// <summary>A step did not do what it should; the first line says what, the rest is the program's output.</summary>
internal sealed class DemoFailure(string message) : Exception(message);

/// <summary>One line of the demo. The action returns what to show, or throws.</summary>
internal sealed record DemoStep(string Name, string? Guest, Func<string> Action);

/// <summary>
/// The programs. Guests: a is where clients run, b has nginx, c redis, d iperf3, e the Python server; "outside" is a namespace with an ordinary stack.
/// Tests run the same steps one by one.
/// </summary>
public sealed partial class DemoSteps
{
    private static readonly TimeSpan StepTime = TimeSpan.FromSeconds(20);
    private static readonly TimeSpan StartTime = TimeSpan.FromSeconds(20);

    private readonly NkInstance _instance;
    private readonly string _www;
    private readonly string _bigHash;
    private bool _nginx;
    private bool _fileServer;

    /// <summary>Makes the guests and the files that are served.</summary>
    public DemoSteps(NkInstance instance)
    {
        _instance = instance;
        foreach (string guest in new[] { "a", "b", "c", "d", "e" })
        {
            instance.CreateGuest(guest);
        }

        _www = Directory.CreateDirectory(Path.Combine(instance.Folder, "www"), (UnixFileMode)0x1ED).FullName;
        byte[] big = new byte[1 << 20];
        new Random(1).NextBytes(big);
        File.WriteAllBytes(Path.Combine(_www, "big.bin"), big);
        File.WriteAllText(Path.Combine(_www, "index.html"), "<!doctype html><title>NetKernel</title><p>served through NQEs\n");
        _bigHash = Convert.ToHexString(SHA256.HashData(big));
    }

    internal static string[] Programs => ["nginx", "wrk", "redis-server", "redis-benchmark", "iperf3", "curl", "python3", "ip"];

    internal IReadOnlyList<DemoStep> All =>
    [
        new("no interface but lo in any guest", null, OnlyLoopback),
        new("nginx (2 workers), wrk", "b", NginxWrk),
        new("nginx, reload by SIGHUP", "b", NginxReload),
        new("redis-server, redis-benchmark", "c", Redis),
        new("iperf3, guest to guest", "d", () => Iperf(fromOutside: false, reverse: false)),
        new("iperf3 -R, guest to guest", "d", () => Iperf(fromOutside: false, reverse: true)),
        new("iperf3, outside to guest", "d", () => Iperf(fromOutside: true, reverse: false)),
        new("iperf3 -R, guest to outside", "d", () => Iperf(fromOutside: true, reverse: true)),
        new("curl, outside to guest, IPv4", "b", () => CurlFromOutside(_instance.Ipv4("b"))),
        new("curl, outside to guest, IPv6", "b", () => CurlFromOutside($"[{_instance.Ipv6("b")}]")),
        new("curl, guest to outside, IPv4", "a", () => CurlFromGuest(_instance.Outside.Ipv4)),
        new("curl, guest to outside, IPv6", "a", () => CurlFromGuest($"[{_instance.Outside.Ipv6}]")),
        new("python asyncio echo, 100 clients", "e", AsyncioEcho),
    ];

    /// <summary>The names of the steps, for tests.</summary>
    public static IReadOnlyList<string> Names { get; } =
    [
        "no interface but lo in any guest", "nginx (2 workers), wrk", "nginx, reload by SIGHUP", "redis-server, redis-benchmark", "iperf3, guest to guest",
        "iperf3 -R, guest to guest", "iperf3, outside to guest", "iperf3 -R, guest to outside", "curl, outside to guest, IPv4", "curl, outside to guest, IPv6",
        "curl, guest to outside, IPv4", "curl, guest to outside, IPv6", "python asyncio echo, 100 clients",
    ];

    /// <summary>Runs one step; throws with what went wrong.</summary>
    public string RunStep(string name) => All.First(step => step.Name == name).Action();

    private string OnlyLoopback()
    {
        int guests = 0;
        foreach (string guest in new[] { "a", "b", "c", "d", "e" })
        {
            CommandResult links = Check(_instance.Nk("run", "--guest", guest, "--allow-uncovered", "--", "ip", "-o", "link"), "ip -o link");
            string[] lines = links.Output.Split('\n', StringSplitOptions.RemoveEmptyEntries);
            if (lines.Length != 1 || !lines[0].Contains(": lo:", StringComparison.Ordinal))
            {
                throw new DemoFailure($"guest {guest} has other interfaces than lo\n{links.Output}");
            }

            guests++;
        }

        return $"{guests} guests checked with ip -o link";
    }

    private string NginxWrk()
    {
        StartNginx();
        CommandResult wrk = Check(
            _instance.Run("a", StepTime, "wrk", "-t1", "-c16", "-d2s", $"http://{_instance.Ipv4("b")}/index.html"), "wrk");
        if (wrk.Output.Contains("Socket errors", StringComparison.Ordinal) || wrk.Output.Contains("Non-2xx", StringComparison.Ordinal))
        {
            throw new DemoFailure($"wrk saw errors\n{wrk.Output}");
        }

        double rate = Number(RequestRate().Match(wrk.Output));
        return rate > 0 ? $"{rate:F0} requests/s" : throw new DemoFailure($"wrk made no requests\n{wrk.Output}");
    }

    private string NginxReload()
    {
        StartNginx();
        int master = int.Parse(File.ReadAllText(Path.Combine(_instance.Folder, "nginx.pid")).Trim(), CultureInfo.InvariantCulture);
        int[] before = Children(master);
        _ = GuestProcess.SendSignal(master, 1);
        if (!NkInstance.WaitFor(() => Children(master) is var now && now.Length >= 2 && !now.Intersect(before).Any(), StartTime))
        {
            throw new DemoFailure($"nginx did not replace its workers: {string.Join(',', before)}, now {string.Join(',', Children(master))}\n{NginxLog()}");
        }

        Fetch("a", $"http://{_instance.Ipv4("b")}/big.bin");
        return $"workers {string.Join(',', before)} -> {string.Join(',', Children(master))}, 1 MB fetched again";
    }

    private string Redis()
    {
        using GuestProcess server = _instance.Start(
            "c", "redis-server", "--port", "6379", "--bind", "0.0.0.0", "--protected-mode", "no", "--save", "", "--appendonly", "no", "--dir", _instance.Folder);
        Listening("c", 6379, server);
        CommandResult bench = Check(
            _instance.Run("a", StepTime, "redis-benchmark", "-h", _instance.Ipv4("c"), "-p", "6379", "-n", "20000", "-c", "20", "-t", "set,get", "-q"),
            "redis-benchmark", server);
        double[] rates = [.. RedisRate().Matches(bench.Output).Select(Number)];
        return rates.Length >= 2
            ? $"SET {rates[0]:F0}, GET {rates[1]:F0} requests/s"
            : throw new DemoFailure($"redis-benchmark gave no figures\n{bench.Tail()}");
    }

    private string Iperf(bool fromOutside, bool reverse)
    {
        using GuestProcess server = _instance.Start("d", "iperf3", "-s", "-1");
        Listening("d", 5201, server);
        List<string> client = ["iperf3", "-c", _instance.Ipv4("d"), "-t", "1", "-J"];
        if (reverse)
        {
            client.Add("-R");
        }

        CommandResult result = Check(
            fromOutside ? _instance.Outside.Run(StepTime, client) : _instance.Run("a", StepTime, client), "iperf3", server);
        using JsonDocument report = JsonDocument.Parse(result.Output);
        double bits = report.RootElement.GetProperty("end").GetProperty("sum_received").GetProperty("bits_per_second").GetDouble();
        _ = server.Wait(StartTime);
        return bits > 0 ? $"{bits / 1e9:F2} Gbit/s" : throw new DemoFailure($"iperf3 moved nothing\n{result.Tail()}");
    }

    private string CurlFromOutside(string host)
    {
        StartNginx();
        Fetch(null, $"http://{host}/big.bin");
        return "1 MB, sha256 equal";
    }

    private string CurlFromGuest(string host)
    {
        if (!_fileServer)
        {
            GuestProcess server = _instance.Outside.Start("python3", "-m", "http.server", "8080", "--bind", "::", "--directory", _www);
            if (!NkInstance.WaitFor(
                () => _instance.Outside.Run(StartTime, "curl", "-s", "--max-time", "1", "-o", "/dev/null", $"http://{_instance.Outside.Ipv4}:8080/").Succeeded, StartTime))
            {
                throw new DemoFailure($"python3 -m http.server did not start outside\n{server.Error}");
            }

            _fileServer = true;
        }

        Fetch("a", $"http://{host}:8080/big.bin");
        return "1 MB, sha256 equal";
    }

    private string AsyncioEcho()
    {
        string server = Path.Combine(_instance.Folder, "echo_server.py");
        string client = Path.Combine(_instance.Folder, "echo_client.py");
        File.WriteAllText(server, EchoServer);
        File.WriteAllText(client, EchoClient);
        using GuestProcess process = _instance.Start("e", "python3", server);
        Listening("e", 7777, process);
        CommandResult result = Check(_instance.Run("a", StepTime, "python3", client, _instance.Ipv4("e")), "the client", process);
        return result.Output.Trim() == "100 of 100 echoed" ? "100 of 100 echoed 64 kB" : throw new DemoFailure($"not all were echoed\n{result.Tail()}");
    }

    private void StartNginx()
    {
        if (_nginx)
        {
            return;
        }

        string folder = _instance.Folder;
        string config = Path.Combine(folder, "nginx.conf");
        File.WriteAllText(config, NginxConfig.Replace("@", folder, StringComparison.Ordinal));
        CommandResult started = _instance.Run("b", StepTime, "nginx", "-c", config, "-p", folder, "-e", Path.Combine(folder, "error.log"));
        if (!started.Succeeded || !_instance.WaitForListener("b", 80, StartTime))
        {
            throw new DemoFailure($"nginx did not start listening\n{started.Tail()}\n{NginxLog()}");
        }

        _nginx = true;
    }

    // Fetches the 1 MB file with curl and compares it.
    private void Fetch(string? guest, string url)
    {
        string target = Path.Combine(_instance.Folder, "fetched.bin");
        File.Delete(target);
        string[] command = ["curl", "-sS", "--globoff", "--max-time", "15", "-o", target, url];
        _ = Check(guest is null ? _instance.Outside.Run(StepTime, command) : _instance.Run(guest, StepTime, command), $"curl {url}");
        string hash = Convert.ToHexString(SHA256.HashData(File.ReadAllBytes(target)));
        if (hash != _bigHash)
        {
            throw new DemoFailure($"curl {url}: {Units.Size(new FileInfo(target).Length)} came that differ from what is served");
        }
    }

    private void Listening(string guest, int port, GuestProcess server)
    {
        if (!_instance.WaitForListener(guest, port, StartTime))
        {
            throw new DemoFailure($"the server does not listen on port {port}{(server.Ended ? " and has ended" : "")}\n{server.Output}{server.Error}");
        }
    }

    private static CommandResult Check(CommandResult result, string what, GuestProcess? server = null) => result.Succeeded
        ? result
        : throw new DemoFailure(
            $"{what} {(result.TimedOut ? "did not end in time" : $"ended with exit code {result.ExitCode}")}\n{result.Tail()}{(server is null ? "" : $"\nserver: {server.Output}{server.Error}")}");

    private string NginxLog()
    {
        string path = Path.Combine(_instance.Folder, "error.log");
        return File.Exists(path) ? string.Join('\n', File.ReadLines(path).TakeLast(8)) : "";
    }

    private static int[] Children(int pid)
    {
        string path = $"/proc/{pid}/task/{pid}/children";
        return File.Exists(path)
            ? [.. File.ReadAllText(path).Split(' ', StringSplitOptions.RemoveEmptyEntries).Select(text => int.Parse(text, CultureInfo.InvariantCulture)).Order()]
            : [];
    }

    private static double Number(Match match) => match.Success ? double.Parse(match.Groups[1].Value, CultureInfo.InvariantCulture) : 0;

    [GeneratedRegex(@"Requests/sec:\s+([\d.]+)")]
    private static partial Regex RequestRate();

    [GeneratedRegex(@"[SG]ET: ([\d.]+) requests per second")]
    private static partial Regex RedisRate();
}
