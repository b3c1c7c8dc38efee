using NetKernel.Channel.Host;
using NetKernel.ControlPlane.Resources;

namespace NetKernel.ControlPlane.Network;

/// <summary>
/// What joins an NSM to the bridge: a veth, eth0 in the NSM's namespace and nsmID in the bridge's; or a TAP, nsmID in the bridge's, whose other end is the NSM's program. Both outlive the program.
/// </summary>
internal sealed partial class BridgeNetwork
{
    public IReadOnlyList<string> ArgumentsOf(NsmRecord nsm)
    {
        List<string> arguments = ["--mode", NetworkModes.IsHost(nsm.Declared) ? "host" : Mode];
        string link = LinkRules.Of(nsm.Declared);
        if (link is LinkRules.Xdp or LinkRules.Tap)
        {
            arguments.AddRange(["--link", link]);
        }

        if (link == LinkRules.Tap)
        {
            arguments.AddRange(["--interface", PortOf(nsm), "--namespace", NetworkNamespace.PathOf(BridgeSpace)]);
        }

        if (nsm.Declared.Vlan != 0)
        {
            arguments.AddRange(["--vlan", nsm.Declared.Vlan.ToString(System.Globalization.CultureInfo.InvariantCulture)]);
        }

        return arguments;
    }

    /// <summary>AF_XDP takes frames before anybody in the NSM's namespace sees them, and a TAP is not there: both are seen at the bridge.</summary>
    public (string Space, string? Device)? CapturePlace(NsmRecord nsm) => LinkRules.Of(nsm.Declared) is LinkRules.Xdp or LinkRules.Tap
        ? (NetworkNamespace.PathOf(BridgeSpace), PortOf(nsm))
        : nsm.NamespacePath is { } space ? (space, null) : null;

    private static string PortOf(NsmRecord nsm) => $"nsm{nsm.Id}";

    /// <summary>Whether there is an eth0 in its namespace.</summary>
    private static bool HasInterface(NsmRecord nsm) => !IsTap(nsm) && !NetworkModes.IsHost(nsm.Declared);

    private static bool IsTap(NsmRecord nsm) => LinkRules.Of(nsm.Declared) == LinkRules.Tap;

    private void MakeLink(NsmRecord nsm)
    {
        string port = PortOf(nsm), space = NamedSpaces.OfNsm(instance, nsm.Name);
        if (IsTap(nsm))
        {
            bool there = NetworkNamespace.Inside(NetworkNamespace.PathOf(BridgeSpace), () => IpTool.Devices().Contains(port));
            IpTool.Batch(BridgeSpace, [.. there ? [] : new[] { $"tuntap add dev {port} mode tap multi_queue vnet_hdr" }, $"link set {port} master br0", $"link set {port} up"]);
            return;
        }

        bool linked = NetworkNamespace.Inside(NetworkNamespace.PathOf(space), () => IpTool.Devices().Contains("eth0"));
        IpTool.Batch(space, [.. linked ? [] : new[] { $"link add eth0 type veth peer name {port} netns {BridgeSpace}" }, "link set eth0 up"]);
        if (LinkRules.Of(nsm.Declared) == LinkRules.Xdp)
        {
            uint queues = Math.Max(1, nsm.Declared.Cores);
            InBridge(() =>
            {
                Ethtool.SetQueues(port, 1); // fewer than the other end has, whatever that had before
                Ethtool.FinishFrames(port);
            });
            _ = NetworkNamespace.Inside(NetworkNamespace.PathOf(space), () =>
            {
                Ethtool.SetQueues("eth0", queues);
                return 0;
            });
            InBridge(() => Ethtool.SetQueues(port, queues));
        }

        IpTool.Batch(BridgeSpace, $"link set {port} master br0", $"link set {port} up");
    }

    private void RemoveLink(NsmRecord nsm)
    {
        if (IsTap(nsm))
        {
            IpTool.BatchQuietly(BridgeSpace, $"link del {PortOf(nsm)}"); // a veth goes with the NSM's namespace
        }
    }

    /// <summary>A nkd that was killed may have left the TAP of an NSM that is not declared any more.</summary>
    private void RemoveLinksBut(Snapshot declared)
    {
        HashSet<string> wanted = [.. declared.Nsms.Values.Select(PortOf)];
        IReadOnlyCollection<string> devices = NetworkNamespace.Inside(NetworkNamespace.PathOf(BridgeSpace), IpTool.Devices);
        IpTool.BatchQuietly(BridgeSpace, [.. devices.Where(name => IsPort(name) && !wanted.Contains(name)).Select(name => $"link del {name}")]);
    }

    /// <summary>The station address of an NSM's stack.</summary>
    private byte[] StationOf(NsmRecord nsm)
    {
        bool taps = IsTap(nsm);
        string address = Link(taps ? BridgeSpace : NamedSpaces.OfNsm(instance, nsm.Name), taps ? PortOf(nsm) : "eth0").GetProperty("address").GetString()!;
        byte[] station = Convert.FromHexString(address.Replace(":", "", StringComparison.Ordinal));
        station[0] ^= (byte)(taps ? 4 : 0); // the stack's end of a TAP: TapDevice.StationOf
        return station;
    }
}
