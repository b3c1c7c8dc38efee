using NetKernel.Channel;

namespace NetKernel.Nsm.SharedMem;

/// <summary>Which guests may reach each other by shared memory, as policy says it: written by CoreEngine's control thread, asked for every datagram by the stack.</summary>
/// <remarks>Connections are asked about once, by CoreEngine, when they are made.</remarks>
public sealed class Reach
{
    private const ulong Known = 1ul << 63, Limited = 1ul << 62;
    private readonly ulong[] _guests;

    /// <summary>For guests whose ids are below that; nobody reaches anybody yet.</summary>
    public Reach(uint guests) => _guests = new ulong[guests];

    /// <summary>A guest is there, or its policy has changed: its tenant's number and <see cref="RegionFlags"/>.</summary>
    public void Set(uint guest, uint tenant, uint policy) =>
        Put(guest, Known | (_guests[guest] & Limited) | tenant | ((ulong)(policy & RegionFlags.SharedMemoryPolicy) << 32));

    /// <summary>A guest has a limit by time, of its own or its tenant's, or has none any more: what goes past CoreEngine cannot be held to one.</summary>
    public void SetLimited(uint guest, bool limited) => Put(guest, limited ? _guests[guest] | Limited : _guests[guest] & ~Limited);

    /// <summary>A guest is gone.</summary>
    public void Remove(uint guest) => Put(guest, 0);

    /// <summary>Whether a guest has a limit by time.</summary>
    public bool IsLimited(uint guest) => (Volatile.Read(ref _guests[guest]) & Limited) != 0;

    /// <summary>Whether policy lets two guests reach each other.</summary>
    public bool May(uint one, uint other)
    {
        ulong first = Volatile.Read(ref _guests[one]), second = Volatile.Read(ref _guests[other]);
        return (first & second & Known) != 0 && May((uint)first, (uint)(first >> 32) & RegionFlags.SharedMemoryPolicy, (uint)second, (uint)(second >> 32) & RegionFlags.SharedMemoryPolicy);
    }

    /// <summary>Guests of one tenant may, unless one of them keeps out; those of different tenants where both say so, too.</summary>
    public static bool May(uint tenant, uint policy, uint otherTenant, uint otherPolicy) =>
        ((policy | otherPolicy) & RegionFlags.NoSharedMemory) == 0 && (tenant == otherTenant || (policy & otherPolicy & RegionFlags.SharedMemoryAcross) != 0);

    private void Put(uint guest, ulong value) => Volatile.Write(ref _guests[guest], value);
}
