using System.Diagnostics;
using Microsoft.Extensions.Logging.Abstractions;
using NetKernel.ControlPlane.Supervision;

namespace NetKernel.ControlPlane.Tests;

/// <summary>Quotas, with the machine's own cgroups where they can be written to.</summary>
public sealed class CgroupTests : IDisposable
{
    private readonly string _log = Path.GetTempFileName();
    private readonly string _instance = $"test-{Environment.ProcessId}-{Guid.NewGuid():N}";
    private readonly Supervisor _supervisor = new(NullLogger<Supervisor>.Instance);

    public void Dispose() => File.Delete(_log);

    [Fact]
    public async Task A_process_gets_no_more_than_its_quotas_and_they_change_while_it_runs()
    {
        var cgroups = new Cgroups(_instance);
        if (!cgroups.Available)
        {
            Assert.StartsWith("no quotas: ", cgroups.Kind);
            return;
        }

        (IReadOnlyList<string> files, string? problem) = cgroups.Prepare("busy", cpuMillicores: 100, memoryBytes: 0);
        Assert.Null(problem);
        Supervised busy = Keep("while :; do :; done", files);
        await Eventually.HoldsAsync(() => Throttled() > 0, "it is made to wait");

        // The process is in there itself, not only the shell that started it.
        Assert.Contains(busy.Pid.ToString(System.Globalization.CultureInfo.InvariantCulture), File.ReadAllLines(files[0]));
        Assert.Null(cgroups.Change("busy", cpuMillicores: 0, memoryBytes: 0));
        await _supervisor.StopAsync(busy, TimeSpan.FromSeconds(2));

        (files, problem) = cgroups.Prepare("greedy", cpuMillicores: 0, memoryBytes: 32 << 20);
        Assert.Null(problem);
        var kills = new MemoryKills(cgroups, "greedy");
        Supervised greedy = Keep("exec tail /dev/zero", files, () => kills.Explain(32 << 20));
        await Eventually.HoldsAsync(() => greedy.LastExitTime is not null, "it is ended when it takes more than it may");
        Assert.Equal("killed by the kernel for its memory, of which it may have 33554432 bytes", greedy.LastExit);
        await _supervisor.StopAsync(greedy, TimeSpan.FromSeconds(2));

        // Killed by somebody else, it does not have this reason.
        (files, problem) = cgroups.Prepare("killed", cpuMillicores: 0, memoryBytes: 32 << 20);
        Assert.Null(problem);
        kills = new MemoryKills(cgroups, "killed");
        Supervised killed = Keep("kill -9 $$", files, () => kills.Explain(32 << 20));
        await Eventually.HoldsAsync(() => killed.LastExitTime is not null, "it ends");
        Assert.Equal("ended by signal 9", killed.LastExit);
        await _supervisor.StopAsync(killed, TimeSpan.FromSeconds(2));

        Assert.Empty(cgroups.Remove(null));
        Assert.False(Directory.Exists(Path.GetDirectoryName(Path.GetDirectoryName(files[0]))));

        long Throttled() => long.Parse(
            File.ReadLines(Path.Combine(Path.GetDirectoryName(files[0])!, "cpu.stat")).First(line => line.StartsWith("nr_throttled", StringComparison.Ordinal)).Split(' ')[1],
            System.Globalization.CultureInfo.InvariantCulture);
    }

    [Fact]
    public async Task A_cgroup_that_is_busy_does_not_keep_the_others_and_is_waited_for()
    {
        var cgroups = new Cgroups(_instance);
        if (!cgroups.Available)
        {
            return; // the test above has seen that this is said
        }

        string[] folders = [.. new[] { "first", "busy", "last" }.Select(name => Path.GetDirectoryName(cgroups.Prepare(name, 0, 0).Files[0])!)];
        using var sleeper = Process.Start("sleep", "1000");
        File.WriteAllText(Path.Combine(folders[1], "cgroup.procs"), sleeper.Id.ToString(System.Globalization.CultureInfo.InvariantCulture));
        try
        {
            Assert.Equal([folders[1], Path.GetDirectoryName(folders[1])], cgroups.Remove(null).Where(path => path.StartsWith(Path.GetDirectoryName(folders[1])!, StringComparison.Ordinal)));
            Assert.False(Directory.Exists(folders[0]) || Directory.Exists(folders[2]));
            Assert.True(Directory.Exists(folders[1]));
        }
        finally
        {
            sleeper.Kill();
        }

        // It may still be in there.
        Assert.Empty(cgroups.Remove(null));
        Assert.False(Directory.Exists(Path.GetDirectoryName(folders[1])));
        await sleeper.WaitForExitAsync();
    }

    [Fact]
    public void Without_cgroups_it_is_said_that_quotas_are_not_in_force()
    {
        string folder = Directory.CreateTempSubdirectory("nk-cgroup").FullName;
        var cgroups = new Cgroups(_instance, folder);
        Assert.Equal((0, "no quotas: there are no cgroups with cpu and memory here"), (cgroups.Prepare("x", 100, 0).Files.Count, cgroups.Prepare("x", 100, 0).Problem));
        Assert.Null(cgroups.Prepare("x", 0, 0).Problem);
        File.WriteAllText(Path.Combine(folder, "cgroup.controllers"), "pids\n");
        Assert.Equal("no quotas: cgroup v2 has no cpu or memory controller here", new Cgroups(_instance, folder).Kind);
        Directory.Delete(folder, recursive: true);
    }

    private Supervised Keep(string script, IReadOnlyList<string> files, Func<string?>? why = null) => _supervisor.Keep(
        "child", () => new LaunchSpec("/bin/sh", ["-c", script], null, _log, files, ""), _ => Task.CompletedTask, (_, _) => Task.CompletedTask, running: null, why);
}
