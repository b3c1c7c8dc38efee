using System.Globalization;
using NetKernel.Cli.Testbed;

namespace NetKernel.EndToEnd.Tests;

/// <summary>
/// ICMP errors about TCP connections of a guest that several NSMs serve at one address: each reaches the NSM that has the connection, and so the program. They are made by a router, Linux's own: outside
/// forwards to a network beyond it, over a link that takes packets of 1,280 bytes.
/// </summary>
public sealed class SteeredErrorTests : IDisposable
{
    private const string Port = "5400", Live4 = "198.18.200.9", Live6 = "2001:2::b:9", Dead4 = "198.18.200.77", Dead6 = "2001:2::b:77";
    private const int PathMtu = 1280; // the least that IPv6 has
    private static readonly TimeSpan Time = TimeSpan.FromSeconds(90);

    private readonly NkInstance _nk = NkInstance.Up("errors");
    private readonly string _beyond;
    private int _count;

    public SteeredErrorTests() => _beyond = _nk.Outside.Name + "2";

    public void Dispose()
    {
        try
        {
            _ = OnMachine("ip", "netns", "del", _beyond);
        }
        finally
        {
            _nk.Dispose();
        }
    }

    [RootTheory]
    [InlineData("kernel")]
    [InlineData("mtcp")]
    public void Unreachable_and_too_large_reach_the_NSM_that_has_the_connection(string kind)
    {
        Route();
        using GuestProcess server = Start("ip", "netns", "exec", _beyond, "python3", Programs.Path("routed.py"), "server", Port);
        Programs.AwaitLine(server, "ready");
        _nk.CreateGuest("web");
        CommandResult made = _nk.Nk("nsm", "create", "second", "--kind", kind);
        Assert.True(made.Succeeded, made.ToString());
        using GuestProcess first = Begin();
        Assert.True(_nk.Nk("guest", "update", "web", "--nsm", "second").Succeeded);
        using GuestProcess second = Begin();
        Assert.Equal([("kernel0", 4), ("second", 4)], Connections());

        // From here on the router says that nobody is there to whoever asks again.
        OnRouter($"ip route replace unreachable {Dead4}/32; ip -6 route replace unreachable {Dead6}/128");
        foreach (GuestProcess client in new[] { first, second })
        {
            client.Signal(10);
            CommandResult result = client.Wait(Time);
            string[] lines = result.Output.Split('\n');
            Assert.True(result.Succeeded && lines.Length == 4, result.ToString());
            int[] sizes = [.. lines[1].Split(' ')[1..].Select(size => int.Parse(size, CultureInfo.InvariantCulture))];
            Assert.InRange(sizes[0], 536, PathMtu - 40);
            Assert.InRange(sizes[1], 536, PathMtu - 60);
            Assert.Equal("EHOSTUNREACH ENETUNREACH", lines[2]); // what Linux says of a route of kind unreachable: host unreachable, and in IPv6 no route
        }
    }

    private GuestProcess Begin()
    {
        GuestProcess client = _nk.Start("web", "python3", Programs.Path("routed.py"), "client", Port, Live4, Dead4, Live6, Dead6);
        Programs.AwaitLine(client, "ready");
        return client;
    }

    private (string Nsm, int Count)[] Connections() =>
        [.. _nk.List("conn", "list", "--guest", "web").EnumerateArray().GroupBy(one => one.GetProperty("nsm").GetString()!).Select(nsm => (nsm.Key, nsm.Count())).OrderBy(nsm => nsm.Key, StringComparer.Ordinal)];

    /// <summary>Outside answers ARP and neighbour solicitations for what is beyond, and forwards; the dead addresses are nobody's, but frames go out to them.</summary>
    private void Route()
    {
        Assert.True(OnMachine("ip", "netns", "add", _beyond).Succeeded);
        OnRouter(string.Create(CultureInfo.InvariantCulture, $"""
            set -e
            ip link add bey0 mtu {PathMtu} type veth peer name eth0 mtu 1500 netns {_beyond}
            ip addr add 198.18.200.1/24 dev bey0
            ip addr add 2001:2::b:1/112 dev bey0 nodad
            ip link set bey0 up
            ip -n {_beyond} link set lo up
            ip -n {_beyond} link set eth0 up
            ip -n {_beyond} addr add {Live4}/24 dev eth0
            ip -n {_beyond} addr add {Live6}/112 dev eth0 nodad
            ip -n {_beyond} route add default via 198.18.200.1
            ip -n {_beyond} route add default via 2001:2::b:1
            ip neigh add {Dead4} lladdr 02:00:00:00:00:77 dev bey0
            ip neigh add {Dead6} lladdr 02:00:00:00:00:77 dev bey0
            sysctl -qw net.ipv4.ip_forward=1 net.ipv4.conf.eth0.proxy_arp=1 net.ipv4.neigh.eth0.proxy_delay=0
            sysctl -qw net.ipv6.conf.all.forwarding=1 net.ipv6.conf.eth0.proxy_ndp=1 net.ipv6.neigh.eth0.proxy_delay=0
            ip neigh add proxy {Live6} dev eth0
            ip neigh add proxy {Dead6} dev eth0
            """));
    }

    // A namespace that is made in one has a mount that nobody else sees.
    private CommandResult OnMachine(params string[] command)
    {
        using GuestProcess process = Start(command);
        return process.Wait(Time);
    }

    private GuestProcess Start(params string[] command) => GuestProcess.Start(_nk.Folder, 9100 + Interlocked.Increment(ref _count), command);

    private void OnRouter(string script)
    {
        CommandResult result = _nk.Outside.Run(Time, "sh", "-c", script);
        Assert.True(result.Succeeded, result.ToString());
    }
}
