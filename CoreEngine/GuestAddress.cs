using NetKernel.Nsm.SharedMem;

namespace NetKernel.CoreEngine;

/// <summary>By what a guest is found as a peer on this host, and who may reach it without a network.</summary>
/// <param name="guest">Its addresses and its tenant's number.</param>
/// <param name="shared">Whether it has addresses of its own, and the shared-memory NSM serves it.</param>
/// <param name="policy"><see cref="RegionFlags"/> that say how it may be reached.</param>
internal readonly struct GuestAddress(in AttachMessage guest, bool shared, uint policy)
{
    private readonly uint _address4 = guest.Address4;
    private readonly ulong _low = guest.Address6Low;
    private readonly ulong _high = guest.Address6High;
    private readonly uint _tenant = guest.Slot;
    private readonly uint _policy = policy;

    private GuestAddress(in GuestAddress other, uint policy)
        : this(new AttachMessage { Address4 = other._address4, Address6Low = other._low, Address6High = other._high, Slot = other._tenant }, other.IsShared, policy)
    {
    }

    /// <summary>The shared-memory NSM serves it.</summary>
    public bool IsShared { get; } = shared;

    /// <summary>The same guest under another policy.</summary>
    public GuestAddress With(uint policy) => new(in this, policy);

    /// <summary>Whether the address (16 bytes, IPv4 as ::ffff:a.b.c.d) is the guest's.</summary>
    public bool Is(ulong low, ulong high) =>
        low == 0 && (uint)high == 0xFFFF_0000 ? _address4 != 0 && (uint)(high >> 32) == _address4
        : (_low | _high) != 0 && low == _low && high == _high;

    /// <summary>Guests of one tenant may, unless one of them keeps out; those of different tenants where both say so, too.</summary>
    public bool MayReach(in GuestAddress other) =>
        Reach.May(_tenant, _policy, other._tenant, other._policy);

    /// <summary>What datagrams are told apart by without a look at their headers (OpData of a Send): the halves of its IPv4 and IPv6 address, put together; 0: it has none.</summary>
    public (ulong Four, ulong Six) Hints => (_address4 == 0 ? 0 : 0xFFFF_0000 | ((ulong)_address4 << 32), _low ^ _high);

    /// <summary>With memory that both map: guests of one tenant that both say so.</summary>
    public bool MayReachDirectly(in GuestAddress other) => _tenant == other._tenant && (_policy & other._policy & RegionFlags.SharedMemoryDirect) != 0;
}
