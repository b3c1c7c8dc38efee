using System.Runtime.InteropServices;
using System.Text;
using NetKernel.Cli;
using NetKernel.Cli.Testbed;

namespace NetKernel.Bench.Tcp;

/// <summary>bench tcp and bench idle. Tables go to standard output, progress to standard error; everything that was started is gone at the end.</summary>
internal static class TcpBench
{
    private static readonly Dictionary<string, string> Packages = new()
    {
        ["redis-server"] = "redis-server",
        ["redis-benchmark"] = "redis-tools",
        ["ip"] = "iproute2",
        ["ss"] = "iproute2",
        ["timeout"] = "coreutils",
    };

    private static readonly CancellationTokenSource Stopping = new();
    private static NkInstance? _instance;

    /// <summary>0: all ran; 1: something failed; 2: wrong command line.</summary>
    public static int Run(string[] arguments)
    {
        if (arguments.Contains("--help"))
        {
            Console.Out.WriteLine(BenchOptions.Help);
            return 0;
        }

        using PosixSignalRegistration interrupt = OnSignal(PosixSignal.SIGINT, 130);
        using PosixSignalRegistration terminate = OnSignal(PosixSignal.SIGTERM, 143);
        try
        {
            var options = BenchOptions.Parse(arguments);
            return Missing(options) is { } missing ? Say(missing, 1) : Measure(options);
        }
        catch (Exception) when (Stopping.IsCancellationRequested)
        {
            // Whatever it is, it comes of ending everything; who does that exits.
            Thread.Sleep(Timeout.Infinite);
            return 1;
        }
        catch (UsageException e)
        {
            return Say(e.Message, 2);
        }
        catch (Exception e) when (e is RunFailure or CliException or InvalidOperationException or IOException or UnauthorizedAccessException)
        {
            return Say(e.Message.ReplaceLineEndings(" "), 1);
        }
        finally
        {
            _instance?.Dispose();
        }
    }

    private static int Measure(BenchOptions options)
    {
        DateTime began = DateTime.UtcNow;
        string load = Load();
        var tables = new StringBuilder();
        bool failed = false;
        Workload[] workloads = Workloads.Of(options);
        if (workloads.Length > 0)
        {
            Instance("bench", instance =>
            {
                var runner = new WorkloadRunner(instance, new NativeMachine(instance), new GuestMachine(instance), options, Stopping.Token);
                WidenPorts(instance.Outside);
                foreach (Workload workload in workloads)
                {
                    List<CaseResult> results = runner.Run(workload);
                    Stopping.Token.ThrowIfCancellationRequested();
                    failed |= results.Exists(result => result.Native.Failures.Count + result.NetKernel.Failures.Count > 0);
                    _ = tables.Append(Report.Of(workload, results));
                }
            });
        }

        if (options.Parts.Contains("idle"))
        {
            Instance("idle", instance =>
            {
                try
                {
                    _ = tables.Append(Report.Of(new IdleBench(instance).Run(options.Guests)));
                }
                catch (RunFailure e) when (!Stopping.IsCancellationRequested)
                {
                    failed = true;
                    _ = tables.Append($"### Idle guests\n\nFailed: {e.Message}\n\n");
                }
            });
        }

        string report = Report.Header(options, began, load, Load()) + tables;
        Console.Out.Write(report);
        if (options.OutFile is { } file)
        {
            File.WriteAllText(file, Report.Into(File.Exists(file) ? File.ReadAllText(file) : null, report));
            Console.Error.WriteLine($"bench: written to {file}");
        }

        return failed ? Say("some runs failed: see the tables", 1) : 0;
    }

    private static void Instance(string prefix, Action<NkInstance> action)
    {
        _instance = NkInstance.Up(prefix);
        try
        {
            action(_instance);
        }
        finally
        {
            _instance.Dispose();
            _instance = null;
        }
    }

    // Many short connections from one address.
    private static void WidenPorts(OutsideNamespace outside) =>
        _ = outside.Run(TimeSpan.FromSeconds(2), "bash", "-c", "echo 1024 65000 >/proc/sys/net/ipv4/ip_local_port_range");

    private static string? Missing(BenchOptions options)
    {
        if (!Environment.IsPrivilegedProcess)
        {
            return "this needs root for its namespaces and bridge: use sudo";
        }

        string[] programs = ["ip", "ss", "bash", "timeout", .. Workloads.Of(options).SelectMany(workload => workload.Programs), .. options.Parts.Contains("idle") ? (string[])["python3"] : []];
        string[] path = [.. (Environment.GetEnvironmentVariable("PATH") ?? "").Split(':'), "/usr/sbin", "/sbin"];
        string[] missing = [.. programs.Distinct().Where(program => !path.Any(folder => File.Exists(Path.Combine(folder, program))))];
        return missing.Length == 0
            ? null
            : $"{string.Join(", ", missing)} missing: apt-get install {string.Join(' ', missing.Select(program => Packages.GetValueOrDefault(program, program)).Distinct())}";
    }

    private static PosixSignalRegistration OnSignal(PosixSignal signal, int code) => PosixSignalRegistration.Create(signal, context =>
    {
        context.Cancel = true;
        Stopping.Cancel();
        _instance?.Dispose();
        Console.Error.WriteLine("bench: interrupted; everything is removed");
        Environment.Exit(code);
    });

    private static string Load() => string.Join(' ', File.ReadAllText("/proc/loadavg").Split(' ').Take(3));

    private static int Say(string message, int code)
    {
        Console.Error.WriteLine("bench: " + message);
        return code;
    }
}
