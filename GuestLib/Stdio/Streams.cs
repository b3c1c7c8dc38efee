using NetKernel.GuestLib.Exports;

namespace NetKernel.GuestLib;

/// <summary>
/// Stdio streams on sockets (fdopen(3), and stdin, stdout and stderr of a program whose fds 0 to 2 are a socket). A stream's reads, writes and closes are calls inside the
/// libc, which no preload sees; but it makes them by way of a table of functions, one for all streams on fds. Its entries that read, write and close are replaced by
/// ours, once, when the process attaches (docs/adr/0005). The libc checks that a stream's table is one of its own, and so it stays.
/// </summary>
internal static unsafe class Streams
{
    // struct _IO_jump_t (glibc, libio/libioP.h): 21 pointers, the same since glibc 2.1.
    private const int ReadEntry = 14, WriteEntry = 15, SeekEntry = 16, CloseEntry = 17, StatEntry = 18;

    // struct _IO_FILE (glibc, bits/types/struct_FILE.h): the layout is part of the libc's ABI, since getc and putc were macros once.
    private const int FlagsOffset = 0, FdOffset = 0x70;
    private const int ErrorSeen = 0x20; // _IO_ERR_SEEN

    private const nint PageBytes = 4096;
    private const nuint FarthestApart = 4 * 4096; // all tables of glibc together take less

    private static delegate* unmanaged[Cdecl, SuppressGCTransition]<byte*, void*, nint, nint> s_read;
    private static delegate* unmanaged[Cdecl, SuppressGCTransition]<byte*, void*, nint, nint> s_write;
    private static delegate* unmanaged[Cdecl, SuppressGCTransition]<byte*, int> s_close;
    private static int s_taken;

    /// <summary>The fd of a stream; less than 0: it has none.</summary>
    internal static int FdOf(byte* stream) => *(int*)(stream + FdOffset);

    /// <summary>Replaces the entries, in the tables for narrow and for wide streams. A libc whose tables are not as expected keeps them.</summary>
    internal static void Take()
    {
        if (Interlocked.Exchange(ref s_taken, 1) != 0)
        {
            return;
        }

        nint read = (nint)Real.Find("_IO_file_read"u8), write = (nint)Real.Find("_IO_file_write"u8), close = (nint)Real.Find("_IO_file_close"u8);
        nint seek = (nint)Real.Find("_IO_file_seek"u8), stat = (nint)Real.Find("_IO_file_stat"u8);
        nint* narrow = (nint*)Real.Find("_IO_file_jumps"u8);
        nint* wide = (nint*)Real.Find("_IO_wfile_jumps"u8);
        if (narrow == null || wide == null || !IsAsExpected(narrow, read, write, seek, close, stat) || !IsAsExpected(wide, read, write, seek, close, stat))
        {
            return;
        }

        s_read = (delegate* unmanaged[Cdecl, SuppressGCTransition]<byte*, void*, nint, nint>)read;
        s_write = (delegate* unmanaged[Cdecl, SuppressGCTransition]<byte*, void*, nint, nint>)write;
        s_close = (delegate* unmanaged[Cdecl, SuppressGCTransition]<byte*, int>)close;
        Replace(narrow, wide);
    }

    private static bool IsAsExpected(nint* table, nint read, nint write, nint seek, nint close, nint stat) =>
        read != 0 && table[ReadEntry] == read && table[WriteEntry] == write && table[SeekEntry] == seek && table[CloseEntry] == close && table[StatEntry] == stat;

    /// <summary>
    /// The tables lie side by side in memory that the loader has made read-only after it had relocated them (RELRO): its pages are the process's own already.
    /// </summary>
    private static void Replace(nint* narrow, nint* wide)
    {
        nint* lower = narrow < wide ? narrow : wide, upper = narrow < wide ? wide : narrow;
        nint first = (nint)lower & -PageBytes;
        nuint bytes = (nuint)((((nint)(upper + StatEntry) + PageBytes - 1) & -PageBytes) - first);
        if (bytes <= FarthestApart && Libc.mprotect(first, bytes, Abi.PROT_READ | Abi.PROT_WRITE) == 0)
        {
            Replace(narrow);
            Replace(wide);
            _ = Libc.mprotect(first, bytes, Abi.PROT_READ);
        }
    }

    /// <summary>One at a time, whole: other threads may be using streams. Close first: a stream that writes by us must not be closed behind our back.</summary>
    private static void Replace(nint* table)
    {
        Volatile.Write(ref table[CloseEntry], (nint)(delegate*<byte*, int>)&Close);
        Volatile.Write(ref table[ReadEntry], (nint)(delegate*<byte*, void*, nint, nint>)&Read);
        Volatile.Write(ref table[WriteEntry], (nint)(delegate*<byte*, void*, nint, nint>)&Write);
    }

    /// <summary>As _IO_file_read: what read(2) says.</summary>
    private static nint Read(byte* stream, void* buffer, nint bytes)
    {
        int fd = FdOf(stream);
        return Fds.KindOf(fd) == FdKind.Native ? s_read(stream, buffer, bytes) : Data.Read(fd, buffer, (nuint)bytes);
    }

    /// <summary>As _IO_file_write: writes all; less was written when there was an error, which the stream remembers.</summary>
    private static nint Write(byte* stream, void* buffer, nint bytes)
    {
        int fd = FdOf(stream);
        if (Fds.KindOf(fd) == FdKind.Native)
        {
            return s_write(stream, buffer, bytes);
        }

        nint done = WriteAll(fd, (byte*)buffer, bytes);
        *(int*)(stream + FlagsOffset) |= done < bytes ? ErrorSeen : 0;
        return done;
    }

    /// <summary>Writes all, or as much as goes.</summary>
    internal static nint WriteAll(int fd, byte* text, nint bytes)
    {
        nint done = 0;
        while (done < bytes)
        {
            nint n = Data.Write(fd, text + done, (nuint)(bytes - done));
            if (n < 0)
            {
                break;
            }

            done += n;
        }

        return done;
    }

    private static int Close(byte* stream)
    {
        int fd = FdOf(stream);
        return Fds.KindOf(fd) == FdKind.Native ? s_close(stream) : Lifecycle.Close(fd);
    }
}
