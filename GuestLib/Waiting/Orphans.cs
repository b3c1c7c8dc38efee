namespace NetKernel.GuestLib;

/// <summary>
/// Sockets whose last fd was closed while threads were in blocking calls on them. As in the kernel the calls go on, and the socket closes when the last of
/// them returns.
/// </summary>
internal static unsafe class Orphans
{
    private const uint Most = 256;

    private struct Entry
    {
        internal ulong Thread;
        internal uint SocketPlusOne;
    }

    private static Entry* s_list;
    private static int s_count;
    private static ulong s_lock;

    /// <summary>Whether there are any.</summary>
    internal static bool Any => Volatile.Read(ref s_count) != 0;

    internal static void AfterFork()
    {
        s_lock = 0;
        s_count = 0;
        for (uint i = 0; s_list != null && i < Most; i++)
        {
            s_list[i] = default;
        }
    }

    /// <summary>Notes that a thread is in a call on a socket.</summary>
    internal static bool TryNote(ulong thread, uint socket)
    {
        s_list = s_list == null ? (Entry*)Libc.Reserve(Most * (nuint)sizeof(Entry)) : s_list;
        if (s_list == null || !Locks.TryEnterPrivate(ref s_lock))
        {
            return false;
        }

        uint i = 0;
        while (i < Most && s_list[i].SocketPlusOne != 0)
        {
            i++;
        }

        if (i < Most)
        {
            s_list[i].Thread = thread;
            s_list[i].SocketPlusOne = socket + 1;
            s_count++;
        }

        Locks.Leave(ref s_lock);
        return i < Most;
    }

    /// <summary>This thread's call returns.</summary>
    internal static void Settle()
    {
        if (!Any || !Locks.TryEnterPrivate(ref s_lock))
        {
            return;
        }

        ulong self = Libc.pthread_self();
        uint closing = 0;
        for (uint i = 0; i < Most; i++)
        {
            if (s_list[i].SocketPlusOne != 0 && s_list[i].Thread == self)
            {
                closing = s_list[i].SocketPlusOne;
                s_list[i] = default;
                s_count--;
            }
        }

        for (uint i = 0; i < Most && closing != 0; i++)
        {
            closing = s_list[i].SocketPlusOne == closing ? 0 : closing; // another thread is still in there
        }

        Locks.Leave(ref s_lock);
        if (closing != 0 && !Region.Dead)
        {
            int errno = Libc.Errno;
            Holding.Leave(closing - 1);
            Libc.Errno = errno;
        }
    }
}
