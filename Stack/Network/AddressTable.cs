namespace NetKernel.Stack;

/// <summary>The addresses that this stack answers for. Changed seldom, asked with every packet.</summary>
internal sealed class AddressTable
{
    private readonly RandomSource _random;
    private Address[] _slots = new Address[64];
    private int _count;
    private Address _last;

    public AddressTable(RandomSource random) => _random = random;

    public int Count => _count;

    public bool Contains(in Address address)
    {
        if (address == _last)
        {
            return !address.IsNone;
        }

        for (uint i = HomeOf(address); ; i++)
        {
            ref Address slot = ref _slots[i & (uint)(_slots.Length - 1)];
            if (slot == address)
            {
                _last = address;
                return !address.IsNone;
            }

            if (slot.IsNone)
            {
                return false;
            }
        }
    }

    /// <summary>Control path: may grow the table.</summary>
    public void Add(in Address address)
    {
        if (address.IsNone || Contains(address))
        {
            return;
        }

        if (_count * 2 >= _slots.Length)
        {
            Rebuild(_slots.Length * 2, default);
        }

        Put(address);
    }

    public void Remove(in Address address)
    {
        _last = default;
        if (Contains(address))
        {
            _last = default;
            Rebuild(_slots.Length, address);
        }
    }

    private void Rebuild(int size, Address without)
    {
        Address[] old = _slots;
        _slots = new Address[size];
        _count = 0;
        for (int i = 0; i < old.Length; i++)
        {
            if (!old[i].IsNone && old[i] != without)
            {
                Put(old[i]);
            }
        }
    }

    private void Put(in Address address)
    {
        uint i = HomeOf(address);
        while (!_slots[i & (uint)(_slots.Length - 1)].IsNone)
        {
            i++;
        }

        _slots[i & (uint)(_slots.Length - 1)] = address;
        _count++;
    }

    private uint HomeOf(in Address address) => _random.TableHash(address, default, 0, 0);
}
