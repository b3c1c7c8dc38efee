using NetKernel.Api.V1;
using NetKernel.ControlPlane.Resources;

namespace NetKernel.ControlPlane.Services;

/// <summary>The shared-memory NSM is a part of CoreEngine: nobody creates it, and it has the last row of the counters.</summary>
internal static class SharedMemory
{
    public const string Name = "sharedmem";

    private static readonly NsmRecord Nsm = new(new Nsm { Name = Name, Id = NsmRules.MaxId + 1, CongestionControl = "-" });

    /// <summary>What is declared, with that NSM among the others.</summary>
    public static Snapshot Among(Snapshot declared) => declared with { Nsms = declared.Nsms.SetItem(Name, Nsm) };
}
