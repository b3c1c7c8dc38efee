namespace NetKernel.CoreEngine;

/// <summary>RxCredits that a guest over its receive limit has given and its NSM is told of later, in their order. Native memory, of one loop.</summary>
internal sealed unsafe class CreditHold : IDisposable
{
    /// <summary>Credits; what comes beyond stays in the guest's ring.</summary>
    public const uint Capacity = 8192;

    private readonly Held* _items = (Held*)NativeTable.Reserve(Capacity * (ulong)sizeof(Held));
    private uint _head;
    private uint _tail;

    /// <summary>Credits held.</summary>
    public uint Count => _tail - _head;

    /// <summary>The first one.</summary>
    public Held* First => _items + (_head % Capacity);

    /// <summary>Keeps one; false when there is no room.</summary>
    public bool TryAdd(Nqe* credit, uint id, uint life)
    {
        if (Count == Capacity)
        {
            return false;
        }

        Held* held = _items + (_tail++ % Capacity);
        held->Credit = *credit;
        held->Id = id;
        held->Life = life;
        return true;
    }

    /// <summary>The one behind so many.</summary>
    public Held* At(uint index) => _items + ((_head + index) % Capacity);

    /// <summary>Lets go of the first one.</summary>
    public void RemoveFirst() => _head++;

    public void Dispose() => NativeTable.Release(_items, Capacity * (ulong)sizeof(Held));

    /// <summary>A credit, and which life of which entry of the connection table it belongs to; life 0: told already.</summary>
    public struct Held
    {
        public Nqe Credit;
        public uint Id;
        public uint Life;
    }
}
