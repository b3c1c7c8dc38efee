using System.Runtime.CompilerServices;

namespace System.Numerics;

/// <summary>Bit counts. The code generator puts an instruction for a call where the baseline has one; else these bodies.</summary>
public static class BitOperations
{
    [Intrinsic]
    public static int PopCount(uint value)
    {
        value -= (value >> 1) & 0x55555555u;
        value = (value & 0x33333333u) + ((value >> 2) & 0x33333333u);
        return (int)((((value + (value >> 4)) & 0x0f0f0f0fu) * 0x01010101u) >> 24);
    }

    [Intrinsic]
    public static int PopCount(ulong value) => PopCount((uint)value) + PopCount((uint)(value >> 32));

    /// <summary>32 for zero.</summary>
    [Intrinsic]
    public static int TrailingZeroCount(uint value) => PopCount(~value & (value - 1));

    [Intrinsic]
    public static int TrailingZeroCount(int value) => TrailingZeroCount((uint)value);

    /// <summary>64 for zero.</summary>
    [Intrinsic]
    public static int TrailingZeroCount(ulong value) => PopCount(~value & (value - 1));

    [Intrinsic]
    public static int TrailingZeroCount(long value) => TrailingZeroCount((ulong)value);

    /// <summary>32 for zero.</summary>
    [Intrinsic]
    public static int LeadingZeroCount(uint value)
    {
        value |= value >> 1;
        value |= value >> 2;
        value |= value >> 4;
        value |= value >> 8;
        value |= value >> 16;
        return 32 - PopCount(value);
    }

    /// <summary>64 for zero.</summary>
    [Intrinsic]
    public static int LeadingZeroCount(ulong value) =>
        value >> 32 != 0 ? LeadingZeroCount((uint)(value >> 32)) : 32 + LeadingZeroCount((uint)value);

    /// <summary>0 for zero.</summary>
    public static int Log2(uint value) => 31 - LeadingZeroCount(value | 1);

    /// <summary>0 for zero.</summary>
    public static int Log2(ulong value) => 63 - LeadingZeroCount(value | 1);

    public static bool IsPow2(uint value) => (value & (value - 1)) == 0 && value != 0;
    public static bool IsPow2(ulong value) => (value & (value - 1)) == 0 && value != 0;
    public static bool IsPow2(int value) => (value & (value - 1)) == 0 && value > 0;

    public static uint RoundUpToPowerOf2(uint value) => value <= 1 ? value : 1u << (32 - LeadingZeroCount(value - 1));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static uint RotateLeft(uint value, int by) => (value << by) | (value >> (32 - by));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static ulong RotateLeft(ulong value, int by) => (value << by) | (value >> (64 - by));
}
