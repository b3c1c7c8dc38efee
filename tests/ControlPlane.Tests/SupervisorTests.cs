using System.Diagnostics;
using Microsoft.Extensions.Logging.Abstractions;
using NetKernel.Channel.Host;
using NetKernel.ControlPlane.Network;
using NetKernel.ControlPlane.Supervision;

namespace NetKernel.ControlPlane.Tests;

public sealed class SupervisorTests : IDisposable
{
    private readonly string _log = Path.GetTempFileName();
    private readonly Supervisor _supervisor = new(NullLogger<Supervisor>.Instance);

    public void Dispose() => File.Delete(_log);

    [Fact]
    public void Back_off_starts_at_once_and_doubles_to_two_seconds()
    {
        Assert.Equal(TimeSpan.Zero, Supervisor.Delay(TimeSpan.FromSeconds(2), ran: TimeSpan.FromSeconds(5)));
        var delays = new List<double>();
        TimeSpan delay = TimeSpan.Zero;
        for (int i = 0; i < 10; i++)
        {
            delay = Supervisor.Delay(delay, ran: TimeSpan.Zero);
            delays.Add(delay.TotalMilliseconds);
        }

        Assert.Equal([20, 40, 80, 160, 320, 640, 1280, 2000, 2000, 2000], delays);
    }

    [Fact]
    public async Task A_killed_process_is_back()
    {
        Supervised child = Keep("exec sleep 1000");
        await Eventually.HoldsAsync(() => child.Running, "it runs");
        int first = child.Pid;
        _ = ProcessesInside.SendSignal(first, 9);
        await Eventually.HoldsAsync(() => child.Running && child.Pid != first, "it runs again");
        Assert.Equal(1, child.Restarts);
        Assert.Equal("ended by signal 9", child.LastExit);
        await _supervisor.StopAsync(child, TimeSpan.FromSeconds(2));
        Assert.False(child.Running);
    }

    [Fact]
    public async Task What_cannot_stay_is_tried_ever_more_slowly()
    {
        long began = Stopwatch.GetTimestamp();
        Supervised child = Keep("echo no >&2; exit 3");
        await Eventually.HoldsAsync(() => child.Restarts >= 4, "it is started four times");
        Assert.True(Stopwatch.GetElapsedTime(began) > TimeSpan.FromMilliseconds(20 + 40 + 80));
        Assert.Equal("ended with exit code 3", child.LastExit);
        await _supervisor.StopAsync(child, TimeSpan.FromSeconds(2));
        Assert.Contains("no", File.ReadAllText(_log));
    }

    [Fact]
    public async Task What_ignores_SIGTERM_is_killed()
    {
        Supervised child = Keep("trap '' TERM; echo set; while :; do sleep 0.1; done");
        await Eventually.HoldsAsync(() => File.ReadAllText(_log).Contains("set"), "it ignores SIGTERM");
        int pid = child.Pid;
        await _supervisor.StopAsync(child, TimeSpan.FromMilliseconds(200));
        Assert.False(Directory.Exists($"/proc/{pid}"));
    }

    [Fact]
    public async Task A_program_that_is_not_there_is_reported()
    {
        Supervised child = _supervisor.Keep(
            "none", () => new LaunchSpec("/no/such/program", [], null, _log), _ => Task.CompletedTask, (_, _) => Task.CompletedTask);
        await Eventually.HoldsAsync(() => child.LastExit is not null, "it ends");
        Assert.Equal("ended with exit code 127", child.LastExit);
        await _supervisor.StopAsync(child, TimeSpan.FromSeconds(1));
    }

    [Fact]
    public async Task What_is_placed_runs_on_those_cpus_alone()
    {
        SortedSet<int> allowed = CpuList.Allowed();
        Placement placement = Placement.TryParse("saving", allowed)!;
        Supervised child = _supervisor.Keep(
            "child", () => new LaunchSpec("/bin/sh", ["-c", "grep Cpus_allowed_list /proc/$$/status; exec sleep 1000"], null, _log, [], placement.Parts),
            _ => Task.CompletedTask, (_, _) => Task.CompletedTask);
        await Eventually.HoldsAsync(() => File.ReadAllText(_log).EndsWith($":\t{allowed.Max}\n", StringComparison.Ordinal), "it runs there alone");
        await _supervisor.StopAsync(child, TimeSpan.FromSeconds(2));
    }

    [Fact]
    public void A_placement_names_cpus_that_there_are()
    {
        SortedSet<int> allowed = [0, 1, 2, 5];
        Assert.Equal(new Placement("0-2,5", ""), Placement.TryParse("0-2,5", allowed));
        Assert.Equal(new Placement("5", "5"), Placement.TryParse("saving", allowed));
        Assert.Equal(Placement.Spread, Placement.TryParse("spread", allowed));
        Assert.All(["", "0-", "-1", "2-1", "0-3", "1,,2", "0x1", "1024", "all"], text => Assert.Null(Placement.TryParse(text, allowed)));
    }

    private Supervised Keep(string script) =>
        _supervisor.Keep("child", () => new LaunchSpec("/bin/sh", ["-c", script], null, _log), _ => Task.CompletedTask, (_, _) => Task.CompletedTask);
}
