using System.Globalization;
using NetKernel.Cli.Testbed;

namespace NetKernel.Bench.Tcp;

/// <summary>Where a server under test runs: a namespace with an ordinary stack, or a guest.</summary>
internal abstract class Machine(string name, string ipv4)
{
    public string Name { get; } = name;

    public string Ipv4 { get; } = ipv4;

    /// <summary>Starts a program there.</summary>
    public abstract GuestProcess Start(IEnumerable<string> command);

    /// <summary>Waits until somebody listens there.</summary>
    public abstract bool WaitForListener(int port, TimeSpan timeout);

    /// <summary>CPU seconds so far of what belongs to the machine and not to its programs.</summary>
    public abstract CpuUse PlatformCpu();
}

/// <summary>The baseline: a namespace of its own on the instance's bridge.</summary>
internal sealed class NativeMachine : Machine
{
    private readonly string _space;
    private readonly OutsideNamespace _outside;

    public NativeMachine(NkInstance instance)
        : base("native", "198.18.2.1")
    {
        // A name of the form that NSMs have: nkd removes those at its end, with everything that runs in them, however the benchmark ends.
        _space = instance.Name + "-nsm-base";
        _outside = instance.Outside;
        string bridge = instance.Name + "-br";
        OutsideNamespace.Ip(null, $"netns add {_space}");
        OutsideNamespace.Ip(
            _space,
            "link set lo up",
            $"link add eth0 type veth peer name base0 netns {bridge}",
            "link set eth0 up",
            $"addr add {Ipv4}/16 dev eth0",
            "addr add 2001:2::2:1/64 dev eth0 nodad");
        OutsideNamespace.Ip(bridge, "link set base0 master br0", "link set base0 up");
    }

    public override GuestProcess Start(IEnumerable<string> command) => _outside.Start(["ip", "netns", "exec", _space, .. command]);

    public override bool WaitForListener(int port, TimeSpan timeout) => NkInstance.WaitFor(
        () =>
        {
            using GuestProcess ss = Start(["ss", "-Hltn", string.Create(CultureInfo.InvariantCulture, $"sport = :{port}")]);
            return ss.Wait(TimeSpan.FromSeconds(2)).Output.Contains("LISTEN", StringComparison.Ordinal);
        },
        timeout);

    public override CpuUse PlatformCpu() => default;
}

/// <summary>NetKernel: a guest, whose network is CoreEngine and an NSM.</summary>
internal sealed class GuestMachine : Machine
{
    private readonly NkInstance _instance;
    private readonly string _guest, _nsm;

    public GuestMachine(NkInstance instance, string name = "NetKernel", string guest = "server", string nsm = "kernel0")
        : base(name, AddressOf(instance, guest, nsm))
    {
        _instance = instance;
        _guest = guest;
        _nsm = nsm;
    }

    public override GuestProcess Start(IEnumerable<string> command) => _instance.Start(_guest, command);

    public override bool WaitForListener(int port, TimeSpan timeout) => _instance.WaitForListener(_guest, port, timeout);

    public override CpuUse PlatformCpu() => new(0, 0, ProcessCpu.Seconds(_instance.EnginePid), ProcessCpu.Seconds(_instance.NsmPid(_nsm)));

    private static string AddressOf(NkInstance instance, string guest, string nsm)
    {
        instance.CreateGuest(guest, nsm);
        return instance.Ipv4(guest);
    }
}
