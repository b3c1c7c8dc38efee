using NetKernel.Channel;

namespace NetKernel.GuestLib;

/// <content>
/// Sets that other processes have too (docs/adr/0006-shared-epoll-sets.md). The guest's region says who has them and what they watch (<see cref="SharedSet"/>,
/// <see cref="SharedWatch"/>); items are this process's copy of it, brought up to date before they are looked at.
/// </summary>
internal static unsafe partial class Epoll
{
    /// <summary>Of the data of the mark by which the kernel's set says which shared set it is: above the index and its state.</summary>
    private const ulong MarkBits = 0x4E4Bul << 48, MarkMask = 0xFFFFul << 48;

    private static uint s_shared; // sets of this process that are shared
    private static uint s_inUse; // those of them that it has used since it has them
    private static uint s_seenChanges;
    private static uint* s_itemOf; // by watch

    /// <summary>Whether this process has ever made or got a set.</summary>
    internal static bool AnySets => s_setHigh != 0;

    private static SharedSet* SharedOf(Set* set) => (SharedSet*)(Region.Control + Region.Layout.SharedSetOf(set->SharedPlusOne - 1));

    private static bool IsShared(Set* set) => set->SharedPlusOne != 0 && !Region.Dead && Volatile.Read(ref SharedOf(set)->State) == set->SharedState;

    /// <summary>Something has been changed in a shared set, perhaps by another process.</summary>
    private static bool AnyChanges() => s_inUse != 0 && Volatile.Read(ref Region.Header->SharedSetChanges) != s_seenChanges;

    /// <summary>Part of <see cref="Draining.Ticket"/>.</summary>
    internal static uint Changes => s_inUse == 0 ? 0 : Volatile.Read(ref Region.Header->SharedSetChanges);

    /// <summary>This process waits on a set, or changes it: from now on it keeps up with what the others do to it. Not under the lock.</summary>
    private static void Use(Set* set)
    {
        if (set->SharedPlusOne == 0 || set->IsUsed || !IsShared(set) || !Enter())
        {
            return;
        }

        if (!set->IsUsed && set->References > 0)
        {
            set->IsUsed = true;
            s_inUse++;
            SharedOf(set)->Users.Share(Region.Slot); // Full fence: changes from now on reach this process, and those before it are read now.
            set->SharedVersion = Volatile.Read(ref SharedOf(set)->Version) - 1;
            s_seenChanges = Volatile.Read(ref Region.Header->SharedSetChanges) - 1;
        }

        Leave();
    }

    /// <summary>
    /// Makes a set one that others may have. Under the lock. False when there is no room: it stays this process's own, and what gets a copy of it has a copy.
    /// </summary>
    private static bool Share(Set* set)
    {
        if (IsShared(set))
        {
            return true;
        }

        s_itemOf = s_itemOf == null ? (uint*)Libc.Reserve(ControlLayout.MaxSharedWatches * sizeof(uint)) : s_itemOf;
        if (!Region.Attached || Region.Dead || s_itemOf == null || !ReserveItems())
        {
            return false;
        }

        for (uint i = 0; i < ControlLayout.MaxSharedSets; i++)
        {
            SharedSet* shared = (SharedSet*)(Region.Control + Region.Layout.SharedSetOf(i));
            uint state = Volatile.Read(ref shared->State);
            if (SharedSet.IsUsed(state))
            {
                continue;
            }

            // A holder before it is in use: whoever dies in between leaves nothing but a bit, which CoreEngine clears.
            Raise(ref Region.Header->SharedSetHigh, i + 1);
            shared->Holders.Share(Region.Slot);
            if (Interlocked.CompareExchange(ref shared->State, state + 1, state) != state)
            {
                _ = shared->Holders.Unshare(Region.Slot);
                continue;
            }

            Become(set, i, state + 1, Volatile.Read(ref shared->Version));
            for (uint at = set->FirstItem; at != 0; at = s_items[at - 1].NextOfSet)
            {
                _ = Publish(set, at);
            }

            set->Natives++; // others may add native fds: the kernel is always asked
            FetchNativeWaiters((uint)(set - s_sets) + 1);
            return true;
        }

        return false;
    }

    private static void Become(Set* set, uint index, uint state, uint version)
    {
        set->SharedPlusOne = index + 1;
        set->SharedState = state;
        set->SharedVersion = version;
        s_shared++;
    }

