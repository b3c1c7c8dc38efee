using System.Numerics;
using NetKernel.Channel;

namespace NetKernel.GuestLib;

/// <summary>
/// epoll sets. The kernel's set keeps the native fds; sockets of ours are items here. Events mark sockets dirty in shared memory (whoever
/// drains them), <see cref="Collect"/> turns dirty sockets into ready items, and a wait takes the ready items, so that a wait costs what is
/// ready and not what is watched. Items and sets are private to the process, copied by fork.
/// </summary>
internal static unsafe class Epoll
{
    private const uint MaxSets = 4096;
    private const uint MaxItems = 1 << 17;

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

    private struct Item
    {
        internal ulong Data;
        internal uint Events;
        internal int Fd;
        internal uint Socket;
        internal uint Set; // index + 1; 0: free
        internal uint NextOfSocket;
        internal uint NextReady;
        internal bool Linked;
        internal bool Dead;
        internal bool Lost;
        internal bool NativeToo;
        internal bool Disarmed;
    }

    // Indices are stored plus one, so that zeroed memory means "none".
    private static Set* s_sets;
    private static Item* s_items;
    private static uint* s_first; // by socket: its first item
    private static uint s_free;
    private static uint s_used;
    private static uint s_count;
    private static ulong s_lock;

    /// <summary>Makes room for sets: at start, since programs make them before they attach.</summary>
    internal static bool Reserve()
    {
        s_sets = (Set*)Libc.Reserve(MaxSets * (nuint)sizeof(Set));
        return s_sets != null;
    }

