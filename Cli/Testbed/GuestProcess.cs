using System.Diagnostics;
using System.Globalization;
using System.Runtime.InteropServices;

namespace NetKernel.Cli.Testbed;

/// <summary>
/// A program that was started in a guest, or outside. Its output goes to files, so that a daemon that keeps them open holds nobody up. The process
/// id is the program's own: nk run and ip netns exec become it.
/// </summary>
public sealed class GuestProcess : IDisposable
{
    private readonly Process _process;
    private readonly string _output;
    private readonly string _error;
    private bool _disposed;

    private GuestProcess(Process process, string output, string error)
    {
        _process = process;
        _output = output;
        _error = error;
    }

    /// <summary>The program's process id.</summary>
    public int Pid => _process.Id;

    /// <summary>Whether it has ended.</summary>
    public bool Ended => _disposed || _process.HasExited;

    /// <summary>What it has written to standard output so far.</summary>
    public string Output => ReadShared(_output);

    /// <summary>What it has written to standard error so far.</summary>
    public string Error => ReadShared(_error);

    /// <summary>Waits for its end; kills it when <see cref="NkInstance.Patience"/> times the time is up.</summary>
    public CommandResult Wait(TimeSpan timeout)
    {
        bool ended = _process.WaitForExit(timeout * NkInstance.Patience);
        if (!ended)
        {
            Kill();
            _process.WaitForExit();
        }

        return new CommandResult(_process.ExitCode, Output, Error, !ended);
    }

    /// <summary>Sends a signal.</summary>
    public void Signal(int signal) => _ = SendSignal(Pid, signal);

    /// <summary>SIGKILL, if it still runs.</summary>
    public void Kill()
    {
        if (!Ended)
        {
            Signal(9);
        }
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        if (_disposed)
        {
            return;
        }

        Kill();
        _disposed = true;
        _process.WaitForExit(2000);
        _process.Dispose();
    }

    /// <summary>Sends a signal to any process.</summary>
    [DllImport("libc", EntryPoint = "kill")]
    public static extern int SendSignal(int pid, int signal);

    internal static GuestProcess Start(string folder, int number, IEnumerable<string> command)
    {
        string prefix = Path.Combine(folder, string.Create(CultureInfo.InvariantCulture, $"run{number}"));
        var start = new ProcessStartInfo("/bin/sh") { WorkingDirectory = folder };
        start.ArgumentList.Add("-c");
        start.ArgumentList.Add("exec </dev/null >\"$0.out\" 2>\"$0.err\"; exec \"$@\"");
        start.ArgumentList.Add(prefix);
        foreach (string word in command)
        {
            start.ArgumentList.Add(word);
        }

        Process process = Process.Start(start) ?? throw new InvalidOperationException("cannot start /bin/sh");
        return new GuestProcess(process, prefix + ".out", prefix + ".err");
    }

    private static string ReadShared(string path)
    {
        if (!File.Exists(path))
        {
            return "";
        }

        using FileStream stream = new(path, FileMode.Open, FileAccess.Read, FileShare.ReadWrite | FileShare.Delete);
        using StreamReader reader = new(stream);
        return reader.ReadToEnd();
    }
}
