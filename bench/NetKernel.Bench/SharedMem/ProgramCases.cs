using System.Globalization;
using System.Text.RegularExpressions;
using NetKernel.Bench.Tcp;
using NetKernel.Cli.Testbed;

namespace NetKernel.Bench.SharedMem;

/// <summary>An unmodified load generator and how its output is read.</summary>
/// <param name="Name">As the table has it.</param>
/// <param name="Command">For a server's address.</param>
/// <param name="Value">Where the figure is: its first group.</param>
/// <param name="Unit">Of the figure.</param>
/// <param name="Work">Millions of requests, or GB, for the figure: for the CPU.</param>
/// <param name="Asked">The ratio to veth and bridge that is the goal; 0: none is set.</param>
internal sealed record ProgramCase(string Name, Func<string, string[]> Command, Regex Value, string Unit, Func<double, double> Work, double Asked = 0)
{
    /// <summary>Whether less is better.</summary>
    public bool Least => Unit == "us";
}

/// <summary>Unmodified programs on both sides: over veth and a bridge, by copies, in the direct form.</summary>
internal sealed partial class ProgramRuns(Sides sides, int runs) : IDisposable
{
    private const string PostgresBin = "/usr/lib/postgresql/15/bin/";
    private const int Requests = 30000;

    private readonly List<GuestProcess> _servers = [];

    /// <summary>What was run; programs that are not installed are left out and named.</summary>
    public List<ProgramCase> Cases { get; } = [];

    public List<string> Missing { get; } = [];

    /// <summary>In the order of the table; the bridge first.</summary>
    public Side[] Compared { get; } = [sides.Bridge, sides.Copies, sides.Direct];

    public (Sample Value, Sample Cpu, Sample Platform)[,] Run()
    {
        Choose();
        string data = PreparePostgres();
        foreach (Side side in Compared)
        {
            Serve(side, data);
        }

        var results = new (Sample Value, Sample Cpu, Sample Platform)[Cases.Count, Compared.Length];
        for (int run = 0; run < runs; run++)
        {
            for (int c = 0; c < Cases.Count; c++)
            {
                for (int s = 0; s < Compared.Length; s++)
                {
                    if (run == 0)
                    {
                        results[c, s] = (new Sample(), new Sample(), new Sample());
                    }

                    Measure(Cases[c], Compared[s], results[c, s]);
                }
            }
        }

        return results;
    }

    public void Dispose() => _servers.ForEach(server => server.Dispose());

    private void Choose()
    {
        void Add(string program, ProgramCase which)
        {
            if (Find(program))
            {
                Cases.Add(which);
            }
            else
            {
                Missing.Add(program);
            }
        }

        string n = Text.Invariant($"{Requests}");
        static double Millions(double requests) => requests / 1e6;
        Add("redis-benchmark", new("redis-benchmark GET, 1 client", a => ["redis-benchmark", "-h", a, "-p", "6390", "-c", "1", "-n", n, "-t", "get", "-q", "--csv"], RedisRate(), "per s", _ => Millions(Requests), 2.5));
        Add("redis-benchmark", new("redis-benchmark GET, 50 clients", a => ["redis-benchmark", "-h", a, "-p", "6390", "-c", "50", "-n", n, "-t", "get", "-q", "--csv"], RedisRate(), "per s", _ => Millions(Requests), 2.5));
        Add("wrk", new("wrk on nginx, 1 KB, 16 connections", a => ["wrk", "-t1", "-c16", "-d1s", $"http://{a}:8080/index.html"], WrkRate(), "per s", Millions, 2));
        Add("memcslap", new("memcslap on memcached, get, 4 threads", a => ["memcslap", $"--servers={a}:11290", "--concurrency=4", "--execute-number=5000", "--test=get", "--initial-load=1000"], SlapTime(), "s for 20 k", _ => Millions(20000)));
        Add("pgbench", new("pgbench -S on PostgreSQL, 4 clients", a => ["pgbench", "-h", a, "-p", "5490", "-U", "postgres", "-n", "-S", "-c", "4", "-T", "1", "bench"], PgRate(), "per s", Millions));
        Add("sockperf", new("sockperf ping-pong, 64 B, half a round trip", a => ["sockperf", "ping-pong", "--tcp", "-i", a, "-p", "11190", "-t", "1", "-m", "64"], SockperfLatency(), "us", half => 0.5 / half));
        Add("iperf3", new("iperf3, 8 KB writes", a => ["iperf3", "-c", a, "-p", "5290", "-t", "1", "-l", "8K", "-f", "g"], IperfRate(), "Gbit/s", gigabits => gigabits / 8));
        Add("iperf3", new("iperf3, 128 KB writes", a => ["iperf3", "-c", a, "-p", "5290", "-t", "1", "-f", "g"], IperfRate(), "Gbit/s", gigabits => gigabits / 8));
    }

