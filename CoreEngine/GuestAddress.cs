namespace NetKernel.CoreEngine;

/// <summary>By what a guest is found as a peer on this host, and who may reach it without a network.</summary>
internal readonly struct GuestAddress(in AttachMessage guest, bool shared)
{
    private readonly uint _address4 = guest.Address4;
    private readonly ulong _low = guest.Address6Low;
    private readonly ulong _high = guest.Address6High;
    private readonly uint _tenant = guest.Slot;
    private readonly bool _across = (guest.Flags & RegionFlags.SharedMemoryAcross) != 0;

    /// <summary>Its policy allows shared memory at all, and it has addresses of its own.</summary>
    public bool IsShared { get; } = shared;

    /// <summary>Whether the address (16 bytes, IPv4 as ::ffff:a.b.c.d) is the guest's.</summary>
    public bool Is(ulong low, ulong high) =>
        low == 0 && (uint)high == 0xFFFF_0000 ? _address4 != 0 && (uint)(high >> 32) == _address4
        : (_low | _high) != 0 && low == _low && high == _high;

    /// <summary>Guests of one tenant may; those of different tenants where both say so.</summary>
    public bool MayReach(in GuestAddress other) => _tenant == other._tenant || (_across && other._across);
}
