using NetKernel.ServiceLib;

namespace NetKernel.Nsm.SharedMem;

/// <summary>Whose an address is. A guest has at most two; there are at most as many guests as CoreEngine takes.</summary>
internal sealed class GuestTable
{
    private Guest[] _guests = new Guest[64];
    private int _count;

    public void Add(Guest guest)
    {
        if (_count == _guests.Length)
        {
            Array.Resize(ref _guests, 2 * _count);
        }

        _guests[_count++] = guest;
    }

    public void Remove(Guest guest)
    {
        int at = Array.IndexOf(_guests, guest, 0, _count);
        if (at >= 0)
        {
            _guests[at] = _guests[--_count];
        }
    }

    /// <summary>The guest of an address, or null.</summary>
    public Guest? Find(in Endpoint address)
    {
        bool v4 = address.IsIPv4;
        for (int i = 0; i < _count; i++)
        {
            Guest guest = _guests[i];
            if (v4 ? guest.Address4 == address.Address4 && guest.Address4 != 0
                : guest.HasIPv6 && guest.Address6Low == address.Low && guest.Address6High == address.High)
            {
                return guest;
            }
        }

        return null;
    }
}
