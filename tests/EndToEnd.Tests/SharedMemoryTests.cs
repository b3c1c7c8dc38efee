using System.Globalization;
using System.Text.Json;
using NetKernel.Channel;
using NetKernel.Cli.Demo;
using NetKernel.Cli.Testbed;

namespace NetKernel.EndToEnd.Tests;

/// <summary>Which way connections go: between guests by shared memory, where policy allows; else by the guest's own NSM. The programs cannot tell.</summary>
[Collection(SharedInstance.Name)]
public sealed class SharedMemoryTests(InstanceFixture fixture)
{
    private NkInstance Nk => fixture.Nk;

    [Fact]
    public void One_listener_serves_guests_by_shared_memory_and_others_by_the_kernel_at_once()
    {
        using GuestProcess echo = Nk.Start("b", "python3", Programs.Path("echo.py"), "::", "7030");
        Programs.AwaitLine(echo, "ready");
        string[] Hold(string address) => ["python3", Programs.Path("survivor.py"), address, "7030", "3"];
        using GuestProcess four = Nk.Start("a", Hold(Nk.Ipv4("b")));
        using GuestProcess six = Nk.Start("a", Hold(Nk.Ipv6("b")));
        using GuestProcess outside = Nk.Outside.Start(Hold(Nk.Ipv4("b")));
        Programs.AwaitLine(four, "up");
        Programs.AwaitLine(six, "up");
        Programs.AwaitLine(outside, "up");
        Assert.Equal(["sharedmem", "sharedmem", "sharedmem", "sharedmem", "sharedmem", "sharedmem"], NsmsOf("a", "peer", ":7030", "established"));
        Assert.Equal(
            ["kernel0", "kernel0", "kernel0", "sharedmem", "sharedmem", "sharedmem", "sharedmem", "sharedmem", "sharedmem"],
            NsmsOf("b", "local", ":7030", "established"));
        Assert.Equal(["kernel0"], NsmsOf("b", "local", ":7030", "listen"));
        echo.Kill();
        foreach (GuestProcess client in new[] { four, six, outside })
        {
            Programs.AwaitLine(client, "ended");
            Assert.Contains("ended EOF=3", client.Output, StringComparison.Ordinal);
        }
    }

    [Fact]
    public void A_port_where_nobody_listens_is_refused()
    {
        const string Program =
            "import socket,sys\n" +
            "for f,a in ((socket.AF_INET,sys.argv[1]),(socket.AF_INET6,sys.argv[2])):\n" +
            "  s=socket.socket(f)\n" +
            "  try: s.connect((a,7031))\n" +
            "  except OSError as e: print(type(e).__name__)\n" +
            "  s.bind(('',7033)) if f==socket.AF_INET else None\n" +
            "  print(s.getsockname()[1])";
        CommandResult result = Nk.Run("a", TimeSpan.FromSeconds(20), "python3", "-c", Program, Nk.Ipv4("b"), Nk.Ipv6("b"));
        Assert.Matches("^ConnectionRefusedError\n7033\nConnectionRefusedError\n[1-9][0-9]*\n$", result.Output); // the port of a refused connect stays, as Linux has it
    }

    [Fact]
    public void A_bound_client_keeps_its_address_and_port_and_nobody_else_gets_the_port()
    {
        using GuestProcess echo = Nk.Start("b", "python3", Programs.Path("echo.py"), "0.0.0.0", "7032");
        Programs.AwaitLine(echo, "ready");
        const string Program =
            "import errno,socket,sys\n" +
            "s=socket.socket(); s.bind(('',4711)); s.connect((sys.argv[1],7032)); s.sendall(b'x'); s.recv(1)\n" +
            "print(s.getsockname()[1], s.getpeername()==(sys.argv[1],7032))\n" +
            "t=socket.socket()\n" +
            "try: t.bind(('',4711))\n" +
            "except OSError as e: print(errno.errorcode[e.errno])\n" +
            "s.shutdown(socket.SHUT_WR); s.recv(1); s.close(); echo=socket.create_connection((sys.argv[1],7032)); print(echo.getsockname()[0]==sys.argv[2])";
        CommandResult result = Nk.Run("a", TimeSpan.FromSeconds(20), "python3", "-c", Program, Nk.Ipv4("b"), Nk.Ipv4("a"));
        Assert.Equal("4711 True\nEADDRINUSE\nTrue\n", result.Output);
    }

