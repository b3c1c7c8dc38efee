using Google.Protobuf;
using Google.Protobuf.Reflection;
using NetKernel.Api.V1;
using NetKernel.ControlPlane.Access;
using NetKernel.ControlPlane.Reconcile;
using NetKernel.ControlPlane.Resources;

namespace NetKernel.ControlPlane.Services;

/// <summary>A declared state as a whole: the difference to what is declared now, checked, written as one transaction, and then brought into force.</summary>
internal sealed partial class ApplyService(Platform platform, Registry registry, GuestService guests, NsmService nsms, TenantService tenants)
{
    /// <summary>Everything declared that a caller sees, as <see cref="ApplyAsync"/> takes it.</summary>
    public DeclaredState Export(Caller caller)
    {
        Snapshot now = registry.Now;
        var state = new DeclaredState();
        if (caller.IsOperator)
        {
            state.Tenants.AddRange(now.Tenants.Values.Select(Plain));
            state.Nsms.AddRange(now.Nsms.Values.Select(nsm => Plain(nsm.Declared)));
            state.Policies.AddRange(now.Policies.Values.Select(Plain));
        }

        state.Guests.AddRange(now.Guests.Values.Where(guest => caller.Sees(guest.Declared.Tenant)).Select(guest =>
        {
            Guest plain = Plain(guest.Declared);
            if (!platform.Network.GuestsHaveAddresses)
            {
                plain.Ipv4 = plain.Ipv6 = "";
            }

            return plain;
        }));
        return state;
    }

    public async Task<ApplyResponse> ApplyAsync(ApplyRequest request, Caller caller)
    {
        DeclaredState wanted = request.State ?? new DeclaredState();
        AuditLog.About("state", "all", caller.Tenant ?? "");
        if (!caller.IsOperator && wanted.Tenants.Count + wanted.Nsms.Count + wanted.Policies.Count > 0)
        {
            throw new ServiceException(FailureCode.PermissionDenied, "a tenant declares guests only; tenants, NSMs and policies are for the operator", "state");
        }

        await registry.Changes.WaitAsync();
        try
        {
            Plan plan = Compare(wanted, request, caller);
            var response = new ApplyResponse { ResourceVersion = registry.Now.Revision };
            response.Changes.AddRange(plan.Changes);
            if (request.DryRun || plan.Declarations.Count == 0)
            {
                return response;
            }

            _ = platform.Engine;
            Snapshot before = registry.Now;
            Dictionary<string, Guest> guestsBefore = plan.Declarations.Where(one => one.Kind == Registry.GuestKind && before.Guests.ContainsKey(one.Name))
                .ToDictionary(one => one.Name, one => before.Guests[one.Name].Declared);
            Dictionary<string, Nsm> nsmsBefore = plan.Declarations.Where(one => one.Kind == Registry.NsmKind && before.Nsms.ContainsKey(one.Name))
                .ToDictionary(one => one.Name, one => before.Nsms[one.Name].Declared);
            foreach (Declaration moved in plan.Declarations.Where(one => one.Value is Guest after && guestsBefore.TryGetValue(one.Name, out Guest? old) && old.Nsm != after.Nsm && !platform.CanMove))
            {
                platform.UnmakeGuest(before.Guests[moved.Name]);
            }

            await registry.CommitAsync(plan.Declarations);
            response.ResourceVersion = registry.Now.Revision;
            await InForceAsync(plan.Declarations, before, guestsBefore, nsmsBefore);
            return response;
        }
        finally
        {
            registry.Changes.Release();
        }
    }

    private static T Plain<T>(T declared)
        where T : IMessage<T>
    {
        // What is output only has numbers from 20.
        T plain = declared.Clone();
        foreach (FieldDescriptor field in plain.Descriptor.Fields.InDeclarationOrder().Where(field => field.FieldNumber >= 20))
        {
            field.Accessor.Clear(plain);
        }

        return plain;
    }

    // In an order in which each finds what it needs; what cannot be made is noted at the object, and tried again.
    private async Task InForceAsync(
        IReadOnlyList<Declaration> declarations, Snapshot before, Dictionary<string, Guest> guestsBefore, Dictionary<string, Nsm> nsmsBefore)
    {
        foreach (Declaration one in declarations.Where(one => one.Kind == Registry.GuestKind && one.Value is null))
        {
            platform.UnmakeGuest(before.Guests[one.Name]);
        }

        foreach (Declaration one in declarations.Where(one => one.Kind == Registry.TenantKind))
        {
            tenants.InForce(before.Tenants.GetValueOrDefault(one.Name), registry.Now.Tenants.GetValueOrDefault(one.Name));
        }

        foreach (Declaration one in declarations.Where(one => one.Kind == Registry.NsmKind))
        {
            if (one.Value is null)
            {
                await platform.UnmakeNsmAsync(before.Nsms[one.Name]);
            }
            else if (nsmsBefore.TryGetValue(one.Name, out Nsm? old))
            {
                await nsms.InForceAsync(registry.Now.Nsms[one.Name], old, NsmRules.NeedsRestart(old, (Nsm)one.Value));
            }
            else
            {
                platform.MakeNsm(registry.Now.Nsms[one.Name]);
            }
        }

        foreach (Declaration one in declarations.Where(one => one.Kind == Registry.GuestKind && one.Value is not null))
        {
            GuestRecord guest = registry.Now.Guests[one.Name];
            if (guestsBefore.TryGetValue(one.Name, out Guest? old))
            {
                guests.InForce(guest, old, old.Nsm != guest.Nsm);
            }
            else
            {
                platform.TryMakeGuest(guest);
            }
        }

        await platform.FollowPoliciesAsync();
    }
}
