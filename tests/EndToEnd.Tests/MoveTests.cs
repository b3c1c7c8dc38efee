using System.Text.Json;
using NetKernel.Cli.Testbed;

namespace NetKernel.EndToEnd.Tests;

/// <summary>Guests move between NSMs while nginx serves in them and clients outside connect without end (docs/policies.md).</summary>
public sealed class MoveTests : IDisposable
{
    private readonly NkInstance _nk = NkInstance.Up("move");
    private readonly string _file;

    public MoveTests()
    {
        _nk.CreateGuest("web");
        string www = Directory.CreateDirectory(Path.Combine(_nk.Folder, "www"), (UnixFileMode)0x1ED).FullName;
        _file = Path.Combine(www, "file");
        byte[] bytes = new byte[100_000];
        new Random(1).NextBytes(bytes);
        File.WriteAllBytes(_file, bytes);
    }

    public void Dispose() => _nk.Dispose();

    [RootFact]
    public void Nginx_serves_every_new_connection_while_its_NSM_is_replaced_and_old_ones_stay()
    {
        Serve();
        using GuestProcess four = Connect(_nk.Ipv4("web"));
        using GuestProcess six = Connect(_nk.Ipv6("web"));
        Nk("nsm", "create", "kernel1");
        Nk("nsm", "create", "m0", "--kind", "mtcp");
        Progress(four, six);

        Nk("nsm", "replace", "kernel0", "--with", "kernel1");
        Assert.Equal(["kernel1"], ListenersAt());
        Progress(four, six);
        Assert.Equal("draining", StateOf("kernel0")); // the two long ones are there

        Nk("guest", "update", "web", "--nsm", "m0");
        Assert.Equal(["m0"], ListenersAt());
        Progress(four, six);
        Nk("guest", "update", "web", "--nsm", "kernel1");
        Progress(four, six);
        foreach (JsonElement result in new[] { End(four), End(six) })
        {
            Assert.Empty(result.GetProperty("failed").EnumerateArray());
            Assert.Equal("open", result.GetProperty("long").GetString());
        }

        Assert.True(NkInstance.WaitFor(() => StateOf("kernel0") == "drained", TimeSpan.FromSeconds(30)), "the former NSM is stopped when its connections have ended");
        Nk("nsm", "undrain", "kernel0");
        Assert.Equal("ready", StateOf("kernel0"));
    }

    [RootFact]
    public void Drained_with_a_timeout_an_NSM_resets_what_is_left_and_a_guest_without_another_has_no_network()
    {
        Serve();
        using GuestProcess client = Connect(_nk.Ipv4("web"));
        Progress(client);
        CommandResult drained = _nk.Nk("nsm", "drain", "kernel0", "--timeout", "1s", "--watch");
        Assert.True(drained.Succeeded, drained.ToString());
        Assert.EndsWith("drained\n", drained.Output, StringComparison.Ordinal);
        CommandResult refused = _nk.Run(
            "web", TimeSpan.FromSeconds(20), "python3", "-c", "import socket\ntry: socket.create_connection(('198.18.0.250', 9))\nexcept OSError as e: print(e.errno)");
        Assert.Equal("100\n", refused.Output); // ENETDOWN
        Assert.Contains(End(client).GetProperty("long").GetString(), new[] { "ConnectionResetError", "EOF" });

        Nk("nsm", "undrain", "kernel0");
        using GuestProcess again = Connect(_nk.Ipv4("web"));
        Progress(again);
        Assert.Equal("open", End(again).GetProperty("long").GetString());
    }

    [RootFact]
    public void Times_of_a_drain_and_of_a_move_hold_when_nkd_is_killed_and_started_again()
    {
        Serve();
        Nk("nsm", "create", "kernel1");
        using GuestProcess moved = Connect(_nk.Ipv4("web"));
        Progress(moved);
        Nk("guest", "update", "web", "--nsm", "kernel1", "--timeout", "1h");
        Assert.True(Guest().GetProperty("leaveBy").TryGetProperty("kernel0", out JsonElement by), Guest().ToString());
        Again();
        Assert.Equal(by.GetString(), Guest().GetProperty("leaveBy").GetProperty("kernel0").GetString());
        Nk("guest", "update", "web", "--nsm", "kernel1", "--timeout", "3s"); // what is said last holds
        Again();
        Assert.True(NkInstance.WaitFor(() => !Guest().TryGetProperty("leaveBy", out _), TimeSpan.FromSeconds(30)), Guest().ToString());
        Assert.Equal(["kernel1"], Guest().GetProperty("nsms").EnumerateArray().Select(one => one.GetString()));
        Assert.Equal("ConnectionResetError", End(moved).GetProperty("long").GetString());

        using GuestProcess drained = Connect(_nk.Ipv4("web"));
        Progress(drained);
        Nk("nsm", "drain", "kernel1", "--timeout", "1h");
        Nk("nsm", "drain", "kernel1", "--timeout", "3s");
        Again();
        Assert.True(NkInstance.WaitFor(() => StateOf("kernel1") == "drained", TimeSpan.FromSeconds(30)), StateOf("kernel1"));
        Assert.Contains(End(drained).GetProperty("long").GetString(), new[] { "ConnectionResetError", "EOF" });

        JsonElement Guest() => _nk.List("guest", "list").EnumerateArray().First(one => one.GetProperty("name").GetString() == "web");

        void Again()
        {
            int old = _nk.ControlPlanePid;
            Assert.Equal(0, GuestProcess.SendSignal(old, 9));
            Assert.True(NkInstance.WaitFor(() => !Directory.Exists($"/proc/{old}"), TimeSpan.FromSeconds(30)));
            _nk.StartControlPlane();
        }
    }

