using System.Text.Json;
using NetKernel.ControlPlane.Resources;

namespace NetKernel.ControlPlane.Network;

/// <summary>
/// The full set-up, for root: a bridge in a namespace of the platform's own (INSTANCE-br), each NSM in INSTANCE-nsm-NAME with a veth into
/// that bridge that carries the addresses of its guests (or another link: Links), and each guest in INSTANCE-g-NAME with nothing but lo. The guest's own
/// addresses are on that lo too, so that what it binds and connects to itself never leaves it.
/// </summary>
internal sealed partial class BridgeNetwork(string instance, AddressPlan plan) : INetwork
{
    public string Mode => "bridge";

    public string? Notice => null;

    private string BridgeSpace => instance + "-br";

    public void Start()
    {
        NamedSpaces.Make(BridgeSpace);
        bool there = NetworkNamespace.Inside(NetworkNamespace.PathOf(BridgeSpace), () => IpTool.Devices().Contains("br0"));
        IpTool.Batch(BridgeSpace, [.. there ? [] : new[] { "link add br0 type bridge stp_state 0 forward_delay 0 mcast_snooping 0" }, "link set lo up", "link set br0 up"]);
    }

    public void Remove()
    {
        var names = NetworkNamespace.OfInstance(instance);
        foreach (string name in names)
        {
            ProcessesInside.End(NetworkNamespace.Inode(NetworkNamespace.PathOf(name)));
        }

        IpTool.BatchQuietly(null, [.. names.Select(name => $"netns del {name}")]);
    }

    public void TakeOver(Snapshot declared)
    {
        foreach (string name in NamedSpaces.Undeclared(instance, declared))
        {
            NamedSpaces.Delete(name);
        }

        NamedSpaces.Find(instance, declared);
        if (File.Exists(NetworkNamespace.PathOf(BridgeSpace)))
        {
            RemoveLinksBut(declared);
            _steering = FindSteering();
        }
    }

    public void KeepOnly(NsmRecord nsm, IEnumerable<GuestRecord> guests)
    {
        if (!HasInterface(nsm))
        {
            return;
        }

        HashSet<string> wanted = [.. guests.SelectMany(guest => new[] { guest.Ipv4, guest.Ipv6 })];
        IpTool.BatchQuietly(
            NamedSpaces.OfNsm(instance, nsm.Name), [.. Addresses(nsm).Where(one => !wanted.Contains(one.Split('/')[0])).Select(one => $"addr del {one} dev eth0")]);
    }

    public void AddNsm(NsmRecord nsm)
    {
        if (NetworkModes.IsHost(nsm.Declared))
        {
            nsm.NamespacePath = null;
            return;
        }

        string space = NamedSpaces.OfNsm(instance, nsm.Name);
        NamedSpaces.Make(space);
        nsm.NamespacePath = NetworkNamespace.PathOf(space);
        EnableIpv6(nsm.NamespacePath);
        Write(nsm.NamespacePath, FastOpen);
        IpTool.Batch(space, "link set lo up");
        MakeLink(nsm);
        AttachPort(nsm);
    }

    public void RemoveNsm(NsmRecord nsm)
    {
        if (NetworkModes.IsHost(nsm.Declared))
        {
            return;
        }

        NamedSpaces.Delete(NamedSpaces.OfNsm(instance, nsm.Name));
        RemoveLink(nsm);
    }

    public void AddGuest(GuestRecord guest, NsmRecord nsm)
    {
        string space = NamedSpaces.OfGuest(instance, guest.Name);
        NamedSpaces.Make(space);
        NamedSpaces.Find(instance, guest);
        EnableIpv6(NetworkNamespace.PathOf(space));
        IpTool.Batch(
            space,
            ["link set lo up", .. NetworkModes.IsHost(nsm.Declared) ? [] : new[] { $"addr replace {guest.Ipv4}/32 dev lo", $"addr replace {guest.Ipv6}/128 dev lo nodad" }]);
        GiveAddresses(guest, nsm);
    }

