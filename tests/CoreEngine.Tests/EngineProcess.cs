using System.Diagnostics;
using NetKernel.CoreEngine.Control;
using NetKernel.Testing;

namespace NetKernel.CoreEngine.Tests;

/// <summary>The real nk-engine in a process of its own (on the shared framework; the ahead-of-time build is the same code).</summary>
internal sealed class EngineProcess : IDisposable
{
    private readonly Process _process;

    public EngineProcess(params string[] args)
    {
        var start = new ProcessStartInfo("dotnet") { RedirectStandardError = true, RedirectStandardOutput = true };
        foreach (string arg in (string[])["exec", "--roll-forward", "Major", typeof(Engine).Assembly.Location, .. args])
        {
            start.ArgumentList.Add(arg);
        }

        _process = Process.Start(start)!;
    }

    public int Id => _process.Id;

    public int Descriptors => Directory.GetFiles($"/proc/{Id}/fd").Length;

    public TimeSpan Cpu
    {
        get
        {
            _process.Refresh();
            return _process.TotalProcessorTime;
        }
    }

    /// <summary>The next line of its log.</summary>
    public string? ReadLog() => _process.StandardError.ReadLine();

    /// <summary>Reads the log on, so that it never blocks the engine.</summary>
    public void IgnoreLog() => new Thread(() => _process.StandardError.ReadToEnd()) { IsBackground = true }.Start();

    public void Terminate() => Process.Start("kill", ["-TERM", $"{Id}"])!.WaitForExit();

    public void Kill() => _process.Kill();

    public int Wait() => _process.WaitForExit(Waiting.Deadline) ? _process.ExitCode : throw new TimeoutException("nk-engine does not end");

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
