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

    /// <summary>cgroup v2's files, as Linux's Documentation/admin-guide/cgroup-v2.rst has them: machines of the tests have v1.</summary>
    [Fact]
    public void Version_2_is_spoken_and_its_kills_for_memory_are_seen()
    {
        string root = Directory.CreateTempSubdirectory("nk-cgroup").FullName, instance = Path.Combine(root, "netkernel", _instance), group = Path.Combine(instance, "small");
        _ = Directory.CreateDirectory(group);
        foreach (string file in new[] { root, Path.Combine(root, "netkernel"), instance }.Select(folder => Path.Combine(folder, "cgroup.subtree_control")))
        {
            File.WriteAllText(file, "");
        }

        File.WriteAllText(Path.Combine(root, "cgroup.controllers"), "cpuset cpu io memory pids\n");
        File.WriteAllText(Path.Combine(group, "cpu.max"), "");
        File.WriteAllText(Path.Combine(group, "memory.max"), "");
        File.WriteAllText(Path.Combine(group, "memory.current"), "1765376\n");
        Events(max: 0, oom: 0, kills: 0);

        var cgroups = new Cgroups(_instance, root);
        Assert.Equal("cgroup v2", cgroups.Kind);
        (IReadOnlyList<string> files, string? problem) = cgroups.Prepare("small", cpuMillicores: 500, memoryBytes: 32 << 20);
        Assert.Equal([Path.Combine(group, "cgroup.procs")], files);
        Assert.Null(problem);
        Assert.Equal(("50000 100000", "33554432"), (File.ReadAllText(Path.Combine(group, "cpu.max")), File.ReadAllText(Path.Combine(group, "memory.max"))));
        Assert.Equal("+cpu +memory", File.ReadAllText(Path.Combine(instance, "cgroup.subtree_control")));
        Assert.Equal(1765376ul, cgroups.MemoryInUse("small"));

        var kills = new MemoryKills(cgroups, "small");
        Events(max: 812, oom: 3, kills: 0); // it was at its limit, and the kernel found pages to take back
        Assert.False(kills.Another());
        Events(max: 815, oom: 4, kills: 1);
        Assert.True(kills.Another());
        Assert.False(kills.Another());
        Assert.Equal(0ul, cgroups.MemoryKills("another"));
        Directory.Delete(root, recursive: true);

        void Events(int max, int oom, int kills) => File.WriteAllText(
            Path.Combine(group, "memory.events"), string.Create(System.Globalization.CultureInfo.InvariantCulture, $"low 0\nhigh 0\nmax {max}\noom {oom}\noom_kill {kills}\noom_group_kill 0\n"));
    }

    private Supervised Keep(string script, IReadOnlyList<string> files, Func<string?>? why = null) => _supervisor.Keep(
        "child", () => new LaunchSpec("/bin/sh", ["-c", script], null, _log, files, ""), _ => Task.CompletedTask, (_, _) => Task.CompletedTask, running: null, why);
}
