using NetKernel.Cli.Testbed;

namespace NetKernel.EndToEnd.Tests.Fuzzing;

/// <summary>
/// Two namespaces with ordinary stacks, joined by a veth. Their routes acknowledge at once, so that nothing waits for a delayed
/// acknowledgement.
/// </summary>
internal sealed class NativeHosts : IDisposable
{
    private readonly string[] _names;

    public NativeHosts(string instance)
    {
        _names = [instance + "-na", instance + "-nb"];
        OutsideNamespace.Ip(null, $"netns add {_names[0]}", $"netns add {_names[1]}");
        OutsideNamespace.Ip(_names[0], $"link add eth0 type veth peer name eth0 netns {_names[1]}");
        for (int host = 0; host < 2; host++)
        {
            OutsideNamespace.Ip(
                _names[host], "link set lo up", "link set eth0 up", $"addr add {Ipv4(host)}/16 dev eth0", $"addr add {Ipv6(host)}/64 dev eth0 nodad",
                $"route change 198.18.0.0/16 dev eth0 src {Ipv4(host)} quickack 1", "route replace 2001:2::/64 dev eth0 quickack 1");
        }
    }

    /// <summary>Address of host 0 or 1.</summary>
    public static string Ipv4(int host) => host == 0 ? "198.18.0.1" : "198.18.0.2";

    /// <summary>Address of host 0 or 1.</summary>
    public static string Ipv6(int host) => host == 0 ? "2001:2::1" : "2001:2::2";

    /// <summary>Starts a program on a host; it ends with the instance.</summary>
    public GuestProcess Start(NkInstance nk, int host, string[] command) => nk.StartRaw(["ip", "netns", "exec", _names[host], .. command]);

    /// <inheritdoc/>
    public void Dispose() => OutsideNamespace.Ip(null, $"netns del {_names[0]}", $"netns del {_names[1]}");
}
