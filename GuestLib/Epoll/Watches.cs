using NetKernel.Channel;

namespace NetKernel.GuestLib;

/// <content>What shared sets watch: written by who calls epoll_ctl(2), read by the others before they look at their items.</content>
internal static unsafe partial class Epoll
{
    private static uint s_nextWatch;

    private static SharedWatch* Watch(uint plusOne) => (SharedWatch*)(Region.Control + Region.Layout.SharedWatchOf(plusOne - 1));

    private static ulong OwnerOf(Set* set) => ((ulong)set->SharedState << 32) | set->SharedPlusOne;

    /// <summary>
    /// Before a set is changed: takes the lock that all its processes share and brings its items up to date. False when it is not shared.
    /// </summary>
    private static bool BeginChange(Set* set, WakeList* wakes)
    {
        if (!IsShared(set) || !Locks.TryEnter(ref SharedOf(set)->Lock))
        {
            return false;
        }

        Update(set, wakes);
        return true;
    }

    /// <summary>After a set was changed, or when one of its items may be ready that was not: the others are to look. Those of them that sleep are in <paramref name="sleepers"/>.</summary>
    private static void EndChange(Set* set, bool isReady, ref ProcessMask sleepers)
    {
        SharedSet* shared = SharedOf(set);
        set->SharedVersion = Interlocked.Increment(ref shared->Version);
        Locks.Leave(ref shared->Lock);
        uint changes = Interlocked.Increment(ref Region.Header->SharedSetChanges); // Full fence: pairs with the sleeper's after Asleep = 1.
        s_seenChanges += changes - s_seenChanges == 1 ? 1u : 0; // its own it need not look at
        uint most = Region.Layout.Counts.QueueSets;
        for (uint slot = shared->Users.Next(0); isReady && slot < most; slot = shared->Users.Next(slot + 1))
        {
            if (slot != Region.Slot && Volatile.Read(ref Region.Process(slot)->Asleep) != 0)
            {
                sleepers.Set(slot);
            }
        }
    }

    /// <summary>Wakes processes that have a set. No lock is held.</summary>
    private static void Nudge(in ProcessMask sleepers)
    {
        for (uint slot = sleepers.Next(0); slot != ProcessMask.None; slot = sleepers.Next(slot + 1))
        {
            int errno = Libc.Errno;
            _ = Attaching.Tell(AttachOp.Nudge, slot, -1);
            Libc.Errno = errno;
        }
    }

    /// <summary>An item gets a watch, or its watch what the item says now. False when there is no room.</summary>
    private static bool Publish(Set* set, uint at)
    {
        Item* item = &s_items[at - 1];
        if (Is(item, ItemFlags.IsSet | ItemFlags.Dead | ItemFlags.Lost))
        {
            return true; // each process's own
        }

        if (item->WatchPlusOne == 0 && (item->WatchPlusOne = TakeWatch(set)) == 0)
        {
            return false;
        }

        SharedWatch* watch = Watch(item->WatchPlusOne);
        Own(item->WatchPlusOne, at);
        watch->Fd = item->Fd;
        watch->Socket = item->Target;
        watch->Inode = Region.Socket(item->Target)->Inode;
        watch->Flags = Is(item, ItemFlags.NativeToo) ? SharedWatch.NativeToo : 0;
        watch->Events = item->Events;
        watch->Data = item->Data;
        uint serial = watch->Serial + 1;
        serial = serial == 0 ? 1 : serial;
        item->Serial = serial;
        watch->Told = Is(item, ItemFlags.Disarmed) ? (ulong)serial << 32 : 0;
        watch->Serial = serial;
        Volatile.Write(ref watch->Owner, OwnerOf(set)); // Release: whoever sees the owner sees the rest.
        return true;
    }

