using System.Globalization;
using NetKernel.Channel;
using NetKernel.Cli.Testbed;
using Xunit.Abstractions;

namespace NetKernel.EndToEnd.Tests;

/// <summary>Something is killed, or goes mad; who else notices, and what comes back.</summary>
[Trait("Category", "Fault")]
public sealed class FaultTests(ITestOutputHelper output) : IDisposable
{
    private readonly NkInstance _nk = NkInstance.Up("fault", "--shared-memory", "off"); // what dies here is the kernel NSM's; SharedMemoryFaultTests has the rest

    public void Dispose() => _nk.Dispose();

    [Fact]
    public void A_thousand_killed_processes_leak_nothing()
    {
        _nk.CreateGuest("a");
        using GuestProcess echo = _nk.Outside.Start("python3", Programs.Path("echo.py"), "0.0.0.0", "7007");
        Programs.AwaitLine(echo, "ready");

        // A first round, so that whatever is made once is there.
        Assert.True(Victims(20, 1).Succeeded);
        Settle();
        (int engine, int nsm) before = (InUse.Descriptors(_nk.EnginePid), InUse.Descriptors(_nk.NsmPid()));
        CommandResult result = Victims(1000, 2);
        Assert.True(result.Succeeded, result.ToString());
        Assert.Contains("killed 1000", result.Output, StringComparison.Ordinal);
        Settle();
        Assert.Equal(before, (InUse.Descriptors(_nk.EnginePid), InUse.Descriptors(_nk.NsmPid())));
        Assert.Equal("ready", _nk.StateOf("a"));
    }

    [Fact]
    public void Peers_of_a_killed_process_see_the_connection_end()
    {
        _nk.CreateGuest("a");
        _nk.CreateGuest("b");
        using GuestProcess echo = _nk.Start("b", "python3", Programs.Path("echo.py"), "0.0.0.0", "7008");
        Programs.AwaitLine(echo, "ready");
        using GuestProcess inside = _nk.Start("a", "python3", Programs.Path("survivor.py"), _nk.Ipv4("b"), "7008", "20");
        using GuestProcess outside = _nk.Outside.Start("python3", Programs.Path("survivor.py"), _nk.Ipv4("b"), "7008", "20");
        Programs.AwaitLine(inside, "up");
        Programs.AwaitLine(outside, "up");
        echo.Kill();
        Programs.AwaitLine(inside, "ended");
        Programs.AwaitLine(outside, "ended");
        output.WriteLine(inside.Output + outside.Output);
        Assert.Contains("ended EOF=20", inside.Output, StringComparison.Ordinal);
        Assert.Contains("ended EOF=20", outside.Output, StringComparison.Ordinal);
    }

    [Fact]
    public void A_killed_NSM_resets_connections_and_listeners_come_back_by_themselves()
    {
        _nk.CreateGuest("a");
        _nk.CreateGuest("b");
        using GuestProcess nginx = Nginx.Start(_nk);
        using GuestProcess echo = _nk.Start("b", "python3", Programs.Path("echo.py"), "0.0.0.0", "7009");
        Programs.AwaitLine(echo, "ready");
        using GuestProcess client = _nk.Start("a", "python3", Programs.Path("survivor.py"), _nk.Ipv4("b"), "7009", "50");
        Programs.AwaitLine(client, "up");
        double killed = Kill(_nk.NsmPid());
        Programs.AwaitLine(client, "ended");
        Programs.AwaitLine(client, "again");
        Assert.Contains("ended ECONNRESET=50", client.Output, StringComparison.Ordinal);
        output.WriteLine(string.Create(CultureInfo.InvariantCulture, $"50 connections were reset {1000 * (EndTime(client) - killed):F1} ms after the kill"));
        Assert.True(NkInstance.WaitFor(() => Nginx.Answers(_nk), TimeSpan.FromSeconds(20)), "nginx does not answer after the NSM's restart");
        Assert.False(nginx.Ended);
        Assert.False(echo.Ended);
    }

