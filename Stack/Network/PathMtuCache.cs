namespace NetKernel.Stack;

/// <summary>
/// What ICMP said of paths (RFC 1191, RFC 8201). One entry per bucket: a collision forgets the older one, which then learns again. Ten minutes old ones are void,
/// so that a larger MTU is found again (RFC 1191, 6.3).
/// </summary>
internal sealed class PathMtuCache
{
    private const int Buckets = 1024;
    private const long Lifetime = 600_000_000;

    /// <summary>Smaller than these is an attack: RFC 791 names 68, but nobody has such links; Linux takes 552. RFC 8200 names 1280.</summary>
    public const uint MinV4 = 552, MinV6 = 1280;

    private readonly Entry[] _entries = new Entry[Buckets];
    private readonly RandomSource _random;

    public PathMtuCache(RandomSource random) => _random = random;

    /// <summary>0: nothing is known.</summary>
    public uint Find(in Address destination, long now)
    {
        ref Entry e = ref _entries[_random.TableHash(destination, default, 0, 0) % Buckets];
        return e.Destination == destination && now - e.Time < Lifetime ? e.Mtu : 0;
    }

    /// <summary>Learns a smaller MTU; returns the one that holds now.</summary>
    public uint Learn(in Address destination, uint mtu, long now)
    {
        uint least = destination.IsV4 ? MinV4 : MinV6;
        mtu = mtu < least ? least : mtu;
        ref Entry e = ref _entries[_random.TableHash(destination, default, 0, 0) % Buckets];
        if (e.Destination != destination || now - e.Time >= Lifetime || mtu < e.Mtu)
        {
            e = new Entry { Destination = destination, Mtu = mtu, Time = now };
        }

        return e.Mtu;
    }

    private struct Entry
    {
        public Address Destination;
        public uint Mtu;
        public long Time;
    }
}
