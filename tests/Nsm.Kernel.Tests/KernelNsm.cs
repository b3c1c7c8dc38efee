using NetKernel.Channel;
using NetKernel.Nsm.Kernel;
using NetKernel.ServiceLib;
using NetKernel.ServiceLib.Testing;

namespace NetKernel.Nsm.Kernel.Tests;

/// <summary>The kernel NSM's loop in a thread of this process, between a fake CoreEngine and this machine's loopback.</summary>
internal sealed class KernelNsm : IDisposable
{
    private readonly Thread _thread;
    private StackHost? _host;

    public KernelNsm(uint loops = 1, params string[] options)
    {
        Engine = new FakeEngine(loops);
        Settings settings = Settings.Parse(["--run-dir", Engine.RunDirectory, "--id", "1", .. options, .. (string[])["--mode", "host"]]);
        using ManualResetEventSlim started = new();
        _thread = new Thread(() =>
        {
            using NsmChannel channel = NsmChannel.Attach(Engine.RunDirectory, settings.Id);
            _host = new StackHost(channel, new KernelStack(settings));
            started.Set();
            Exit = _host.Run(new IdleStrategy(0, 20));
            Allocated = GC.GetAllocatedBytesForCurrentThread();
        });
        _thread.Start();
        Engine.TakeNsm();
        started.Wait();
        Guest = Engine.AddGuest(1);
    }

    public FakeEngine Engine { get; }

    public FakeGuest Guest { get; }

    public StackHost Host => _host!;

    public HostExit Exit { get; private set; }

    public long Allocated { get; private set; }

    /// <summary>A listening socket on a port of the kernel's choice.</summary>
    public FakeSocket Listener(out int port, string address = "127.0.0.1", int backlog = 128, int domain = 2)
    {
        FakeSocket listener = Guest.Socket(domain);
        Assert.Equal(0, listener.Bind(address, 0, NqeFlags.None, out System.Net.IPEndPoint bound));
        Assert.Equal(0, listener.Listen(backlog));
        port = bound.Port;
        return listener;
    }

    public void WaitExit()
    {
        Assert.True(_thread.Join(TimeSpan.FromSeconds(30)), "the loop did not end");
    }

    public void Dispose()
    {
        _host?.Stop();
        WaitExit();
        Guest.Dispose();
        Engine.Dispose();
    }
}
