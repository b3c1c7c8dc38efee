using NetKernel.Channel.Host;

namespace NetKernel.CoreEngine;

/// <summary>Zeroed memory outside the heap, whose pages exist only once they are touched.</summary>
internal static unsafe class NativeTable
{
    /// <summary>Reserves bytes.</summary>
    public static byte* Reserve(ulong bytes)
    {
        nint address = Libc.Map(0, (nuint)bytes, Libc.PROT_READ | Libc.PROT_WRITE, Libc.MAP_PRIVATE | Libc.MAP_ANONYMOUS | Libc.MAP_NORESERVE, -1, 0);
        return address == -1 ? throw new OutOfMemoryException() : (byte*)address;
    }

    /// <summary>Gives them back.</summary>
    public static void Release(void* start, ulong bytes)
    {
        if (start != null)
        {
            _ = Libc.Unmap((nint)start, (nuint)bytes);
        }
    }
}
