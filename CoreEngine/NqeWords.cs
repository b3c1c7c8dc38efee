using System.Runtime.CompilerServices;
using System.Threading;

namespace NetKernel.CoreEngine;

/// <summary>
/// An NQE in four registers: read from shared memory once, word by word, so that whoever owns the memory cannot change it between check and use;
/// and written to the next ring once, with the words that CoreEngine stamps put in on the way. Copying it to the stack instead would cost
/// more than everything else: fields that cross the halves of a wide store cannot be read back before the store has reached the cache.
/// </summary>
/// <remarks>The offsets are those of <see cref="Nqe"/>; a test compares the two.</remarks>
internal readonly unsafe struct NqeWords
{
    private readonly ulong _w0; // op, vm low, queue set, socket, first byte of op data
    private readonly ulong _w1; // the rest of op data, first byte of the data pointer
    private readonly ulong _w2; // the rest of the data pointer, first byte of the size
    private readonly ulong _w3; // the rest of the size, vm high, aux, flags

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public NqeWords(Nqe* element)
    {
        ulong* words = (ulong*)element;
        _w0 = Volatile.Read(ref words[0]); // volatile: never read a second time
        _w1 = Volatile.Read(ref words[1]);
        _w2 = Volatile.Read(ref words[2]);
        _w3 = Volatile.Read(ref words[3]);
    }

    public Op Op => (Op)(byte)_w0;

    public uint Socket => (uint)(_w0 >> 24);

    public ulong DataPtr => (_w1 >> 56) | (_w2 << 8);

    public uint Size => (uint)((_w2 >> 56) | (_w3 << 8));

    /// <summary>Writes it, from and to whom replaced by <paramref name="stamp"/> and <paramref name="socket"/>.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void Write(Nqe* slot, NqeStamp stamp, uint socket)
    {
        ulong* words = (ulong*)slot;
        words[0] = (_w0 & 0xFF000000_000000FF) | stamp.First | ((ulong)socket << 24);
        words[1] = _w1;
        words[2] = _w2;
        words[3] = (_w3 & 0xFFFFFF00_00FFFFFF) | stamp.Last;
    }
}

/// <summary>The bytes of an NQE that CoreEngine writes, where they lie in its first and last word.</summary>
internal readonly struct NqeStamp(byte vmLow, ushort vmHigh, uint queueSet)
{
    public readonly ulong First = ((ulong)vmLow << 8) | ((ulong)(byte)queueSet << 16);
    public readonly ulong Last = (ulong)vmHigh << 24;
}
