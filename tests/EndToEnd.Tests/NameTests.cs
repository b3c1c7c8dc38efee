using NetKernel.Cli.Testbed;

namespace NetKernel.EndToEnd.Tests;

/// <summary>
/// Names: programs/names.c and ordinary programs ask programs/dnsserver.py, which runs outside, from a guest and natively from outside; both must print the same.
/// </summary>
[Collection(SharedInstance.Name)]
public sealed class NameTests(InstanceFixture fixture)
{
    private NkInstance Nk => fixture.Nk;

    [Theory]
    [InlineData("infos")]
    [InlineData("hosts")]
    [InlineData("reverse")]
    [InlineData("queries")]
    [InlineData("asynchronous")]
    [InlineData("cancelled")]
    public void Calls_give_what_they_give_natively(string section)
    {
        using NameBed bed = new(Nk, "names");
        bed.SameAtOnce([bed.Program, section]);
    }

    [Theory]
    [InlineData("infos")]
    [InlineData("hosts")]
    [InlineData("reverse")]
    [InlineData("queries")]
    public void Calls_give_what_they_give_natively_over_TCP(string section)
    {
        using NameBed bed = new(Nk, "names-tcp", "use-vc");
        // The C library takes an answer to another question over TCP; this library does not.
        bed.SameAtOnce([bed.Program, section], line => !line.Contains("wrongquestion", StringComparison.Ordinal));
        Assert.DoesNotContain("udp", bed.Log, StringComparison.Ordinal);
    }

    [Fact]
    public void The_service_gives_the_C_library_what_its_own_gives()
    {
        using NameBed bed = new(Nk, "names");
        Assert.Equal(bed.Natively([bed.Program, "module=dns"]).Output, bed.InGuest(["env", bed.Program, "module=netkernel"]).Output);
    }

    [Fact]
    public void Threads_and_children_look_names_up_at_the_same_time()
    {
        using NameBed bed = new(Nk, "names");
        CommandResult result = bed.InGuest([bed.Program, "threads"]);
        Assert.True(result.Succeeded, result.ToString());
        Assert.All(result.Output.TrimEnd('\n').Split('\n'), line => Assert.EndsWith(" 0", line));
    }

    [Theory]
    [InlineData("getent", "ahosts", "two.example.test")]
    [InlineData("getent", "ahostsv4", "alias2.example.test")]
    [InlineData("getent", "ahostsv6", "host.example.test")]
    [InlineData("getent", "hosts", "host.example.test")]
    [InlineData("getent", "hosts", "198.18.9.1")]
    [InlineData("getent", "hosts", "2001:2::9:1")]
    [InlineData("getent", "hosts", "nowhere.example.test")]
    [InlineData("getent", "-s", "dns", "hosts", "four.example.test")]
    [InlineData("getent", "-s", "hosts:dns", "ahosts", "short")]
    [InlineData("getent", "hosts", "localhost")]
    [InlineData("dig", "+short", "two.example.test")]
    [InlineData("dig", "+short", "+tcp", "tc.example.test")]
    [InlineData("dig", "+short", "tc.example.test")]
    [InlineData("dig", "+short", "-x", "198.18.9.1")]
    [InlineData("host", "alias2.example.test")]
    [InlineData("host", "-t", "MX", "host.example.test", "2001:2::fa")]
    [InlineData("env", "LOCALDOMAIN=deep.sub.example.test", "getent", "hosts", "only")]
    [InlineData("env", "RES_OPTIONS=ndots:3", "getent", "hosts", "dotted.name")]
    [InlineData("env", "HOSTALIASES=aliases", "getent", "hosts", "nickname")]
    [InlineData("python3", "-c", "import socket as s; print(s.gethostbyname_ex('two.example.test'), s.getfqdn('198.18.9.1'), s.gethostbyaddr('2001:2::9:1'), s.getnameinfo(('198.18.9.1', 80), 0))")]
    public void Programs_print_what_they_print_natively(params string[] command)
    {
        using NameBed bed = new(Nk, "names");
        File.WriteAllText(Path.Combine(Nk.Folder, "aliases"), "nickname host.example.test\n");
        bed.Same([.. command.Select(word => word.Replace("=aliases", "=" + Path.Combine(Nk.Folder, "aliases"), StringComparison.Ordinal))]);
    }

    [Fact]
    public void Curl_fetches_by_name()
    {
        using NameBed bed = new(Nk, "names");
        File.WriteAllText(Path.Combine(Nk.Folder, "page"), "by name\n");
        foreach ((string address, string family, int port) in new[] { (Nk.Outside.Ipv4, "-4", 7120), (Nk.Outside.Ipv6, "-6", 7121) })
        {
            using GuestProcess server = Nk.Outside.Start("python3", "-u", "-m", "http.server", "--bind", address, "--directory", Nk.Folder, $"{port}");
            Programs.AwaitLine(server, "Serving");
            CommandResult curl = bed.InGuest(["curl", family, "-sS", "--max-time", "20", $"http://outside.example.test:{port}/page"]);
            Assert.Equal("by name\n", curl.Output);
        }
    }

    [Theory]
    [InlineData("ndots:1", "udp", 1)]
    [InlineData("edns0", "edns 1200", 1)]
    [InlineData("single-request", "udp", 1)]
    [InlineData("single-request-reopen", "udp", 2)]
    [InlineData("use-vc", "tcp", 1)]
    public void Options_of_resolv_conf_are_heeded(string option, string expected, int ports)
    {
        using NameBed bed = new(Nk, "names-options", option);
        bed.Same(["getent", "ahosts", "outside.example.test"]);
        string[] log = bed.GuestLog("outside.example.test");
        Assert.Equal(2, log.Length);
        Assert.All(log, line => Assert.Contains(expected, line, StringComparison.Ordinal));
        Assert.Equal(ports, log.Select(line => line.Split(' ')[^1]).Distinct().Count());
    }

