using System.Net.Sockets;
using Google.Protobuf.WellKnownTypes;
using NetKernel.Api;
using NetKernel.Api.V1;
using NetKernel.ControlPlane.Network;
using NetKernel.ControlPlane.Services;

namespace NetKernel.ControlPlane.Resources;

/// <summary>What a guest may be, and what is chosen for it where nothing is said. Each failure names the field.</summary>
internal static class GuestRules
{
    /// <summary>The highest guest id: ids are also rows of CoreEngine's counters.</summary>
    public const uint MaxId = 4095;

    private const int MaxLabels = 32, MaxLabel = 63;

    /// <summary>A guest to be declared, complete.</summary>
    public static Guest New(Guest wanted, Snapshot now, AddressPlan plan, string? callersTenant)
    {
        if (Names.Problem("guest", wanted.Name) is { } problem)
        {
            throw ServiceException.Invalid("guest.name", problem);
        }

        CheckMutable(wanted);
        string tenant = wanted.Tenant.Length > 0 ? wanted.Tenant : callersTenant ?? Registry.DefaultTenant;
        Tenant owner = now.Tenants.GetValueOrDefault(tenant) ?? throw new ServiceException(
            FailureCode.NotFound, $"there is no tenant {tenant}: `nk tenant list` shows all, `nk tenant create {tenant}` makes it", "guest.tenant", "tenant/" + tenant);
        if (owner.MaxGuests > 0 && now.Guests.Values.Count(guest => guest.Declared.Tenant == tenant) >= owner.MaxGuests)
        {
            throw new ServiceException(FailureCode.ResourceExhausted, $"tenant {tenant} may have {owner.MaxGuests} guests: delete one", "guest.tenant", "tenant/" + tenant);
        }

        LimitRules.CheckPools(owner, now, new Guest { Name = wanted.Name, Tenant = tenant, Limits = wanted.Limits });
        var guest = new Guest
        {
            Name = wanted.Name,
            Tenant = tenant,
            Dns = wanted.Dns?.Clone(),
            Limits = wanted.Limits?.Clone(),
            Labels = { wanted.Labels },
            FollowPolicy = wanted.Nsm.Length == 0 || wanted.FollowPolicy,
            SharedMemory = wanted.SharedMemory,
            CongestionControl = wanted.CongestionControl,
            CreateTime = Timestamp.FromDateTime(DateTime.UtcNow),
        };
        guest.Nsm = wanted.Nsm.Length > 0 ? NsmNamed(wanted.Nsm, now).Name : NsmFor(guest, now).Name;
        CheckCongestion(guest, null, now);
        Place(guest, wanted, now, plan);
        return guest;
    }

    /// <summary>Checks a congestion control that is new against the NSM that serves the guest. Others, to which it may go later, say so themselves when they do not have it.</summary>
    public static void CheckCongestion(Guest after, Guest? before, Snapshot now)
    {
        if (after.CongestionControl.Length > 0 && after.CongestionControl != before?.CongestionControl)
        {
            StackParameters.CheckCongestion("guest.congestion_control", NsmNamed(after.Nsm, now).Declared.Kind, after.CongestionControl);
        }
    }

    /// <summary>Checks what may be changed later, too.</summary>
    public static void CheckMutable(Guest wanted)
    {
        ResolverFile.Check(wanted.Dns);
        CheckLabels("guest.labels", wanted.Labels);
        LimitRules.Check("guest.limits", wanted.Limits);
        SharedMemoryRules.Check("guest.shared_memory", wanted.SharedMemory);
    }

    public static void CheckLabels(string field, IDictionary<string, string> labels)
    {
        if (labels.Count > MaxLabels)
        {
            throw ServiceException.Invalid(field, $"no more than {MaxLabels} labels");
        }

        foreach ((string key, string value) in labels)
        {
            if (key.Length is 0 or > MaxLabel || value.Length > MaxLabel || key.Any(c => c is <= ' ' or > '~' or '=' or ',') || value.Any(c => c is < ' ' or > '~' or ','))
            {
                throw ServiceException.Invalid($"{field}.{key}", $"label '{key}={value}': 1 to {MaxLabel} printable characters and as value up to {MaxLabel}, without '=' and ','");
            }
        }
    }

