using System.Globalization;

namespace NetKernel.ControlPlane.Supervision;

/// <summary>
/// One cgroup per data-plane process, with quotas of processor time and memory: netkernel/INSTANCE/NAME under the unified hierarchy (cgroup v2) where that has
/// the controllers, else under the v1 hierarchies cpu and memory. Where neither can be written to, quotas are not in force, and <see cref="Kind"/> says so.
/// </summary>
internal sealed class Cgroups
{
    private const string Root = "/sys/fs/cgroup";
    private const int PeriodMicroseconds = 100_000;

    private readonly string _instance;
    private readonly string[] _bases;
    private readonly bool _unified;

    public Cgroups(string instance, string root = Root)
    {
        _instance = instance;
        (_unified, _bases, Kind) = Detect(root);
    }

    /// <summary>"cgroup v2", "cgroup v1", or why there are no quotas.</summary>
    public string Kind { get; }

    public bool Available => _bases.Length > 0;

    /// <summary>Makes the cgroup of a process with its quotas (0: none); the files that take its pid, and what is not in force (null: all is).</summary>
    public (IReadOnlyList<string> Files, string? Problem) Prepare(string name, uint cpuMillicores, ulong memoryBytes)
    {
        if (!Available)
        {
            return ([], cpuMillicores > 0 || memoryBytes > 0 ? Kind : null);
        }

        try
        {
            foreach (string path in Paths(name))
            {
                Directory.CreateDirectory(path);
            }

            if (_unified)
            {
                string parent = Path.Combine(_bases[0], "netkernel");
                Write(Path.Combine(_bases[0], "cgroup.subtree_control"), "+cpu +memory");
                Write(Path.Combine(parent, "cgroup.subtree_control"), "+cpu +memory");
                Write(Path.Combine(parent, _instance, "cgroup.subtree_control"), "+cpu +memory");
            }

            SetQuotas(name, cpuMillicores, memoryBytes);
            return ([.. Paths(name).Select(path => Path.Combine(path, "cgroup.procs"))], null);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return ([], $"the cgroup of {name} cannot be made: {e.Message}");
        }
    }

    /// <summary>Changes the quotas of a process while it runs; what is not in force (null: all is).</summary>
    public string? Change(string name, uint cpuMillicores, ulong memoryBytes)
    {
        if (!Available)
        {
            return cpuMillicores > 0 || memoryBytes > 0 ? Kind : null;
        }

        try
        {
            SetQuotas(name, cpuMillicores, memoryBytes);
            return null;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return $"the quotas of {name} cannot be set: {e.Message}";
        }
    }

    /// <summary>Processes of a cgroup that the kernel has ended because it had no memory left, since the cgroup was made; 0 where that is not known.</summary>
    public ulong MemoryKills(string name) => MemoryFile(name, _unified ? "memory.events" : "memory.oom_control") is not { } text ? 0
        : text.Split('\n').Where(line => line.StartsWith("oom_kill ", StringComparison.Ordinal)).Select(line => ulong.Parse(line.AsSpan(9), CultureInfo.InvariantCulture)).FirstOrDefault();

    /// <summary>Bytes that are charged to a cgroup now; 0 where that is not known.</summary>
    public ulong MemoryInUse(string name) => MemoryFile(name, _unified ? "memory.current" : "memory.usage_in_bytes") is { } text ? ulong.Parse(text, CultureInfo.InvariantCulture) : 0;

    /// <summary>Removes the cgroup of a process that has ended (null: those of the whole instance); what is left, because somebody is in there.</summary>
    public List<string> Remove(string? name)
    {
        var left = new List<string>();
        foreach (string root in _bases)
        {
            string all = Path.Combine(root, "netkernel"), instance = Path.Combine(all, _instance);
            left.AddRange(CgroupRemoval.RemoveAll(name is null ? instance : Path.Combine(instance, name)));
            if (name is null)
            {
                CgroupRemoval.RemoveEmpty(all); // the last instance is gone
            }
        }

        return left;
    }

    private static (bool Unified, string[] Bases, string Kind) Detect(string root)
    {
        string controllers = Path.Combine(root, "cgroup.controllers");
        if (File.Exists(controllers))
        {
            string[] have = File.ReadAllText(controllers).Split([' ', '\n'], StringSplitOptions.RemoveEmptyEntries);
            return !have.Contains("cpu") || !have.Contains("memory")
                ? (true, [], "no quotas: cgroup v2 has no cpu or memory controller here")
                : CanWrite(root) ? (true, [root], "cgroup v2") : (true, [], "no quotas: cgroups cannot be written to (they need root)");
        }

        string[] bases = [Path.Combine(root, "cpu"), Path.Combine(root, "memory")];
        return !bases.All(Directory.Exists) ? (false, [], "no quotas: there are no cgroups with cpu and memory here")
            : bases.All(CanWrite) ? (false, bases, "cgroup v1")
            : (false, [], "no quotas: cgroups cannot be written to (they need root)");
    }

    private static bool CanWrite(string root)
    {
        try
        {
            Directory.CreateDirectory(Path.Combine(root, "netkernel"));
            return true;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return false;
        }
    }

    private static void Write(string file, string text)
    {
        using FileStream stream = new(file, FileMode.Open, FileAccess.Write);
        stream.Write(System.Text.Encoding.ASCII.GetBytes(text));
    }

    // Null where there is no such group, or the kernel does not say.
    private string? MemoryFile(string name, string file)
    {
        if (!Available)
        {
            return null;
        }

        try
        {
            return File.ReadAllText(Path.Combine(Paths(name).Last(), file)); // v1: cpu is first, memory last
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return null;
        }
    }

    private void SetQuotas(string name, uint cpuMillicores, ulong memoryBytes)
    {
        string[] paths = [.. Paths(name)];
        string quota = cpuMillicores == 0 ? (_unified ? "max" : "-1") : (cpuMillicores * (long)PeriodMicroseconds / 1000).ToString(CultureInfo.InvariantCulture);
        string memory = memoryBytes == 0 ? (_unified ? "max" : "-1") : memoryBytes.ToString(CultureInfo.InvariantCulture);
        if (_unified)
        {
            Write(Path.Combine(paths[0], "cpu.max"), string.Create(CultureInfo.InvariantCulture, $"{quota} {PeriodMicroseconds}"));
            Write(Path.Combine(paths[0], "memory.max"), memory);
        }
        else
        {
            Write(Path.Combine(paths[0], "cpu.cfs_period_us"), PeriodMicroseconds.ToString(CultureInfo.InvariantCulture));
            Write(Path.Combine(paths[0], "cpu.cfs_quota_us"), quota);
            Write(Path.Combine(paths[1], "memory.limit_in_bytes"), memory);
        }
    }

    private IEnumerable<string> Paths(string name) => _bases.Select(root => Path.Combine(root, "netkernel", _instance, name));
}
