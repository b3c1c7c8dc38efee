using NetKernel.Api.V1;
using NetKernel.Channel;
using NetKernel.ControlPlane.Services;

namespace NetKernel.ControlPlane.Resources;

/// <summary>What limits may be declared, and what CoreEngine is told of them.</summary>
internal static class LimitRules
{
    private const ulong Most = 1ul << 60;
    private const ulong MostConnections = 1ul << 32; // far within what CoreEngine takes
    private const ulong LeastPool = 16 << 20; // CoreEngine's PoolSize.Least

    /// <summary>Fails, naming the field below <paramref name="field"/>, for what could not be enforced.</summary>
    public static void Check(string field, Limits? limits)
    {
        if (limits is null)
        {
            return;
        }

        if (limits.PoolBytes is not 0 and < LeastPool)
        {
            throw ServiceException.Invalid(field + ".pool_bytes", $"a pool has at least {LeastPool} bytes; 0: no limit");
        }

        CheckRate(field, "send_bytes_per_second", limits.SendBytesPerSecond, "send_burst_bytes", limits.SendBurstBytes);
        CheckRate(field, "receive_bytes_per_second", limits.ReceiveBytesPerSecond, "receive_burst_bytes", limits.ReceiveBurstBytes);
        CheckRate(field, "operations_per_second", limits.OperationsPerSecond, "operations_burst", limits.OperationsBurst);
        CheckRate(field, "connections_per_second", limits.ConnectionsPerSecond, "connections_burst", limits.ConnectionsBurst, MostConnections);
    }

    /// <summary>A guest's pool is made with it, and is never larger or smaller afterwards.</summary>
    public static void CheckPoolStays(Guest before, Guest after)
    {
        if ((before.Limits?.PoolBytes ?? 0) != (after.Limits?.PoolBytes ?? 0))
        {
            throw new ServiceException(
                FailureCode.FailedPrecondition, $"the pool of guest {before.Name} was made with it, and keeps its size: delete the guest, and make it with another limit",
                "guest.limits.pool_bytes", "guest/" + before.Name);
        }
    }

    /// <summary>Fails if the pools of a tenant's guests, one to be made among them perhaps, are more than the tenant may have together, or one of them has no limit of its own.</summary>
    public static void CheckPools(Tenant tenant, Snapshot now, Guest? another = null)
    {
        ulong most = tenant.Limits?.PoolBytes ?? 0;
        if (most == 0)
        {
            return;
        }

        ulong sum = 0;
        IEnumerable<Guest> all = now.Guests.Values.Select(guest => guest.Declared).Where(guest => guest.Tenant == tenant.Name);
        foreach (Guest guest in another is null ? all : all.Append(another))
        {
            ulong bytes = guest.Limits?.PoolBytes ?? 0;
            if (bytes == 0)
            {
                throw new ServiceException(
                    FailureCode.FailedPrecondition, $"tenant {tenant.Name} has a limit of pool memory, so each of its guests needs one of its own: {guest.Name} has none",
                    another is null ? "tenant.limits.pool_bytes" : "guest.limits.pool_bytes", "guest/" + guest.Name);
            }

            sum += Math.Min(bytes, Most);
        }

        if (sum > most)
        {
            throw new ServiceException(
                FailureCode.ResourceExhausted, $"tenant {tenant.Name} may have {most} bytes of pools, and {sum} are asked for: `nk tenant update {tenant.Name} --limit-pool BYTES` gives it more, `--limit-pool` of guests shares it out",
                another is null ? "tenant.limits.pool_bytes" : "guest.limits.pool_bytes", "tenant/" + tenant.Name);
        }
    }

    /// <summary>As CoreEngine takes them; null: no limits.</summary>
    public static LimitsMessage Message(Limits? limits) => limits is null ? default : new LimitsMessage
    {
        SendBytesPerSecond = limits.SendBytesPerSecond,
        SendBurst = limits.SendBytesPerSecond == 0 ? 0 : limits.SendBurstBytes,
        ReceiveBytesPerSecond = limits.ReceiveBytesPerSecond,
        ReceiveBurst = limits.ReceiveBytesPerSecond == 0 ? 0 : limits.ReceiveBurstBytes,
        OperationsPerSecond = limits.OperationsPerSecond,
        OperationsBurst = limits.OperationsPerSecond == 0 ? 0 : limits.OperationsBurst,
        OpenConnections = limits.OpenConnections,
        ConnectionsPerSecond = limits.ConnectionsPerSecond,
        ConnectionsBurst = limits.ConnectionsPerSecond == 0 ? 0 : limits.ConnectionsBurst,
    };

    private static void CheckRate(string field, string rateField, ulong rate, string burstField, ulong burst, ulong most = Most)
    {
        if (rate > most)
        {
            throw ServiceException.Invalid($"{field}.{rateField}", $"at most {most}; 0: no limit");
        }

        if (burst > most || (burst != 0 && rate == 0))
        {
            throw ServiceException.Invalid($"{field}.{burstField}", rate == 0 ? $"a burst needs a rate: set {rateField}, too" : $"at most {most}; 0: a tenth of a second's worth");
        }
    }
}
