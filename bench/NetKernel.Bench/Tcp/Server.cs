using NetKernel.Cli.Testbed;

namespace NetKernel.Bench.Tcp;

/// <summary>A workload's server on one machine, started again after a run that failed (what that left behind is unknown).</summary>
internal sealed class Server(Workload workload, Machine machine, string parentFolder) : IDisposable
{
    private static readonly TimeSpan StartTime = TimeSpan.FromSeconds(10);
    private readonly string _folder = Path.Combine(parentFolder, $"{workload.Name}-{machine.Name}");
    private GuestProcess? _process;

    public Machine Machine => machine;

    /// <summary>Starts it if it does not run.</summary>
    public void Ensure()
    {
        if (_process is { Ended: false })
        {
            return;
        }

        _process?.Dispose();
        _ = Directory.CreateDirectory(_folder, (UnixFileMode)0x1ED);
        workload.Prepare?.Invoke(_folder);
        _process = machine.Start(workload.Server(_folder));
        if (!machine.WaitForListener(workload.Port, StartTime))
        {
            string why = Why(_process.Error.Trim().Length > 0 ? _process.Error : _process.Output);
            Stop();
            throw new RunFailure("the server does not listen" + why);
        }
    }

    /// <summary>CPU seconds so far of the server and, for a guest, of what serves it.</summary>
    public CpuUse Cpu() => machine.PlatformCpu() with { Server = _process is { Ended: false } ? ProcessCpu.TreeSeconds(_process.Pid) : 0 };

    /// <summary>Throws if it has ended by itself: its CPU time is gone then, and the run counts for nothing.</summary>
    public void MustLive()
    {
        if (_process is { Ended: true })
        {
            CommandResult end = _process.Wait(TimeSpan.Zero);
            throw new RunFailure($"the server has ended with exit code {end.ExitCode}{Why(end.Error.Trim().Length > 0 ? end.Error : end.Output)}");
        }
    }

    /// <summary>Ends it and its children.</summary>
    public void Stop()
    {
        if (_process is null)
        {
            return;
        }

        if (!_process.Ended)
        {
            List<int> tree = ProcessCpu.Tree(_process.Pid);
            _process.Signal(15);
            if (!NkInstance.WaitFor(() => _process.Ended, TimeSpan.FromSeconds(2)))
            {
                tree.ForEach(pid => _ = GuestProcess.SendSignal(pid, 9));
            }
        }

        _process.Dispose();
        _process = null;
    }

    public void Dispose() => Stop();

    private static string Why(string output) => output.Trim() is { Length: > 0 } text ? ": " + string.Join("; ", text.Split('\n').TakeLast(2)) : "";
}
