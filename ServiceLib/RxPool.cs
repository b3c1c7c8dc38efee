using System.Runtime.InteropServices;
using NetKernel.Channel;

namespace NetKernel.ServiceLib;

/// <summary>
/// The RX half of one guest's pool, seen by the side that allocates in it. All state is private to the NSM: the guest names chunks, and each is
/// looked up here before it is believed. Free chunks are reused last-in first-out (they are still in the cache), and chunks
/// never used stay untouched memory.
/// </summary>
public sealed unsafe class RxPool
{
    /// <summary>No chunk.</summary>
    public const uint None = uint.MaxValue;

    private const int Classes = 3, HeldFlags = 24;
    private const uint HeldSize = (1u << HeldFlags) - 1;
    private readonly PoolHalf _half;
    private readonly Slot* _slots;
    private readonly uint[] _free = new uint[Classes];
    private readonly uint[] _fresh = new uint[Classes];
    private readonly PoolShare _share;
    private readonly uint _reserve;
    private uint _freeSmall;
    private uint _freeChunks;

    /// <summary>The allocator of a half that has all chunks free.</summary>
    public RxPool(PoolHalf half)
    {
        _half = half;
        _slots = (Slot*)NativeMemory.AllocZeroed(half.Count + 1, (nuint)sizeof(Slot));
        for (int k = 0; k < Classes; k++)
        {
            _free[k] = None;
            _fresh[k] = half.FirstOf(k);
            FreeBytes += (ulong)(half.FirstOf(k + 1) - half.FirstOf(k)) * PoolHalf.BytesOf(k);
        }

        TotalBytes = FreeBytes;
        _freeSmall = half.FirstOf(1);
        _freeChunks = half.Count;
        _reserve = _freeSmall / 2;
        _share = new PoolShare(TotalBytes - ((ulong)_reserve * PoolLayout.SmallBytes), half.Count - _reserve);
    }

    /// <summary>Bytes of all chunks.</summary>
    public ulong TotalBytes { get; }

    /// <summary>Bytes of the free ones.</summary>
    public ulong FreeBytes { get; private set; }

    /// <summary>Of a limit of that many bytes, what one connection may have out as long as the pool is as scarce as it is now (<see cref="PoolShare"/>).</summary>
    public uint ShareOf(uint limit)
    {
        uint kept = _freeSmall < _reserve ? _freeSmall : _reserve;
        return _share.Of(limit, FreeBytes - ((ulong)kept * PoolLayout.SmallBytes), _freeChunks - kept);
    }

    /// <summary>
    /// Takes a chunk of the class, or of the next smaller that has one, or of a larger one. Half of the small chunks are kept for connections of which the guest holds nothing
    /// (<paramref name="first"/>). <see cref="None"/> when there is none. It belongs to nobody until <see cref="Own"/>; give it back with <see cref="Free"/>.
    /// </summary>
    public uint Take(int sizeClass, bool first)
    {
        for (int k = sizeClass; k >= 0; k--)
        {
            uint chunk = k == 0 && !first && _freeSmall <= _reserve ? None : TakeExactly(k);
            if (chunk != None)
            {
                return chunk;
            }
        }

        for (int k = sizeClass + 1; k < Classes; k++)
        {
            uint chunk = TakeExactly(k);
            if (chunk != None)
            {
                return chunk;
            }
        }

        return None;
    }

    /// <summary>Bytes of a chunk.</summary>
    public uint BytesOf(uint chunk) => PoolHalf.BytesOf(_half.ClassOf(chunk));

    /// <summary>Region offset of a chunk.</summary>
    public ulong OffsetOf(uint chunk) => _half.OffsetOf(chunk);

    /// <summary>Notes that the connection has the chunk out, with that many bytes of stream data; 0: it is no entry of the receive queue.</summary>
    public void Own(uint chunk, Connection* c, uint data)
    {
        Slot* slot = &_slots[chunk];
        slot->Owner = c;
        slot->Data = data;
        slot->Previous = None;
        slot->Next = c->RxFirst;
        if (c->RxFirst != None)
        {
            _slots[c->RxFirst].Previous = chunk;
        }

        c->RxFirst = chunk;
        if (data != 0)
        {
            c->RxOut++;
            c->RxBytesOut += BytesOf(chunk);
            c->RxDataOut += data;
        }
    }

