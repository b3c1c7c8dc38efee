using System.Numerics;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Threading;

namespace NetKernel.Channel;

/// <summary>
/// A set of a guest's processes or queue sets, a bit each. Walk it with
/// <c>for (uint i = mask.Next(0); i != ProcessMask.None; i = mask.Next(i + 1))</c>: that costs what is set, not what could be.
/// </summary>
[StructLayout(LayoutKind.Sequential, Size = Length)]
public struct ProcessMask
{
    /// <summary>Bytes.</summary>
    public const int Length = 32;

    /// <summary>Bits.</summary>
    public const uint Bits = 256;

    /// <summary>Words of 64 bits.</summary>
    public const uint Words = Bits / 64;

    /// <summary>What <see cref="Next"/> returns at the end.</summary>
    public const uint None = uint.MaxValue;

    private ulong _first;
    private ulong _second;
    private ulong _third;
    private ulong _fourth;

    /// <summary>The set of one.</summary>
    public static ProcessMask Of(uint bit)
    {
        ProcessMask mask = default;
        mask.Set(bit);
        return mask;
    }

    /// <summary>Whether nothing is set. Reads each word once, in order.</summary>
    public readonly bool IsEmpty => (Read(0) | Read(1) | Read(2) | Read(3)) == 0;

    /// <summary>Whether at most one bit is set.</summary>
    public readonly bool IsSingle
    {
        get
        {
            uint first = Next(0);
            return first == None || Next(first + 1) == None;
        }
    }

    /// <summary>A word: bits 64 * <paramref name="index"/> and up.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public readonly ref ulong Word(uint index) => ref Unsafe.Add(ref Unsafe.AsRef(in _first), (int)index);

    /// <summary>Whether a bit is set.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public readonly bool Has(uint bit) => (Read(bit >> 6) & BitOf(bit)) != 0;

    /// <summary>The first bit set that is not below <paramref name="from"/>, or <see cref="None"/>.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public readonly uint Next(uint from)
    {
        uint word = from >> 6;
        if (word >= Words)
        {
            return None;
        }

        ulong rest = Read(word) & (ulong.MaxValue << (int)(from & 63));
        while (rest == 0)
        {
            if (++word == Words)
            {
                return None;
            }

            rest = Read(word);
        }

        return (word << 6) + (uint)BitOperations.TrailingZeroCount(rest);
    }

    /// <summary>Sets a bit of a mask that nobody else writes.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public readonly void Set(uint bit) => Word(bit >> 6) |= BitOf(bit);

    /// <summary>Clears a bit of a mask that nobody else writes.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public readonly void Clear(uint bit) => Word(bit >> 6) &= ~BitOf(bit);

    /// <summary>Adds another set; nobody else writes this one.</summary>
    public readonly void Add(in ProcessMask other)
    {
        for (uint word = 0; word < Words; word++)
        {
            Word(word) |= other.Read(word);
        }
    }

    /// <summary>Sets a bit of a mask in shared memory: a full fence.</summary>
    public readonly void Share(uint bit) => _ = Interlocked.Or(ref Word(bit >> 6), BitOf(bit));

    /// <summary>Clears a bit of a mask in shared memory: a full fence. Whether it was set.</summary>
    public readonly bool Unshare(uint bit) => (Interlocked.And(ref Word(bit >> 6), ~BitOf(bit)) & BitOf(bit)) != 0;

    private static ulong BitOf(uint bit) => 1ul << (int)(bit & 63);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private readonly ulong Read(uint index) => Volatile.Read(ref Word(index));
}
