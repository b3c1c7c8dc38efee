using System.Diagnostics;

namespace NetKernel.Testing;

/// <summary>Another process, running <see cref="Program"/>.</summary>
public sealed class OtherProcess : IDisposable
{
    private readonly Process _process;

    public OtherProcess(params string[] args)
    {
        var start = new ProcessStartInfo("dotnet") { RedirectStandardInput = true, RedirectStandardOutput = true };
        start.ArgumentList.Add(typeof(Program).Assembly.Location);
        foreach (string arg in args)
        {
            start.ArgumentList.Add(arg);
        }

        _process = Process.Start(start)!;
    }

    public int Id => _process.Id;

    /// <summary>Waits until it says that it is ready; the number it says.</summary>
    public uint Ready()
    {
        string? line = _process.StandardOutput.ReadLine();
        return line != null && line.StartsWith("ready ", StringComparison.Ordinal)
            ? uint.Parse(line.AsSpan(6))
            : throw new InvalidOperationException($"the other process said '{line}'");
    }

    /// <summary>SIGKILL.</summary>
    public void Kill() => _process.Kill();

    /// <summary>Waits for its end; its exit code.</summary>
    public int Wait()
    {
        _process.StandardInput.Close();
        return _process.WaitForExit(Waiting.Deadline) ? _process.ExitCode : throw new TimeoutException("the other process does not end");
    }

    public void Dispose()
    {
        if (!_process.HasExited)
        {
            _process.Kill();
        }

        _process.WaitForExit();
        _process.Dispose();
    }
}
