using System.Runtime.CompilerServices;

namespace System.Threading;

/// <summary>
/// Atomic operations, all full barriers. The int and long bodies that call themselves are intrinsics of the code
/// generator (lock cmpxchg, xchg, lock xadd); the others are built on them.
/// </summary>
public static class Interlocked
{
    [Intrinsic] public static void MemoryBarrier() => MemoryBarrier();

    [Intrinsic] public static int CompareExchange(ref int location, int value, int comparand) => CompareExchange(ref location, value, comparand);
    [Intrinsic] public static long CompareExchange(ref long location, long value, long comparand) => CompareExchange(ref location, value, comparand);
    [Intrinsic] public static int Exchange(ref int location, int value) => Exchange(ref location, value);
    [Intrinsic] public static long Exchange(ref long location, long value) => Exchange(ref location, value);
    [Intrinsic] internal static int ExchangeAdd(ref int location, int value) => ExchangeAdd(ref location, value);
    [Intrinsic] internal static long ExchangeAdd(ref long location, long value) => ExchangeAdd(ref location, value);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static uint CompareExchange(ref uint location, uint value, uint comparand) =>
        (uint)CompareExchange(ref Unsafe.As<uint, int>(ref location), (int)value, (int)comparand);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static ulong CompareExchange(ref ulong location, ulong value, ulong comparand) =>
        (ulong)CompareExchange(ref Unsafe.As<ulong, long>(ref location), (long)value, (long)comparand);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static nint CompareExchange(ref nint location, nint value, nint comparand) =>
        (nint)CompareExchange(ref Unsafe.As<nint, long>(ref location), (long)value, (long)comparand);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static uint Exchange(ref uint location, uint value) =>
        (uint)Exchange(ref Unsafe.As<uint, int>(ref location), (int)value);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static ulong Exchange(ref ulong location, ulong value) =>
        (ulong)Exchange(ref Unsafe.As<ulong, long>(ref location), (long)value);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static nint Exchange(ref nint location, nint value) =>
        (nint)Exchange(ref Unsafe.As<nint, long>(ref location), (long)value);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static int Add(ref int location, int value) => ExchangeAdd(ref location, value) + value;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static long Add(ref long location, long value) => ExchangeAdd(ref location, value) + value;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static uint Add(ref uint location, uint value) => (uint)Add(ref Unsafe.As<uint, int>(ref location), (int)value);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static ulong Add(ref ulong location, ulong value) => (ulong)Add(ref Unsafe.As<ulong, long>(ref location), (long)value);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static int Increment(ref int location) => Add(ref location, 1);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static long Increment(ref long location) => Add(ref location, 1);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static uint Increment(ref uint location) => Add(ref location, 1u);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static ulong Increment(ref ulong location) => Add(ref location, 1ul);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static int Decrement(ref int location) => Add(ref location, -1);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static long Decrement(ref long location) => Add(ref location, -1);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static uint Decrement(ref uint location) => Add(ref location, uint.MaxValue);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static ulong Decrement(ref ulong location) => Add(ref location, ulong.MaxValue);

    /// <summary>Returns the value before.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static int Or(ref int location, int value)
    {
        int seen = Volatile.Read(ref location);
        while (true)
        {
            int was = CompareExchange(ref location, seen | value, seen);
            if (was == seen) return was;
            seen = was;
        }
    }

    /// <summary>Returns the value before.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static int And(ref int location, int value)
    {
        int seen = Volatile.Read(ref location);
        while (true)
        {
            int was = CompareExchange(ref location, seen & value, seen);
            if (was == seen) return was;
            seen = was;
        }
    }

    /// <summary>Returns the value before.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static long Or(ref long location, long value)
    {
        long seen = Volatile.Read(ref location);
        while (true)
        {
            long was = CompareExchange(ref location, seen | value, seen);
            if (was == seen) return was;
            seen = was;
        }
    }

    /// <summary>Returns the value before.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static long And(ref long location, long value)
    {
        long seen = Volatile.Read(ref location);
        while (true)
        {
            long was = CompareExchange(ref location, seen & value, seen);
            if (was == seen) return was;
            seen = was;
        }
    }

    public static uint Or(ref uint location, uint value) => (uint)Or(ref Unsafe.As<uint, int>(ref location), (int)value);
    public static uint And(ref uint location, uint value) => (uint)And(ref Unsafe.As<uint, int>(ref location), (int)value);
    public static ulong Or(ref ulong location, ulong value) => (ulong)Or(ref Unsafe.As<ulong, long>(ref location), (long)value);
    public static ulong And(ref ulong location, ulong value) => (ulong)And(ref Unsafe.As<ulong, long>(ref location), (long)value);
}
