using NetKernel.CoreEngine;
using NetKernel.CoreEngine.Control;
using NetKernel.Testing;

namespace NetKernel.CoreEngine.Tests;

/// <summary>The real engine, control thread and loops, inside the test's process, with a control plane connected.</summary>
internal sealed class EngineHost : IDisposable
{
    private readonly RunDirectory _directory = new();
    private readonly Thread _thread;

    /// <summary><paramref name="connectionRate"/>: none, for tests with a rate of their own.</summary>
    public EngineHost(uint loops = 1, ulong connectionRate = 0)
    {
        Engine = new Engine(new EngineOptions { RunDirectory = _directory.Path, Loops = loops, HugePages = false, ConnectionRate = connectionRate });
        _thread = new Thread(Engine.Run) { IsBackground = true };
        _thread.Start();
        Control = new FakeControlPlane(_directory.EngineSocket);
    }

    public Engine Engine { get; }

    public FakeControlPlane Control { get; }

    public string Path => _directory.Path;

    public string EngineSocket => _directory.EngineSocket;

    public string GuestSocket(uint guest) => _directory.GuestSocket($"g{guest}");

    public Stats Stats() => new(System.IO.Path.Combine(Path, "engine.stats"));

    /// <summary>NSM 1 attached, and guest 1 on it with a process.</summary>
    public static (EngineHost Host, FakeNsm Nsm, FakeGuest Guest) WithGuest(uint loops = 1, ulong connectionRate = 0)
    {
        var host = new EngineHost(loops, connectionRate);
        host.Control.AddNsm(1);
        var nsm = new FakeNsm(host.EngineSocket, 1);
        host.Control.AddGuest(1, 1);
        return (host, nsm, new FakeGuest(host.GuestSocket(1)));
    }

    public void Dispose()
    {
        Control.Dispose();
        Engine.RequestStop();
        _thread.Join();
        Engine.Dispose();
        _directory.Dispose();
    }
}
