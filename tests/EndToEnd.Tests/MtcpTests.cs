using NetKernel.Cli.Testbed;

namespace NetKernel.EndToEnd.Tests;

/// <summary>programs/semantics.py over the user-space stack: between two guests of one NSM of kind mtcp, with the kernel's own loopback as the oracle.</summary>
public sealed class MtcpTests : IDisposable
{
    private readonly NkInstance _nk;

    public MtcpTests()
    {
        _nk = NkInstance.Up("mtcp", "--shared-memory", "off");
        Assert.True(_nk.Nk("nsm", "create", "m0", "--kind", "mtcp").Succeeded);
        _nk.CreateGuest("a", "m0");
        _nk.CreateGuest("b", "m0");
    }

    [Fact]
    public void Sockets_do_what_the_kernels_do()
    {
        foreach ((string any, string loopback, string address, int port) in new[]
        {
            ("0.0.0.0", "127.0.0.1", _nk.Ipv4("b"), 7001), ("::", "::1", _nk.Ipv6("b"), 7002),
        })
        {
            string expected = Programs.RunNatively(Server(loopback, 0), at => Client(loopback, at));
            using GuestProcess server = _nk.Start("b", Server(any, port));
            Programs.AwaitLine(server, "ready");
            CommandResult client = _nk.Run("a", TimeSpan.FromSeconds(120), Client(address, port));
            Assert.Equal(expected, client.Output);
            Assert.True(client.Succeeded, client.ToString());
        }
    }

    /// <summary>programs/connecting.py, likewise.</summary>
    [Fact]
    public void A_socket_has_its_name_while_it_connects()
    {
        string expected = Programs.RunNatively(ConnectingTests.Server("127.0.0.1", 0), at => ConnectingTests.Client("127.0.0.1", at));
        using GuestProcess server = _nk.Outside.Start(ConnectingTests.Server("0.0.0.0", 7005));
        Programs.AwaitLine(server, "ready");
        CommandResult client = _nk.Run("a", TimeSpan.FromSeconds(60), ConnectingTests.Client(_nk.Outside.Ipv4, 7005));
        Assert.Equal(expected, client.Output + client.Error);
    }

    /// <summary>programs/datagrams.py, likewise.</summary>
    [Fact]
    public void Datagrams_do_what_the_kernels_do()
    {
        foreach ((string any, string loopback, string address, int port) in new[]
        {
            ("0.0.0.0", "127.0.0.1", _nk.Ipv4("b"), 7003), ("::", "::1", _nk.Ipv6("b"), 7004),
        })
        {
            string expected = Programs.RunNatively(Server(loopback, 0, "datagrams.py"), at => Client(loopback, at, "datagrams.py"));
            using GuestProcess server = _nk.Start("b", Server(any, port, "datagrams.py"));
            Programs.AwaitLine(server, "ready");
            CommandResult client = _nk.Run("a", TimeSpan.FromSeconds(120), Client(address, port, "datagrams.py"));
            Assert.Equal(expected, client.Output);
            Assert.True(client.Succeeded, client.ToString());
        }
    }

    /// <summary>What the stack does not have is refused, whenever it is set, and the old value stays; everything else is as in the kernel.</summary>
    [Fact]
    public void Options_of_datagram_sockets_are_honoured_or_refused()
    {
        (string[] native, string[] guest) = DatagramOptions.Run(_nk);
        (string Native, string Guest)[] refused = [.. native.Zip(guest).Where(pair => pair.First != pair.Second)];
        Assert.Equal(native.Length, guest.Length);
        Assert.All(refused, pair => Assert.Contains(": ENOPROTOOPT, ", pair.Guest, StringComparison.Ordinal));
        Assert.Equal(
            ["IPV6_MULTICAST_HOPS", "IP_MULTICAST_LOOP", "IP_MULTICAST_TTL", "SO_NO_CHECK", "SO_PRIORITY"],
            refused.Select(pair => pair.Guest.Split(' ', ':')[2]).Distinct().Order(StringComparer.Ordinal));
        Assert.Equal(2 * 2 * ((2 * 4) + 1), refused.Length); // fresh and used, once and again, four on both families and one on IPv6

        // Each is read back as it was before it was set.
        Assert.All(refused, pair => Assert.Equal(DatagramOptions.Default(pair.Guest), pair.Guest.Split(", ")[1]));
    }

