using System.Runtime.InteropServices;

namespace NetKernel.GuestLib.Tests.Names;

/// <summary>Memory that ends where nothing may be read or written: who goes one byte too far ends the test run.</summary>
internal sealed unsafe class GuardedMemory : IDisposable
{
    private const int Page = 4096, ReadWrite = 3, PrivateAnonymous = 0x22;

    private readonly byte* _start;
    private readonly nuint _length;

    public GuardedMemory(int most)
    {
        Room = (most + Page - 1) / Page * Page;
        _length = (nuint)Room + Page;
        _start = Map(null, _length, 0, PrivateAnonymous, -1, 0);
        Assert.Equal(0, Protect(_start, (nuint)Room, ReadWrite));
    }

    public int Room { get; }

    /// <summary>The last bytes before the end.</summary>
    public byte* Last(int bytes) => _start + Room - bytes;

    /// <summary>A copy that ends at the end.</summary>
    public byte* Copy(ReadOnlySpan<byte> bytes)
    {
        bytes.CopyTo(new Span<byte>(Last(bytes.Length), bytes.Length));
        return Last(bytes.Length);
    }

    public void Dispose() => _ = Unmap(_start, _length);

    [DllImport("libc", EntryPoint = "mmap")]
    private static extern byte* Map(byte* at, nuint length, int protection, int flags, int fd, long offset);

    [DllImport("libc", EntryPoint = "mprotect")]
    private static extern int Protect(byte* at, nuint length, int protection);

    [DllImport("libc", EntryPoint = "munmap")]
    private static extern int Unmap(byte* at, nuint length);
}
