using System.Runtime;
using System.Runtime.CompilerServices;

namespace NetKernel.GuestLib.Names;

/// <summary>
/// What a lookup holds while it waits, on its caller's stack: a socket and memory. Given back at its end, also when the thread is cancelled in the
/// middle of a wait.
/// </summary>
internal unsafe struct Held
{
    /// <summary>The open socket, or -1.</summary>
    internal int Fd;

    /// <summary>Why the last query got no answer at all: an errno, or 0.</summary>
    internal int Error;

    /// <summary>Room for the longest message, or null.</summary>
    internal byte* Scratch;

    private byte* _first;
    private byte* _second;
    private CleanupBuffer _cleanup;

    /// <summary>struct _pthread_cleanup_buffer.</summary>
    private struct CleanupBuffer
    {
        internal nint Routine;
        internal nint Argument;
        internal nint Type;
        internal nint Previous;
    }

    /// <summary>Begins; the structure must not move until <see cref="End"/>.</summary>
    internal static void Begin(Held* held)
    {
        *held = default;
        held->Fd = -1;
        cleanup_push(&held->_cleanup, (nint)(delegate*<Held*, void>)&Release, held);
    }

    internal static void End(Held* held)
    {
        cleanup_pop(&held->_cleanup, 0);
        Release(held);
    }

    /// <summary>Memory for the answer to the first or the second query, in the place of an earlier one; null when there is none.</summary>
    internal byte* Take(int leg, nuint bytes)
    {
        byte* taken = (byte*)Libc.malloc(bytes);
        if (leg == 0)
        {
            Libc.free(_first);
            _first = taken;
        }
        else
        {
            Libc.free(_second);
            _second = taken;
        }

        return taken;
    }

    internal void Close()
    {
        if (Fd >= 0)
        {
            int errno = Libc.Errno;
            int fd = Fd;
            Fd = -1;
            _ = Exports.Lifecycle.Close(fd);
            Libc.Errno = errno;
        }
    }

    [RuntimeImport("*", "_pthread_cleanup_push"), MethodImpl(MethodImplOptions.InternalCall)]
    private static extern void cleanup_push(CleanupBuffer* buffer, nint routine, void* argument);

    [RuntimeImport("*", "_pthread_cleanup_pop"), MethodImpl(MethodImplOptions.InternalCall)]
    private static extern void cleanup_pop(CleanupBuffer* buffer, int execute);

    private static void Release(Held* held)
    {
        held->Close();
        Libc.free(held->_first);
        Libc.free(held->_second);
        Libc.free(held->Scratch);
    }
}
