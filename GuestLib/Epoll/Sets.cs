namespace NetKernel.GuestLib;

/// <summary>
/// epoll sets. The kernel's set keeps the native fds; sockets of ours, and sets within sets, are items here. Events mark sockets dirty in shared
/// memory (whoever drains them), <see cref="Collect"/> turns dirty sockets into ready items, and a wait takes the ready items, so that a
/// wait costs what is ready and not what is watched. Items and sets are private to the process, copied by fork; those of sets that others have too follow what the guest's region says.
/// </summary>
/// <remarks>
/// Everything here is under one lock of the process, held for list operations only. Indices of sets and items are stored plus one, so that zeroed
/// memory means "none".
/// </remarks>
internal static unsafe partial class Epoll
{
    private const uint MaxSets = 4096;

    private struct Set
    {
        /// <summary>An open fd of it.</summary>
        internal int Fd;

        /// <summary>Fds that name it; 0: the set is free.</summary>
        internal int References;

        internal uint Items;
        internal uint FirstItem;

        /// <summary>First of the items, in other sets, that watch this set.</summary>
        internal uint FirstParent;

        /// <summary>First of the items that the kernel's set has too.</summary>
        internal uint FirstBoth;

        internal uint ReadyHead;
        internal uint ReadyTail;
        internal uint ReadyCount;

        /// <summary>Fds that the kernel's set has; more than there are when they were closed.</summary>
        internal int Natives;

        /// <summary>When the kernel was last asked for its part, and whose turn it is when there is room for one.</summary>
        internal long Asked;
        internal bool NativesTurn;

        /// <summary>First of the threads that wait on it with a record.</summary>
        internal uint FirstWaiter;

        /// <summary>Its last fd is closed, but threads still wait on it.</summary>
        internal bool Closed;

        /// <summary>Threads that wait in the kernel, since there was nothing of ours in it.</summary>
        internal int NativeWaiters;

        /// <summary>The set among the guest's shared ones, plus one; 0: this process's own. And the state that says it still is that one, and how much of it is known here.</summary>
        internal uint SharedPlusOne;
        internal uint SharedState;
        internal uint SharedVersion;

        /// <summary>This process has used it since it is shared.</summary>
        internal bool IsUsed;

        /// <summary>An eventfd in the kernel's set that fetches them out of there, plus one.</summary>
        internal int KickFdPlusOne;
    }

    private static Set* s_sets;
    private static uint s_setHigh; // one more than the highest index ever used
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
                Raise(ref s_setHigh, i + 1);
                Fds.Set(epoll, FdKind.Epoll, i);
                return true;
            }
        }

        return false;
    }

    private static bool Enter() => Locks.TryEnterPrivate(ref s_lock);

    private static void Leave() => Locks.Leave(ref s_lock);

    private static Set* SetOf(int epoll) => Fds.KindOf(epoll) == FdKind.Epoll ? &s_sets[Fds.IdOf(epoll)] : null;

    /// <summary>One more fd names the set.</summary>
    internal static uint Duplicate(uint set)
    {
        s_sets[set].References++;
        return set;
    }

    /// <summary>An fd of a set is closed; with the last one the set and its items go, and the items that watch it.</summary>
    internal static void Drop(uint index, int fd)
    {
        Set* set = &s_sets[index];
        if (--set->References > 0)
        {
            int other = set->Fd == fd ? Fds.Find(FdKind.Epoll, index, fd) : -1;
            set->Fd = other >= 0 ? other : set->Fd;
            return;
        }

        if (!Enter())
        {
            return;
        }

        // As in the kernel, who waits on it keeps it alive.
        set->Closed = Waiters.AnyIn(ref set->FirstWaiter);
        set->References = set->Closed ? 1 : 0;
        if (!set->Closed)
        {
            Clear(set);
        }

        Leave();
    }

    private static void Clear(Set* set)
    {
        LeaveShared(set);
        while (set->FirstItem != 0)
        {
            s_items[set->FirstItem - 1].Flags &= ~ItemFlags.NativeToo; // gone with the kernel's set
            Remove(set->FirstItem);
        }

        while (set->FirstParent != 0)
        {
            s_items[set->FirstParent - 1].Flags &= ~ItemFlags.NativeToo;
            Remove(set->FirstParent);
        }
    }

    /// <summary>A thread waits on a set no more: a set that is closed goes with the last of them.</summary>
    private static void LeaveClosed(Set* set)
    {
        if (Enter())
        {
            if (set->Closed && !Waiters.AnyIn(ref set->FirstWaiter))
            {
                set->Closed = false;
                Clear(set);
                Volatile.Write(ref set->References, 0);
            }

            Leave();
        }
    }

    internal static uint* FirstWaiterOf(uint set) => &s_sets[set].FirstWaiter;

    /// <summary>Somebody is changing the lists, and may be about to tell a waiter.</summary>
    internal static bool IsBusy => Volatile.Read(ref s_lock) != 0;

    /// <summary>Gives the lock back if this thread, which is leaving by a jump or by cancellation, holds it.</summary>
    internal static void Abandon() => Locks.AbandonPrivate(ref s_lock);
}