    public static NsmRecord NsmNamed(string name, Snapshot now) =>
        now.Nsms.GetValueOrDefault(name) is not { } nsm
            ? throw new ServiceException(
                FailureCode.NotFound, $"there is no NSM {name}: `nk nsm list` shows all, `nk nsm create {name}` makes it", "guest.nsm", "nsm/" + name)
        : nsm;

    /// <summary>The NSM that the policies choose: the first of the list that is ready, else the first that there is.</summary>
    public static NsmRecord NsmFor(Guest guest, Snapshot now)
    {
        Policy? policy = PolicyRules.WholeGuest(guest, now);
        NsmRecord[] choice = policy is not null
            ? [.. policy.Nsms.Select(name => now.Nsms.GetValueOrDefault(name)).OfType<NsmRecord>()]
            : [.. now.Nsms.Values.OrderBy(nsm => NetworkModes.IsHost(nsm.Declared)).ThenBy(nsm => nsm.Declared.Drained).ThenBy(nsm => nsm.Id)];
        return (policy is null ? choice.FirstOrDefault() : choice.FirstOrDefault(nsm => nsm.Ready && !nsm.Declared.Drained) ?? choice.FirstOrDefault())
            ?? throw new ServiceException(
                FailureCode.FailedPrecondition,
                policy is null ? "there is no NSM: `nk nsm create NAME` makes one" : $"policy {policy.Name} names no NSM that there is: `nk nsm list` shows all", "guest.nsm");
    }

    /// <summary>Guests that follow the policies and have to go elsewhere, as they are to be declared.</summary>
    public static IEnumerable<Declaration> Followers(Snapshot now)
    {
        foreach (GuestRecord guest in now.Guests.Values.Where(guest => guest.Declared.FollowPolicy))
        {
            NsmRecord? first = PolicyRules.WholeGuest(guest.Declared, now)?.Nsms.Select(name => now.Nsms.GetValueOrDefault(name)).OfType<NsmRecord>().FirstOrDefault();
            if (first is not null && first.Name != guest.Nsm && NetworkModes.MayServe(guest.Declared, first, now))
            {
                Guest moved = guest.Declared.Clone();
                moved.Nsm = first.Name;
                yield return new Declaration(Registry.GuestKind, guest.Name, moved);
            }
        }
    }

    private static void Place(Guest guest, Guest wanted, Snapshot now, AddressPlan plan)
    {
        string? wanted4 = Wanted("guest.ipv4", wanted.Ipv4, AddressFamily.InterNetwork, plan);
        string? wanted6 = Wanted("guest.ipv6", wanted.Ipv6, AddressFamily.InterNetworkV6, plan);
        foreach ((string field, string? address) in new[] { ("guest.ipv4", wanted4), ("guest.ipv6", wanted6) })
        {
            if (address is not null && now.Addresses.TryGetValue(address, out GuestRecord? owner))
            {
                throw new ServiceException(
                    FailureCode.AlreadyExists, $"{address} belongs to guest {owner.Name}: choose another address, or none", field, "guest/" + owner.Name);
            }
        }

        uint limit = Math.Min(MaxId, plan.Capacity);
        uint id = Registry.FreeNumber(
            limit,
            number => now.GuestIds.ContainsKey(number) || (wanted4 is null && now.Addresses.ContainsKey(plan.Ipv4(number).ToString()))
                || (wanted6 is null && now.Addresses.ContainsKey(plan.Ipv6(number).ToString())));
        if (id == 0)
        {
            throw new ServiceException(FailureCode.ResourceExhausted, $"no more than {limit} guests: delete some, or choose larger subnets at `nk up`");
        }

        guest.Id = id;
        guest.Ipv4 = wanted4 ?? plan.Ipv4(id).ToString();
        guest.Ipv6 = wanted6 ?? plan.Ipv6(id).ToString();
    }

    private static string? Wanted(string field, string text, AddressFamily family, AddressPlan plan)
    {
        try
        {
            return text.Length == 0 ? null : plan.Wanted(text, family).ToString();
        }
        catch (FormatException e)
        {
            throw ServiceException.Invalid(field, e.Message);
        }
    }
}