    private string[] NsmsOf(string guest, string end, string port, string state) =>
        [.. Nk.List("conn", "list", "--guest", guest).EnumerateArray()
            .Where(c => c.GetProperty(end).GetString()!.EndsWith(port, StringComparison.Ordinal) && c.GetProperty("state").GetString() == state)
            .Select(c => c.GetProperty("nsm").GetString()!).Order()];
}

/// <summary>Whole programs between guests, and the counters that say which way they went.</summary>
[Collection(PlatformFixture.Name)]
public sealed class SharedMemoryProgramTests(PlatformFixture platform)
{
    [RootTheory]
    [InlineData("nginx (2 workers), wrk")]
    [InlineData("redis-server, redis-benchmark")]
    [InlineData("iperf3, guest to guest")]
    [InlineData("iperf3 -R, guest to guest")]
    [InlineData("python asyncio echo, 100 clients")]
    public void Goes_by_shared_memory(string step)
    {
        (ulong Shared, ulong Kernel) before = Bytes();
        string shown = platform.Demo.RunStep(step);
        (ulong Shared, ulong Kernel) after = Bytes();
        Assert.NotEmpty(shown);
        Assert.True(after.Shared > before.Shared + 100_000, $"by shared memory: {after.Shared - before.Shared} bytes");
        Assert.True(after.Kernel < before.Kernel + 100_000, $"by the kernel NSM: {after.Kernel - before.Kernel} bytes");
    }

    private (ulong Shared, ulong Kernel) Bytes()
    {
        JsonElement nsms = platform.Instance.List("stat").GetProperty("nsms");
        ulong Of(string name) => nsms.EnumerateArray().Where(nsm => nsm.GetProperty("name").GetString() == name)
            .Select(nsm => nsm.GetProperty("bytesSent").GetUInt64() + nsm.GetProperty("bytesReceived").GetUInt64()).Single();
        return (Of("sharedmem"), Of("kernel0"));
    }
}

/// <summary>Something is killed in the middle of checked streams between guests.</summary>
[Trait("Category", "Fault")]
public sealed class SharedMemoryFaultTests(Xunit.Abstractions.ITestOutputHelper output)
{
    private const int Streams = 40;

    [Fact]
    public void Without_shared_memory_the_guests_own_NSM_serves()
    {
        using NkInstance nk = NkInstance.Up("shoff", "--shared-memory", "off");
        using GuestProcess server = Serve(nk);
        using GuestProcess client = Connect(nk);
        Assert.All(
            nk.List("conn", "list", "--guest", "a").EnumerateArray(), c => Assert.Equal("kernel0", c.GetProperty("nsm").GetString()));
        _ = GuestProcess.SendSignal(client.Pid, 15);
    }

    [Fact]
    public void With_two_loops_guests_of_both_reach_each_other()
    {
        using NkInstance nk = NkInstance.Up("shloops", "--loops", "2");
        using GuestProcess server = Serve(nk);
        for (int i = 0; i < 4; i++)
        {
            using GuestProcess client = Connect(nk);
            Assert.Contains(nk.List("conn", "list", "--guest", "a").EnumerateArray(), c => c.GetProperty("nsm").GetString() == "sharedmem");
            client.Kill();
            AwaitEnds(server, i + 1);
        }

        Assert.All(Ends(server), line => Assert.Contains(" bad=0 ", line, StringComparison.Ordinal));
    }

