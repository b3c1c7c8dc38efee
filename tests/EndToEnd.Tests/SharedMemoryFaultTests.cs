using System.Globalization;
using NetKernel.Channel;
using NetKernel.Cli.Demo;
using NetKernel.Cli.Testbed;

namespace NetKernel.EndToEnd.Tests;

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

    [Theory]
    [InlineData("copy")]
    [InlineData("direct")]
    public void Killed_programs_leave_no_chunk_no_socket_and_no_descriptor(string form)
    {
        using NkInstance nk = Up("shleft", form);
        Round(0); // CoreEngine has the pair's region from then on
        int descriptors = InUse.Descriptors(nk.EnginePid);
        for (int i = 1; i <= 4; i++)
        {
            Round(i);
        }

        Assert.True(NkInstance.WaitFor(() => InUse.Descriptors(nk.EnginePid) == descriptors, TimeSpan.FromSeconds(20)), $"{descriptors} descriptors, then {InUse.Descriptors(nk.EnginePid)}");

        void Round(int number)
        {
            using (GuestProcess server = Serve(nk))
            using (GuestProcess client = Connect(nk))
            {
                Assert.True(form == "direct" || InUse.Of(nk.EnginePid, "a").TxChunks > 0, "nothing is under way");
                (number % 2 == 0 ? client : server).Kill();
                GuestProcess survivor = number % 2 == 0 ? server : client;
                AwaitEnds(survivor, 1);
                Show("the survivor", survivor);
            }

            InUse nothing = default;
            foreach (string guest in new[] { "a", "b" })
            {
                Assert.True(
                    NkInstance.WaitFor(() => InUse.Of(nk.EnginePid, guest) == nothing && nk.TrafficOf(guest).Open == 0, TimeSpan.FromSeconds(20)),
                    $"{guest}: {InUse.Of(nk.EnginePid, guest)}, {nk.TrafficOf(guest)}");
            }
        }
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
