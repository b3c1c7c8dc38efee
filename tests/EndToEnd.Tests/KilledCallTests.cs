using System.Globalization;
using NetKernel.Cli.Testbed;

namespace NetKernel.EndToEnd.Tests;

/// <summary>
/// programs/victims_calls.py: processes killed in the middle of exec, fork, fd passing, epoll_ctl, accept and datagram sends; and the NSM and CoreEngine killed while they are at it.
/// Afterwards nothing of theirs is in use. NK_LONG=1: ten times as often.
/// </summary>
[Trait("Category", "Fault")]
public sealed class KilledCallTests : IDisposable
{
    private static readonly int Times = Environment.GetEnvironmentVariable("NK_LONG") == "1" ? 10 : 1;
    private readonly NkInstance _nk = NkInstance.Up("killed");
    private readonly GuestProcess _peer;

    public KilledCallTests()
    {
        _nk.CreateGuest("a");
        _peer = _nk.Outside.Start("python3", Programs.Path(Path.Combine("processes", "peer.py")), "0.0.0.0", "7012");
        Programs.AwaitLine(_peer, "ready");
    }

    public void Dispose()
    {
        _peer.Dispose();
        _nk.Dispose();
    }

    [Fact]
    public void Processes_killed_in_the_middle_of_a_call_leak_nothing()
    {
        Finish(Start("all", 6, 1));
        (int engine, int nsm) before = (InUse.Descriptors(_nk.EnginePid), InUse.Descriptors(_nk.NsmPid()));
        foreach (string kind in (string[])["exec", "fork", "pass", "epoll", "accept", "datagram"])
        {
            Finish(Start(kind, 15 * Times, 2), kind);
        }

        Assert.Equal(before, (InUse.Descriptors(_nk.EnginePid), InUse.Descriptors(_nk.NsmPid())));
        Assert.Equal("ready", _nk.StateOf("a"));
    }

    [Fact]
    public void An_NSM_killed_meanwhile_leaks_nothing()
    {
        int engine = _nk.EnginePid;
        KillMeanwhile(() => _nk.NsmPid());
        Assert.Equal(engine, _nk.EnginePid);
    }

    [Fact]
    public void A_CoreEngine_killed_meanwhile_leaks_nothing() => KillMeanwhile(() => _nk.EnginePid);

    private void KillMeanwhile(Func<int> victim)
    {
        GuestProcess busy = Start("all", 48 * Times, 3);
        for (int i = 0; i < 3 * Times; i++)
        {
            // The next one when the one before is replaced and a process of the guest has sockets again.
            int pid = 0;
            Assert.True(NkInstance.WaitFor(() => _nk.StateOf("a") == "ready" && _nk.TrafficOf("a").Open > 0 && (pid = victim()) > 0, TimeSpan.FromSeconds(30)), "it does not come back");
            Assert.Equal(0, GuestProcess.SendSignal(pid, 9));
            Assert.True(NkInstance.WaitFor(() => victim() != pid, TimeSpan.FromSeconds(30)), "it is not replaced");
        }

        Finish(busy);
    }

    private GuestProcess Start(string kind, int cycles, int seed) => _nk.Start(
        "a", "python3", "-S", Programs.Path("victims_calls.py"), _nk.Outside.Ipv4, "7012", kind, cycles.ToString(CultureInfo.InvariantCulture), seed.ToString(CultureInfo.InvariantCulture));

    /// <summary>All cycles were made, and everything that the killed processes had is back.</summary>
    private void Finish(GuestProcess victims, string kind = "all")
    {
        using (victims)
        {
            CommandResult result = victims.Wait(TimeSpan.FromSeconds(120 + (120 * Times)));
            Assert.True(result.Succeeded && result.Output.Contains("killed", StringComparison.Ordinal), $"{kind}: {result}");
        }

        InUse nothing = default;
        Assert.True(
            NkInstance.WaitFor(
                () => _nk.StateOf("a") == "ready" && InUse.Of(_nk.EnginePid, "a") == nothing && _nk.TrafficOf("a").Open == 0 && _nk.TrafficOf("a").Processes == 0,
                TimeSpan.FromSeconds(30)),
            $"{kind}: still in use: {InUse.Of(_nk.EnginePid, "a")}, connections {_nk.TrafficOf("a").Open}, processes {_nk.TrafficOf("a").Processes}");
    }
}
