using NetKernel.Channel;

namespace NetKernel.GuestLib;

/// <content>
/// Items that the kernel's set has too, and sockets that turn out to be the kernel's. What both halves say of an item is one event to the program; the
/// kernel's half is known again by its data.
/// </content>
internal static unsafe partial class Epoll
{
    private static void JoinBoth(Set* set, uint at)
    {
        s_items[at - 1].Flags |= ItemFlags.NativeToo;
        s_items[at - 1].NextBoth = set->FirstBoth;
        set->FirstBoth = at;
        set->Natives++;
    }

    /// <summary>Takes an item out of the kernel's set too.</summary>
    private static void LeaveBoth(Set* set, uint at)
    {
        uint* link = &set->FirstBoth;
        while (*link != 0 && *link != at)
        {
            link = &s_items[*link - 1].NextBoth;
        }

        if (*link == 0)
        {
            return;
        }

        Item* item = &s_items[at - 1];
        *link = item->NextBoth;
        set->Natives--;
        if (Is(item, ItemFlags.NativeToo))
        {
            EpollEvent none = default;
            _ = Real.epoll_ctl(set->Fd, Abi.EPOLL_CTL_DEL, item->Fd, &none);
        }
    }

    /// <summary>
    /// Of <paramref name="natives"/> events from the kernel that lie behind <paramref name="ours"/> of this library's, those that mean an item of ours too become
    /// one with it. Returns how many of them are left.
    /// </summary>
    private static int Unite(Set* set, EpollEvent* events, int ours, int natives)
    {
        if (set->FirstBoth == 0 || natives <= 0 || !Enter())
        {
            return natives;
        }

        int kept = 0;
        for (int i = 0; i < natives; i++)
        {
            EpollEvent e = events[ours + i];
            uint at = set->FirstBoth;
            while (at != 0 && s_items[at - 1].Data != e.Data)
            {
                at = s_items[at - 1].NextBoth;
            }

            if (at != 0)
            {
                Item* item = &s_items[at - 1];
                bool reported = item->Reported < (uint)ours && events[item->Reported].Data == e.Data;
                if (reported)
                {
                    events[item->Reported].Events |= e.Events;
                }

                if (reported || Is(item, ItemFlags.Disarmed))
                {
                    continue;
                }

                item->Flags |= (item->Events & Abi.EPOLLONESHOT) != 0 ? ItemFlags.Disarmed : 0;
                item->Reported = (uint)(ours + kept);
            }

            events[ours + kept++] = e;
        }

        Leave();
        return kept;
    }

    /// <summary>EPOLLONESHOT fired on this side: the kernel's half is to be silent too.</summary>
    private static void DisarmNativeHalf(Set* set, Item* item)
    {
        EpollEvent silent = new() { Events = Abi.EPOLLET, Data = item->Data };
        _ = Real.epoll_ctl(set->Fd, Abi.EPOLL_CTL_MOD, item->Fd, &silent);
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
            uint next = item->NextOfTarget;
            Withdraw(item);
            EpollEvent e = new() { Events = Is(item, ItemFlags.Disarmed) ? Abi.EPOLLET : item->Events, Data = item->Data };
            Set* set = &s_sets[item->Set - 1];
            int itemFd = FdFor(item, fd);
            Remove(at);
            if (Real.epoll_ctl(set->Fd, Abi.EPOLL_CTL_ADD, itemFd, &e) == 0)
            {
                set->Natives++;
            }

            at = next;
        }

        Leave();
    }

    /// <summary>The kernel's share in a socket changed (it listens, is bound, has a peer): the kernel's sets follow.</summary>
    internal static void WatchNativeHalf(int fd, uint socket)
    {
        if (s_count == 0 || !Enter())
        {
            return;
        }

        WakeList wakes = default;
        ProcessMask sleepers = default;
        for (uint at = s_first[socket]; at != 0; at = s_items[at - 1].NextOfTarget)
        {
            Item* item = &s_items[at - 1];
            if (Is(item, ItemFlags.Dead | ItemFlags.Lost))
            {
                continue;
            }

            Set* set = &s_sets[item->Set - 1];
            EpollEvent e = new() { Events = Readiness.NativeEvents(Region.Socket(socket), item->Events), Data = item->Data };
            bool wanted = e.Events != 0;
            e.Events = Is(item, ItemFlags.Disarmed) ? Abi.EPOLLET : e.Events;
            if (wanted && Is(item, ItemFlags.NativeToo))
            {
                _ = Real.epoll_ctl(set->Fd, Abi.EPOLL_CTL_MOD, FdFor(item, fd), &e);
            }
            else if (wanted && Real.epoll_ctl(set->Fd, Abi.EPOLL_CTL_ADD, FdFor(item, fd), &e) == 0)
            {
                JoinBoth(set, at);
            }
            else if (!wanted && Is(item, ItemFlags.NativeToo))
            {
                LeaveBoth(set, at);
                item->Flags &= ~ItemFlags.NativeToo;
            }

            if ((Mask(item) & State(item)) != 0)
            {
                Link(item, at); // what the kernel does not watch any more is looked at here
                Tell(item->Set, &wakes);
            }

            Republish(at, ref sleepers);
        }

        Leave();
        wakes.Ring();
        Nudge(sleepers);
    }

    /// <summary>An fd by which the kernel knows an item's socket: the item's own, or another when that one is closed.</summary>
    private static int FdFor(Item* item, int other) =>
        Fds.KindOf(item->Fd) == FdKind.Socket && Fds.IdOf(item->Fd) == item->Target ? item->Fd : other;
}