    [RootFact]
    public void Policies_choose_by_port_and_the_next_NSM_serves_while_one_is_dead()
    {
        Serve();
        Nk("nsm", "create", "kernel1");
        Nk("policy", "create", "http", "--guest", "web", "--port", "80", "--nsm", "kernel1", "--nsm", "kernel0");
        Assert.Equal(["kernel0 81", "kernel1 80", "kernel1 80"], PortsAt());
        using GuestProcess client = Connect(_nk.Ipv4("web"));
        Progress(client);

        // kernel1 cannot come back: what it is started by is taken away.
        int pid = _nk.NsmPid("kernel1");
        _ = GuestProcess.SendSignal(pid, 9);
        Assert.True(NkInstance.WaitFor(() => _nk.NsmPid("kernel1") != pid && _nk.NsmReady("kernel1"), TimeSpan.FromSeconds(30)));
        Progress(client);
        Assert.True(NkInstance.WaitFor(() => PortsAt().SequenceEqual(["kernel0 81", "kernel1 80", "kernel1 80"]), TimeSpan.FromSeconds(30)), string.Join(", ", PortsAt()));
        Progress(client);
        JsonElement result = End(client);
        Assert.Equal("open", result.GetProperty("long").GetString()); // at kernel0 all the time
        Nk("policy", "delete", "http");
        Assert.Equal(["kernel0 80", "kernel0 80", "kernel0 81"], PortsAt());
    }

    [RootFact]
    public void A_bound_datagram_socket_goes_with_the_guest_when_the_former_NSM_is_left()
    {
        const string Server = "import socket\ns=socket.socket(socket.AF_INET6,socket.SOCK_DGRAM); s.bind(('::',5300)); print('ready',flush=True)\n" +
            "while True:\n  d,a=s.recvfrom(100); s.sendto(d,a)";
        const string Client = "import socket,sys\ns=socket.socket(socket.AF_INET,socket.SOCK_DGRAM); s.settimeout(1)\n" +
            "for i in range(20):\n  s.sendto(b'x',(sys.argv[1],5300))\n  try: print(s.recv(9)); break\n  except TimeoutError: pass";
        using GuestProcess server = _nk.Start("web", "python3", "-c", Server);
        Programs.AwaitLine(server, "ready");
        Nk("nsm", "create", "kernel1");
        Nk("guest", "update", "web", "--nsm", "kernel1");
        Assert.Equal("b'x'\n", Ask()); // at once, where it was
        Assert.True(NkInstance.WaitFor(() => SocketAt() == "kernel1", TimeSpan.FromSeconds(30)), SocketAt());
        Assert.Equal("b'x'\n", Ask());

        string Ask() => _nk.Outside.Run(TimeSpan.FromSeconds(40), "python3", "-c", Client, _nk.Ipv4("web")).Output;

        string SocketAt() => _nk.List("conn", "list", "--guest", "web").EnumerateArray().First(one => one.GetProperty("protocol").GetString() == "udp").GetProperty("nsm").GetString()!;
    }

    [RootFact]
    public void An_NSM_that_is_stopped_is_seen_and_started_again()
    {
        Serve();
        int pid = _nk.NsmPid();
        _ = GuestProcess.SendSignal(pid, 19);
        Assert.True(NkInstance.WaitFor(() => StateOf("kernel0") == "stuck", TimeSpan.FromSeconds(30)), StateOf("kernel0"));
        Assert.True(NkInstance.WaitFor(() => _nk.NsmPid() != pid && _nk.NsmReady(), TimeSpan.FromSeconds(60)), StateOf("kernel0"));
        using GuestProcess client = Connect(_nk.Ipv4("web"));
        Progress(client);
        Assert.Equal("open", End(client).GetProperty("long").GetString());
    }

