using System.Runtime.InteropServices;
using NetKernel.Stack;

namespace NetKernel.Nsm.Mtcp;

/// <summary>What each guest's datagram sockets may keep waiting, by guest id, in native memory that does not move while its guest is there.</summary>
internal sealed unsafe class UdpBudgets : IDisposable
{
    private UdpBudget*[] _byGuest = [];

    /// <summary>That of a guest that is there.</summary>
    public UdpBudget* this[int guest] => _byGuest[guest];

    /// <summary>Control path: a guest came.</summary>
    public void Add(int guest)
    {
        if (guest >= _byGuest.Length)
        {
            UdpBudget*[] larger = new UdpBudget*[Math.Max(guest + 1, _byGuest.Length * 2)];
            _byGuest.CopyTo(larger, 0);
            _byGuest = larger;
        }

        Remove(guest);
        _byGuest[guest] = (UdpBudget*)NativeMemory.AllocZeroed((nuint)sizeof(UdpBudget));
    }

    /// <summary>A guest went, and all its sockets.</summary>
    public void Remove(int guest)
    {
        NativeMemory.Free(_byGuest[guest]);
        _byGuest[guest] = null;
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        for (int i = 0; i < _byGuest.Length; i++)
        {
            Remove(i);
        }
    }
}
