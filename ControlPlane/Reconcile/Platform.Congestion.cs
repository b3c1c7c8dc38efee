using System.Collections.Immutable;
using NetKernel.ControlPlane.Engine;
using NetKernel.ControlPlane.Resources;

namespace NetKernel.ControlPlane.Reconcile;

/// <summary>The congestion control of guests: declared here, passed on by CoreEngine, and given by their NSMs, which say if they do not have it. Called under the registry's lock.</summary>
internal sealed partial class Platform
{
    /// <summary>In the place of an NSM's id: CoreEngine has not taken it. It is tried again.</summary>
    private const uint NotTold = 0;

    /// <summary>Tells CoreEngine the congestion control of a guest's new connections. While it is away there is nothing to do: it is told everything when it is back.</summary>
    public void SetCongestion(GuestRecord guest)
    {
        if (_engine is { } engine)
        {
            SetCongestion(engine, guest);
        }
    }

    private static bool CongestionToTell(GuestRecord guest) => guest.CongestionProblems.ContainsKey(NotTold);

    private void SetCongestion(EngineClient engine, GuestRecord guest)
    {
        try
        {
            engine.SetCongestion(guest.Id, guest.Declared.CongestionControl);
            NoteCongestion(guest, NotTold, "");
        }
        catch (EngineException e)
        {
            NoteCongestion(guest, NotTold, $"its congestion control is not in force: {e.Message}");
        }
    }

    private void SetCongestionAgain(EngineClient engine)
    {
        foreach (GuestRecord guest in registry.Now.Guests.Values.Where(CongestionToTell))
        {
            SetCongestion(engine, guest);
        }
    }

    /// <summary>An NSM has said whether it has a guest's congestion control. From any thread.</summary>
    private void NoteCongestion(GuestRecord guest, uint nsm, string problem)
    {
        ImmutableDictionary<uint, string> before = guest.CongestionProblems;
        ImmutableDictionary<uint, string> after = guest.ChangeCongestionProblems(all => problem.Length > 0 ? all.SetItem(nsm, problem) : all.Remove(nsm));
        if (before != after)
        {
            if (problem.Length > 0)
            {
                LogCongestion(guest.Name, registry.Now.NsmOf(nsm)?.Name ?? "CoreEngine", problem);
            }

            Tell(Registry.GuestKind, guest.Name);
        }
    }

    [LoggerMessage(Level = LogLevel.Warning, Message = "guest {Guest} at {Nsm}: {Why}")]
    private partial void LogCongestion(string guest, string nsm, string why);
}
