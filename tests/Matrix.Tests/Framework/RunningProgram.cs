using System.Globalization;
using NetKernel.Cli.Testbed;

namespace NetKernel.Matrix.Tests.Framework;

/// <summary>A program that was started on a machine, or the daemon that it became.</summary>
internal sealed class RunningProgram(World world, string command, GuestProcess process)
{
    private int _daemon;

    /// <summary>The process that was started.</summary>
    public GuestProcess Process => process;

    /// <summary>The program's process id, or the daemon's.</summary>
    public int Pid => _daemon != 0 ? _daemon : process.Pid;

    /// <summary>It ended with an error, so that waiting for it makes no sense.</summary>
    public bool FailedToStart => process.Ended && _daemon == 0 && process.Wait(TimeSpan.Zero).ExitCode != 0;

    /// <summary>Sends a signal.</summary>
    public void Signal(int signal) => _ = GuestProcess.SendSignal(Pid, signal);

    /// <summary>Ends it by a signal and writes down how it ended; the exit code of a daemon is not known.</summary>
    public void Stop(int signal = Signals.Terminate)
    {
        Signal(signal);
        if (_daemon == 0)
        {
            Ends();
            return;
        }

        Assert.True(NkInstance.WaitFor(() => !IsAlive(_daemon), Patience.Long), $"{Name} does not end on signal {signal}");
        world.Transcript.Add($"{Name} ended");
    }

    /// <summary>Waits for its end and writes down its exit code.</summary>
    public void Ends()
    {
        CommandResult result = process.Wait(Patience.Long);
        world.Transcript.Add(result.TimedOut ? throw new InvalidOperationException($"{Name} does not end") : $"{Name} ended: {result.ExitCode}");
    }

    /// <summary>Waits for its end and writes down what it printed, too.</summary>
    public void EndsAndShows()
    {
        Ends();
        world.Transcript.Add(process.Output + process.Error);
    }

    /// <summary>Waits until its output, or what it wrote to standard error, has a text.</summary>
    public void Says(string text) => Assert.True(
        NkInstance.WaitFor(() => process.Output.Contains(text, StringComparison.Ordinal) || process.Error.Contains(text, StringComparison.Ordinal), Patience.Long), $"{Name} does not say: {text}");

    /// <summary>From now on this is the process that a pid file names.</summary>
    public RunningProgram Becomes(string pidFile)
    {
        string path = world.At(pidFile);
        Assert.True(NkInstance.WaitFor(() => int.TryParse(Read(path), CultureInfo.InvariantCulture, out _daemon) && IsAlive(_daemon), Patience.Long), $"{Name} wrote no process id to {pidFile}");
        return this;
    }

    public override string ToString() =>
        $"{command} ({(process.Ended ? $"ended, {process.Wait(TimeSpan.Zero).ExitCode}" : $"pid {process.Pid}")})\n{string.Join('\n', (process.Output + process.Error).Split('\n').TakeLast(20))}";

    private string Name => Path.GetFileName(command);

    private static string Read(string path) => File.Exists(path) ? File.ReadAllText(path).Trim() : "";

    // A zombie is dead, whoever has not reaped it yet.
    private static bool IsAlive(int pid)
    {
        try
        {
            string stat = File.ReadAllText($"/proc/{pid}/stat");
            return stat[stat.LastIndexOf(')') + 2] is not ('Z' or 'X');
        }
        catch (IOException)
        {
            return false;
        }
    }
}
