using System.Threading;

namespace NetKernel.Channel;

/// <summary>
/// The producing side of a ring. Indices are private: the other side can spoil what is in the ring, never where this side writes.
/// Stage any number of elements, then <see cref="Publish"/> once.
/// </summary>
public unsafe struct RingProducer
{
    private readonly RingHeader* _ring;
    private readonly Nqe* _slots;
    private readonly uint _capacity;
    private uint _tail;
    private uint _cachedHead;
    private bool _broken;

    /// <summary>Attaches to a ring of <paramref name="slots"/> slots (a power of two), taking over where the last producer stopped.</summary>
    public RingProducer(byte* ring, uint slots)
    {
        _ring = (RingHeader*)ring;
        _slots = (Nqe*)(ring + RingHeader.SlotsOffset);
        _capacity = slots;
        _tail = Volatile.Read(ref _ring->Tail);
        _cachedHead = Volatile.Read(ref _ring->Head);
        _broken = _tail - _cachedHead > slots;
    }

    /// <summary>Attaches to an empty ring whose indices both stand at <paramref name="position"/>, without touching its memory: it takes none before it is used.</summary>
    public RingProducer(byte* ring, uint slots, uint position)
    {
        _ring = (RingHeader*)ring;
        _slots = (Nqe*)(ring + RingHeader.SlotsOffset);
        _capacity = slots;
        _tail = position;
        _cachedHead = position;
        _broken = false;
    }

    /// <summary>The consumer's index was impossible: the ring can no longer be trusted.</summary>
    public readonly bool IsBroken => _broken;

    /// <summary>The element at a position, as it lies in shared memory now.</summary>
    public readonly Nqe* At(uint position) => &_slots[position & (_capacity - 1)];

    /// <summary>Elements staged but not yet published.</summary>
    public readonly uint Staged => _tail - _ring->Tail;

    /// <summary>The position behind the last element staged, for <see cref="HasConsumed"/>.</summary>
    public readonly uint Position => _tail;

    /// <summary>
    /// Whether the consumer is done with everything staged before that position. Compared by age, so that a position older than half the range of the
    /// indices is still told from a new one; at worst the answer is true only when the ring is empty.
    /// </summary>
    public readonly bool HasConsumed(uint position) => _tail - position >= _tail - Volatile.Read(ref _ring->Head); // Acquire: pairs with its release of Head.

    /// <summary>Free slots, looking at the consumer's index only when the cached one does not satisfy <paramref name="wanted"/>.</summary>
    public uint Free(uint wanted)
    {
        uint free = _capacity - (_tail - _cachedHead);
        if (free >= wanted)
        {
            return free;
        }

        // Acquire: pairs with the consumer's release of Head; its reads of the slots came before.
        uint head = Volatile.Read(ref _ring->Head);
        uint used = _tail - head;
        if (used > _capacity)
        {
            _broken = true;
            return 0;
        }

        _cachedHead = head;
        return _capacity - used;
    }

    /// <summary>The next slot to write, or null when the ring is full. Written slots become visible with <see cref="Publish"/>.</summary>
    public Nqe* TryStage()
    {
        if (Free(1) == 0)
        {
            return null;
        }

        return &_slots[_tail++ & (_capacity - 1)];
    }

    /// <summary>
    /// Free slots that lie one behind the other, at most <paramref name="wanted"/>: write any number of them from the first on, then
    /// <see cref="Stage"/> that many. What is written and not staged is never seen as an element.
    /// </summary>
    public uint Window(uint wanted, out Nqe* first)
    {
        uint at = _tail & (_capacity - 1);
        first = _slots + at;
        uint free = Free(wanted);
        uint straight = _capacity - at;
        free = free < straight ? free : straight;
        return free < wanted ? free : wanted;
    }

    /// <summary>Stages the first <paramref name="count"/> slots of a <see cref="Window"/>.</summary>
    public void Stage(uint count) => _tail += count;

    /// <summary>Makes all staged elements visible with one store.</summary>
    public readonly void Publish() => Volatile.Write(ref _ring->Tail, _tail); // Release: pairs with the consumer's acquire of Tail.

    /// <summary>Stages and publishes one element; false when the ring is full.</summary>
    public bool TryEnqueue(Nqe* element)
    {
        Nqe* slot = TryStage();
        if (slot == null)
        {
            return false;
        }

        *slot = *element;
        Publish();
        return true;
    }

    /// <summary>Enqueues as many of <paramref name="count"/> elements as fit, published together; returns how many.</summary>
    public uint Enqueue(Nqe* elements, uint count)
    {
        uint n = Free(count);
        if (n > count)
        {
            n = count;
        }

        for (uint i = 0; i < n; i++)
        {
            _slots[(_tail + i) & (_capacity - 1)] = elements[i];
        }

        _tail += n;
        Publish();
        return n;
    }
}
