namespace System.Runtime.CompilerServices;

/// <summary>Reinterpreting memory. The bodies that call themselves are replaced by ILC.</summary>
public static unsafe class Unsafe
{
    [Intrinsic] public static ref T AsRef<T>(void* source) => ref AsRef<T>(source);
    [Intrinsic] public static ref T AsRef<T>(scoped ref readonly T source) => ref AsRef(in source);
    [Intrinsic] public static void* AsPointer<T>(ref T value) => AsPointer(ref value);
    [Intrinsic] public static ref TTo As<TFrom, TTo>(ref TFrom source) => ref As<TFrom, TTo>(ref source);
    [Intrinsic] public static ref T Add<T>(ref T source, int elements) => ref Add(ref source, elements);
    [Intrinsic] public static ref T Add<T>(ref T source, nint elements) => ref Add(ref source, elements);
    [Intrinsic] public static ref T AddByteOffset<T>(ref T source, nint bytes) => ref AddByteOffset(ref source, bytes);
    [Intrinsic] public static bool AreSame<T>(ref readonly T a, ref readonly T b) => AreSame(in a, in b);
    [Intrinsic] public static int SizeOf<T>() => SizeOf<T>();
    [Intrinsic] public static void SkipInit<T>(out T value) => SkipInit(out value);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static T ReadUnaligned<T>(void* source) where T : unmanaged => *(T*)source;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void WriteUnaligned<T>(void* destination, T value) where T : unmanaged => *(T*)destination = value;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void CopyBlock(void* destination, void* source, uint byteCount) =>
        Internal.Runtime.LibC.memmove(destination, source, byteCount);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void CopyBlockUnaligned(void* destination, void* source, uint byteCount) =>
        Internal.Runtime.LibC.memmove(destination, source, byteCount);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void InitBlock(void* start, byte value, uint byteCount) =>
        Internal.Runtime.LibC.memset(start, value, byteCount);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void InitBlockUnaligned(void* start, byte value, uint byteCount) =>
        Internal.Runtime.LibC.memset(start, value, byteCount);
}
