namespace NetKernel.CoreEngine;

/// <summary>
/// Guests by address, as a datagram's Send says of its destination (<see cref="GuestAddress.Hints"/>): those that the shared-memory NSM serves, asked for every datagram, and all of them,
/// asked for every connection. An open hash table, made anew when a guest goes.
/// </summary>
internal sealed class Neighbours
{
    private const uint Slots = 8 * SwitchLoop.MaxGuests; // a quarter full at most
    private readonly ulong[] _hints = new ulong[Slots];
    private readonly GuestPort?[] _ports = new GuestPort?[Slots];
    private readonly GuestPort[] _guests = new GuestPort[SwitchLoop.MaxGuests];
    private int _count;

    /// <summary>The guests.</summary>
    public ReadOnlySpan<GuestPort> All => _guests.AsSpan(0, _count);

    /// <summary>A guest comes; one that is there already stays.</summary>
    public void Add(GuestPort guest)
    {
        if (Array.IndexOf(_guests, guest, 0, _count) < 0)
        {
            _guests[_count++] = guest;
            Enter(guest);
        }
    }

    /// <summary>A guest goes, if it is there.</summary>
    public void Remove(GuestPort guest)
    {
        int at = Array.IndexOf(_guests, guest, 0, _count);
        if (at < 0)
        {
            return;
        }

        _guests[at] = _guests[--_count];
        Array.Clear(_hints);
        Array.Clear(_ports);
        foreach (GuestPort other in All)
        {
            Enter(other);
        }
    }

    /// <summary>Whose the destination may be, or null. A hint is the sender's word: the NSM looks at the datagram itself.</summary>
    public GuestPort? Find(ulong hint)
    {
        for (uint at = At(hint); _ports[at] is { } port; at = (at + 1) % Slots)
        {
            if (_hints[at] == hint)
            {
                return port;
            }
        }

        return null;
    }

    private void Enter(GuestPort guest)
    {
        (ulong four, ulong six) = guest.Address.Hints;
        Enter(four, guest);
        Enter(six, guest);
    }

    private void Enter(ulong hint, GuestPort guest)
    {
        if (hint == 0)
        {
            return;
        }

        uint at = At(hint);
        while (_ports[at] != null)
        {
            at = (at + 1) % Slots;
        }

        _hints[at] = hint;
        _ports[at] = guest;
    }

    private static uint At(ulong hint) => (uint)(hint * 0x9E37_79B9_7F4A_7C15 >> 40) % Slots;
}