    private static void Raise(ref uint high, uint least)
    {
        for (uint seen = Volatile.Read(ref high); seen < least; seen = Volatile.Read(ref high))
        {
            _ = Interlocked.CompareExchange(ref high, least, seen);
        }
    }

    /// <summary>Before a fork, under the lock: a child that gets a slot has the sets, too.</summary>
    private static void ShareAll(uint child)
    {
        for (uint i = 0; i < s_setHigh; i++)
        {
            if (s_sets[i].References > 0 && !s_sets[i].Closed && Share(&s_sets[i]))
            {
                SharedOf(&s_sets[i])->Holders.Share(child);
            }
        }
    }

    /// <summary>The child has not come into being.</summary>
    internal static void Unshare(uint child)
    {
        for (uint i = 0; s_shared != 0 && i < s_setHigh; i++)
        {
            if (s_sets[i].References > 0 && IsShared(&s_sets[i]))
            {
                _ = SharedOf(&s_sets[i])->Holders.Unshare(child);
            }
        }
    }

    /// <summary>The set is closed here. With the last process that has it, it is free.</summary>
    private static void LeaveShared(Set* set)
    {
        if (IsShared(set))
        {
            SharedSet* shared = SharedOf(set);
            _ = shared->Users.Unshare(Region.Slot);
            _ = shared->Holders.Unshare(Region.Slot);
            if (shared->Holders.IsEmpty)
            {
                _ = Interlocked.CompareExchange(ref shared->State, set->SharedState + 1, set->SharedState);
            }
        }

        s_inUse -= set->IsUsed ? 1u : 0;
        s_shared -= set->SharedPlusOne != 0 ? 1u : 0;
        set->SharedPlusOne = 0;
        set->IsUsed = false;
    }

    /// <summary>CoreEngine is gone, and the region with it: what was shared is each process's own.</summary>
    private static void LoseShared()
    {
        for (uint i = 0; s_shared != 0 && i < s_setHigh; i++)
        {
            s_sets[i].SharedPlusOne = 0;
            s_sets[i].IsUsed = false;
        }

        for (uint at = 1; s_shared != 0 && at <= s_used; at++)
        {
            s_items[at - 1].WatchPlusOne = 0;
        }

        s_shared = s_inUse = 0;
    }

    /// <summary>In a forked child, which has used nothing yet.</summary>
    private static void UnuseAll()
    {
        for (uint i = 0; s_inUse != 0 && i < s_setHigh; i++)
        {
            s_sets[i].IsUsed = false;
        }

        s_inUse = 0;
    }

    /// <summary>Before fds go where the library cannot see them (exec, a message over AF_UNIX): whoever gets this one can tell which set it is.</summary>
    internal static void Mark(int epoll)
    {
        Set* set = SetOf(epoll);
        if (set == null || !Region.Attached || Region.Dead || !Enter())
        {
            return;
        }

        // CoreEngine's bell is always open somewhere, and never reports what is asked for here: it stays in the kernel's set as long as that lives.
        int errno = Libc.Errno;
        if (Share(set))
        {
            EpollEvent mark = new() { Events = Abi.EPOLLET, Data = MarkBits | ((ulong)(set->SharedPlusOne - 1) << 32) | set->SharedState };
            bool isBorrowed = Libc.getpid() != Forking.Pid; // a vfork child: its fds may be closed already
            int bell = isBorrowed ? Attaching.AskForBell() : Attaching.AnyBell;
            if (Real.epoll_ctl(epoll, Abi.EPOLL_CTL_ADD, bell, &mark) != 0)
            {
                _ = Real.epoll_ctl(epoll, Abi.EPOLL_CTL_MOD, bell, &mark);
            }

            if (isBorrowed && bell >= 0)
            {
                _ = Real.close(bell);
            }
        }

        Libc.Errno = errno;
        Leave();
    }

    /// <summary>Before a program is started: the sets that it inherits.</summary>
    internal static void MarkInherited()
    {
        const int F_GETFD = 1, FD_CLOEXEC = 1;
        for (int fd = 0; Region.Attached && fd < Fds.High; fd++)
        {
            int flags = Fds.KindOf(fd) == FdKind.Epoll ? Real.fcntl(fd, F_GETFD, 0) : -1;
            if (flags >= 0 && (flags & FD_CLOEXEC) == 0)
            {
                Mark(fd);
            }
        }
    }

