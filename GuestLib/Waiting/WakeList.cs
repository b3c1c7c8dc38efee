namespace NetKernel.GuestLib;

/// <summary>Threads to be woken once no lock is held any more: a woken thread wants the very locks that its waker holds.</summary>
internal unsafe struct WakeList
{
    private const uint Room = 15;
    private uint _count;
    private fixed uint _waiters[(int)Room];

    /// <summary>Notes a thread; when there are too many it is woken at once.</summary>
    internal void Add(uint waiter)
    {
        if (_count == Room)
        {
            Waiters.Ring(waiter);
            return;
        }

        _waiters[_count++] = waiter;
    }

    /// <summary>Wakes them.</summary>
    internal void Ring()
    {
        for (uint i = 0; i < _count; i++)
        {
            Waiters.Ring(_waiters[i]);
        }

        _count = 0;
    }
}
