using NetKernel.ControlPlane.State;

namespace NetKernel.ControlPlane.Network;

/// <summary>
/// The full set-up, for root: a bridge in a namespace of the platform's own (INSTANCE-br), each NSM in INSTANCE-nsm-NAME with a veth into
/// that bridge that carries the addresses of its guests, and each guest in INSTANCE-g-NAME with nothing but lo. The guest's own
/// addresses are on that lo too, so that what it binds and connects to itself never leaves it.
/// </summary>
internal sealed class BridgeNetwork(string instance, AddressPlan plan) : INetwork
{
    public string Mode => "bridge";

    public string? Notice => null;

    private string BridgeSpace => instance + "-br";

    public void Start()
    {
        IpTool.Batch(null, $"netns add {BridgeSpace}");
        IpTool.Batch(
            BridgeSpace,
            "link set lo up",
            "link add br0 type bridge stp_state 0 forward_delay 0 mcast_snooping 0",
            "link set br0 up");
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

    public void AddNsm(NsmRecord nsm)
    {
        string space = $"{instance}-nsm-{nsm.Name}";
        IpTool.Batch(null, $"netns add {space}");
        nsm.NamespacePath = NetworkNamespace.PathOf(space);
        EnableIpv6(nsm.NamespacePath);
        IpTool.Batch(
            space,
            "link set lo up",
            $"link add eth0 type veth peer name nsm{nsm.Id} netns {BridgeSpace}",
            "link set eth0 up");
        IpTool.Batch(BridgeSpace, $"link set nsm{nsm.Id} master br0", $"link set nsm{nsm.Id} up");
    }

    public void RemoveNsm(NsmRecord nsm) => Delete($"{instance}-nsm-{nsm.Name}");

    public void AddGuest(GuestRecord guest, NsmRecord nsm)
    {
        string space = $"{instance}-g-{guest.Name}";
        IpTool.Batch(null, $"netns add {space}");
        guest.NamespacePath = NetworkNamespace.PathOf(space);
        guest.NamespaceInode = NetworkNamespace.Inode(guest.NamespacePath);
        EnableIpv6(guest.NamespacePath);
        IpTool.Batch(space, "link set lo up", $"addr add {guest.Ipv4}/32 dev lo", $"addr add {guest.Ipv6}/128 dev lo nodad");
        IpTool.Batch(
            $"{instance}-nsm-{nsm.Name}",
            $"addr add {guest.Ipv4}/{plan.Subnet4.PrefixLength} dev eth0",
            $"addr add {guest.Ipv6}/{plan.Subnet6.PrefixLength} dev eth0 nodad");
    }

    public void RemoveGuest(GuestRecord guest, NsmRecord nsm)
    {
        IpTool.BatchQuietly(
            $"{instance}-nsm-{nsm.Name}",
            $"addr del {guest.Ipv4}/{plan.Subnet4.PrefixLength} dev eth0",
            $"addr del {guest.Ipv6}/{plan.Subnet6.PrefixLength} dev eth0");
        Delete($"{instance}-g-{guest.Name}");
    }

    private static void Delete(string space)
    {
        ProcessesInside.End(NetworkNamespace.Inode(NetworkNamespace.PathOf(space)));
        IpTool.BatchQuietly(null, $"netns del {space}");
    }

    // promote_secondaries: the first guest's address may go without taking those of the others with it.
    private static void EnableIpv6(string path) => NetworkNamespace.Inside(path, () =>
    {
        foreach ((string file, string value) in new[]
        {
            ("ipv6/conf/all/disable_ipv6", "0"), ("ipv6/conf/default/disable_ipv6", "0"), ("ipv6/conf/lo/disable_ipv6", "0"),
            ("ipv6/conf/all/accept_dad", "0"), ("ipv6/conf/default/accept_dad", "0"), ("ipv6/conf/default/accept_ra", "0"),
            ("ipv4/conf/all/promote_secondaries", "1"), ("ipv4/conf/default/promote_secondaries", "1"),
        })
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
