using Google.Protobuf.WellKnownTypes;
using NetKernel.Api;
using NetKernel.Api.V1;
using NetKernel.ControlPlane.Services;

namespace NetKernel.ControlPlane.Resources;

/// <summary>What a tenant may be.</summary>
internal static class TenantRules
{
    private const uint MaxTenants = 4095;

    /// <summary>A tenant to be declared, complete; with one before, that one's identity.</summary>
    public static Tenant New(Tenant wanted, Tenant? before, Snapshot now)
    {
        if (Names.Problem("tenant", wanted.Name) is { } problem)
        {
            throw ServiceException.Invalid("tenant.name", problem);
        }

        foreach (uint uid in wanted.Uids)
        {
            if (uid == 0 || wanted.Uids.Count(other => other == uid) > 1)
            {
                throw ServiceException.Invalid("tenant.uids", uid == 0 ? "user 0 is the operator" : $"user {uid} is named twice");
            }

            if (now.Tenants.Values.FirstOrDefault(other => other.Name != wanted.Name && other.Uids.Contains(uid)) is { } owner)
            {
                throw new ServiceException(FailureCode.AlreadyExists, $"user {uid} acts for tenant {owner.Name} already", "tenant.uids", "tenant/" + owner.Name);
            }
        }

        GuestRules.CheckLabels("tenant.labels", wanted.Labels);
        LimitRules.Check("tenant.limits", wanted.Limits);
        LimitRules.CheckPools(wanted, now);
        SharedMemoryRules.Check("tenant.shared_memory", wanted.SharedMemory);
        uint id = before?.Id ?? Registry.FreeNumber(MaxTenants, number => now.Tenants.Values.Any(tenant => tenant.Id == number));
        return id == 0
            ? throw new ServiceException(FailureCode.ResourceExhausted, $"no more than {MaxTenants} tenants: delete one")
            : new Tenant
            {
                Name = wanted.Name,
                Id = id,
                Limits = wanted.Limits?.Clone(),
                Uids = { wanted.Uids },
                Labels = { wanted.Labels },
                MaxGuests = wanted.MaxGuests,
                SharedMemory = wanted.SharedMemory,
                SharedMemoryAcross = wanted.SharedMemoryAcross,
                CreateTime = before?.CreateTime ?? Timestamp.FromDateTime(DateTime.UtcNow),
            };
    }
}
