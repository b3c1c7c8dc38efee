using NetKernel.Api.V1;
using NetKernel.ControlPlane.Access;
using NetKernel.ControlPlane.Reconcile;
using NetKernel.ControlPlane.Resources;
using NetKernel.ControlPlane.Rpc;
using GuestCounters = NetKernel.Channel.GuestCounters;

namespace NetKernel.ControlPlane.Services;

/// <summary>Tenants: get, create, change, delete.</summary>
internal sealed class TenantService(Platform platform, Registry registry, StatService stats)
{
    public static readonly string[] Changeable = ["limits", "uids", "labels", "max_guests", "shared_memory", "shared_memory_across"];

    public Tenant Find(string name, Caller caller) =>
        caller.Sees(name) && registry.Now.Tenants.GetValueOrDefault(name) is { } tenant
            ? tenant
            : throw new ServiceException(FailureCode.NotFound, $"there is no tenant {name}: `nk tenant list` shows all", about: "tenant/" + name);

    public async Task<Tenant> CreateAsync(CreateTenantRequest request)
    {
        Tenant wanted = request.Tenant ?? new Tenant();
        AuditLog.About("tenant", wanted.Name, wanted.Name);
        await registry.Changes.WaitAsync();
        try
        {
            if (registry.Now.Tenants.TryGetValue(wanted.Name, out Tenant? existing))
            {
                return request.AllowExisting
                    ? Describe(existing)
                    : throw new ServiceException(FailureCode.AlreadyExists, $"tenant {wanted.Name} exists already", "tenant.name", "tenant/" + wanted.Name);
            }

            Tenant tenant = TenantRules.New(wanted, null, registry.Now);
            if (!request.ValidateOnly)
            {
                await registry.CommitAsync(new Declaration(Registry.TenantKind, tenant.Name, tenant));
                InForce(null, tenant);
            }

            return Describe(tenant);
        }
        finally
        {
            registry.Changes.Release();
        }
    }

    public async Task<Tenant> UpdateAsync(UpdateTenantRequest request, Caller caller)
    {
        AuditLog.About("tenant", request.Tenant?.Name ?? "", request.Tenant?.Name ?? "");
        await registry.Changes.WaitAsync();
        try
        {
            Tenant before = Find(request.Tenant?.Name ?? "", caller);
            Masks.CheckVersion("tenant/" + before.Name, request.Tenant!.ResourceVersion, before.ResourceVersion);
            Tenant after = TenantRules.New(Masks.Merge("tenant", before, request.Tenant, request.UpdateMask, Changeable), before, registry.Now);
            if (!request.ValidateOnly)
            {
                await registry.CommitAsync(new Declaration(Registry.TenantKind, after.Name, after));
                InForce(before, after);
            }

            return Describe(after);
        }
        finally
        {
            registry.Changes.Release();
        }
    }

    public async Task DeleteAsync(DeleteTenantRequest request, Caller caller)
    {
        string name = request.Name;
        AuditLog.About("tenant", name, name);
        await registry.Changes.WaitAsync();
        try
        {
            if (request.AllowMissing && !registry.Now.Tenants.ContainsKey(name))
            {
                return;
            }

            Tenant before = Find(name, caller);
            if (name == Registry.DefaultTenant)
            {
                throw new ServiceException(FailureCode.FailedPrecondition, "the tenant default is always there", about: "tenant/default");
            }

            int guests = registry.Now.Guests.Values.Count(guest => guest.Declared.Tenant == name);
            if (guests > 0)
            {
                throw new ServiceException(FailureCode.FailedPrecondition, $"tenant {name} has {guests} guests: delete them first", about: "tenant/" + name);
            }

            await registry.CommitAsync(new Declaration(Registry.TenantKind, name, null));
            InForce(before, null);
        }
        finally
        {
            registry.Changes.Release();
        }
    }

    /// <summary>Brings a change that is declared into force. Call under the lock.</summary>
    public void InForce(Tenant? before, Tenant? after)
    {
        // A new one may have the number of one that went while CoreEngine was out of reach: it is always told.
        if (before is null || !Equals(before.Limits, after?.Limits))
        {
            platform.SetLimits(after ?? before!, after?.Limits);
        }

        if (after is null)
        {
            platform.ForgetLimits(before!);
        }

        if (after is not null && before is not null && (before.SharedMemory != after.SharedMemory || before.SharedMemoryAcross != after.SharedMemoryAcross))
        {
            foreach (GuestRecord guest in registry.Now.Guests.Values.Where(guest => guest.Declared.Tenant == after.Name))
            {
                platform.SetSharedMemory(guest);
            }
        }
    }

    public Tenant Describe(Tenant tenant) => Describe(tenant, stats.AllGuests());

    public Tenant Describe(Tenant tenant, GuestCounters[] counters)
    {
        Tenant shown = tenant.Clone();
        shown.Problem = platform.LimitProblemOf(tenant) ?? "";
        foreach (GuestRecord guest in registry.Now.Guests.Values.Where(guest => guest.Declared.Tenant == tenant.Name))
        {
            GuestCounters of = guest.Id < counters.Length ? counters[guest.Id] : default;
            shown.Guests++;
            shown.Connections += (long)of.Open;
            shown.BytesSent += of.BytesSent;
            shown.BytesReceived += of.BytesReceived;
            shown.Nqes += of.NqesFromGuest + of.NqesToGuest;
        }

        return shown;
    }
}
