using NetKernel.Api.V1;
using NetKernel.Channel;
using NetKernel.ControlPlane.Services;

namespace NetKernel.ControlPlane.Resources;

/// <summary>How guests reach each other by shared memory (docs/sharedmem.md): what may be declared, and what CoreEngine is told of it.</summary>
internal static class SharedMemoryRules
{
    public const string Off = "off", Copy = "copy", Direct = "direct";

    public static void Check(string field, string value)
    {
        if (value is not ("" or Off or Copy or Direct))
        {
            throw ServiceException.Invalid(field, $"shared memory '{value}': {Off}, {Copy} or {Direct}");
        }
    }

    /// <summary>What counts for a guest.</summary>
    public static string Of(Guest guest, Tenant? tenant) =>
        guest.SharedMemory.Length > 0 ? guest.SharedMemory : tenant is { SharedMemory.Length: > 0 } ? tenant.SharedMemory : Copy;

    /// <summary>The same for CoreEngine: bits of <see cref="RegionFlags"/>.</summary>
    public static uint Flags(Guest guest, Tenant? tenant) =>
        (Of(guest, tenant) switch { Off => RegionFlags.NoSharedMemory, Direct => RegionFlags.SharedMemoryDirect, _ => 0 })
        | (tenant is { SharedMemoryAcross: true } ? RegionFlags.SharedMemoryAcross : 0);
}
