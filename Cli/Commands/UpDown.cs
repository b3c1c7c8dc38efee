using System.Diagnostics;
using NetKernel.Api;
using NetKernel.Api.V1;

namespace NetKernel.Cli.Commands;

/// <summary>nk up and nk down.</summary>
internal static class UpDown
{
    private static readonly TimeSpan DownTime = TimeSpan.FromSeconds(20);

    public static int Up(string? runDirectory, string? instance, (string Name, string? Value)[] options)
    {
        string directory = Start(runDirectory, instance, options);
        using var client = new NkdClient(directory);
        PlatformStatus status = client.Status();
        Console.Error.WriteLine($"NetKernel is up: instance {status.Instance}, {status.Mode} mode, run directory {status.RunDirectory}");
        if (status.Notice.Length > 0)
        {
            Console.Error.WriteLine("notice: " + status.Notice);
        }

        return ExitCode.Success;
    }

    /// <summary>Starts nkd, with more variables in its environment, and returns the run directory when everything is up.</summary>
    public static string Start(string? runDirectory, string? instance, (string Name, string? Value)[] options, params (string Name, string Value)[] environment)
    {
        string nkd = Find("nkd");
        string directory = Places.RunDirectory(runDirectory, instance);
        var start = new ProcessStartInfo(nkd) { RedirectStandardOutput = true, RedirectStandardError = true, RedirectStandardInput = true };
        foreach ((string name, string? value) in options.Append(("--run-dir", directory)).Append(("--instance", instance)))
        {
            if (value is not null)
            {
                start.ArgumentList.Add(name);
                start.ArgumentList.Add(value);
            }
        }

        foreach ((string name, string value) in environment)
        {
            start.Environment[name] = value;
        }

        start.ArgumentList.Add("--daemon");
        using Process process = Process.Start(start) ?? throw CliException.Failure($"cannot start {nkd}");
        string? answer = process.StandardOutput.ReadLine();
        if (answer == "ready")
        {
            return directory;
        }

        string[] lines = process.StandardError.ReadToEnd().Split('\n', StringSplitOptions.RemoveEmptyEntries);
        process.WaitForExit();
        string message = lines.LastOrDefault(line => line.StartsWith("nkd: ", StringComparison.Ordinal)) is { } line
            ? line[5..]
            : $"nkd ended with exit code {process.ExitCode}{(lines.Length > 0 ? ": " + lines[0] : "")}";
        throw new CliException(process.ExitCode == ExitCode.Usage ? ExitCode.Usage : ExitCode.Failure, message);
    }

    public static int Down(string directory, string? instance, bool purge)
    {
        string name = instance ?? Environment.GetEnvironmentVariable("NETKERNEL_INSTANCE") ?? Places.DefaultInstance;
        bool leftBehind = Environment.IsPrivilegedProcess && File.Exists($"/run/netns/{name}-br");
        Console.Error.WriteLine(Stop(directory, purge) || (leftBehind && CleanUp(directory, name)) ? "NetKernel is down" : $"NetKernel is not up in {directory}: nothing to do");
        return ExitCode.Success;
    }

    /// <summary>Ends nkd and everything it started, or removes what a killed one left. False: there was nothing.</summary>
    public static bool Stop(string directory, bool purge = false)
    {
        if (!Directory.Exists(directory))
        {
            return false;
        }

        using var client = new NkdClient(directory);
        if (client.TryStatus() is not { } status)
        {
            return File.Exists(Path.Combine(directory, "nkd.pid")) && CleanUp(directory, InstanceOf(directory));
        }

        client.Shutdown(purge);
        long began = Stopwatch.GetTimestamp();
        while (Directory.Exists($"/proc/{status.Pid}") && !IsZombie(status.Pid))
        {
            if (Stopwatch.GetElapsedTime(began) > DownTime)
            {
                throw CliException.Failure($"nkd (pid {status.Pid}) does not end: kill -9 {status.Pid}, then `nk down` again");
            }

            Thread.Sleep(10);
        }

        return true;
    }

    private static bool CleanUp(string directory, string? instance)
    {
        var start = new ProcessStartInfo(Find("nkd")) { ArgumentList = { "--clean-up", "--run-dir", directory }, RedirectStandardError = true };
        if (instance is not null)
        {
            start.ArgumentList.Add("--instance");
            start.ArgumentList.Add(instance);
        }

        using Process process = Process.Start(start) ?? throw CliException.Failure("cannot start nkd");
        string error = process.StandardError.ReadToEnd().Trim();
        process.WaitForExit();
        return process.ExitCode == 0 ? true : throw CliException.Failure(error.StartsWith("nkd: ", StringComparison.Ordinal) ? error[5..] : error);
    }

    // nkd writes its instance behind its pid, so that what a killed one left is found whatever the run directory is called.
    private static string? InstanceOf(string directory)
    {
        string[] words = File.ReadAllText(Path.Combine(directory, "nkd.pid")).Split([' ', '\n'], StringSplitOptions.RemoveEmptyEntries);
        return words.Length > 1 ? words[1] : null;
    }

    private static string Find(string program) => Places.Find(program) ?? throw CliException.Failure($"{program} is not built or not installed: ./nk build");

    private static bool IsZombie(int pid)
    {
        try
        {
            string stat = File.ReadAllText($"/proc/{pid}/stat");
            return stat[stat.LastIndexOf(')')..].StartsWith(") Z", StringComparison.Ordinal);
        }
        catch (IOException)
        {
            return true;
        }
    }
}
