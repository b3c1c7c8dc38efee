using Google.Protobuf.WellKnownTypes;
using NetKernel.Api;
using NetKernel.Api.V1;
using NetKernel.ControlPlane.Services;

namespace NetKernel.ControlPlane.Resources;

/// <summary>What an NSM may be.</summary>
internal static class NsmRules
{
    /// <summary>The highest NSM id: ids are also rows of CoreEngine's counters, and the one above is the shared-memory NSM's.</summary>
    public const uint MaxId = 62;

    private const long MaxBuffer = 1L << 30;
    private const uint MaxWindow = 1000, MaxMillicores = 1_000_000;
    private const ulong MinMemory = 32UL << 20;

    /// <summary>An NSM to be declared, complete; with one before, that one's identity. CoreEngine has that many loops; the mode is the instance's.</summary>
    public static Nsm New(Nsm wanted, Nsm? before, Snapshot now, Func<string, string?> programOf, int loops, string mode)
    {
        if (Names.Problem("NSM", wanted.Name) is { } problem)
        {
            throw ServiceException.Invalid("nsm.name", problem);
        }

        if (wanted.Name == SharedMemory.Name)
        {
            throw new ServiceException(FailureCode.AlreadyExists, $"NSM {wanted.Name} is CoreEngine's own: choose another name", "nsm.name", "nsm/" + wanted.Name);
        }

        string kind = wanted.Kind.Length > 0 ? wanted.Kind : before?.Kind ?? "kernel";
        if (before is not null && kind != before.Kind)
        {
            throw new ServiceException(FailureCode.FailedPrecondition, $"NSM {wanted.Name} is of kind {before.Kind}: delete it to change that", "nsm.kind", "nsm/" + wanted.Name);
        }

        if (Names.Problem("kind", kind) is not null || programOf(kind) is null)
        {
            throw ServiceException.Invalid("nsm.kind", $"there are no NSMs of kind '{kind}' here: nk-nsm-{kind} is not installed");
        }

        if (wanted.CongestionControl.Length > 0 && wanted.CongestionControl != before?.CongestionControl)
        {
            StackParameters.CheckCongestion("nsm.congestion_control", kind, wanted.CongestionControl);
        }

        if (wanted.SendBuffer is < 0 or > MaxBuffer)
        {
            throw ServiceException.Invalid("nsm.send_buffer", "buffer sizes are 0 (automatic) to 1073741824 bytes");
        }

        if (wanted.ReceiveBuffer is < 0 or > MaxBuffer)
        {
            throw ServiceException.Invalid("nsm.receive_buffer", "buffer sizes are 0 (automatic) to 1073741824 bytes");
        }

        if (wanted.InitialWindow > MaxWindow)
        {
            throw ServiceException.Invalid("nsm.initial_window", $"an initial window is 0 (the stack's default) to {MaxWindow} segments");
        }

        if (wanted.InitialWindow > 0 && wanted.InitialWindow != before?.InitialWindow && kind != StackParameters.Mtcp && mode != "bridge")
        {
            throw ServiceException.Invalid("nsm.initial_window", $"an initial window is an attribute of routes, and in {mode} mode NSMs have none of their own: it needs bridge mode");
        }

        StackParameters.Check(kind, wanted, loops);
        LinkRules.Check(kind, wanted, before, mode);
        if (wanted.CpuMillicores is (> 0 and < 10) or > MaxMillicores)
        {
            throw ServiceException.Invalid("nsm.cpu_millicores", $"a quota of processor time is 0 (none), or 10 to {MaxMillicores} thousandths of a core");
        }

        if (wanted.MemoryBytes is > 0 and < MinMemory)
        {
            throw ServiceException.Invalid("nsm.memory_bytes", $"a quota of memory is 0 (none), or at least {MinMemory} bytes: an NSM does not start with less");
        }

        GuestRules.CheckLabels("nsm.labels", wanted.Labels);
        uint id = before?.Id ?? Registry.FreeNumber(MaxId, number => now.NsmOf(number) is not null);
        if (id == 0)
        {
            throw new ServiceException(FailureCode.ResourceExhausted, $"no more than {MaxId} NSMs: delete one");
        }

        return new Nsm
        {
            Name = wanted.Name,
            Id = id,
            Kind = kind,
            CongestionControl = wanted.CongestionControl.Length > 0 ? wanted.CongestionControl : before?.CongestionControl ?? StackParameters.DefaultCongestion(kind),
            SendBuffer = wanted.SendBuffer,
            ReceiveBuffer = wanted.ReceiveBuffer,
            InitialWindow = wanted.InitialWindow,
            Cores = wanted.Cores,
            Link = wanted.Link.Length > 0 ? wanted.Link : before?.Link ?? "",
            Vlan = wanted.Vlan,
            NetworkMode = NetworkModes.Declared(kind, wanted, before, mode),
            CpuMillicores = wanted.CpuMillicores,
            MemoryBytes = wanted.MemoryBytes,
            Labels = { wanted.Labels },
            Drained = wanted.Drained,
            DrainBy = wanted.Drained ? before?.DrainBy : null,
            CreateTime = before?.CreateTime ?? Timestamp.FromDateTime(DateTime.UtcNow),
        };
    }

    /// <summary>Whether a change needs the NSM's process to start again.</summary>
    public static bool NeedsRestart(Nsm before, Nsm after) =>
        before.CongestionControl != after.CongestionControl || before.SendBuffer != after.SendBuffer || before.ReceiveBuffer != after.ReceiveBuffer
        || Math.Max(1, before.Cores) != Math.Max(1, after.Cores) || before.Vlan != after.Vlan;
}
