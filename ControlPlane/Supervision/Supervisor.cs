using System.Diagnostics;
using NetKernel.ControlPlane.Network;

namespace NetKernel.ControlPlane.Supervision;

/// <summary>
/// Keeps processes running: starts them, notices their end at once, starts them again with back-off. All that nkd does to processes is in here,
/// so that taking over running ones after a restart of nkd has one place to go.
/// </summary>
internal sealed partial class Supervisor(ILogger<Supervisor> logger)
{
    private static readonly TimeSpan Stable = TimeSpan.FromSeconds(1);
    private static readonly TimeSpan FirstDelay = TimeSpan.FromMilliseconds(20);
    private static readonly TimeSpan LongestDelay = TimeSpan.FromSeconds(2);

    /// <summary>
    /// Keeps a process running until <see cref="StopAsync"/>. <paramref name="before"/> is awaited ahead of each start; <paramref name="changed"/> is called
    /// after each start (true) and each end (false).
    /// </summary>
    public Supervised Keep(string name, Func<LaunchSpec> spec, Func<CancellationToken, Task> before, Func<Supervised, bool, Task> changed)
    {
        var child = new Supervised(name);
        child.Loop = Task.Run(() => RunAsync(child, spec, before, changed));
        return child;
    }

    /// <summary>Ends a process for good: SIGTERM, and SIGKILL after the grace.</summary>
    public async Task StopAsync(Supervised child, TimeSpan grace)
    {
        await child.Stopping.CancelAsync();
        int pid = child.Pid;
        if (pid != 0)
        {
            _ = ProcessesInside.SendSignal(pid, 15);
        }

        if (await Task.WhenAny(child.Loop, Task.Delay(grace)) != child.Loop)
        {
            pid = child.Pid;
            if (pid != 0)
            {
                _ = ProcessesInside.SendSignal(pid, 9);
            }

            await child.Loop;
        }
    }

    /// <summary>The delay before the next start: none for what ran a while, then doubling.</summary>
    internal static TimeSpan Delay(TimeSpan last, TimeSpan ran) =>
        ran >= Stable ? TimeSpan.Zero
        : last == TimeSpan.Zero ? FirstDelay
        : last * 2 < LongestDelay ? last * 2 : LongestDelay;

    private async Task RunAsync(Supervised child, Func<LaunchSpec> spec, Func<CancellationToken, Task> before, Func<Supervised, bool, Task> changed)
    {
        CancellationToken stopping = child.Stopping.Token;
        TimeSpan delay = TimeSpan.Zero;
        while (!stopping.IsCancellationRequested)
        {
            long began = Stopwatch.GetTimestamp();
            try
            {
                await before(stopping);
                began = Stopwatch.GetTimestamp();
                Process process = Launch(spec());
                child.Process = process;
                child.Pid = process.Id;
                LogStarted(child.Name, process.Id);
                Task follow = changed(child, true);
                await process.WaitForExitAsync(CancellationToken.None);
                child.Pid = 0;
                child.LastExit = Describe(process.ExitCode);
                process.Dispose();
                LogEnded(child.Name, child.LastExit);
                await follow;
                if (!stopping.IsCancellationRequested)
                {
                    await changed(child, false);
                }
            }
            catch (OperationCanceledException) when (stopping.IsCancellationRequested)
            {
                return;
            }
            catch (Exception e)
            {
                child.Pid = 0;
                child.LastExit = e.Message;
                LogFailed(child.Name, e.Message);
            }

            if (stopping.IsCancellationRequested)
            {
                return;
            }

            child.Restarts++;
            delay = Delay(delay, Stopwatch.GetElapsedTime(began));
            try
            {
                await Task.Delay(delay, stopping);
            }
            catch (OperationCanceledException)
            {
                return;
            }
        }
    }

    // The shell puts the output into the log file and becomes the program: no pipe ties the program's life to nkd's.
    private static Process Launch(LaunchSpec spec)
    {
        var start = new ProcessStartInfo("/bin/sh");
        start.ArgumentList.Add("-c");
        start.ArgumentList.Add("log=$1; shift; exec \"$@\" </dev/null >>\"$log\" 2>&1");
        start.ArgumentList.Add("nkd");
        start.ArgumentList.Add(spec.LogPath);
        start.ArgumentList.Add(spec.Program);
        foreach (string argument in spec.Arguments)
        {
            start.ArgumentList.Add(argument);
        }

        return NetworkNamespace.Inside(
            spec.NamespacePath, () => Process.Start(start) ?? throw new InvalidOperationException($"cannot start {spec.Program}"));
    }

    private static string Describe(int code) => code > 128 ? $"ended by signal {code - 128}" : $"ended with exit code {code}";

    [LoggerMessage(Level = LogLevel.Information, Message = "{Name} started, pid {Pid}")]
    private partial void LogStarted(string name, int pid);

    [LoggerMessage(Level = LogLevel.Warning, Message = "{Name} {How}")]
    private partial void LogEnded(string name, string how);

    [LoggerMessage(Level = LogLevel.Error, Message = "{Name} cannot be started: {Why}")]
    private partial void LogFailed(string name, string why);
}
