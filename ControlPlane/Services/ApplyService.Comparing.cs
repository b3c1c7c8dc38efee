using Google.Protobuf;
using Google.Protobuf.Reflection;
using NetKernel.Api;
using NetKernel.Api.V1;
using NetKernel.ControlPlane.Access;
using NetKernel.ControlPlane.Resources;
using NetKernel.ControlPlane.Rpc;

namespace NetKernel.ControlPlane.Services;

/// <summary>The difference between a state and what is declared, with everything checked and nothing changed.</summary>
internal sealed partial class ApplyService
{
    private sealed record Plan(List<Declaration> Declarations, List<Change> Changes);

    private Plan Compare(DeclaredState wanted, ApplyRequest request, Caller caller)
    {
        Snapshot now = registry.Now; // grows by what is to be made, so that later objects see earlier ones
        var plan = new Plan([], []);
        Distinct("tenant", wanted.Tenants.Select(one => one.Name));
        Distinct("nsm", wanted.Nsms.Select(one => one.Name));
        Distinct("policy", wanted.Policies.Select(one => one.Name));
        Distinct("guest", wanted.Guests.Select(one => one.Name));
        HashSet<string> gone = request.Prune
            ? [.. now.Guests.Values.Where(guest => caller.Sees(guest.Declared.Tenant) && wanted.Guests.All(one => one.Name != guest.Name)).Select(guest => guest.Name)] : [];
        foreach (string name in gone)
        {
            GuestRecord guest = now.Guests[name];
            if (!request.Force)
            {
                guests.CheckIdle(guest, "force (--force) ends them");
            }

            Add(plan, Registry.GuestKind, name, guest.Declared, null);
            now = now.Without(guest);
        }

        foreach (Tenant one in wanted.Tenants)
        {
            Tenant? before = now.Tenants.GetValueOrDefault(one.Name);
            Tenant after = TenantRules.New(one, before, now);
            Add(plan, Registry.TenantKind, one.Name, before, after);
            now = now with { Tenants = now.Tenants.SetItem(one.Name, after) };
        }

        foreach (Nsm one in wanted.Nsms)
        {
            NsmRecord? before = now.Nsms.GetValueOrDefault(one.Name);
            Nsm after = NsmRules.New(one, before?.Declared, now, platform.ProgramOf, platform.Options.Loops, platform.Network.Mode);
            if (before is not null && NsmRules.NeedsRestart(before.Declared, after) && !request.Force)
            {
                throw new ServiceException(
                    FailureCode.FailedPrecondition, $"NSM {one.Name} must start again for that, which ends its connections: force (--force) does it", about: "nsm/" + one.Name);
            }

            if (after.Drained && before?.Declared.Drained != true && (!platform.CanMove || NetworkModes.IsHost(after)))
            {
                throw nsms.CannotDrain(one.Name);
            }

            Add(plan, Registry.NsmKind, one.Name, before?.Declared, after);
            now = now with { Nsms = now.Nsms.SetItem(one.Name, before ?? new NsmRecord(after) { Ready = true /* as it will be when guests are placed */ }) };
        }

        foreach (Policy one in wanted.Policies)
        {
            Policy? before = now.Policies.GetValueOrDefault(one.Name);
            Policy after = PolicyRules.New(one, before);
            Add(plan, Registry.PolicyKind, one.Name, before, after);
            now = now with { Policies = now.Policies.SetItem(one.Name, after) };
        }

        foreach (Guest one in wanted.Guests)
        {
            now = CompareGuest(plan, one, now, request, caller);
        }

        if (request.Prune && caller.IsOperator)
        {
            Prune(plan, wanted, now);
        }

        return plan;
    }