    /// <summary>Puts a chunk at the end of those that wait to be told of: so many bytes, and flags of theirs. The guest cannot return it before.</summary>
    public void Hold(uint chunk, Connection* c, uint data, NqeFlags flags)
    {
        Own(chunk, c, 0);
        Slot* slot = &_slots[chunk];
        slot->Held = data | ((uint)flags << HeldFlags);
        if (c->HeldCount++ == 0)
        {
            c->HeldFirst = chunk;
        }
        else
        {
            _slots[c->HeldLast].After = chunk;
        }

        c->HeldLast = chunk;
        c->HeldBytes += BytesOf(chunk);
        c->HeldData += data;
    }

    /// <summary>The oldest of the chunks that wait is told of: from now on it is out. There is one.</summary>
    public uint Release(Connection* c, out uint data, out NqeFlags flags)
    {
        uint chunk = c->HeldFirst;
        Slot* slot = &_slots[chunk];
        data = slot->Held & HeldSize;
        flags = (NqeFlags)(slot->Held >> HeldFlags);
        slot->Held = 0;
        slot->Data = data;
        c->HeldFirst = slot->After;
        c->HeldCount--;
        c->HeldBytes -= BytesOf(chunk);
        c->HeldData -= data;
        c->RxOut++;
        c->RxBytesOut += BytesOf(chunk);
        c->RxDataOut += data;
        return chunk;
    }

    /// <summary>Whether a chunk that waits is the second one of its datagram.</summary>
    public bool IsRest(uint chunk) => ((NqeFlags)(_slots[chunk].Held >> HeldFlags) & NqeFlags.Continued) != 0;

    /// <summary>Takes back the chunk at a region offset that a guest named; false when the connection has no such chunk out.</summary>
    public bool Return(ulong offset, Connection* c)
    {
        if (!_half.TryFind(offset, 1, out uint chunk) || _slots[chunk].Owner != c || _slots[chunk].Held != 0)
        {
            return false;
        }

        Slot* slot = &_slots[chunk];
        if (slot->Previous != None)
        {
            _slots[slot->Previous].Next = slot->Next;
        }
        else
        {
            c->RxFirst = slot->Next;
        }

        if (slot->Next != None)
        {
            _slots[slot->Next].Previous = slot->Previous;
        }

        Disown(slot, chunk, c);
        return true;
    }

    /// <summary>Takes back everything that a connection has out.</summary>
    public void ReturnAll(Connection* c)
    {
        uint chunk = c->RxFirst;
        c->RxFirst = None;
        c->HeldCount = c->HeldBytes = c->HeldData = 0;
        while (chunk != None)
        {
            Slot* slot = &_slots[chunk];
            uint next = slot->Next;
            Disown(slot, chunk, c);
            chunk = next;
        }
    }

    /// <summary>Gives back a chunk that <see cref="Take"/> gave and nobody owns.</summary>
    public void Free(uint chunk)
    {
        int k = _half.ClassOf(chunk);
        _slots[chunk].Next = _free[k];
        _free[k] = chunk;
        FreeBytes += PoolHalf.BytesOf(k);
        _freeSmall += k == 0 ? 1u : 0;
        _freeChunks++;
    }

    /// <summary>Frees the bookkeeping (not the pool, which is mapped memory).</summary>
    public void Release() => NativeMemory.Free(_slots);

    private uint TakeExactly(int k)
    {
        uint chunk = _free[k];
        if (chunk != None)
        {
            _free[k] = _slots[chunk].Next;
        }
        else if (_fresh[k] < _half.FirstOf(k + 1))
        {
            chunk = _fresh[k]++;
        }
        else
        {
            return None;
        }

        FreeBytes -= PoolHalf.BytesOf(k);
        _freeSmall -= k == 0 ? 1u : 0;
        _freeChunks--;
        return chunk;
    }

    private void Disown(Slot* slot, uint chunk, Connection* c)
    {
        if (slot->Data != 0)
        {
            c->RxOut--;
            c->RxBytesOut -= BytesOf(chunk);
            c->RxDataOut -= slot->Data;
        }

        slot->Owner = null;
        slot->Held = 0;
        Free(chunk);
    }

    private struct Slot
    {
        public Connection* Owner;
        public uint Next;
        public uint Previous;
        public uint Data;

        // Not 0: it waits to be told of, with so many bytes (never 0) and flags above them; and the one behind it.
        public uint Held;
        public uint After;
    }
}
