using NetKernel.Cli.Testbed;
using Xunit.Abstractions;

namespace NetKernel.EndToEnd.Tests;

/// <summary>UDP sockets when their NSM or CoreEngine is killed: datagrams are lost, and the sockets go on without anybody having to open them again.</summary>
[Trait("Category", "Fault")]
public sealed class DatagramFaultTests(ITestOutputHelper output)
{
    private const int SigUsr1 = 10;

    [Theory]
    [InlineData("kernel", false, "off")]
    [InlineData("kernel", true, "off")]
    [InlineData("mtcp", false, "off")]
    [InlineData("mtcp", true, "off")]
    [InlineData("kernel", false, "on")]
    [InlineData("kernel", true, "on")]
    public void Sockets_go_on_when_the_NSM_or_CoreEngine_is_back(string kind, bool coreEngine, string sharedMemory)
    {
        using NkInstance nk = NkInstance.Up("udpfault", "--shared-memory", sharedMemory);
        string nsm = kind == "kernel" ? "kernel0" : "m0";
        Assert.True(kind == "kernel" || nk.Nk("nsm", "create", nsm, "--kind", kind).Succeeded);
        nk.CreateGuest("a", nsm);
        nk.CreateGuest("b", nsm);
        using GuestProcess four = nk.Start("b", Program("server", "0.0.0.0", 7201));
        using GuestProcess six = nk.Start("b", Program("server", "::", 7202));
        using GuestProcess dns = nk.Start(
            "b", "dnsmasq", "--keep-in-foreground", "--conf-file=/dev/null", "--no-resolv", "--no-hosts", "--user=root", "--pid-file=", "--address=/near.test/198.18.8.8");
        Programs.AwaitLine(four, "ready");
        Programs.AwaitLine(six, "ready");
        Assert.True(NkInstance.WaitFor(() => Resolves(nk), TimeSpan.FromSeconds(20)), $"dnsmasq does not answer: {dns.Error}");
        using GuestProcess inside = nk.Start("a", [.. Program("client", nk.Ipv4("b"), 7201), "40"]);
        using GuestProcess inside6 = nk.Start("a", [.. Program("client", nk.Ipv6("b"), 7202), "44"]);
        using GuestProcess blocking = nk.Start("a", Program("blocking", nk.Ipv4("b"), 7201));
        foreach (GuestProcess client in new[] { inside, inside6, blocking })
        {
            Programs.AwaitLine(client, "up");
        }

        Assert.Equal(0, GuestProcess.SendSignal(coreEngine ? nk.EnginePid : nk.NsmPid(nsm), 9));
        foreach (GuestProcess client in new[] { inside, inside6, blocking })
        {
            if (client == blocking)
            {
                Assert.Equal(0, GuestProcess.SendSignal(client.Pid, SigUsr1)); // the others have seen that it went down and came back
            }

            Programs.AwaitLine(client, "again", 60);
            output.WriteLine(client.Output);
            Assert.True(client.Wait(TimeSpan.FromSeconds(10)).Succeeded, client.Error);
        }

        Assert.True(NkInstance.WaitFor(() => Resolves(nk), TimeSpan.FromSeconds(20)), $"dnsmasq does not answer any more: {dns.Error}");
        output.WriteLine(four.Output + six.Output);
        Assert.Equal(sharedMemory == "on", SharedDatagramTests.IsNear(nk, "b", 7201)); // after it, too
        Assert.False(four.Ended || six.Ended || dns.Ended, four.Error + six.Error + dns.Error);
    }

    [Fact]
    public void Sockets_go_over_when_their_guest_moves_to_another_NSM()
    {
        using NkInstance nk = NkInstance.Up("udpmove", "--shared-memory", "off");
        Assert.True(nk.Nk("nsm", "create", "m0", "--kind", "mtcp").Succeeded);
        nk.CreateGuest("a");
        nk.CreateGuest("b");
        using GuestProcess server = nk.Start("b", Program("server", "0.0.0.0", 7203));
        Programs.AwaitLine(server, "ready");
        foreach (string nsm in new[] { "kernel0", "m0" })
        {
            CommandResult moved = nk.Nk("guest", "update", "b", "--nsm", nsm);
            Assert.True(moved.Succeeded, moved.ToString());
            Assert.True(
                NkInstance.WaitFor(() => nk.List("conn", "list", "--guest", "b").EnumerateArray().All(one => one.GetProperty("nsm").GetString() == nsm), TimeSpan.FromSeconds(30)),
                nk.List("conn", "list", "--guest", "b").ToString());

            // With its options: the server answers with the TOS that it sees.
            using GuestProcess client = nk.Start("a", [.. Program("client", nk.Ipv4("b"), 7203), "40"]);
            Programs.AwaitLine(client, "up");
            client.Kill();
        }

        Assert.False(server.Ended, server.Error);
    }

    private static bool Resolves(NkInstance nk) =>
        nk.Outside.Run(TimeSpan.FromSeconds(5), "dig", "+short", "+time=1", "+tries=1", $"@{nk.Ipv4("b")}", "near.test").Output.Trim() == "198.18.8.8";

    private static string[] Program(string role, string address, int port) => ["python3", Programs.Path("datagram_survivor.py"), role, address, $"{port}"];
}