    private void Serve(Side side, string data)
    {
        string folder = Path.Combine(sides.Instance.Folder, "serve-" + side.Name);
        _ = Directory.CreateDirectory(Path.Combine(folder, "www"), (UnixFileMode)0x1ED);
        File.WriteAllText(Path.Combine(folder, "www", "index.html"), new string('x', 1024));
        string configuration = Path.Combine(folder, "nginx.conf");
        File.WriteAllText(
            configuration,
            $"worker_processes 1; daemon off; pid {folder}/nginx.pid; error_log {folder}/nginx.log; events {{ worker_connections 512; }} "
            + $"http {{ access_log off; server {{ listen 8080 backlog=1024; root {folder}/www; }} }}");
        List<int> ports = [];
        void Start(int port, params string[] command)
        {
            if (Find(command[0] == "runuser" ? command[4] : command[0]))
            {
                _servers.Add(side.Serve(command));
                ports.Add(port);
            }
        }

        Start(8080, "nginx", "-c", configuration);
        Start(6390, "redis-server", "--bind", "0.0.0.0", "--port", "6390", "--save", "", "--protected-mode", "no", "--dir", folder);
        Start(11290, "memcached", "-u", "root", "-l", "0.0.0.0", "-p", "11290", "-U", "0", "-t", "1");
        Start(11190, "sockperf", "server", "--tcp", "-i", "0.0.0.0", "-p", "11190");
        Start(5290, "iperf3", "-s", "-p", "5290");
        if (data.Length > 0)
        {
            string own = Path.Combine(folder, "pg");
            Shell($"cp -r {data} {own} && chown -R postgres {own}");
            Start(5490, "runuser", "-u", "postgres", "--", PostgresBin + "postgres", "-D", own, "-p", "5490", "-c", "listen_addresses=*", "-c", "unix_socket_directories=", "-c", "fsync=off");
        }

        foreach (int port in ports)
        {
            bool up = side == sides.Bridge ? sides.Native.WaitForListener(port, TimeSpan.FromSeconds(20))
                : sides.Instance.WaitForListener(side == sides.Copies ? "b" : "d", port, TimeSpan.FromSeconds(20));
            if (!up)
            {
                throw new RunFailure($"{side.Name}: nobody listens on port {port}");
            }
        }
    }

    private string PreparePostgres()
    {
        if (!Find(PostgresBin + "postgres") || !Find("pgbench"))
        {
            return "";
        }

        // pgbench's tables are made once, over a local socket; each side has a copy of its own.
        string data = Path.Combine(sides.Instance.Folder, "pgdata");
        string run = Path.Combine(sides.Instance.Folder, "pgrun");
        Shell(
            $"mkdir {data} {run} && chown postgres {data} {run} && runuser -u postgres -- {PostgresBin}initdb -A trust -N -D {data} >/dev/null && echo 'host all all all trust' >>{data}/pg_hba.conf"
            + $" && runuser -u postgres -- {PostgresBin}pg_ctl -D {data} -w -o \"-k {run} -c listen_addresses= -c fsync=off\" -l {run}/log start >/dev/null"
            + $" && runuser -u postgres -- createdb -h {run} bench && runuser -u postgres -- pgbench -h {run} -i -q bench >/dev/null 2>&1;"
            + $" runuser -u postgres -- {PostgresBin}pg_ctl -D {data} -w stop >/dev/null");
        return data;
    }

    private void Shell(string script)
    {
        using GuestProcess shell = sides.Instance.StartRaw(["sh", "-c", script]);
        CommandResult done = shell.Wait(TimeSpan.FromSeconds(60));
        if (!done.Succeeded)
        {
            throw new RunFailure(done.ToString());
        }
    }

    private void Measure(ProgramCase which, Side side, (Sample Value, Sample Cpu, Sample Platform) result)
    {
        double Served() => _servers.Sum(server => ProcessCpu.TreeSeconds(server.Pid)); // the others' are idle meanwhile
        double served = Served();
        CpuUse before = side.PlatformCpu();

        // The shell says last what its children have used (times, POSIX).
        using GuestProcess client = side.Call(["sh", "-c", "\"$@\"; code=$?; times; exit $code", "sh", .. which.Command(side.Address[0])]);
        CommandResult done = client.Wait(TimeSpan.FromSeconds(60));
        CpuUse platform = side.PlatformCpu() - before;
        served = Served() - served;
        Match match = which.Value.Match(done.Output + done.Error);
        if (!done.Succeeded || !match.Success)
        {
            throw new RunFailure($"{side.Name}, {which.Name}: {done}");
        }

        double value = double.Parse(match.Groups[1].Value, CultureInfo.InvariantCulture);
        double work = which.Work(value);
        double called = Times().Match(done.Output) is { Success: true } times
            ? Enumerable.Range(0, 2).Sum(i => (60 * Number(times, (2 * i) + 1)) + Number(times, (2 * i) + 2)) : throw new RunFailure($"no times: {done}");
        result.Value.Add(value);
        result.Cpu.Add((served + called) / work);
        result.Platform.Add((platform.Engine + platform.Nsm) / work);
        Console.Error.WriteLine(Text.Invariant($"bench: {which.Name}, {side.Name}: {value}"));
    }

    private static double Number(Match match, int group) => double.Parse(match.Groups[group].Value, CultureInfo.InvariantCulture);

    private static bool Find(string program) => Path.IsPathRooted(program) ? File.Exists(program)
        : $"{Environment.GetEnvironmentVariable("PATH")}:/usr/sbin:/sbin".Split(':').Any(folder => File.Exists(Path.Combine(folder, program)));

    [GeneratedRegex("\"GET\",\"([0-9.]+)\"")]
    private static partial Regex RedisRate();

    [GeneratedRegex("Requests/sec: *([0-9.]+)")]
    private static partial Regex WrkRate();

    [GeneratedRegex("(?:Took|Time|took)\\D*([0-9]+\\.[0-9]+) sec")]
    private static partial Regex SlapTime();

    [GeneratedRegex("tps = ([0-9.]+)")]
    private static partial Regex PgRate();

    [GeneratedRegex("Latency is +([0-9.]+) usec")]
    private static partial Regex SockperfLatency();

    [GeneratedRegex("([0-9.]+) Gbits/sec +receiver")]
    private static partial Regex IperfRate();

    [GeneratedRegex("(\\d+)m([0-9.]+)s (\\d+)m([0-9.]+)s\\s*$")]
    private static partial Regex Times();
}
