using NetKernel.ControlPlane.State;

namespace NetKernel.ControlPlane.Services;

/// <summary>The shared-memory NSM is a part of CoreEngine: nobody creates it, and it has the last row of the counters.</summary>
internal static class SharedMemory
{
    public const string Name = "sharedmem";

    private static readonly NsmRecord Nsm = new() { Name = Name, Id = NsmService.MaxId + 1, Congestion = "-" };

    /// <summary>The state with that NSM among the others.</summary>
    public static PlatformState Among(PlatformState state) => new() { Nsms = [.. state.Nsms, Nsm], Guests = state.Guests };
}