    [Theory]
    [InlineData("copy")]
    [InlineData("direct")]
    public void A_killed_sender_a_killed_receiver_and_a_deleted_guest_end_the_streams_without_a_wrong_byte(string form)
    {
        using NkInstance nk = Up("shfault", form);
        GuestProcess server = Serve(nk);
        using (GuestProcess client = Connect(nk))
        {
            Assert.Equal(form == "direct" ? Streams : 0, DirectForm.Count(nk, "a", "7040"));
            client.Kill();
            AwaitEnds(server, 1);
            Show("a killed sender", server);
        }

        using (GuestProcess client = Connect(nk))
        {
            server.Kill();
            Programs.AwaitLine(client, "end ");
            Show("a killed receiver", client);
            Assert.Contains("ECONNRESET=", client.Output, StringComparison.Ordinal);
        }

        server.Dispose();
        using (server = Serve(nk))
        using (GuestProcess client = Connect(nk))
        {
            CommandResult deleted = nk.Nk("guest", "delete", "a", "--force");
            Assert.True(deleted.Succeeded, deleted.ToString());
            AwaitEnds(server, 1);
            Show("a deleted guest", server);
        }

        Assert.True(NkInstance.WaitFor(() => nk.TrafficOf("b").Open == 0, TimeSpan.FromSeconds(20)), $"{nk.TrafficOf("b")}");
        nk.CreateGuest("a");
        using GuestProcess again = Serve(nk);
        using GuestProcess last = Connect(nk);
        _ = GuestProcess.SendSignal(last.Pid, 15);
        AwaitEnds(again, 1);
        Show("at last", again);
    }

    [Theory]
    [InlineData("copy")]
    [InlineData("direct")]
    public void A_killed_CoreEngine_resets_all_streams_and_later_ones_go_by_shared_memory_again(string form)
    {
        using NkInstance nk = Up("shengine", form);
        using GuestProcess server = Serve(nk);
        using GuestProcess client = Connect(nk);
        Assert.Equal(form == "direct" ? Streams : 0, DirectForm.Count(nk, "a", "7040"));
        double killed = DateTimeOffset.UtcNow.ToUnixTimeMilliseconds() / 1000.0;
        _ = GuestProcess.SendSignal(nk.EnginePid, 9);
        Programs.AwaitLine(client, "end ");
        AwaitEnds(server, 1);
        output.WriteLine(string.Create(CultureInfo.InvariantCulture, $"killed at {killed:F3}"));
        Show("the sender", client);
        Show("the receiver", server);
        Assert.Contains($"ECONNRESET={Streams} ", client.Output, StringComparison.Ordinal);
        Assert.Contains($"ECONNRESET={Streams} ", server.Output, StringComparison.Ordinal);
        using GuestProcess survivor = nk.Start("a", "python3", Programs.Path("streams.py"), "client", nk.Ipv4("b"), "7040", "1");
        Assert.True(
            NkInstance.WaitFor(
                () => survivor.Output.Contains("up", StringComparison.Ordinal) || survivor.Ended, TimeSpan.FromSeconds(30)), survivor.Error);
    }

    [Theory]
    [InlineData("copy")]
    [InlineData("direct")]
    public void The_guests_own_NSM_may_be_killed_and_be_left_without_a_stream_noticing(string form)
    {
        using NkInstance nk = Up("shown", form);
        using GuestProcess server = Serve(nk);
        using GuestProcess client = Connect(nk);
        Assert.All(nk.List("conn", "list", "--guest", "a").EnumerateArray(), c => Assert.Equal("sharedmem", c.GetProperty("nsm").GetString()));
        for (int i = 0; i < 4; i++)
        {
            // Once more than there are parts that it can have.
            int pid = nk.NsmPid();
            _ = GuestProcess.SendSignal(pid, 9);
            Assert.True(NkInstance.WaitFor(() => nk.NsmPid() != pid && nk.NsmReady(), TimeSpan.FromSeconds(30)), "the NSM does not come back");
            Assert.False(client.Ended, client.Output + client.Error);
        }

        Assert.True(nk.Nk("nsm", "create", "kernel1").Succeeded);
        foreach (string guest in new[] { "a", "b" })
        {
            CommandResult moved = nk.Nk("guest", "update", guest, "--nsm", "kernel1");
            Assert.True(moved.Succeeded, moved.ToString());
        }

        Assert.Empty(Ends(server));
        _ = GuestProcess.SendSignal(client.Pid, 15);
        AwaitEnds(server, 1);
        Show("the receiver", server);
        Assert.Contains($"EOF={Streams} ", server.Output, StringComparison.Ordinal);

        // And the listener serves others by the NSM that there is now.
        using GuestProcess outside = nk.Outside.Start("python3", Programs.Path("streams.py"), "client", nk.Ipv4("b"), "7040", "1");
        Programs.AwaitLine(outside, "up");
    }

