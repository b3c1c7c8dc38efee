using System.Numerics;

namespace NetKernel.GuestLib;

/// <content>The list of items that may be ready, in the order in which they became so, and how items get there.</content>
internal static unsafe partial class Epoll
{
    private static void Link(Item* item, uint at)
    {
        if (Is(item, ItemFlags.Ready))
        {
            return;
        }

        Set* set = &s_sets[item->Set - 1];
        item->Flags |= ItemFlags.Ready;
        item->NextReady = 0;
        item->PreviousReady = set->ReadyTail;
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

    private static void Unlink(Item* item, uint at)
    {
        if (!Is(item, ItemFlags.Ready))
        {
            return;
        }

        Set* set = &s_sets[item->Set - 1];
        uint next = item->NextReady, previous = item->PreviousReady;
        *(previous == 0 ? &set->ReadyHead : &s_items[previous - 1].NextReady) = next;
        *(next == 0 ? &set->ReadyTail : &s_items[next - 1].PreviousReady) = previous;
        set->ReadyCount--;
        item->Flags &= ~ItemFlags.Ready;
    }

    /// <summary>A set has news: who waits on it, and the sets that it is in.</summary>
    private static void Tell(uint set, WakeList* wakes)
    {
        Draining.Bump();
        Waiters.NotifySet(ref s_sets[set - 1].FirstWaiter, wakes);
        for (uint at = s_sets[set - 1].FirstParent; at != 0; at = s_items[at - 1].NextOfTarget)
        {
            if ((Mask(&s_items[at - 1]) & (Abi.EPOLLIN | Abi.EPOLLRDNORM)) != 0)
            {
                Link(&s_items[at - 1], at);
                Tell(s_items[at - 1].Set, wakes); // no deeper than the kernel lets sets be nested
            }
        }
    }

    /// <summary>Whether sockets are marked dirty, or a shared set has been changed.</summary>
    internal static bool AnyDirty()
    {
        ulong* summary = (ulong*)(Region.Control + Region.Layout.DirtySummaryOf(Region.Slot));
        uint blocks = Region.Sockets >> 12;
        ulong any = AnyChanges() ? 1u : 0;
        for (uint block = 0; block < blocks; block++)
        {
            any |= Volatile.Read(ref summary[block]);
        }

        return any != 0;
    }

    /// <summary>
    /// Turns the sockets that events have marked dirty into ready items, and wakes who waits for them. False when this very thread is in the middle of
    /// a list operation: a signal handler came in.
    /// </summary>
    internal static bool Collect()
    {
        if ((s_count == 0 && !Waiters.Any && s_inUse == 0) || !Region.Attached || !AnyDirty())
        {
            return true;
        }

        if (!Enter())
        {
            return false;
        }

        WakeList wakes = default;
        if (AnyChanges())
        {
            UpdateAll(&wakes);
        }

        ulong* words = (ulong*)(Region.Control + Region.Layout.DirtyOf(Region.Slot));
        ulong* summary = (ulong*)(Region.Control + Region.Layout.DirtySummaryOf(Region.Slot));
        uint blocks = Region.Sockets >> 12;
        for (uint block = 0; block < blocks; block++)
        {
            for (ulong dirty = Volatile.Read(ref summary[block]) == 0 ? 0 : Interlocked.Exchange(ref summary[block], 0); dirty != 0; dirty &= dirty - 1)
            {
                uint word = (block << 6) + (uint)BitOperations.TrailingZeroCount(dirty);
                for (ulong bits = Interlocked.Exchange(ref words[word], 0); bits != 0; bits &= bits - 1)
                {
                    uint socket = (word << 6) + (uint)BitOperations.TrailingZeroCount(bits);
                    Stir(socket, &wakes);
                    Waiters.Notify(socket, &wakes);
                }
            }
        }

        Leave();
        wakes.Ring();
        return true;
    }

    private static void Stir(uint socket, WakeList* wakes)
    {
        bool taken = false;
        for (uint at = s_first[socket]; at != 0; at = s_items[at - 1].NextOfTarget)
        {
            Item* item = &s_items[at - 1];
            uint mask = Mask(item);
            bool exclusive = (mask & Abi.EPOLLEXCLUSIVE) != 0;
            if ((mask & News(item)) == 0 || (exclusive && taken) || (mask & State(item)) == 0)
            {
                continue;
            }

            // Of the sets that have it exclusively, one that somebody waits on is told.
            taken |= exclusive && Waiters.AnyIn(ref s_sets[item->Set - 1].FirstWaiter);
            Link(item, at);
            Tell(item->Set, wakes);
        }
    }

    /// <summary>Whether a set has an item that is ready. Those that are not any more leave the list.</summary>
    private static bool AnyReady(Set* set)
    {
        while (set->ReadyHead != 0)
        {
            uint at = set->ReadyHead;
            Item* item = &s_items[at - 1];
            if ((Mask(item) & State(item)) != 0 && !IsTold(item))
            {
                return true;
            }

            Unlink(item, at);
        }

        return false;
    }

    /// <summary>Takes up to <paramref name="most"/> events, looking at no more than <paramref name="left"/> items of the list.</summary>
    private static int Gather(Set* set, EpollEvent* events, int from, int most, ref uint left)
    {
        if (most <= 0 || left == 0 || !Enter())
        {
            return 0;
        }

        int n = 0;
        for (left = left < set->ReadyCount ? left : set->ReadyCount; left > 0 && n < most; left--)
        {
            uint at = set->ReadyHead;
            Item* item = &s_items[at - 1];
            Unlink(item, at);
            uint mask = Mask(item);
            uint now = mask & State(item);
            if (now == 0 || !TryTell(item))
            {
                continue;
            }

            if (Is(item, ItemFlags.NativeToo) && item->Reported < (uint)from && events[item->Reported].Data == item->Data)
            {
                events[item->Reported].Events |= now; // the kernel has reported its half
            }
            else
            {
                item->Reported = (uint)(from + n);
                events[from + n].Events = now;
                events[from + n].Data = item->Data;
                n++;
            }

            if ((mask & Abi.EPOLLONESHOT) != 0)
            {
                item->Flags |= ItemFlags.Disarmed;
                if (Is(item, ItemFlags.NativeToo))
                {
                    DisarmNativeHalf(set, item);
                }
            }
            else if ((mask & Abi.EPOLLET) == 0)
            {
                Link(item, at); // level-triggered: looked at again next time
            }
        }

        Leave();
        return n;
    }
}
