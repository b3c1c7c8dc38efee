using NetKernel.Channel;
using NetKernel.ControlPlane.Engine;
using NetKernel.ControlPlane.Resources;

namespace NetKernel.ControlPlane.Reconcile;

/// <summary>What a CoreEngine has, made to match what is declared: when one was started, and when one is taken over.</summary>
internal sealed partial class Platform
{
    /// <summary>Asks the engine what it has, takes away what is not declared, and adds what is missing. Call under the registry's lock.</summary>
    private void Match(EngineClient engine)
    {
        Snapshot declared = registry.Now;
        var nsms = new Dictionary<uint, uint>();
        for (uint at = 0; engine.NextNsm(at) is { } there; at = there.Nsm)
        {
            if (declared.NsmOf(there.Nsm)?.Name == EngineClient.NameIn(there))
            {
                nsms.Add(there.Nsm, there.Slot);
            }
            else
            {
                engine.RemoveNsm(there.Nsm);
            }
        }

        foreach (NsmRecord nsm in declared.Nsms.Values)
        {
            if (nsm.NamespacePath is null)
            {
                network.AddNsm(nsm);
            }

            nsm.Ready = nsms.TryGetValue(nsm.Id, out uint pid) && pid != 0;
            if (!nsms.ContainsKey(nsm.Id))
            {
                engine.AddNsm(nsm);
            }
        }

        // An engine that is taken over may hold to limits that were lifted since.
        foreach (NetKernel.Api.V1.Tenant tenant in declared.Tenants.Values.Where(tenant => tenant.Limits is not null || nsms.Count > 0))
        {
            SetLimits(engine, tenant, tenant.Limits);
        }

        var guests = new HashSet<uint>();
        for (uint at = 0; engine.NextGuest(at) is { } there; at = there.Guest)
        {
            if (declared.GuestIds.TryGetValue(there.Guest, out GuestRecord? guest) && (CanMove || declared.NsmOf(there.Nsm)?.Name == guest.Nsm)
                && EngineClient.Matches(there, guest, !network.GuestsHaveAddresses || NetworkModes.IsHost(guest.Declared, declared)))
            {
                _ = guests.Add(there.Guest);
                string detached = EngineClient.Text(there);
                guest.DetachReason = detached.Length > 0 ? detached : null;
                guest.Problem = null;
                SetLimits(engine, guest);
                FindUses(engine, guest);
                SetSharedMemory(engine, guest);
                SetCongestion(engine, guest);
            }
            else
            {
                engine.RemoveGuest(there.Guest);
            }
        }

        foreach (GuestRecord guest in declared.Guests.Values)
        {
            if (guest.DetachReason is null && !guests.Contains(guest.Id))
            {
                TryMakeGuest(guest, engine);
            }
            else
            {
                PlaceGuest(guest, engine);
            }

            Tell(Registry.GuestKind, guest.Name);
        }

        // What a nkd or an engine that was killed half-way through a move has left.
        foreach (NsmRecord nsm in declared.Nsms.Values)
        {
            network.KeepOnly(nsm, declared.Guests.Values.Where(guest => guest.Uses.ContainsKey(nsm.Id)));
        }
    }
}