    /// <summary>nk conn list -o json has what the stack measures, of this stack and of the kernel's.</summary>
    [Fact]
    public void Connections_are_listed_with_their_paths()
    {
        _nk.CreateGuest("ka", "kernel0");
        _nk.CreateGuest("kb", "kernel0");
        foreach ((string client, string server) in new[] { ("a", "b"), ("ka", "kb") })
        {
            const int Port = 7005;
            using GuestProcess listening = _nk.Start(server, "python3", "-c", $"import socket\ns = socket.create_server(('0.0.0.0', {Port}))\nprint('ready', flush=True)\nc, _ = s.accept()\nc.recv(1)\nc.send(b'x')\nprint('sent', flush=True)\nc.recv(1)");
            Programs.AwaitLine(listening, "ready");
            using GuestProcess connected = _nk.Start(client, "python3", "-c", $"import socket, time\nc = socket.create_connection(('{_nk.Ipv4(server)}', {Port}))\nc.send(b'x')\nc.recv(1)\nprint('ready', flush=True)\nc.recv(1)");
            Programs.AwaitLine(connected, "ready");
            System.Text.Json.JsonElement[] rows = [.. _nk.List("conn", "list", "--guest", client).EnumerateArray()];
            System.Text.Json.JsonElement path = Assert.Single(rows, row => row.GetProperty("state").GetString() == "established").GetProperty("path");
            Assert.Equal("cubic", path.GetProperty("congestionControl").GetString());
            Assert.InRange(path.GetProperty("cwnd").GetInt32(), 2, 1000);
            Assert.InRange(path.GetProperty("rttMicroseconds").GetInt32(), 1, 10_000_000);
            Assert.InRange(path.GetProperty("mss").GetInt32(), 500, 65535);
        }
    }

    /// <summary>A guest's congestion control, at either kind of NSM; new connections follow a change, the others stay.</summary>
    [Fact]
    public void Guests_have_a_congestion_control_of_their_own()
    {
        Assert.True(_nk.Nk("guest", "create", "ka", "--nsm", "kernel0", "--congestion-control", "reno").Succeeded);
        Assert.True(_nk.Nk("guest", "update", "a", "--congestion-control", "dctcp").Succeeded);
        const int Port = 7006;
        using GuestProcess listening = _nk.Start("b", "python3", "-c", $"import socket\ns = socket.create_server(('0.0.0.0', {Port}))\nprint('ready', flush=True)\nkept = [s.accept() for _ in range(3)]\nprint('all', flush=True)\ns.accept()");
        Programs.AwaitLine(listening, "ready");
        using GuestProcess first = Connect("a", "ready");
        using GuestProcess kernels = Connect("ka", "ready");
        Assert.True(_nk.Nk("guest", "update", "a", "--congestion-control", "bbr").Succeeded);
        Assert.True(_nk.Nk("guest", "update", "b", "--congestion-control", "reno").Succeeded);
        using GuestProcess second = Connect("a", "ready");
        Programs.AwaitLine(listening, "all");
        Assert.Equal(["bbr", "dctcp"], Of("a"));
        Assert.Equal(["reno"], Of("ka"));
        Assert.Equal(["cubic", "cubic", "reno"], Of("b"));
        Assert.Contains("dctcp", _nk.Nk("conn", "list", "--guest", "a", "-o", "wide").Output, StringComparison.Ordinal);

        // At once refused where nkd knows; said of the guest where the NSM that it comes to does not have it.
        CommandResult refused = _nk.Nk("guest", "update", "ka", "--congestion-control", "dctcp");
        Assert.False(refused.Succeeded);
        Assert.Contains("one of cubic, bbr, reno", refused.Error, StringComparison.Ordinal);
        Assert.True(_nk.Nk("guest", "create", "moves", "--nsm", "m0", "--congestion-control", "dctcp").Succeeded);
        Assert.True(_nk.Nk("guest", "update", "moves", "--nsm", "kernel0").Succeeded);
        bool kernelHasIt = File.ReadAllText("/proc/sys/net/ipv4/tcp_available_congestion_control").Split().Contains("dctcp");
        Assert.Equal(!kernelHasIt, _nk.Nk("guest", "list").Output.Contains("there is no congestion control dctcp", StringComparison.Ordinal));

        GuestProcess Connect(string guest, string line)
        {
            GuestProcess process = _nk.Start(guest, "python3", "-c", $"import socket\nc = socket.create_connection(('{_nk.Ipv4("b")}', {Port}))\nprint('ready', flush=True)\nc.recv(1)");
            Programs.AwaitLine(process, line);
            return process;
        }

        string[] Of(string guest) => [.. _nk.List("conn", "list", "--guest", guest).EnumerateArray().Where(row => row.GetProperty("state").GetString() == "established")
            .Select(row => row.GetProperty("path").GetProperty("congestionControl").GetString()!).Order(StringComparer.Ordinal)];
    }

    public void Dispose() => _nk.Dispose();

    private static string[] Server(string address, int port, string program = "semantics.py") => ["python3", Programs.Path(program), "server", address, $"{port}"];

    private static string[] Client(string address, int port, string program = "semantics.py") => ["python3", Programs.Path(program), "client", address, $"{port}"];
}
