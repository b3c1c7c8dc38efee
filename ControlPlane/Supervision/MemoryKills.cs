namespace NetKernel.ControlPlane.Supervision;

/// <summary>
/// Whether the kernel ended a process for its memory: an exit status says SIGKILL, and not who sent it; the cgroup counts its kills (oom_kill of memory.events, in v1 of memory.oom_control), before the
/// process ends.
/// </summary>
internal sealed class MemoryKills(Cgroups cgroups, string name)
{
    private ulong _seen = cgroups.MemoryKills(name);

    /// <summary>Whether there was one since this was last asked, or made.</summary>
    public bool Another()
    {
        ulong before = _seen;
        _seen = cgroups.MemoryKills(name);
        return _seen > before;
    }

    /// <summary>
    /// Why a process ended, if it was this (null: it was not). Its cgroup is removed, so that its successor gets a new one: pages of guests' pools outlive the process that touched them first, stay charged to its
    /// group, and would leave the successor no memory.
    /// </summary>
    public string? Explain(ulong limit)
    {
        if (!Another())
        {
            return null;
        }

        _ = cgroups.Remove(name);
        _seen = cgroups.MemoryKills(name);
        return limit > 0 ? $"killed by the kernel for its memory, of which it may have {limit} bytes" : "killed by the kernel: the machine had no memory left";
    }
}