    [Fact]
    public void A_killed_CoreEngine_hangs_nobody_and_listeners_come_back_by_themselves()
    {
        _nk.CreateGuest("a");
        _nk.CreateGuest("b");
        using GuestProcess nginx = Nginx.Start(_nk);
        using GuestProcess echo = _nk.Start("b", "python3", Programs.Path("echo.py"), "0.0.0.0", "7010");
        Programs.AwaitLine(echo, "ready");
        using GuestProcess client = _nk.Start("a", "python3", Programs.Path("survivor.py"), _nk.Ipv4("b"), "7010", "50");
        Programs.AwaitLine(client, "up");
        double killed = Kill(_nk.EnginePid);
        Programs.AwaitLine(client, "ended");
        Assert.Contains("ended ECONNRESET=50", client.Output, StringComparison.Ordinal);
        output.WriteLine(string.Create(CultureInfo.InvariantCulture, $"50 connections failed {1000 * (EndTime(client) - killed):F1} ms after the kill"));
        Programs.AwaitLine(client, "again");
        Assert.True(NkInstance.WaitFor(() => Nginx.Answers(_nk), TimeSpan.FromSeconds(20)), "nginx does not answer after CoreEngine's restart");
        Assert.False(nginx.Ended);
        Assert.False(echo.Ended);
    }

    [Fact]
    public void A_guest_gone_mad_is_detached_and_its_neighbour_does_not_notice()
    {
        double seconds = double.Parse(Environment.GetEnvironmentVariable("NK_FUZZ_SECONDS") ?? "15", CultureInfo.InvariantCulture);
        _nk.CreateGuest("good");
        using GuestProcess echo = _nk.Outside.Start("python3", Programs.Path("echo.py"), "0.0.0.0", "7011");
        Programs.AwaitLine(echo, "ready");
        using GuestProcess transfer = _nk.Start("good", "python3", Programs.Path("transfer.py"), _nk.Outside.Ipv4, "7011");
        Programs.AwaitLine(transfer, "up");
        int engine = _nk.EnginePid, nsm = _nk.NsmPid();
        int detached = 0;
        long began = System.Diagnostics.Stopwatch.GetTimestamp();
        for (int seed = 1; System.Diagnostics.Stopwatch.GetElapsedTime(began).TotalSeconds < seconds; seed++)
        {
            string guest = string.Create(CultureInfo.InvariantCulture, $"mad{seed}");
            _nk.CreateGuest(guest);
            CommandResult result = _nk.Run(
                guest, TimeSpan.FromSeconds(60), "python3", Programs.Path("hostile.py"), Path.Combine(_nk.RunDirectory, "guests", guest + ".sock"), $"{seed}", "3", $"{ControlHeader.Version}");
            Assert.True(result.Succeeded, $"seed {seed}: {result}");
            if (result.Output.Contains("detached", StringComparison.Ordinal))
            {
                detached++;
                Assert.True(NkInstance.WaitFor(() => _nk.StateOf(guest) == "detached", TimeSpan.FromSeconds(10)), $"seed {seed}: state {_nk.StateOf(guest)}");
                Assert.False(string.IsNullOrEmpty(_nk.ReasonOf(guest)), $"seed {seed}: detached without a reason");
            }

            Assert.False(transfer.Ended, $"seed {seed}: the neighbour's transfer ended: {transfer.Output}");
            CommandResult removed = _nk.Nk("guest", "delete", guest);
            Assert.True(removed.Succeeded, removed.ToString());
        }

        transfer.Signal(15);
        CommandResult sent = transfer.Wait(TimeSpan.FromSeconds(30));
        output.WriteLine($"{detached} guests detached; neighbour: {sent.Output}");
        Assert.True(sent.Succeeded, sent.ToString());
        Assert.True(detached > 0);
        Assert.Equal((engine, nsm), (_nk.EnginePid, _nk.NsmPid()));
    }

    /// <summary>SIGKILL; returns the time before it, in seconds since 1970.</summary>
    private static double Kill(int pid)
    {
        double now = DateTimeOffset.UtcNow.ToUnixTimeMilliseconds() / 1000.0;
        Assert.Equal(0, GuestProcess.SendSignal(pid, 9));
        return now;
    }

    private static double EndTime(GuestProcess survivor) =>
        double.Parse(survivor.Output.Split(" at ")[1].Split('\n')[0], CultureInfo.InvariantCulture);

    private CommandResult Victims(int cycles, int seed) =>
        _nk.Run("a", TimeSpan.FromSeconds(240), "python3", Programs.Path("victims.py"), _nk.Outside.Ipv4, "7007", $"{cycles}", $"{seed}");

    /// <summary>Everything that the killed processes had is back.</summary>
    private void Settle()
    {
        InUse nothing = default;
        bool settled = NkInstance.WaitFor(
            () => InUse.Of(_nk.EnginePid, "a") == nothing && _nk.TrafficOf("a").Open == 0 && _nk.TrafficOf("a").Processes == 0, TimeSpan.FromSeconds(30));
        Assert.True(settled, $"still in use: {InUse.Of(_nk.EnginePid, "a")}, connections {_nk.TrafficOf("a").Open}, processes {_nk.TrafficOf("a").Processes}");
    }
}
