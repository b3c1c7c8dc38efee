using System.Text.Json;
using NetKernel.Cli.Testbed;

namespace NetKernel.EndToEnd.Tests;

/// <summary>An NSM that needs more memory than it may: the kernel ends it, nkd says so and starts it again, guests go on.</summary>
[Trait("Category", "Fault")]
public sealed class MemoryQuotaTests : IDisposable
{
    private const string Said = "killed by the kernel for its memory, of which it may have 33554432 bytes";
    private static readonly TimeSpan Time = TimeSpan.FromSeconds(60);

    private readonly NkInstance _nk = NkInstance.Up("memory", "--shared-memory", "off"); // all traffic is the NSMs'

    public void Dispose() => _nk.Dispose();

    // Connections that nobody reads: what they receive fills pages of the guest's pool, which are charged to the NSM that writes them first, and stay charged when it has ended.
    [RootFact]
    public void An_NSM_over_its_memory_is_killed_and_started_again_and_says_why()
    {
        if (!_nk.Nk("status").Output.Contains("cgroup v", StringComparison.Ordinal))
        {
            return; // no quotas here: CgroupTests has seen that this is said
        }

        Assert.True(_nk.Nk("nsm", "create", "small", "--memory", "32M").Succeeded);
        _nk.CreateGuest("a", "small");
        _nk.CreateGuest("b", "kernel0");
        using GuestProcess peer = _nk.Outside.Start("python3", Programs.Path("hoard.py"), "peer", "0.0.0.0", "7060");
        Programs.AwaitLine(peer, "ready");
        using GuestProcess echo = _nk.Start("a", "python3", Programs.Path("echo.py"), "0.0.0.0", "7061");
        Programs.AwaitLine(echo, "ready");
        using GuestProcess outside = _nk.Outside.Start("python3", Programs.Path("echo.py"), "0.0.0.0", "7062");
        Programs.AwaitLine(outside, "ready");
        using GuestProcess neighbour = _nk.Start("b", "python3", Programs.Path("transfer.py"), _nk.Outside.Ipv4, "7062");
        Programs.AwaitLine(neighbour, "up");
        using GuestProcess watch = _nk.StartNk("nsm", "list", "--watch", "-o", "json");
        int first = _nk.NsmPid("small");

        CommandResult hoard = _nk.Run("a", Time, "python3", Programs.Path("hoard.py"), "receive", _nk.Outside.Ipv4, "7060", "600");
        Assert.False(hoard.Succeeded, "600 connections that nobody reads fit into 32 MB");
        Assert.True(NkInstance.WaitFor(() => _nk.NsmReady("small") && _nk.NsmPid("small") != first, Time), "the NSM does not come back");
        JsonElement nsm = _nk.List("nsm", "list").EnumerateArray().Single(one => one.GetProperty("name").GetString() == "small");
        Assert.Equal(Said, nsm.GetProperty("lastExit").GetString());
        Assert.True(nsm.TryGetProperty("lastExitTime", out _));
        Assert.Contains(Said + " at ", _nk.Nk("nsm", "list").Output, StringComparison.Ordinal);
        Assert.True(NkInstance.WaitFor(() => watch.Output.Contains(Said, StringComparison.Ordinal), Time), watch.Output);
        Assert.Contains("nsm-small " + Said, File.ReadAllText(Path.Combine(_nk.RunDirectory, "log", "nkd.log")), StringComparison.Ordinal);

        // The pages of before are not its successor's: it has as much as the first one had.
        Assert.InRange(ulong.Parse(nsm.GetProperty("memoryInUse").GetRawText().Trim('"'), System.Globalization.CultureInfo.InvariantCulture), 1UL, 16UL << 20);
        CommandResult again = _nk.Run("a", Time, "python3", Programs.Path("hoard.py"), "receive", _nk.Outside.Ipv4, "7060", "20");
        Assert.True(again.Succeeded, again.ToString());

        // Its listener came back by itself, and the guest of another NSM has noticed nothing.
        CommandResult answered = _nk.Run("b", Time, "python3", "-c", $"import socket; c = socket.create_connection(('{_nk.Ipv4("a")}', 7061), 20); c.sendall(b'x\\n'); print(c.recv(2))");
        Assert.Contains("b'x\\n'", answered.Output, StringComparison.Ordinal);
        Assert.False(neighbour.Ended, neighbour.Output + neighbour.Error);
    }
}
