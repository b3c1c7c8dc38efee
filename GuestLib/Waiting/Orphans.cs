using NetKernel.Channel;

namespace NetKernel.GuestLib;

/// <summary>
/// Sockets whose last fd was closed while threads were in blocking calls on them. As in the kernel the calls go on, and the socket closes when the last of
/// them returns. The half on the guest's kernel is kept open by an fd of the library's own.
/// </summary>
internal static unsafe class Orphans
{
    private const uint Most = 256;

    private struct Entry
    {
        internal ulong Thread;
        internal uint SocketPlusOne;

        /// <summary>The kernel's half, in one of the socket's entries.</summary>
        internal int FdPlusOne;
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
            Fds.CloseHidden(s_list[i].FdPlusOne - 1);
            s_list[i] = default;
        }
    }

    /// <summary>
    /// The fd by which a call on a socket reaches its half on the guest's kernel: the program's own, unless another thread has closed that meanwhile, and the number is perhaps
    /// another file's; then the one that was kept. -1: none.
    /// </summary>
    internal static int HalfOf(int fd, uint socket)
    {
        if (Fds.Names(fd, socket))
        {
            return fd;
        }

        int kept = -1;
        if (Any && Locks.TryEnterPrivate(ref s_lock))
        {
            for (uint i = 0; i < Most; i++)
            {
                kept = s_list[i].SocketPlusOne == socket + 1 && s_list[i].FdPlusOne != 0 ? s_list[i].FdPlusOne - 1 : kept;
            }

            Locks.Leave(ref s_lock);
        }

        return kept;
    }

    /// <summary>The last fd of a socket that threads are in calls on is about to be closed: keeps its half on the guest's kernel, and tells them.</summary>
    internal static void Keep(uint socket, int fd)
    {
        SocketSlot* s = Region.Socket(socket);
        Stat stat = default;
        bool hasHalf = Datagrams.Is(s) || (Volatile.Read(ref s->Status) & SocketStatus.NativeBound) != 0;
        if (!hasHalf || Libc.fstat(fd, &stat) != 0 || stat.Inode != s->Inode)
        {
            return; // none, or the number is another file's already
        }

        int kept = Fds.HiddenDuplicate(fd);
        if (kept < 0)
        {
            return;
        }

        bool noted = false;
        if (Locks.TryEnterPrivate(ref s_lock))
        {
            for (uint i = 0; i < Most && !noted; i++)
            {
                if (s_list[i].SocketPlusOne == socket + 1)
                {
                    s_list[i].FdPlusOne = kept + 1;
                    noted = true;
                }
            }

            Locks.Leave(ref s_lock);
        }

        if (!noted)
        {
            Fds.CloseHidden(kept); // they have returned meanwhile
            return;
        }

        WakeList wakes = default;
        Waiters.NotifyAll(&wakes); // those who sleep on the old number
        wakes.Ring();
    }

    /// <summary>The program wants the number of an fd that was kept (<see cref="Vacating"/>).</summary>
    internal static void Moved(int from, int to)
    {
        for (uint i = 0; s_list != null && i < Most; i++)
        {
            s_list[i].FdPlusOne = s_list[i].FdPlusOne == from + 1 ? to + 1 : s_list[i].FdPlusOne;
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
        int half = 0;
        for (uint i = 0; i < Most; i++)
        {
            if (s_list[i].SocketPlusOne != 0 && s_list[i].Thread == self)
            {
                closing = s_list[i].SocketPlusOne;
                half = s_list[i].FdPlusOne != 0 ? s_list[i].FdPlusOne : half;
                s_list[i] = default;
                s_count--;
            }
        }

        for (uint i = 0; i < Most && closing != 0; i++)
        {
            if (s_list[i].SocketPlusOne == closing)
            {
                s_list[i].FdPlusOne = half != 0 ? half : s_list[i].FdPlusOne;
                closing = 0; // another thread is still in there
                half = 0;
            }
        }

        Locks.Leave(ref s_lock);
        int errno = Libc.Errno;
        Fds.CloseHidden(half - 1); // before CoreEngine hears of it: the port is free when the socket is closed
        if (closing != 0 && !Region.Dead)
        {
            Holding.Leave(closing - 1);
        }

        Libc.Errno = errno;
    }
}
