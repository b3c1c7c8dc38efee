using System.Runtime.InteropServices;

namespace NetKernel.Stack;

/// <summary>
/// Fixed-size items in native memory that never moves, reused last-in first-out. Grows by slabs up to a limit, and gives nothing back before
/// <see cref="Dispose"/>.
/// </summary>
internal sealed unsafe class Slab : IDisposable
{
    private readonly nuint _bytes;
    private readonly uint _perSlab;
    private readonly uint _limit;
    private void** _slabs;
    private uint _slabCount;
    private void* _free;

    /// <summary>Items of that many bytes, no more than <paramref name="limit"/> of them.</summary>
    public Slab(int bytes, uint limit, uint perSlab = 64)
    {
        _bytes = ((nuint)bytes + 63) & ~(nuint)63;
        _perSlab = perSlab;
        _limit = limit;
        _slabs = (void**)NativeMemory.AllocZeroed((limit / perSlab) + 1, (nuint)sizeof(void*));
    }

    /// <summary>Items in use.</summary>
    public uint Count { get; private set; }

    /// <summary>Items that can still be taken.</summary>
    public uint Left => _limit - Count;

    /// <summary>An item whose content is undefined; null when there are too many, or memory is short.</summary>
    public void* Take()
    {
        if (_free == null && !Grow())
        {
            return null;
        }

        if (Count == _limit)
        {
            return null;
        }

        void* item = _free;
        _free = *(void**)item;
        Count++;
        return item;
    }

    /// <summary>Gives an item back.</summary>
    public void Give(void* item)
    {
        *(void**)item = _free;
        _free = item;
        Count--;
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        for (uint i = 0; i < _slabCount; i++)
        {
            NativeMemory.AlignedFree(_slabs[i]);
        }

        NativeMemory.Free(_slabs);
        _slabs = null;
        _slabCount = 0;
        _free = null;
    }

    private bool Grow()
    {
        if (_slabCount * _perSlab >= _limit)
        {
            return false;
        }

        byte* slab = (byte*)NativeMemory.AlignedAlloc(_bytes * _perSlab, 64);
        _slabs[_slabCount++] = slab;
        for (uint i = _perSlab; i-- > 0;)
        {
            *(void**)(slab + (_bytes * i)) = _free;
            _free = slab + (_bytes * i);
        }

        return true;
    }
}
