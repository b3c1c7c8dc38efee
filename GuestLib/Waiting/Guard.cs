using System.Runtime.InteropServices;

namespace NetKernel.GuestLib;

/// <summary>
/// What has to be undone when a thread leaves a wait other than by returning: cancelled, or by a siglongjmp out of a signal handler. The C
/// library calls <see cref="Abandon"/> in both cases: buffers like this one are what pthread_cleanup_push of old made, and its longjmp runs those that it skips.
/// </summary>
internal unsafe struct Guard
{
    [StructLayout(LayoutKind.Sequential)]
    private struct Buffer
    {
        internal void* Routine;
        internal void* Argument;
        internal int CancelType;
        internal Buffer* Previous;
    }

    private Buffer _buffer;

    /// <summary>What the thread waits for.</summary>
    internal Wish* Wish;

    /// <summary>Its record, or 0.</summary>
    internal uint Waiter;

    /// <summary>It leads.</summary>
    internal bool Leads;

    /// <summary>An epoll set that it waits on in the kernel (index plus one), or 0.</summary>
    internal uint NativeSet;

    /// <summary>The set of a wait for what is new at a native fd (<see cref="Wish.Edges"/>), plus one, or 0.</summary>
    internal int EdgeFdPlusOne;

    internal static void Push(Guard* guard)
    {
        if (Real.cleanup_push != null)
        {
            Real.cleanup_push(&guard->_buffer, (void*)(delegate*<Guard*, void>)&Abandon, guard);
        }
    }

    internal static void Pop(Guard* guard)
    {
        if (Real.cleanup_pop != null)
        {
            Real.cleanup_pop(&guard->_buffer, 0);
        }
    }

    private static void Abandon(Guard* guard)
    {
        int errno = Libc.Errno;
        if (guard->NativeSet != 0)
        {
            Epoll.LeftNatively(guard->NativeSet);
        }
        else
        {
            // The signal may have come while this thread was taking events for others.
            Draining.Abandon();
            Epoll.Abandon();
            Waiters.Abandon();
            Fds.AbandonNumbers();
            Waiting.Leave(guard, abandoned: true);
        }

        Orphans.Settle();
        Libc.Errno = errno;
    }
}