    [RootFact]
    public void Fragments_and_ICMP_errors_reach_the_NSM_that_has_the_socket()
    {
        Serve();
        Nk("nsm", "create", "kernel1");
        using GuestProcess holds = Connect(_nk.Ipv4("web")); // while this lasts, kernel0 is not left
        Progress(holds);
        using GuestProcess echo = _nk.Start("web", "python3", Programs.Path("parts.py"), "echo");
        Programs.AwaitLine(echo, "ready");
        using GuestProcess asks = _nk.Start("web", "python3", Programs.Path("parts.py"), "ask", _nk.Outside.Ipv4, _nk.Outside.Ipv6);
        Programs.AwaitLine(asks, "ready");
        Nk("guest", "update", "web", "--nsm", "kernel1");
        using GuestProcess late = _nk.Start("web", "python3", Programs.Path("parts.py"), "ask", _nk.Outside.Ipv4, _nk.Outside.Ipv6);
        Programs.AwaitLine(late, "ready");
        Assert.Equal(["kernel0", "kernel1"], Datagrams().Distinct().Order(StringComparer.Ordinal));

        // Datagrams of six fragments, both ways, to the socket that is at the former NSM.
        CommandResult large = _nk.Outside.Run(TimeSpan.FromSeconds(60), "python3", Programs.Path("parts.py"), "large", _nk.Ipv4("web"), _nk.Ipv6("web"));
        Assert.Equal("8000 8000\n", large.Output + large.Error);

        // A closed port outside: its errors come to the sockets of either NSM.
        foreach (GuestProcess one in new[] { asks, late })
        {
            one.Signal(10);
            Assert.Equal("ready\nECONNREFUSED ECONNREFUSED\n", one.Wait(TimeSpan.FromSeconds(60)).Output);
        }

        string[] Datagrams() => [.. _nk.List("conn", "list", "--guest", "web").EnumerateArray().Where(one => one.GetProperty("protocol").GetString() == "udp")
            .Select(one => one.GetProperty("nsm").GetString()!)];
    }

    private void Serve()
    {
        string configuration = Path.Combine(_nk.Folder, "nginx.conf");
        File.WriteAllText(configuration, $$"""
            daemon off; user root; worker_processes 2; error_log {{_nk.Folder}}/error.log; pid {{_nk.Folder}}/nginx.pid; events {}
            http { access_log off; server { listen 80; listen [::]:80; root {{_nk.Folder}}/www; } }
            """);
        _ = _nk.Start("web", "nginx", "-c", configuration);
        GuestProcess echo = _nk.Start("web", "python3", Programs.Path("movers.py"), "server");
        Programs.AwaitLine(echo, "ready");
        Assert.True(_nk.WaitForListener("web", 80, TimeSpan.FromSeconds(30)));
    }

    private GuestProcess Connect(string address)
    {
        GuestProcess client = _nk.Outside.Start("python3", Programs.Path("movers.py"), "client", address, _file);
        Programs.AwaitLine(client, "up");
        return client;
    }

    /// <summary>Waits until each client has served forty more short connections.</summary>
    private static void Progress(params GuestProcess[] clients)
    {
        foreach (GuestProcess client in clients)
        {
            int before = Count(client);
            Assert.True(NkInstance.WaitFor(() => Count(client) >= before + 4, TimeSpan.FromSeconds(60)), client.Output + client.Error);
        }

        static int Count(GuestProcess client) => client.Output.Split('\n').Count(line => line.StartsWith("at ", StringComparison.Ordinal));
    }

    private static JsonElement End(GuestProcess client)
    {
        client.Signal(15);
        CommandResult result = client.Wait(TimeSpan.FromSeconds(60));
        return JsonDocument.Parse(result.Output.TrimEnd('\n').Split('\n')[^1]).RootElement.Clone();
    }

    private string[] ListenersAt() => [.. Listeners().Select(one => one.Nsm).Distinct()];

    private string[] PortsAt() => [.. Listeners().Select(one => $"{one.Nsm} {one.Local[(one.Local.LastIndexOf(':') + 1)..]}").Order(StringComparer.Ordinal)];

    private (string Nsm, string Local)[] Listeners() =>
        [.. _nk.List("conn", "list", "--guest", "web").EnumerateArray().Where(one => one.GetProperty("state").GetString() == "listen")
            .Select(one => (one.GetProperty("nsm").GetString()!, one.GetProperty("local").GetString()!))];

    private string StateOf(string nsm) => _nk.List("nsm", "list").EnumerateArray().First(one => one.GetProperty("name").GetString() == nsm).GetProperty("state").GetString()!;

    private void Nk(params string[] arguments)
    {
        CommandResult result = _nk.Nk(arguments);
        Assert.True(result.Succeeded, result.ToString());
    }
}
