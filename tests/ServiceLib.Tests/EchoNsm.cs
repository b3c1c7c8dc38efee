using NetKernel.Channel;
using NetKernel.Channel.Host;
using NetKernel.ServiceLib.Testing;

namespace NetKernel.ServiceLib.Tests;

/// <summary>The echo stack's loop in a thread, behind a fake CoreEngine.</summary>
internal sealed class EchoNsm : IDisposable
{
    private readonly Thread _thread;
    private StackHost? _host;

    public EchoNsm(uint loops = 1, PoolLayout? pool = null)
    {
        Engine = new FakeEngine(loops);
        Engine.Patience = TimeSpan.FromSeconds(20);
        _thread = new Thread(() =>
        {
            using NsmChannel channel = NsmChannel.Attach(Engine.RunDirectory, 7);
            _host = new StackHost(channel, Stack);
            using ReportSocket reports = ReportSocket.Listen(ReportAnswer.PathOf(Engine.RunDirectory, 7));
            _host.Report(reports);
            Exit = _host.Run(new IdleStrategy(0, 20));
        });
        _thread.Start();
        Engine.TakeNsm();
        Guest = Engine.AddGuest(1, pool: pool);
    }

    public FakeEngine Engine { get; }

    public FakeGuest Guest { get; }

    public EchoStack Stack { get; } = new();

    public HostExit Exit { get; private set; }

    public uint Count => _host!.ConnectionCount;

    public void Stop()
    {
        _host?.Stop();
        WaitExit();
    }

    public void WaitExit() => Assert.True(_thread.Join(TimeSpan.FromSeconds(30)), "the loop did not end");

    public void Dispose()
    {
        Stop();
        Guest.Dispose();
        Engine.Dispose();
    }
}