    [Fact]
    public void Addresses_that_the_stack_has_no_route_to_come_last()
    {
        using NameBed bed = new(Nk, "names-routes");
        string[] names = ["@routeless.example.test", "@routeless4.example.test", "@noroutes.example.test", "@two.example.test", "@localhost"];
        bed.Same([bed.Program, .. names]);
        Assert.StartsWith("198.18.9.51", bed.InGuest(["getent", "ahosts", "routeless.example.test"]).Output, StringComparison.Ordinal);
    }

    [Fact]
    public void A_server_that_hears_only_one_query_of_two_is_asked_again()
    {
        using NameBed bed = new(Nk, "names-once", "timeout:1");
        bed.Same([bed.Program, "@once.example.test"]);
    }

    [Fact]
    public void A_guest_serves_names_to_another_guest()
    {
        using GuestProcess server = Nk.Start(
            "b", "dnsmasq", "--keep-in-foreground", "--no-resolv", "--no-hosts", "--conf-file=/dev/null", "--user=root", "--pid-file=", "--log-facility=-",
            "--address=/guests.test/198.18.7.1", "--address=/guests.test/2001:2::7:1", "--ptr-record=1.7.18.198.in-addr.arpa,host.guests.test");
        Assert.True(NkInstance.WaitFor(() => server.Error.Contains("started", StringComparison.Ordinal) || server.Ended, TimeSpan.FromSeconds(20)), server.Error);
        using NameBed bed = new(Nk, "names-served", [Nk.Ipv4("b")], [], []);
        Assert.Equal("2001:2::7:1\n", bed.InGuest(["sh", "-c", "getent ahosts www.guests.test | awk 'NR==1{print $1}'"]).Output);
        Assert.Equal("198.18.7.1      host.guests.test\n", bed.InGuest(["getent", "hosts", "198.18.7.1"]).Output);
        Assert.Equal("198.18.7.1\n", bed.InGuest(["dig", "+short", "dig.guests.test"]).Output);
    }

    [Fact]
    public void No_aaaa_asks_for_no_IPv6_address()
    {
        using NameBed bed = new(Nk, "names-no-aaaa", "no-aaaa");
        bed.Same(["getent", "ahosts", "outside.example.test"]);
        Assert.DoesNotContain(bed.GuestLog("outside.example.test"), line => line.Contains("AAAA", StringComparison.Ordinal));
    }

    [Fact]
    public void Rotation_asks_every_server()
    {
        string[] servers = [Nk.Outside.Ipv4, Nk.Outside.Ipv6];
        using NameBed bed = new(Nk, "names-rotate", servers, [], ["rotate"]);
        string script = "import socket\nfor i in range(8): socket.gethostbyname('four.example.test')";
        Assert.True(bed.InGuest(["python3", "-c", script]).Succeeded);
        Assert.All(servers, server => Assert.Contains(bed.GuestLog("four.example.test"), line => line.Contains($" {server} ", StringComparison.Ordinal)));
    }

    [Fact]
    public void A_dead_server_is_given_up_and_the_next_is_asked()
    {
        using (NameBed bed = new(Nk, "names-second", ["198.18.0.251", Nk.Outside.Ipv6], [], ["timeout:1"]))
        {
            bed.Same(["getent", "hosts", "four.example.test"]);
        }

        using (NameBed bed = new(Nk, "names-dead", ["198.18.0.251"], [], ["timeout:1", "attempts:1"]))
        {
            bed.Same([bed.Program, "@host.example.test"]);
        }

        // Somebody is there, but nobody serves the port.
        using (NameBed bed = new(Nk, "names-refused", [Nk.Ipv4("b")], [], ["timeout:1", "attempts:1"]))
        {
            bed.Same([bed.Program, "@host.example.test"]);
        }

        using (NameBed bed = new(Nk, "names-silent", "timeout:1", "attempts:1"))
        {
            bed.Same([bed.Program, "@dead.example.test", "@deadsix.example.test", "@garbage.example.test"], line => !line.Contains("garbage", StringComparison.Ordinal));
        }
    }

    [RootFact]
    public void Addresses_of_the_host_count_as_the_guests_where_it_has_no_other()
    {
        using NkInstance host = NkInstance.Up("t", "--mode", "host");
        const string script = "import socket as s\nfor family, address in (s.AF_INET, '198.18.0.1'), (s.AF_INET6, '2001:2::1'):\n"
            + "  print(s.getaddrinfo(address, 80, family, s.SOCK_STREAM, 0, s.AI_ADDRCONFIG)[0][4][0])";
        Assert.Equal("198.18.0.1\n2001:2::1\n", host.Run("a", TimeSpan.FromSeconds(30), "python3", "-c", script).Output);
    }

    [Fact]
    public void More_search_domains_than_the_old_structure_holds_are_searched()
    {
        string[] domains = [.. Enumerable.Range(1, 9).Select(i => $"d{i}.example.test"), "deep.sub.example.test"];
        using NameBed bed = new(Nk, "names-search", [Nk.Outside.Ipv4], domains, []);
        bed.Same(["getent", "hosts", "only"]);
        Assert.Equal(10, bed.GuestLog("only.").Count(line => line.Contains(" AAAA ", StringComparison.Ordinal)));
    }
}
