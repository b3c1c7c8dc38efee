using System.Threading;
using NetKernel.Channel;
using NetKernel.Channel.Host;
using NetKernel.ServiceLib;

namespace NetKernel.Nsm.Mtcp;

/// <summary>The whole NSM: per core a link, a stack, a host and a thread, on one channel to CoreEngine.</summary>
internal sealed class Module : INsm
{
    private readonly ShardGroup _group;
    private readonly Device[] _devices;
    private readonly MtcpStack[] _stacks;
    private readonly NsmChannel _channel;
    private readonly StackHost[] _hosts;
    private readonly ReportSocket _reports;

    private Module(Settings settings)
    {
        _group = new ShardGroup(settings.Cores);
        _devices = OpenLinks(settings);
        _stacks = new MtcpStack[settings.Cores];
        for (uint i = 0; i < settings.Cores; i++)
        {
            _stacks[i] = new MtcpStack(settings, _devices[i], _group, i);
        }

        _channel = NsmChannel.Attach(settings.RunDirectory, settings.Id);
        if (settings.Cores > _channel.Layout.Counts.QueueSets)
        {
            uint loops = _channel.Layout.Counts.QueueSets;
            throw new AttachException($"--cores {settings.Cores}: CoreEngine has {loops} loop{(loops == 1 ? "" : "s")}, and each core serves at least one (nk up --loops)");
        }

        _hosts = new StackHost[settings.Cores];
        for (uint i = 0; i < settings.Cores; i++)
        {
            _hosts[i] = new StackHost(_channel, _stacks[i], i, settings.Cores);
        }

        _hosts[0].Lead(_hosts.AsSpan(1));
        _reports = ReportSocket.Listen(ReportAnswer.PathOf(settings.RunDirectory, settings.Id));
        _hosts[0].Report(_reports);
    }

    /// <summary>Connections, listeners and unconnected sockets of all cores; exact when none of them works.</summary>
    public uint ConnectionCount
    {
        get
        {
            uint count = 0;
            foreach (StackHost host in _hosts)
            {
                count += host.ConnectionCount;
            }

            return count;
        }
    }

    /// <summary>Opens the link and attaches to CoreEngine.</summary>
    /// <exception cref="DeviceException">The link cannot be opened.</exception>
    /// <exception cref="AttachException">CoreEngine refuses, or has fewer loops than there are to be cores.</exception>
    public static Module Open(Settings settings) => new(settings);

    /// <summary>Serves until CoreEngine is gone or somebody stops it; the first core in this thread.</summary>
    public HostExit Run()
    {
        Thread[] threads = new Thread[_hosts.Length - 1];
        for (int i = 0; i < threads.Length; i++)
        {
            StackHost host = _hosts[i + 1];
            threads[i] = new Thread(() => Serve(host)) { Name = $"core-{i + 1}", IsBackground = true };
            threads[i].Start();
        }

        HostExit exit = Serve(_hosts[0]);
        foreach (Thread thread in threads)
        {
            thread.Join();
        }

        return exit;
    }

    /// <summary>Ends it; from any thread.</summary>
    public void Stop() => _hosts[0].Stop();

    /// <inheritdoc/>
    public void Dispose()
    {
        _reports.Dispose();
        _channel.Dispose();
        foreach (MtcpStack stack in _stacks)
        {
            stack.Dispose();
        }

        foreach (Device device in _devices)
        {
            device.Dispose();
        }

        _group.Dispose();
    }

    private static HostExit Serve(StackHost host)
    {
        _ = Scheduling.TakeShortSlices();
        return host.Run(new IdleStrategy(spins: 0, yields: 20));
    }

    private Device[] OpenLinks(Settings settings)
    {
        if (!settings.CarriesLoopback)
        {
            return settings.Link switch
            {
                LinkKind.Xdp => XdpDevice.Open(settings.Interface, settings.Cores),
                LinkKind.Tap => TapDevice.Open(settings.Interface, settings.Cores, settings.Namespace),
                _ => PacketDevice.Open(settings.Interface, settings.Cores, _group.Key, settings.Vlan),
            };
        }

        Device[] devices = new Device[settings.Cores];
        for (int i = 0; i < devices.Length; i++)
        {
            devices[i] = NoDevice.Open();
        }

        return devices;
    }
}
