using System.Diagnostics;
using System.Globalization;
using System.Runtime.InteropServices;
using NetKernel.Cli.Output;
using NetKernel.Cli.Testbed;

namespace NetKernel.Cli.Demo;

/// <summary>
/// nk demo: unmodified programs through NetKernel, each result checked, on an instance of its own that leaves nothing behind.
/// </summary>
internal static class DemoRun
{
    private static readonly TimeSpan AllTime = TimeSpan.FromSeconds(85);

    public static int Run(bool keepLogs)
    {
        if (!Environment.IsPrivilegedProcess)
        {
            throw CliException.Failure(
                "the demo needs root for its namespaces and bridge: use sudo; without root try `nk up --mode host`, then `nk run --guest a -- PROGRAM`");
        }

        foreach (string program in DemoSteps.Programs)
        {
            if (NetKernel.Cli.Run.ProgramSearch.Find(program, NetKernel.Cli.Run.ProgramSearch.SearchPath) is null)
            {
                throw CliException.Failure($"the demo needs {program}, which is not in PATH: ./nk deps installs what it needs");
            }
        }

        long began = Stopwatch.GetTimestamp();
        NkInstance? instance = null;
        using PosixSignalRegistration interrupt = OnSignal(PosixSignal.SIGINT);
        using PosixSignalRegistration terminate = OnSignal(PosixSignal.SIGTERM);
        try
        {
            instance = NkInstance.Up("demo");
            string log = Path.Combine(Path.GetTempPath(), $"netkernel-{instance.Name}-logs");
            int failed = Steps(instance, began);
            if (keepLogs)
            {
                CopyLogs(instance, log);
            }

            return failed == 0 ? ExitCode.Success : ExitCode.Failure;
        }
        finally
        {
            instance?.Dispose();
        }

        PosixSignalRegistration OnSignal(PosixSignal signal) => PosixSignalRegistration.Create(signal, context =>
        {
            context.Cancel = true;
            instance?.Dispose();
            Console.Error.WriteLine("nk: the demo was interrupted; everything is removed");
            Environment.Exit(signal == PosixSignal.SIGINT ? 130 : 143);
        });
    }

    private static int Steps(NkInstance instance, long began)
    {
        var steps = new DemoSteps(instance);
        var table = new Table(
            new("PROGRAM"), new("WORKED"), new("NSM"), new("CONNECTIONS", Right: true), new("NQE", Right: true), new("BYTES", Right: true), new("RESULT"));
        var failures = new List<string>();
        int count = 0;
        foreach (DemoStep step in steps.All)
        {
            count++;
            Console.Error.WriteLine($"demo: {step.Name} ...");
            Traffic before = instance.TrafficOf();
            string result;
            bool worked;
            try
            {
                result = Stopwatch.GetElapsedTime(began) < AllTime ? step.Action() : throw new DemoFailure("no time left");
                worked = true;
            }
            catch (Exception e) when (e is DemoFailure or CliException or InvalidOperationException or IOException)
            {
                int line = e.Message.IndexOf('\n', StringComparison.Ordinal);
                result = line < 0 ? e.Message : e.Message[..line];
                failures.Add($"{step.Name}: {e.Message}");
                worked = false;
            }

            Traffic used = TryTraffic(instance, before);
            table.Add(
                step.Name, worked ? "yes" : "no", step.Guest is null ? "" : instance.NsmOf(step.Guest), used.Connections.ToString(CultureInfo.InvariantCulture),
                Units.Count(used.Nqes), Units.Size(used.Bytes), result);
        }

        Console.Out.Write(table);
        foreach (string failure in failures)
        {
            Console.Error.WriteLine("\nfailed: " + failure);
        }

        if (failures.Count > 0)
        {
            Console.Error.WriteLine("\nengine.log, last lines:\n" + Tail(Path.Combine(instance.RunDirectory, "log", "engine.log")));
        }

        Console.Out.WriteLine($"demo: {count - failures.Count} of {count} worked");
        return failures.Count;
    }

    private static Traffic TryTraffic(NkInstance instance, Traffic before)
    {
        try
        {
            return instance.TrafficOf() - before;
        }
        catch (CliException)
        {
            return default;
        }
    }

    private static string Tail(string path) => File.Exists(path) ? string.Join('\n', File.ReadLines(path).TakeLast(10)) : "";

    private static void CopyLogs(NkInstance instance, string target)
    {
        _ = Directory.CreateDirectory(target);
        foreach (string file in Directory.EnumerateFiles(Path.Combine(instance.RunDirectory, "log")).Concat(Directory.EnumerateFiles(instance.Folder)))
        {
            File.Copy(file, Path.Combine(target, Path.GetFileName(file)), overwrite: true);
        }

        Console.Error.WriteLine($"demo: logs are in {target}");
    }
}
