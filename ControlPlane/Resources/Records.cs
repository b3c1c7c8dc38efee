using System.Collections.Immutable;
using NetKernel.Api.V1;

namespace NetKernel.ControlPlane.Resources;

/// <summary>A guest: what is declared, and what nkd has found out about it. The declared message is never changed, only replaced.</summary>
internal sealed class GuestRecord(Guest declared)
{
    private volatile Guest _declared = declared;
    private ImmutableDictionary<uint, string> _congestionProblems = ImmutableDictionary<uint, string>.Empty;

    public Guest Declared
    {
        get => _declared;
        set => _declared = value;
    }

    public string Name => _declared.Name;

    public uint Id => _declared.Id;

    public string Nsm => _declared.Nsm;

    public string Ipv4 => _declared.Ipv4;

    public string Ipv6 => _declared.Ipv6;

    public string AttachPath { get; set; } = "";

    public string? NamespacePath { get; set; }

    /// <summary>A process that keeps the namespace, where it has no name; else 0.</summary>
    public int NamespacePid { get; set; }

    public ulong NamespaceInode { get; set; }

    /// <summary>Why CoreEngine detached it; null while it is attached.</summary>
    public string? DetachReason { get; set; }

    /// <summary>Why it could not be made; null when it is there.</summary>
    public string? Problem { get; set; }

    /// <summary>Ids of the NSMs that serve it, in CoreEngine and the network, and whether they are to; false: it leaves that one. Replaced, not changed.</summary>
    public ImmutableDictionary<uint, bool> Uses { get; set; } = ImmutableDictionary<uint, bool>.Empty;

    /// <summary>CoreEngine has it.</summary>
    public bool IsMade { get; set; }

    /// <summary>When it last left an NSM, or began to (Environment.TickCount64).</summary>
    public long MovedAt { get; set; }

    /// <summary>The rules that CoreEngine has been told, as <see cref="FlowTable.Signature"/>; empty: none.</summary>
    public string RulesTold { get; set; } = "";

    /// <summary>What of its policies is not in force; null: all is.</summary>
    public string? RuleProblem { get; set; }

    /// <summary>What of its limits is not in force; null: all is.</summary>
    public string? LimitProblem { get; set; }

    /// <summary>By an NSM's id: why its congestion control is not in force there.</summary>
    public ImmutableDictionary<uint, string> CongestionProblems => _congestionProblems;

    /// <summary>Changes <see cref="CongestionProblems"/>; from any thread. Returns what they are then.</summary>
    public ImmutableDictionary<uint, string> ChangeCongestionProblems(Func<ImmutableDictionary<uint, string>, ImmutableDictionary<uint, string>> change)
    {
        _ = ImmutableInterlocked.Update(ref _congestionProblems, change);
        return _congestionProblems;
    }
}

/// <summary>An NSM: what is declared, and what nkd has found out about it.</summary>
internal sealed class NsmRecord(Nsm declared)
{
    private volatile Nsm _declared = declared;

    public Nsm Declared
    {
        get => _declared;
        set => _declared = value;
    }

    public string Name => _declared.Name;

    public uint Id => _declared.Id;

    public string? NamespacePath { get; set; }

    /// <summary>Attached to CoreEngine.</summary>
    public bool Ready { get; set; }

    /// <summary>Why it is not ready, as far as known.</summary>
    public string? Reason { get; set; }

    /// <summary>Drained: connections of guests that it still has.</summary>
    public long ConnectionsLeft { get; set; }

    /// <summary>Looks in a row at which it had not turned since the one before.</summary>
    public uint Missed { get; set; }

    /// <summary>From so many on it is said to be stuck.</summary>
    public const uint Stuck = 2;

    /// <summary>Why its quotas are not in force; null: they are.</summary>
    public string? QuotaProblem { get; set; }
}