    /// <summary>An item has changed without the program's doing: its watch follows. Under this process's lock.</summary>
    private static void Republish(uint at, ref ProcessMask sleepers)
    {
        Item* item = &s_items[at - 1];
        Set* set = &s_sets[item->Set - 1];
        if (item->WatchPlusOne != 0 && IsShared(set) && Locks.TryEnter(ref SharedOf(set)->Lock))
        {
            _ = Publish(set, at);
            EndChange(set, Is(item, ItemFlags.Ready), ref sleepers);
        }
    }

    /// <summary>An item is about to go over to the kernel's set, for all processes.</summary>
    private static void Withdraw(Item* item)
    {
        Set* set = &s_sets[item->Set - 1];
        if (item->WatchPlusOne != 0 && IsShared(set) && Locks.TryEnter(ref SharedOf(set)->Lock))
        {
            ProcessMask none = default;
            FreeWatch(item);
            EndChange(set, false, ref none);
        }
    }

    private static uint TakeWatch(Set* set)
    {
        for (uint n = 0; n < ControlLayout.MaxSharedWatches; n++)
        {
            uint i = (s_nextWatch + n) % ControlLayout.MaxSharedWatches;
            SharedWatch* watch = Watch(i + 1);
            ulong owner = Volatile.Read(ref watch->Owner);
            if (IsFree(owner) && Interlocked.CompareExchange(ref watch->Owner, OwnerOf(set) | SharedWatch.Draft, owner) == owner)
            {
                Raise(ref Region.Header->SharedWatchHigh, i + 1);
                s_nextWatch = i + 1 < Volatile.Read(ref Region.Header->SharedWatchHigh) ? i + 1 : 0; // low ones first: everybody walks them
                return i + 1;
            }
        }

        return 0;
    }

    private static bool IsFree(ulong owner)
    {
        uint set = (uint)(owner & ~SharedWatch.Draft) - 1;
        return set >= ControlLayout.MaxSharedSets
            || Volatile.Read(ref ((SharedSet*)(Region.Control + Region.Layout.SharedSetOf(set)))->State) != (uint)(owner >> 32);
    }

    /// <summary>The program has taken a socket out of a set, or the socket is no more.</summary>
    private static void FreeWatch(Item* item)
    {
        if (item->WatchPlusOne != 0)
        {
            Volatile.Write(ref Watch(item->WatchPlusOne)->Owner, 0);
            ForgetWatch(item);
        }
    }

    /// <summary>An item goes, its watch stays: others have the socket still.</summary>
    private static void ForgetWatch(Item* item)
    {
        if (item->WatchPlusOne != 0)
        {
            s_itemOf[item->WatchPlusOne - 1] = 0;
            item->WatchPlusOne = 0;
        }
    }

    /// <summary>Brings the items of all shared sets up to date.</summary>
    private static void UpdateAll(WakeList* wakes)
    {
        s_seenChanges = Volatile.Read(ref Region.Header->SharedSetChanges);
        for (uint i = 0; i < s_setHigh; i++)
        {
            Set* set = &s_sets[i];
            if (set->IsUsed && set->References > 0 && IsShared(set) && Volatile.Read(ref SharedOf(set)->Version) != set->SharedVersion
                && Locks.TryEnter(ref SharedOf(set)->Lock))
            {
                Update(set, wakes);
                Locks.Leave(ref SharedOf(set)->Lock);
            }
        }
    }