    [Fact]
    public void A_limit_that_is_set_later_takes_streams_out_of_the_direct_form_without_a_wrong_byte()
    {
        using NkInstance nk = Up("shlimit", "direct");
        using GuestProcess server = Serve(nk);
        using GuestProcess client = Connect(nk);
        Assert.Equal(Streams, DirectForm.Count(nk, "a", "7040"));
        ulong before = nk.TrafficOf("b").Bytes;
        CommandResult limited = nk.Nk("guest", "update", "b", "--limit-receive", "50M");
        Assert.True(limited.Succeeded, limited.ToString());
        Assert.True(NkInstance.WaitFor(() => DirectForm.Count(nk, "a", "7040") == 0, TimeSpan.FromSeconds(20)), "still direct");
        Assert.True(NkInstance.WaitFor(() => nk.TrafficOf("b").Bytes > before + (64 << 20), TimeSpan.FromSeconds(30)), "the streams stand still");
        Assert.False(client.Ended || server.Ended, client.Output + server.Output);
        Assert.True(nk.Nk("guest", "update", "b", "--limit-receive", "0").Succeeded);
        _ = GuestProcess.SendSignal(client.Pid, 15);
        AwaitEnds(server, 1);
        Show("limited", server);
        Assert.Contains($"EOF={Streams} ", server.Output, StringComparison.Ordinal);
    }

    [Fact]
    public void A_guest_gone_mad_does_not_disturb_the_streams_of_others()
    {
        using NkInstance nk = NkInstance.Up("shmad");
        using GuestProcess server = Serve(nk);
        using GuestProcess client = Connect(nk);
        for (int seed = 1; seed <= 3; seed++)
        {
            string guest = string.Create(CultureInfo.InvariantCulture, $"mad{seed}");
            nk.CreateGuest(guest);
            CommandResult result = nk.Run(
                guest, TimeSpan.FromSeconds(60), "python3", Programs.Path("hostile.py"), Path.Combine(nk.RunDirectory, "guests", guest + ".sock"), $"{seed}", "3", $"{ControlHeader.Version}");
            Assert.True(result.Succeeded, $"seed {seed}: {result}");
            Assert.True(nk.Nk("guest", "delete", guest).Succeeded);
            Assert.False(client.Ended, client.Output + client.Error);
        }

        _ = GuestProcess.SendSignal(client.Pid, 15);
        AwaitEnds(server, 1);
        Show("the streams", server);
        Assert.Contains($"EOF={Streams} ", server.Output, StringComparison.Ordinal);
    }

    private static NkInstance Up(string name, string form)
    {
        NkInstance nk = NkInstance.Up(name);
        CommandResult result = nk.Nk("tenant", "update", "default", "--shared-memory", form);
        Assert.True(result.Succeeded, result.ToString());
        return nk;
    }

    private static GuestProcess Serve(NkInstance nk)
    {
        nk.CreateGuest("a");
        nk.CreateGuest("b");
        GuestProcess server = nk.Start("b", "python3", Programs.Path("streams.py"), "server", "0.0.0.0", "7040");
        Programs.AwaitLine(server, "ready");
        return server;
    }

    private static GuestProcess Connect(NkInstance nk)
    {
        GuestProcess client = nk.Start("a", "python3", Programs.Path("streams.py"), "client", nk.Ipv4("b"), "7040", Streams.ToString(CultureInfo.InvariantCulture));
        Programs.AwaitLine(client, "up");
        return client;
    }

    private static string[] Ends(GuestProcess process) => [.. process.Output.Split('\n').Where(line => line.StartsWith("end ", StringComparison.Ordinal))];

    private static void AwaitEnds(GuestProcess process, int count) =>
        Assert.True(NkInstance.WaitFor(() => Ends(process).Length >= count, TimeSpan.FromSeconds(30)), process.Output + process.Error);

    private void Show(string what, GuestProcess process)
    {
        string line = Ends(process)[^1];
        output.WriteLine($"{what}: {line}");
        Assert.Contains(" bad=0 ", line, StringComparison.Ordinal);
    }
}
