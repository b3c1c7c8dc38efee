using System.Runtime.CompilerServices;

namespace System.Runtime.InteropServices;

/// <summary>Spans over inline arrays and single values; the compiler asks for the first two.</summary>
public static class MemoryMarshal
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Span<T> CreateSpan<T>(scoped ref T reference, int length) => new(ref Unsafe.AsRef(in reference), length);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static ReadOnlySpan<T> CreateReadOnlySpan<T>(scoped ref readonly T reference, int length) =>
        new(ref Unsafe.AsRef(in reference), length);

    public static ref T GetReference<T>(Span<T> span) => ref span.GetPinnableReference();
    public static ref T GetReference<T>(ReadOnlySpan<T> span) => ref Unsafe.AsRef(in span.GetPinnableReference());
}
