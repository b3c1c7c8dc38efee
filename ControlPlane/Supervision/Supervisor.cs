using System.Diagnostics;
using NetKernel.ControlPlane.Network;
using Polly;
using Polly.Retry;

namespace NetKernel.ControlPlane.Supervision;

/// <summary>
/// Keeps processes running: starts them, or takes over ones that run already, notices their end at once, and starts them again with back-off. What it starts does not
/// depend on nkd: nothing ties the one's life to the other's.
/// </summary>
internal sealed partial class Supervisor(ILogger<Supervisor> logger)
{
    private static readonly TimeSpan Stable = TimeSpan.FromSeconds(1);
    private static readonly TimeSpan FirstDelay = TimeSpan.FromMilliseconds(20);
    private static readonly TimeSpan LongestDelay = TimeSpan.FromSeconds(2);

    /// <summary>
    /// Keeps a process running until <see cref="StopAsync"/>. <paramref name="before"/> is awaited ahead of each start; <paramref name="changed"/> is called
    /// after each start (true) and each end (false). With <paramref name="running"/> it begins with that process. <paramref name="why"/> is asked after each end for what the exit status does not say
    /// (null: nothing more).
    /// </summary>
    public Supervised Keep(
        string name, Func<LaunchSpec> spec, Func<CancellationToken, Task> before, Func<Supervised, bool, Task> changed, PidFd? running = null, Func<string?>? why = null)
    {
        var child = new Supervised(name) { TakenOver = running is not null, Pid = running?.Pid ?? 0, Why = why ?? (() => null) };
        child.Loop = Task.Run(() => RunAsync(child, spec, before, changed, running));
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

    private async Task RunAsync(
        Supervised child, Func<LaunchSpec> spec, Func<CancellationToken, Task> before, Func<Supervised, bool, Task> changed, PidFd? running)
    {
        TimeSpan delay = TimeSpan.Zero;
        ResiliencePipeline<TimeSpan> again = new ResiliencePipelineBuilder<TimeSpan>().AddRetry(new RetryStrategyOptions<TimeSpan>
        {
            MaxRetryAttempts = int.MaxValue,
            ShouldHandle = _ => ValueTask.FromResult(!child.Stopping.IsCancellationRequested),
            DelayGenerator = ended =>
            {
                child.Restarts++;
                delay = Delay(delay, ended.Outcome.Result);
                return ValueTask.FromResult<TimeSpan?>(delay);
            },
        }).Build();
        try
        {
            _ = await again.ExecuteAsync(
                async _ =>
                {
                    PidFd? first = Interlocked.Exchange(ref running, null);
                    return await RunOnceAsync(child, spec, before, changed, first);
                },
                child.Stopping.Token);
        }
        catch (OperationCanceledException) when (child.Stopping.IsCancellationRequested)
        {
            // Stopped while it waited to start again.
        }
    }

    /// <summary>From one start to the end of the process; how long it ran.</summary>
    private async Task<TimeSpan> RunOnceAsync(
        Supervised child, Func<LaunchSpec> spec, Func<CancellationToken, Task> before, Func<Supervised, bool, Task> changed, PidFd? running)
    {
        CancellationToken stopping = child.Stopping.Token;
        long began = Stopwatch.GetTimestamp();
        try
        {
            Task ended;
            Process? process = null;
            if (running is null)
            {
                await before(stopping);
                began = Stopwatch.GetTimestamp();
                process = Launch(spec());
                child.Process = process;
                child.Pid = process.Id;
                LogStarted(child.Name, process.Id);
                ended = process.WaitForExitAsync(CancellationToken.None);
            }
            else
            {
                child.Pid = running.Pid;
                LogTakenOver(child.Name, running.Pid);
                ended = running.WaitAsync();
            }

            Task follow = changed(child, true);
            await ended;
            child.Pid = 0;
            child.LastExit = child.Why() ?? (process is null ? "ended" : Describe(process.ExitCode)); // only a parent is told how
            child.LastExitTime = DateTime.UtcNow;
            process?.Dispose();
            running?.Dispose();
            LogEnded(child.Name, child.LastExit);
            await follow;
            if (!stopping.IsCancellationRequested)
            {
                await changed(child, false);
            }
        }
        catch (OperationCanceledException) when (stopping.IsCancellationRequested)
        {
            child.Pid = 0;
        }
        catch (Exception e)
        {
            child.Pid = 0;
            child.LastExit = e.Message;
            child.LastExitTime = DateTime.UtcNow;
            LogFailed(child.Name, e.Message);
        }

        return Stopwatch.GetElapsedTime(began);
    }

    // The shell puts itself into the cgroup and its output into the log file, and becomes the program, in a session of its own: neither a pipe nor a signal to nkd's group
    // ties the program's life to nkd's.
    private static Process Launch(LaunchSpec spec)
    {
        var start = new ProcessStartInfo("/bin/sh");
        start.ArgumentList.Add("-c");
        start.ArgumentList.Add("log=$1; n=$2; shift 2; while [ $n -gt 0 ]; do echo $$ >\"$1\"; n=$((n-1)); shift; done; exec setsid \"$@\" </dev/null >>\"$log\" 2>&1");
        start.ArgumentList.Add("nkd");
        start.ArgumentList.Add(spec.LogPath);
        start.ArgumentList.Add(spec.CgroupFiles.Count.ToString(System.Globalization.CultureInfo.InvariantCulture));
        string[] bound = spec.Cpus.Length == 0 ? [] : ["taskset", "-c", spec.Cpus];
        foreach (string word in spec.CgroupFiles.Concat(bound).Append(spec.Program).Concat(spec.Arguments))
        {
            start.ArgumentList.Add(word);
        }

        return NetworkNamespace.Inside(
            spec.NamespacePath, () => Process.Start(start) ?? throw new InvalidOperationException($"cannot start {spec.Program}"));
    }

    private static string Describe(int code) => code > 128 ? $"ended by signal {code - 128}" : $"ended with exit code {code}";

    [LoggerMessage(Level = LogLevel.Information, Message = "{Name} started, pid {Pid}")]
    private partial void LogStarted(string name, int pid);

    [LoggerMessage(Level = LogLevel.Information, Message = "{Name} runs, pid {Pid}: taken over")]
    private partial void LogTakenOver(string name, int pid);

    [LoggerMessage(Level = LogLevel.Warning, Message = "{Name} {How}")]
    private partial void LogEnded(string name, string how);

    [LoggerMessage(Level = LogLevel.Error, Message = "{Name} cannot be started: {Why}")]
    private partial void LogFailed(string name, string why);
}