    /// <summary>An fd that came from elsewhere and may be a set's: one of the guest's shared ones is this process's from now on.</summary>
    internal static void TryJoin(int epoll)
    {
        ulong mark = ReadMark(epoll);
        uint index = (uint)(mark >> 32) & 0xFFFF, state = (uint)mark;
        if (mark == 0 || index >= ControlLayout.MaxSharedSets || !SharedSet.IsUsed(state) || !Fds.Fits(epoll) || !Attaching.Ensure()
            || Fds.KindOf(epoll) != FdKind.Native)
        {
            return;
        }

        for (uint i = 0; i < s_setHigh; i++)
        {
            if (s_sets[i].References > 0 && s_sets[i].SharedPlusOne == index + 1 && s_sets[i].SharedState == state)
            {
                Fds.Set(epoll, FdKind.Epoll, Duplicate(i));
                return;
            }
        }

        SharedSet* shared = (SharedSet*)(Region.Control + Region.Layout.SharedSetOf(index));
        s_itemOf = s_itemOf == null ? (uint*)Libc.Reserve(ControlLayout.MaxSharedWatches * sizeof(uint)) : s_itemOf;
        shared->Holders.Share(Region.Slot); // Full fence: either we see that it has been freed, or who wants to free it sees us.
        if (s_itemOf == null || Volatile.Read(ref shared->State) != state || !TryMake(epoll, 1))
        {
            _ = shared->Holders.Unshare(Region.Slot);
            return;
        }

        Become(SetOf(epoll), index, state, Volatile.Read(ref shared->Version) - 1);
    }

    /// <summary>This process has got a socket: sets that it shares may watch it.</summary>
    internal static void Reread()
    {
        if (s_shared == 0 || Region.Dead)
        {
            return;
        }

        for (uint i = 0; s_shared != 0 && i < s_setHigh; i++)
        {
            if (s_sets[i].SharedPlusOne != 0)
            {
                s_sets[i].SharedVersion = Volatile.Read(ref SharedOf(&s_sets[i])->Version) - 1;
            }
        }

        s_seenChanges = Volatile.Read(ref Region.Header->SharedSetChanges) - 1;
    }

    /// <summary>The mark in a kernel's set, 0: none. proc(5), /proc/pid/fdinfo: "tfd: 5 events: 19 data: 4e4b... pos:0 ino:... sdev:...".</summary>
    private static ulong ReadMark(int epoll)
    {
        const int Room = 1024;
        byte* text = stackalloc byte[Room];
        int errno = Libc.Errno;
        int file = OpenInfo(epoll, text);
        ulong value = 0, found = 0;
        int matched = 0; // of "data:"; then in the number
        fixed (byte* word = "data:"u8)
        {
            for (nint got = file < 0 ? 0 : Raw.Read(file, text, Room); got > 0 && found == 0; got = Raw.Read(file, text, Room))
            {
                for (nint i = 0; i < got; i++)
                {
                    byte c = text[i];
                    int digit = c is >= (byte)'0' and <= (byte)'9' ? c - '0' : c is >= (byte)'a' and <= (byte)'f' ? c - 'a' + 10 : -1;
                    if (matched == 5 && (digit >= 0 || (c == ' ' && value == 0)))
                    {
                        value = digit >= 0 ? (value << 4) | (uint)digit : value;
                        continue;
                    }

                    found = matched == 5 && (value & MarkMask) == MarkBits ? value : found;
                    value = 0;
                    matched = matched < 5 && c == word[matched] ? matched + 1 : c == word[0] ? 1 : 0;
                }
            }
        }

        if (file >= 0)
        {
            _ = Real.close(file);
        }

        Libc.Errno = errno;
        return found;
    }

    /// <summary>Opens "/proc/self/fdinfo/FD".</summary>
    private static int OpenInfo(int fd, byte* path)
    {
        fixed (byte* start = "/proc/self/fdinfo/"u8)
        {
            _ = Libc.memmove(path, start, 18);
        }

        byte* digits = stackalloc byte[12];
        int n = 0;
        do
        {
            digits[n++] = (byte)('0' + (fd % 10));
            fd /= 10;
        }
        while (fd != 0);
        byte* at = path + 18;
        while (n > 0)
        {
            *at++ = digits[--n];
        }

        *at = 0;
        return Libc.open(path, Abi.O_CLOEXEC);
    }
}
