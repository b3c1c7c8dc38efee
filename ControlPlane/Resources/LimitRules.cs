using NetKernel.Api.V1;
using NetKernel.Channel;
using NetKernel.ControlPlane.Services;

namespace NetKernel.ControlPlane.Resources;

/// <summary>What limits may be declared, and what CoreEngine is told of them.</summary>
internal static class LimitRules
{
    private const ulong Most = 1ul << 60;

    /// <summary>Fails, naming the field below <paramref name="field"/>, for what could not be enforced.</summary>
    public static void Check(string field, Limits? limits)
    {
        if (limits is null)
        {
            return;
        }

        if (limits.PoolBytes != 0)
        {
            throw ServiceException.Invalid(field + ".pool_bytes", "limits of pool memory cannot be enforced yet: leave pool_bytes out");
        }

        CheckRate(field, "send_bytes_per_second", limits.SendBytesPerSecond, "send_burst_bytes", limits.SendBurstBytes);
        CheckRate(field, "receive_bytes_per_second", limits.ReceiveBytesPerSecond, "receive_burst_bytes", limits.ReceiveBurstBytes);
        CheckRate(field, "operations_per_second", limits.OperationsPerSecond, "operations_burst", limits.OperationsBurst);
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
    };

    private static void CheckRate(string field, string rateField, ulong rate, string burstField, ulong burst)
    {
        if (rate > Most)
        {
            throw ServiceException.Invalid($"{field}.{rateField}", $"at most {Most}; 0: no limit");
        }

        if (burst > Most || (burst != 0 && rate == 0))
        {
            throw ServiceException.Invalid($"{field}.{burstField}", rate == 0 ? $"a burst needs a rate: set {rateField}, too" : $"at most {Most}; 0: a tenth of a second's worth");
        }
    }
}