    private void GiveAddresses(GuestRecord guest, NsmRecord nsm)
    {
        if (!HasInterface(nsm))
        {
            return; // CoreEngine tells its stack
        }

        List<string> commands =
        [
            $"addr replace {guest.Ipv4}/{plan.Subnet4.PrefixLength} dev eth0",
            $"addr replace {guest.Ipv6}/{plan.Subnet6.PrefixLength} dev eth0 nodad",
        ];
        if (nsm.Declared.InitialWindow > 0)
        {
            commands.AddRange(WindowRoutes(nsm)); // the routes came with the first address
        }

        IpTool.Batch(NamedSpaces.OfNsm(instance, nsm.Name), commands);
    }

    public void SetInitialWindow(NsmRecord nsm) => IpTool.Batch(NamedSpaces.OfNsm(instance, nsm.Name), [.. WindowRoutes(nsm)]);

    // Linux takes the initial window from the route (ip-route(8), initcwnd); without one it is the stack's own. These take the places of the kernel's own routes, in IPv6 known by their metric.
    private IEnumerable<string> WindowRoutes(NsmRecord nsm)
    {
        string window = nsm.Declared.InitialWindow > 0 ? $" initcwnd {nsm.Declared.InitialWindow}" : "";
        return [$"route replace {AddressPlan.Show(plan.Subnet4)} dev eth0{window}", $"route replace {AddressPlan.Show(plan.Subnet6)} dev eth0 metric 256{window}"];
    }

    public void RemoveGuest(GuestRecord guest, NsmRecord? nsm)
    {
        if (nsm is not null)
        {
            TakeAddresses(guest, nsm);
        }

        Forget(guest);
        NamedSpaces.Delete(NamedSpaces.OfGuest(instance, guest.Name));
    }

    private void TakeAddresses(GuestRecord guest, NsmRecord nsm)
    {
        if (HasInterface(nsm))
        {
            IpTool.BatchQuietly(
                NamedSpaces.OfNsm(instance, nsm.Name),
                $"addr del {guest.Ipv4}/{plan.Subnet4.PrefixLength} dev eth0",
                $"addr del {guest.Ipv6}/{plan.Subnet6.PrefixLength} dev eth0");
        }
    }

    /// <summary>The guests' addresses that an NSM's interface has, as ADDRESS/LENGTH.</summary>
    private IEnumerable<string> Addresses(NsmRecord nsm)
    {
        using JsonDocument answer = JsonDocument.Parse(IpTool.Json(NamedSpaces.OfNsm(instance, nsm.Name), "addr", "show", "dev", "eth0"));
        return
        [
            .. answer.RootElement.EnumerateArray().Where(link => link.TryGetProperty("addr_info", out _))
                .SelectMany(link => link.GetProperty("addr_info").EnumerateArray())
                .Where(one => one.GetProperty("scope").GetString() == "global")
                .Select(one => $"{one.GetProperty("local").GetString()}/{one.GetProperty("prefixlen").GetInt32()}"),
        ];
    }

    // A listener that asks for it by TCP_FASTOPEN takes data in SYNs; the kernel's default is clients only (tcp(7)).
    private static readonly (string, string)[] FastOpen = [("ipv4/tcp_fastopen", "3")];

    // promote_secondaries: the first guest's address may go without taking those of the others with it.
    private static void EnableIpv6(string path) => Write(
        path,
        ("ipv6/conf/all/disable_ipv6", "0"), ("ipv6/conf/default/disable_ipv6", "0"), ("ipv6/conf/lo/disable_ipv6", "0"),
        ("ipv6/conf/all/accept_dad", "0"), ("ipv6/conf/default/accept_dad", "0"), ("ipv6/conf/default/accept_ra", "0"),
        ("ipv4/conf/all/promote_secondaries", "1"), ("ipv4/conf/default/promote_secondaries", "1"));

    private static void Write(string path, params (string File, string Value)[] settings) => NetworkNamespace.Inside(path, () =>
    {
        foreach ((string file, string value) in settings)
        {
            string target = "/proc/sys/net/" + file;
            if (File.Exists(target))
            {
                File.WriteAllText(target, value);
            }
        }

        return 0;
    });
}
