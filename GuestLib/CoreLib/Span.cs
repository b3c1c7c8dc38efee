using System.Runtime.CompilerServices;

namespace System;

/// <summary>UTF-8 literals and views of memory that somebody else keeps.</summary>
public readonly unsafe ref struct ReadOnlySpan<T>
{
    private readonly ref T _start;
    private readonly int _length;

    public ReadOnlySpan(void* pointer, int length)
    {
        _start = ref Unsafe.AsRef<T>(pointer);
        _length = length;
    }

    internal ReadOnlySpan(ref T start, int length)
    {
        _start = ref start;
        _length = length;
    }

    // The compiler asks for these; there are no arrays to call them with. A list of constants becomes a view of read-only data.
    public ReadOnlySpan(T[] array) => _start = ref Unsafe.AsRef<T>(null);
    public ReadOnlySpan(T[] array, int start, int length) => _start = ref Unsafe.AsRef<T>(null);

    public static implicit operator ReadOnlySpan<T>(T[] array) => new(array);

    public int Length => _length;
    public bool IsEmpty => _length == 0;

    public ref readonly T this[int index]
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get
        {
            if ((uint)index >= (uint)_length) Internal.Runtime.LibC.abort();
            return ref Unsafe.Add(ref _start, index);
        }
    }

    public ref readonly T GetPinnableReference() => ref _start;

    public Enumerator GetEnumerator() => new(this);

    public ref struct Enumerator
    {
        private readonly ReadOnlySpan<T> _span;
        private int _index;

        internal Enumerator(ReadOnlySpan<T> span)
        {
            _span = span;
            _index = -1;
        }

        public bool MoveNext() => ++_index < _span._length;
        public readonly ref readonly T Current => ref Unsafe.Add(ref _span._start, _index);
    }

    public ReadOnlySpan<T> Slice(int start) => Slice(start, _length - start);

    public ReadOnlySpan<T> Slice(int start, int length)
    {
        if ((uint)start > (uint)_length || (uint)length > (uint)(_length - start)) Internal.Runtime.LibC.abort();
        return new ReadOnlySpan<T>(ref Unsafe.Add(ref _start, start), length);
    }
}

public readonly unsafe ref struct Span<T>
{
    private readonly ref T _start;
    private readonly int _length;

    public Span(void* pointer, int length)
    {
        _start = ref Unsafe.AsRef<T>(pointer);
        _length = length;
    }

    internal Span(ref T start, int length)
    {
        _start = ref start;
        _length = length;
    }

    public int Length => _length;
    public bool IsEmpty => _length == 0;

    public ref T this[int index]
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get
        {
            if ((uint)index >= (uint)_length) Internal.Runtime.LibC.abort();
            return ref Unsafe.Add(ref _start, index);
        }
    }

    public ref T GetPinnableReference() => ref _start;

    public Enumerator GetEnumerator() => new(this);

    public ref struct Enumerator
    {
        private readonly Span<T> _span;
        private int _index;

        internal Enumerator(Span<T> span)
        {
            _span = span;
            _index = -1;
        }

        public bool MoveNext() => ++_index < _span._length;
        public readonly ref T Current => ref Unsafe.Add(ref _span._start, _index);
    }

    public Span<T> Slice(int start) => Slice(start, _length - start);

    public Span<T> Slice(int start, int length)
    {
        if ((uint)start > (uint)_length || (uint)length > (uint)(_length - start)) Internal.Runtime.LibC.abort();
        return new Span<T>(ref Unsafe.Add(ref _start, start), length);
    }

    public static implicit operator ReadOnlySpan<T>(Span<T> span) => new(ref span._start, span._length);
}
