using System.Threading;

namespace NetKernel.Channel;

/// <summary>
/// The consuming side of a ring. Indices are private; each element is copied out before anybody looks at it (or, with
/// <see cref="Window"/>, each word read once), so that a hostile producer cannot change it between check and use.
/// </summary>
public unsafe struct RingConsumer
{
    private readonly RingHeader* _ring;
    private readonly Nqe* _slots;
    private readonly uint _capacity;
    private uint _head;
    private uint _cachedTail;
    private bool _broken;

    /// <summary>Attaches to a ring of <paramref name="slots"/> slots (a power of two), taking over where the last consumer stopped.</summary>
    public RingConsumer(byte* ring, uint slots)
    {
        _ring = (RingHeader*)ring;
        _slots = (Nqe*)(ring + RingHeader.SlotsOffset);
        _capacity = slots;
        _head = Volatile.Read(ref _ring->Head);
        _cachedTail = _head;
        _broken = false;
    }

    /// <summary>Attaches to an empty ring whose indices both stand at <paramref name="position"/>, without touching its memory: it takes none before it is used.</summary>
    public RingConsumer(byte* ring, uint slots, uint position)
    {
        _ring = (RingHeader*)ring;
        _slots = (Nqe*)(ring + RingHeader.SlotsOffset);
        _capacity = slots;
        _head = position;
        _cachedTail = position;
        _broken = false;
    }

    /// <summary>The producer's index was impossible: the ring can no longer be trusted.</summary>
    public readonly bool IsBroken => _broken;

    /// <summary>Elements that can be dequeued, looking at the producer's index only when none is known.</summary>
    public uint Available()
    {
        uint known = _cachedTail - _head;
        return known != 0 ? known : Refresh();
    }

    /// <summary>Elements that can be dequeued, after a fresh look at the producer's index. 0 and <see cref="IsBroken"/> when that is impossible.</summary>
    public uint Refresh()
    {
        // Acquire: pairs with the producer's release of Tail; the slots up to it are written.
        uint tail = Volatile.Read(ref _ring->Tail);
        uint fill = tail - _head;
        if (fill > _capacity)
        {
            _broken = true;
            return 0;
        }

        _cachedTail = tail;
        return fill;
    }

    /// <summary>Copies up to <paramref name="count"/> elements out and frees their slots with one store; returns how many.</summary>
    public uint Dequeue(Nqe* elements, uint count)
    {
        uint n = Peek(elements, count);
        Release(n);
        return n;
    }

    /// <summary>Copies up to <paramref name="count"/> elements out without freeing their slots; returns how many.</summary>
    public uint Peek(Nqe* elements, uint count)
    {
        if (_cachedTail - _head < count)
        {
            _ = Refresh();
        }

        return PeekSeen(elements, count);
    }

    /// <summary>As <see cref="Peek"/>, but only of what the last <see cref="Refresh"/> saw.</summary>
    public readonly uint PeekSeen(Nqe* elements, uint count)
    {
        uint n = _cachedTail - _head;

        if (n > count)
        {
            n = count;
        }

        for (uint i = 0; i < n; i++)
        {
            elements[i] = _slots[(_head + i) & (_capacity - 1)];
        }

        return n;
    }

    /// <summary>
    /// Elements seen by the last <see cref="Refresh"/> that lie one behind the other, at most <paramref name="wanted"/>, leaving out the first
    /// <paramref name="skip"/>. They are still the producer's to change: read every word once, and decide on what was read.
    /// </summary>
    public readonly uint Window(uint skip, uint wanted, out Nqe* first)
    {
        uint at = (_head + skip) & (_capacity - 1);
        first = _slots + at;
        uint seen = _cachedTail - _head - skip;
        uint straight = _capacity - at;
        seen = seen < straight ? seen : straight;
        return seen < wanted ? seen : wanted;
    }

    /// <summary>Frees the first <paramref name="count"/> slots.</summary>
    public void Release(uint count)
    {
        if (count == 0)
        {
            return;
        }

        _head += count;
        Volatile.Write(ref _ring->Head, _head); // Release: pairs with the producer's acquire of Head.
    }
}
