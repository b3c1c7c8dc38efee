using NetKernel.Channel;
using NetKernel.Channel.Host;
using NetKernel.ServiceLib;

namespace NetKernel.Nsm.Kernel;

/// <summary>The whole NSM: one host with the kernel's sockets behind it, and the socket that reports are asked for at.</summary>
internal sealed class Module : INsm
{
    private readonly NsmChannel _channel;
    private readonly StackHost _host;
    private readonly ReportSocket _reports;

    /// <summary>Attaches to CoreEngine.</summary>
    /// <exception cref="AttachException">CoreEngine refuses, or cannot be reached.</exception>
    public Module(Settings settings)
    {
        Sys.RaiseFileLimit();
        _channel = NsmChannel.Attach(settings.RunDirectory, settings.Id);
        _host = new StackHost(_channel, new KernelStack(settings));
        _reports = ReportSocket.Listen(ReportAnswer.PathOf(settings.RunDirectory, settings.Id));
        _host.Report(_reports);
    }

    public HostExit Run()
    {
        _ = Scheduling.TakeShortSlices();
        return _host.Run(new IdleStrategy(spins: 0, yields: 20));
    }

    public void Stop() => _host.Stop();

    public void Dispose()
    {
        _reports.Dispose();
        _channel.Dispose();
    }
}
