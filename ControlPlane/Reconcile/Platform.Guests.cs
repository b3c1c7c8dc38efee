using System.Collections.Immutable;
using NetKernel.ControlPlane.Engine;
using NetKernel.ControlPlane.Network;
using NetKernel.ControlPlane.Resources;
using NetKernel.ControlPlane.Services;

namespace NetKernel.ControlPlane.Reconcile;

/// <summary>Guests on the machine. All of this is called under the registry's lock, and may be done again.</summary>
internal sealed partial class Platform
{
    /// <summary>Makes a declared guest; throws <see cref="ServiceException"/> with nothing left of it when it cannot be.</summary>
    public void MakeGuest(GuestRecord guest)
    {
        TryMakeGuest(guest, Engine);
        if (guest.Problem is { } problem)
        {
            UnmakeGuest(guest);
            throw new ServiceException(FailureCode.Internal, $"cannot create guest {guest.Name}: {problem}", about: "guest/" + guest.Name);
        }
    }

    /// <summary>Makes a declared guest, or notes why it cannot be made; it is tried again later.</summary>
    public void TryMakeGuest(GuestRecord guest)
    {
        if (_engine is { } engine)
        {
            TryMakeGuest(guest, engine);
        }

        Tell(Registry.GuestKind, guest.Name);
    }

    /// <summary>Removes a guest's processes, namespace and memory.</summary>
    public void UnmakeGuest(GuestRecord guest)
    {
        NsmRecord? own = registry.Now.Nsms.GetValueOrDefault(guest.Nsm);
        foreach (NsmRecord other in guest.Uses.Keys.Select(registry.Now.NsmOf).OfType<NsmRecord>().Where(other => other != own && CanMove))
        {
            network.Unserve(guest, other, null);
        }

        guest.Uses = [];
        guest.IsMade = false;
        network.RemoveGuest(guest, own);
        GuestEnding?.Invoke(guest);
        try
        {
            _engine?.RemoveGuest(guest.Id);
        }
        catch (EngineException e)
        {
            // It has let go of it by itself, or it is ending: then it is told anew what there is.
            LogNotRemoved(guest.Name, e.Message);
        }

        ResolverFile.Remove(directory.FilesPath(guest.Name));
    }

    /// <summary>What runs in a guest.</summary>
    public List<int> ProcessesOf(GuestRecord guest) => guest.NamespaceInode != 0
        ? [.. ProcessesInside.Of(guest.NamespaceInode).Where(pid => pid != guest.NamespacePid)]
        : ProcessesInside.WithVariable("NETKERNEL_ATTACH=" + guest.AttachPath);

    private void TryMakeGuest(GuestRecord guest, EngineClient engine)
    {
        guest.AttachPath = directory.AttachPath(guest.Name);
        try
        {
            NsmRecord nsm = registry.Now.Nsms.GetValueOrDefault(guest.Nsm) ?? throw new InvalidOperationException($"its NSM {guest.Nsm} is not declared");
            ResolverFile.Write(directory.FilesPath(guest.Name), guest.Declared.Dns);
            network.AddGuest(guest, nsm);
            _ = guest.ChangeCongestionProblems(all => all.Clear());
            uint tenant = registry.Now.Tenants.GetValueOrDefault(guest.Declared.Tenant)?.Id ?? 0;
            engine.AddGuest(guest, nsm.Id, tenant, !network.GuestsHaveAddresses || NetworkModes.IsHost(nsm.Declared), SharedMemoryOf(guest));
            guest.IsMade = true;
            guest.Uses = ImmutableDictionary<uint, bool>.Empty.Add(nsm.Id, true);
            guest.RulesTold = "";
            if (guest.Declared.Limits is not null)
            {
                SetLimits(engine, guest);
            }

            guest.Problem = null;
            PlaceGuest(guest, engine);
        }
        catch (Exception e) when (e is EngineException or InvalidOperationException or IOException)
        {
            guest.Problem = e.Message;
            LogNotMade(guest.Name, e.Message);
        }
    }

    [LoggerMessage(Level = LogLevel.Error, Message = "guest {Guest} cannot be made: {Why}")]
    private partial void LogNotMade(string guest, string why);

    [LoggerMessage(Level = LogLevel.Warning, Message = "CoreEngine did not remove guest {Guest}: {Why}")]
    private partial void LogNotRemoved(string guest, string why);
}