    private Snapshot CompareGuest(Plan plan, Guest one, Snapshot now, ApplyRequest request, Caller caller)
    {
        if (one.Tenant.Length > 0 && !caller.Sees(one.Tenant))
        {
            throw new ServiceException(FailureCode.PermissionDenied, $"guests of tenant {one.Tenant} are not yours to make", "guest.tenant");
        }

        if (!now.Guests.TryGetValue(one.Name, out GuestRecord? record))
        {
            Guest made = GuestRules.New(one, now, platform.Plan, caller.Tenant);
            GuestService.MayShare(made, null, caller);
            GuestService.MayChoose(made, null, caller);
            Add(plan, Registry.GuestKind, one.Name, null, made);
            return now.With(new GuestRecord(made));
        }

        Guest before = record.Declared;
        if (!caller.Sees(before.Tenant))
        {
            throw new ServiceException(FailureCode.AlreadyExists, $"the name {one.Name} is taken: choose another", "guest.name", "guest/" + one.Name);
        }

        foreach ((string field, string there, string asked) in new[]
        {
            ("tenant", before.Tenant, one.Tenant), ("ipv4", before.Ipv4, one.Ipv4), ("ipv6", before.Ipv6, one.Ipv6),
        })
        {
            if (asked.Length > 0 && asked != there)
            {
                throw new ServiceException(
                    FailureCode.FailedPrecondition, $"guest {one.Name}: {field} is {there} and cannot become {asked}: delete the guest first", "guest." + field, "guest/" + one.Name);
            }
        }

        Guest after = Masks.Merge("guest", before, one, new Google.Protobuf.WellKnownTypes.FieldMask { Paths = { "dns", "limits", "labels", "shared_memory", "congestion_control" } }, GuestService.Changeable);
        GuestRules.CheckMutable(after);
        LimitRules.CheckPoolStays(before, after);
        GuestService.MayShare(after, before, caller);
        GuestService.MayChoose(after, before, caller);
        after.Nsm = one.Nsm.Length > 0 ? GuestRules.NsmNamed(one.Nsm, now).Name : before.Nsm;
        GuestRules.CheckCongestion(after, before, now);
        if (after.Nsm != before.Nsm)
        {
            caller.MustBeOperator("moving a guest to another NSM");
            NetworkModes.CheckMove(before, after, now);
            after.FollowPolicy = one.FollowPolicy;
            if (platform.CanMove)
            {
                platform.SetLeaveBy(record, after, 0);
            }
            else if (!request.Force)
            {
                guests.CheckIdle(record, "moving it to another NSM ends its sockets");
            }
        }

        Add(plan, Registry.GuestKind, one.Name, before, after);
        return now;
    }

    private static void Prune(Plan plan, DeclaredState wanted, Snapshot now)
    {
        foreach (string name in now.Policies.Keys.Where(name => wanted.Policies.All(one => one.Name != name)))
        {
            Add(plan, Registry.PolicyKind, name, now.Policies[name], null);
        }

        foreach (string name in now.Nsms.Keys.Where(name => wanted.Nsms.All(one => one.Name != name)))
        {
            string[] guests = [.. wanted.Guests.Where(guest => (guest.Nsm.Length > 0 ? guest.Nsm : now.Guests.GetValueOrDefault(guest.Name)?.Nsm) == name).Select(guest => guest.Name)];
            if (guests.Length > 0)
            {
                throw new ServiceException(
                    FailureCode.FailedPrecondition, $"NSM {name} is not in the state, but serves {string.Join(", ", guests.Take(5))}: name another NSM for them", about: "nsm/" + name);
            }

            Add(plan, Registry.NsmKind, name, now.Nsms[name].Declared, null);
        }

        foreach (string name in now.Tenants.Keys.Where(name => name != Registry.DefaultTenant && wanted.Tenants.All(one => one.Name != name)))
        {
            if (now.Guests.Values.Any(guest => guest.Declared.Tenant == name))
            {
                throw new ServiceException(FailureCode.FailedPrecondition, $"tenant {name} is not in the state, but has guests in it", about: "tenant/" + name);
            }

            Add(plan, Registry.TenantKind, name, now.Tenants[name], null);
        }
    }

    private static void Distinct(string kind, IEnumerable<string> names)
    {
        if (names.GroupBy(name => name).FirstOrDefault(group => group.Count() > 1) is { } twice)
        {
            throw ServiceException.Invalid("state." + kind, $"{kind} {twice.Key} is in the state twice");
        }
    }

    private static void Add<T>(Plan plan, string kind, string name, T? before, T? after)
        where T : class, IMessage<T>
    {
        var change = new Change
        {
            Kind = kind,
            Name = name,
            Action = before is null ? Change.Types.Action.Create : after is null ? Change.Types.Action.Delete : Change.Types.Action.Update,
        };
        MessageDescriptor type = (before ?? after)!.Descriptor;
        foreach (FieldDescriptor field in type.Fields.InFieldNumberOrder().Where(field => field.FieldNumber < 20 && field.Name != "name"))
        {
            string was = before is null ? "" : ProtoJson.Value(before, field), becomes = after is null ? "" : ProtoJson.Value(after, field);
            if (was != becomes)
            {
                change.Fields.Add(new FieldChange { Field = field.Name, Before = was, After = becomes });
            }
        }

        if (before is null || after is null || change.Fields.Count > 0)
        {
            plan.Changes.Add(change);
            plan.Declarations.Add(new Declaration(kind, name, after));
        }
    }
}
