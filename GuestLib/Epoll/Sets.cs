namespace NetKernel.GuestLib;

/// <summary>
/// epoll sets. The kernel's set keeps the native fds; sockets of ours are items here. Events mark sockets dirty in shared memory (whoever
/// drains them), <see cref="Collect"/> turns dirty sockets into ready items, and a wait takes the ready items, so that a wait costs what is
/// ready and not what is watched. Items and sets are private to the process, copied by fork.
/// </summary>
internal static unsafe partial class Epoll
{
    private const uint MaxSets = 4096;

    private struct Set
    {
        internal int Fd;
        internal int References;
        internal uint Items;
        internal int Natives;
        internal uint ReadyHead;
        internal uint ReadyTail;
        internal uint ReadyCount;
        internal uint Turn;
    }

    // Indices are stored plus one, so that zeroed memory means "none".
    private static Set* s_sets;
    private static ulong s_lock;

    /// <summary>Makes room for sets: at start, since programs make them before they attach.</summary>
    internal static bool Reserve()
    {
        s_sets = (Set*)Libc.Reserve(MaxSets * (nuint)sizeof(Set));
        return s_sets != null;
    }

    /// <summary>A new epoll fd: its set is counted from the first native fd on.</summary>
    internal static void Created(int epoll)
    {
        if (epoll >= 0 && s_sets != null && Fds.Fits(epoll))
        {
            _ = TryMake(epoll, 0);
        }
    }

    private static bool TryMake(int epoll, int natives)
    {
        for (uint i = 0; i < MaxSets; i++)
        {
            if (Volatile.Read(ref s_sets[i].References) == 0 && Interlocked.CompareExchange(ref s_sets[i].References, 1, 0) == 0)
            {
                Set made = default;
                made.Fd = epoll;
                made.References = 1;
                made.Natives = natives;
                s_sets[i] = made;
                Fds.Set(epoll, FdKind.Epoll, i);
                return true;
            }
        }

        return false;
    }

    private static bool Enter() => Locks.TryEnterPrivate(ref s_lock);

    private static void Leave() => Locks.Leave(ref s_lock);

    private static Set* SetOf(int epoll) => Fds.KindOf(epoll) == FdKind.Epoll ? &s_sets[Fds.IdOf(epoll)] : null;

    internal static uint Duplicate(uint set)
    {
        s_sets[set].References++;
        return set;
    }

    /// <summary>An fd of a set is closed; with the last one the set and its items go.</summary>
    internal static void Drop(uint set)
    {
        if (--s_sets[set].References > 0 || !Enter())
        {
            return;
        }

        for (uint at = 1; at <= s_used && s_sets[set].Items > 0; at++)
        {
            if (s_items[at - 1].Set == set + 1)
            {
                s_items[at - 1].NativeToo = false; // gone with the kernel's set
                Remove(at);
            }
        }

        Leave();
    }
}
