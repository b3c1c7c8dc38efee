namespace NetKernel.Stack;

/// <summary>Prefixes on the link, and gateways. A handful: searched one by one, the longest prefix wins.</summary>
public sealed class RouteTable
{
    private const int Max = 64;
    private readonly Entry[] _entries = new Entry[Max];
    private int _count;

    /// <summary>Adds a route; a gateway of no address: on the link. False when there are too many.</summary>
    public bool Add(in Address prefix, int bits, in Address gateway)
    {
        if (_count == Max)
        {
            return false;
        }

        _entries[_count++] = new Entry { Prefix = prefix, Bits = bits, Gateway = gateway };
        return true;
    }

    /// <summary>Whom to hand packets for that destination to; false: nobody.</summary>
    internal bool TryNextHop(in Address destination, out Address next)
    {
        int best = -1;
        for (int i = 0; i < _count; i++)
        {
            if ((best < 0 || _entries[i].Bits > _entries[best].Bits) && destination.InPrefix(_entries[i].Prefix, _entries[i].Bits))
            {
                best = i;
            }
        }

        next = best >= 0 && !_entries[best].Gateway.IsNone ? _entries[best].Gateway : destination;
        return best >= 0;
    }

    private struct Entry
    {
        public Address Prefix;
        public Address Gateway;
        public int Bits;
    }
}