    /// <summary>Makes a set's items what its watches say. Sockets that this process does not hold are left out. Under both locks.</summary>
    private static void Update(Set* set, WakeList* wakes)
    {
        uint version = Volatile.Read(ref SharedOf(set)->Version);
        if (version == set->SharedVersion)
        {
            return;
        }

        uint index = (uint)(set - s_sets) + 1;
        ulong mine = OwnerOf(set);
        uint high = Volatile.Read(ref Region.Header->SharedWatchHigh);
        high = high < ControlLayout.MaxSharedWatches ? high : ControlLayout.MaxSharedWatches;
        for (uint w = 1; w <= high; w++)
        {
            SharedWatch* watch = Watch(w);
            uint at = s_itemOf[w - 1];
            bool known = at != 0 && s_items[at - 1].Set == index && s_items[at - 1].WatchPlusOne == w;
            bool valid = Volatile.Read(ref watch->Owner) == mine && watch->Socket < Region.Sockets;
            if (valid && (Region.Socket(watch->Socket)->Inode != watch->Inode || Volatile.Read(ref Region.Socket(watch->Socket)->State) == SocketState.Free))
            {
                Volatile.Write(ref watch->Owner, 0);
                valid = false;
            }

            if (known && (!valid || s_items[at - 1].Serial != watch->Serial || s_items[at - 1].Target != watch->Socket))
            {
                s_items[at - 1].Flags &= ~ItemFlags.NativeToo; // the kernel's half is one for all, and has been seen to
                Remove(at);
                known = false;
            }

            if (valid && !known && Fds.Holds(watch->Socket))
            {
                Copy(set, index, w, watch, wakes);
            }
        }

        set->SharedVersion = version;
    }

    private static void Copy(Set* set, uint index, uint w, SharedWatch* watch, WakeList* wakes)
    {
        EpollEvent e = new() { Events = watch->Events, Data = watch->Data };
        ItemFlags flags = (watch->Flags & SharedWatch.NativeToo) != 0 ? ItemFlags.NativeToo : 0;
        flags |= (watch->Events & Abi.EPOLLONESHOT) != 0 && watch->Told >> 32 == watch->Serial ? ItemFlags.Disarmed : 0;
        uint at = Add(index, watch->Fd, watch->Socket, flags, &e, wakes);
        if (at != 0)
        {
            s_items[at - 1].WatchPlusOne = w;
            s_items[at - 1].Serial = watch->Serial;
            Own(w, at);
        }
    }

    /// <summary>The watch is that item's. Another one that had it belongs to a set that has freed it since.</summary>
    private static void Own(uint watch, uint at)
    {
        uint before = s_itemOf[watch - 1];
        if (before != 0 && before != at && s_items[before - 1].Set != 0 && s_items[before - 1].WatchPlusOne == watch)
        {
            s_items[before - 1].Flags &= ~ItemFlags.NativeToo;
            Remove(before);
        }

        s_itemOf[watch - 1] = at;
    }

    /// <summary>Whether the program has heard of what an item has now already, from another process perhaps.</summary>
    private static bool IsTold(Item* item)
    {
        if (item->WatchPlusOne == 0 || (item->Events & (Abi.EPOLLET | Abi.EPOLLONESHOT)) == 0 || Region.Dead)
        {
            return false;
        }

        ulong told = Volatile.Read(ref Watch(item->WatchPlusOne)->Told);
        return (item->Events & Abi.EPOLLONESHOT) != 0 ? told >> 32 == item->Serial : told == ToldNow(item);
    }

    /// <summary>This process is about to tell the program: of EPOLLET and EPOLLONESHOT only one does.</summary>
    private static bool TryTell(Item* item)
    {
        if (item->WatchPlusOne == 0 || (item->Events & (Abi.EPOLLET | Abi.EPOLLONESHOT)) == 0 || Region.Dead)
        {
            return true;
        }

        SharedWatch* watch = Watch(item->WatchPlusOne);
        ulong told = Volatile.Read(ref watch->Told), now = ToldNow(item);
        while (Volatile.Read(ref watch->Serial) == item->Serial && !IsTold(item))
        {
            ulong seen = Interlocked.CompareExchange(ref watch->Told, now, told);
            if (seen == told)
            {
                return true;
            }

            told = seen;
        }

        item->Flags |= (item->Events & Abi.EPOLLONESHOT) != 0 ? ItemFlags.Disarmed : 0; // a MOD arms it again, by another serial
        return false;
    }

    private static ulong ToldNow(Item* item)
    {
        SocketSlot* s = Region.Socket(item->Target);
        return ((ulong)item->Serial << 32) | (Volatile.Read(ref s->EventsIn) + Volatile.Read(ref s->EventsOut) + Volatile.Read(ref s->EventsState));
    }
}
