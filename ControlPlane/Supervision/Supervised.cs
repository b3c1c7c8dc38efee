using System.Diagnostics;

namespace NetKernel.ControlPlane.Supervision;

/// <summary>What to start: program, arguments, the network namespace (null: nkd's own), where its output goes, the cgroup files that take its pid, and its CPUs (empty: all).</summary>
internal sealed record LaunchSpec(string Program, IReadOnlyList<string> Arguments, string? NamespacePath, string LogPath, IReadOnlyList<string> CgroupFiles, string Cpus)
{
    public LaunchSpec(string program, IReadOnlyList<string> arguments, string? namespacePath, string logPath)
        : this(program, arguments, namespacePath, logPath, [], "")
    {
    }
}

/// <summary>One process that is kept running.</summary>
internal sealed class Supervised(string name)
{
    public string Name { get; } = name;

    /// <summary>0 while it does not run.</summary>
    public int Pid { get; internal set; }

    public int Restarts { get; internal set; }

    /// <summary>How it last ended, for a person; null when it never did.</summary>
    public string? LastExit { get; internal set; }

    /// <summary>When (UTC); null when it never did.</summary>
    public DateTime? LastExitTime { get; internal set; }

    /// <summary>It was running already when this nkd started.</summary>
    public bool TakenOver { get; internal set; }

    public bool Running => Pid != 0;

    internal Process? Process { get; set; }

    internal required Func<string?> Why { get; init; }

    internal CancellationTokenSource Stopping { get; } = new();

    internal Task Loop { get; set; } = Task.CompletedTask;
}