    /// <summary>Makes room for items.</summary>
    internal static bool Reserve(uint sockets)
    {
        if (s_items == null)
        {
            s_items = (Item*)Libc.Reserve(MaxItems * (nuint)sizeof(Item));
            s_first = (uint*)Libc.Reserve(sockets * sizeof(uint));
        }

        return s_sets != null && s_items != null && s_first != null;
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

    internal static void AfterFork() => s_lock = 0;

    private static bool Enter() => Locks.TryEnterPrivate(ref s_lock);

    private static void Leave() => Locks.Leave(ref s_lock);

    private static Set* SetOf(int epoll) => Fds.KindOf(epoll) == FdKind.Epoll ? &s_sets[Fds.IdOf(epoll)] : null;

    internal static int Control(int epoll, int operation, int fd, EpollEvent* e)
    {
        SocketSlot* s = Fds.SocketOf(fd);
        bool dead = s == null && Fds.KindOf(fd) is FdKind.Dead or FdKind.Lost;
        if (!dead && (s == null || (Volatile.Read(ref s->Status) & SocketStatus.Native) != 0))
        {
            int result = Real.epoll_ctl(epoll, operation, fd, e);
            Set* set = SetOf(epoll);
            if (result == 0 && set != null)
            {
                set->Natives += operation == Abi.EPOLL_CTL_ADD ? 1 : operation == Abi.EPOLL_CTL_DEL && set->Natives > 0 ? -1 : 0;
            }

            return result;
        }

        if (e == null && operation != Abi.EPOLL_CTL_DEL)
        {
            return Libc.Fail(Abi.EFAULT);
        }

        if (SetOf(epoll) == null && !Adopt(epoll, fd))
        {
            return -1;
        }

        if (!Enter())
        {
            return Libc.Fail(Abi.EAGAIN);
        }

        int error = Change(Fds.IdOf(epoll), operation, fd, Fds.IdOf(fd), s, e);
        Leave();
        return error == 0 ? 0 : Libc.Fail(error);
    }

    /// <summary>Makes a set of an epoll fd, once it gets its first socket of ours. False with errno when it is none.</summary>
    private static bool Adopt(int epoll, int fd)
    {
        EpollEvent none = default;
        if (Real.epoll_ctl(epoll, Abi.EPOLL_CTL_DEL, fd, &none) != 0 && Libc.Errno != 2) // ENOENT: an epoll set without this fd
        {
            return false;
        }

        // It may have had native fds before this library knew it: always ask the kernel too.
        return TryMake(epoll, 1) || Libc.Fail(Abi.ENOMEM) == 0;
    }

    private static int Change(uint setIndex, int operation, int fd, uint socket, SocketSlot* s, EpollEvent* e)
    {
        uint at = Find(setIndex, fd, socket);
        Set* set = &s_sets[setIndex];
        switch (operation)
        {
            case Abi.EPOLL_CTL_ADD:
                if (at != 0)
                {
                    return 17; // EEXIST
                }

                at = New();
                if (at == 0)
                {
                    return Abi.ENOMEM;
                }

                Item* added = &s_items[at - 1];
                added->Fd = fd;
                added->Socket = socket;
                added->Set = setIndex + 1;
                added->Lost = Fds.KindOf(fd) == FdKind.Lost;
                added->Dead = s == null && !added->Lost;
                added->NextOfSocket = s_first[socket];
                s_first[socket] = at;
                set->Items++;
                s_count++;
                Arm(added, at, s, e);
                if (s != null && (s->Status & (SocketStatus.Listening | SocketStatus.NativeBound)) == (SocketStatus.Listening | SocketStatus.NativeBound)
                    && Real.epoll_ctl(set->Fd, Abi.EPOLL_CTL_ADD, fd, e) == 0)
                {
                    added->NativeToo = true;
                    set->Natives++;
                }

                return 0;
            case Abi.EPOLL_CTL_MOD:
                if (at == 0)
                {
                    return 2; // ENOENT
                }

                if ((e->Events & Abi.EPOLLEXCLUSIVE) != 0)
                {
                    return Abi.EINVAL;
                }

                Arm(&s_items[at - 1], at, s, e);
                if (s_items[at - 1].NativeToo)
                {
                    _ = Real.epoll_ctl(set->Fd, Abi.EPOLL_CTL_MOD, fd, e);
                }

                return 0;
            case Abi.EPOLL_CTL_DEL:
                if (at == 0)
                {
                    return 2;
                }

                Remove(at);
                return 0;
            default:
                return Abi.EINVAL;
        }
    }

    private static void Arm(Item* item, uint at, SocketSlot* s, EpollEvent* e)
    {
        item->Events = e->Events;
        item->Data = e->Data;
        item->Disarmed = false;
        if ((Mask(item) & Readable(item, s)) != 0)
        {
            Link(item, at);
        }
    }

    private static uint Mask(Item* item) => item->Disarmed ? 0 : item->Events | Abi.EPOLLERR | Abi.EPOLLHUP;

    private static uint Readable(Item* item, SocketSlot* s) => item->Lost ? 0 : item->Dead || s == null ? Readiness.Broken : Readiness.Of(s);

    private static uint Find(uint set, int fd, uint socket)
    {
        uint at = s_first[socket];
        while (at != 0 && (s_items[at - 1].Set != set + 1 || s_items[at - 1].Fd != fd))
        {
            at = s_items[at - 1].NextOfSocket;
        }

        return at;
    }

    private static uint New()
    {
        uint at = s_free;
        if (at != 0)
        {
            s_free = s_items[at - 1].NextOfSocket;
        }
        else if (s_used < MaxItems)
        {
            at = ++s_used;
        }
        else
        {
            return 0;
        }

        s_items[at - 1] = default;
        return at;
    }

    private static void Remove(uint at)
    {
        Item* item = &s_items[at - 1];
        Set* set = &s_sets[item->Set - 1];
        if (item->NativeToo)
        {
            EpollEvent none = default;
            _ = Real.epoll_ctl(set->Fd, Abi.EPOLL_CTL_DEL, item->Fd, &none);
            set->Natives--;
        }

        uint* link = &s_first[item->Socket];
        while (*link != at)
        {
            link = &s_items[*link - 1].NextOfSocket;
        }

        *link = item->NextOfSocket;
        if (item->Linked)
        {
            Unlink(set, at);
        }

        set->Items--;
        s_count--;
        item->Set = 0;
        item->NextOfSocket = s_free;
        s_free = at;
    }

    private static void Link(Item* item, uint at)
    {
        if (item->Linked)
        {
            return;
        }

        Set* set = &s_sets[item->Set - 1];
        item->Linked = true;
        item->NextReady = 0;
        if (set->ReadyTail == 0)
        {
            set->ReadyHead = at;
        }
        else
        {
            s_items[set->ReadyTail - 1].NextReady = at;
        }

        set->ReadyTail = at;
        set->ReadyCount++;
    }

    private static void Unlink(Set* set, uint at)
    {
        uint before = 0;
        for (uint i = set->ReadyHead; i != at; i = s_items[i - 1].NextReady)
        {
            before = i;
        }

        uint next = s_items[at - 1].NextReady;
        if (before == 0)
        {
            set->ReadyHead = next;
        }
        else
        {
            s_items[before - 1].NextReady = next;
        }

        if (set->ReadyTail == at)
        {
            set->ReadyTail = before;
        }

        set->ReadyCount--;
        s_items[at - 1].Linked = false;
    }

    /// <summary>Turns the sockets that events have marked dirty into ready items.</summary>
    internal static void Collect()
    {
        if (s_count == 0)
        {
            return;
        }

        ulong* words = (ulong*)(Region.Control + Region.Layout.DirtyOf(Region.Slot));
        ulong* summary = (ulong*)(Region.Control + Region.Layout.DirtySummaryOf(Region.Slot));
        uint blocks = Region.Sockets >> 12;
        for (uint block = 0; block < blocks; block++)
        {
            if (Volatile.Read(ref summary[block]) == 0 || !Enter())
            {
                continue;
            }

            for (ulong dirty = Interlocked.Exchange(ref summary[block], 0); dirty != 0; dirty &= dirty - 1)
            {
                uint word = (block << 6) + (uint)BitOperations.TrailingZeroCount(dirty);
                for (ulong bits = Interlocked.Exchange(ref words[word], 0); bits != 0; bits &= bits - 1)
                {
                    Stir((word << 6) + (uint)BitOperations.TrailingZeroCount(bits));
                }
            }

            Leave();
        }
    }

    private static void Stir(uint socket)
    {
        uint at = s_first[socket];
        if (at == 0)
        {
            return;
        }

        uint events = Readiness.Of(Region.Socket(socket));
        for (; at != 0; at = s_items[at - 1].NextOfSocket)
        {
            Item* item = &s_items[at - 1];
            if (!item->Linked && !item->Dead && !item->Lost && (Mask(item) & events) != 0)
            {
                Link(item, at);
                Waiting.NotifySet(item->Set);
            }
        }
    }

    internal static int Wait(int epoll, EpollEvent* events, int most, long deadline, void* signals, out bool native)
    {
        Set* set = SetOf(epoll);
        native = set == null || set->Items == 0 || most <= 0 || events == null;
        if (native)
        {
            return 0;
        }

        PollFd* fds = stackalloc PollFd[2];
        uint index = Fds.IdOf(epoll) + 1;
        while (true)
        {
            uint ticket = Draining.Ticket();
            if (!Draining.All())
            {
                Collect();
            }

            int n = Gather(set, events, most);
            if (n > 0)
            {
                // Native fds get their turn however busy ours are.
                if (set->Natives > 0 && n < most && (++set->Turn & 3) == 0)
                {
                    int more = Real.epoll_pwait(epoll, events + n, most - n, 0, null);
                    n += more > 0 ? more : 0;
                }

                return n;
            }

            if (deadline == 0)
            {
                return set->Natives > 0 ? Real.epoll_pwait(epoll, events, most, 0, signals) : 0;
            }

            fds[0].Fd = epoll;
            fds[0].Events = Abi.POLLIN;
            fds[0].Revents = 0;
            int ready = Waiting.Park(Waiting.AnySocket, index, fds, set->Natives > 0 ? 1u : 0u, deadline, signals, ticket);
            if (ready < 0)
            {
                return -1;
            }

            if (ready > 0)
            {
                n = Real.epoll_pwait(epoll, events, most, 0, null);
                if (n != 0)
                {
                    return n;
                }
            }

            if (deadline > 0 && Libc.Now() >= deadline && !Draining.AnyPending())
            {
                return 0;
            }
        }
    }

    private static int Gather(Set* set, EpollEvent* events, int most)
    {
        if (set->ReadyCount == 0 || !Enter())
        {
            return 0;
        }

        int n = 0;
        for (uint left = set->ReadyCount; left > 0 && n < most; left--)
        {
            uint at = set->ReadyHead;
            Item* item = &s_items[at - 1];
            set->ReadyHead = item->NextReady;
            if (set->ReadyHead == 0)
            {
                set->ReadyTail = 0;
            }

            set->ReadyCount--;
            item->Linked = false;
            uint mask = Mask(item);
            uint now = mask & Readable(item, item->Dead || item->Lost ? null : Region.Socket(item->Socket));
            if (now == 0)
            {
                continue;
            }

            events[n].Events = now;
            events[n].Data = item->Data;
            n++;
            if ((mask & Abi.EPOLLONESHOT) != 0)
            {
                item->Disarmed = true;
            }
            else if ((mask & Abi.EPOLLET) == 0)
            {
                Link(item, at); // level-triggered: looked at again next time
            }
        }

        Leave();
        return n;
    }

    /// <summary>A closed fd leaves every set.</summary>
    internal static void RemoveFd(int fd, uint socket, bool dead)
    {
        if (s_count == 0 || !Enter())
        {
            return;
        }

        for (uint at = s_first[socket]; at != 0;)
        {
            uint next = s_items[at - 1].NextOfSocket;
            if (s_items[at - 1].Fd == fd && s_items[at - 1].Dead == dead)
            {
                Remove(at);
            }

            at = next;
        }

        Leave();
    }

    /// <summary>A socket that turned out to be the kernel's: its items go over.</summary>
    internal static void MoveToNative(int fd, uint socket)
    {
        if (s_count == 0 || !Enter())
        {
            return;
        }

        for (uint at = s_first[socket]; at != 0;)
        {
            Item* item = &s_items[at - 1];
            uint next = item->NextOfSocket;
            EpollEvent e = new() { Events = item->Events, Data = item->Data };
            Set* set = &s_sets[item->Set - 1];
            int itemFd = item->Fd;
            Remove(at);
            if (Real.epoll_ctl(set->Fd, Abi.EPOLL_CTL_ADD, itemFd, &e) == 0)
            {
                set->Natives++;
            }

            at = next;
        }

        Leave();
    }

    /// <summary>A socket in a set began to listen: the kernel watches its loopback half.</summary>
    internal static void AddNativeHalf(int fd, uint socket)
    {
        if (s_count == 0 || !Enter())
        {
            return;
        }

        for (uint at = s_first[socket]; at != 0; at = s_items[at - 1].NextOfSocket)
        {
            Item* item = &s_items[at - 1];
            EpollEvent e = new() { Events = item->Events, Data = item->Data };
            Set* set = &s_sets[item->Set - 1];
            if (!item->NativeToo && Real.epoll_ctl(set->Fd, Abi.EPOLL_CTL_ADD, item->Fd, &e) == 0)
            {
                item->NativeToo = true;
                set->Natives++;
            }
        }

        Leave();
    }

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

    /// <summary>CoreEngine is gone: every item reports it.</summary>
    internal static void KillSockets()
    {
        for (uint at = 1; at <= s_used; at++)
        {
            Item* item = &s_items[at - 1];
            if (item->Set != 0 && !item->Dead && !item->Lost)
            {
                item->Lost = Fds.KindOf(item->Fd) == FdKind.Lost;
                item->Dead = !item->Lost;
                if (item->Dead && !item->Linked)
                {
                    Link(item, at);
                }
            }
        }
    }

    /// <summary>A listener lives again, under another id: so do its items.</summary>
    internal static void Revived(uint oldId, uint id)
    {
        if (s_count == 0 || !Enter())
        {
            return;
        }

        uint* link = &s_first[oldId];
        while (*link != 0)
        {
            uint at = *link;
            Item* item = &s_items[at - 1];
            if (!item->Lost)
            {
                link = &item->NextOfSocket;
                continue;
            }

            *link = item->NextOfSocket;
            item->Lost = false;
            item->Socket = id;
            item->NextOfSocket = s_first[id];
            s_first[id] = at;
            Link(item, at); // looked at once: connections may wait already
            link = oldId == id ? &item->NextOfSocket : link;
        }

        Leave();
    }

    /// <summary>In a forked child: whatever is ready now is news to it.</summary>
    internal static void AllDirty()
    {
        for (uint at = 1; at <= s_used; at++)
        {
            Item* item = &s_items[at - 1];
            if (item->Set != 0 && !item->Dead && !item->Lost && (Mask(item) & Readiness.Of(Region.Socket(item->Socket))) != 0)
            {
                Link(item, at);
            }
        }
    }
}
