using NetKernel.Channel;

namespace NetKernel.GuestLib;

/// <content>What a set watches: a socket of ours, or another set.</content>
internal static unsafe partial class Epoll
{
    private const uint MaxItems = 1 << 17;

    private struct Item
    {
        internal ulong Data;
        internal uint Events;

        /// <summary>The fd it was added by, which may be closed by now (epoll(7), question 6).</summary>
        internal int Fd;

        /// <summary>Socket id, or index of a set.</summary>
        internal uint Target;

        /// <summary>The set it is in; 0: the item is free.</summary>
        internal uint Set;

        internal ItemFlags Flags;
        internal uint NextOfTarget; // of the free ones: the next
        internal uint NextOfSet;
        internal uint PreviousOfSet;
        internal uint NextReady;
        internal uint PreviousReady;
        internal uint NextBoth;

        /// <summary>Where in the program's array it was last reported.</summary>
        internal uint Reported;

        /// <summary>In a shared set: its watch, plus one, and that watch's serial number when it was read or written.</summary>
        internal uint WatchPlusOne;
        internal uint Serial;

        /// <summary>The socket's counts of events that this item has seen.</summary>
        internal uint SeenIn;
        internal uint SeenOut;
        internal uint SeenState;
    }

    [Flags]
    private enum ItemFlags : uint
    {
        /// <summary>The target is a set.</summary>
        IsSet = 1,

        /// <summary>On the ready list.</summary>
        Ready = 2,

        /// <summary>The kernel's set has it too: a listener's loopback half, an inner set's native fds.</summary>
        NativeToo = 4,

        /// <summary>EPOLLONESHOT has fired.</summary>
        Disarmed = 8,

        /// <summary>The socket's CoreEngine is gone.</summary>
        Dead = 16,

        /// <summary>A listener that waits for the next CoreEngine.</summary>
        Lost = 32,
    }

    private static Item* s_items;
    private static uint* s_first; // by socket: its first item
    private static uint s_free;
    private static uint s_used;
    private static uint s_count;

    /// <summary>Makes room for items of so many sockets.</summary>
    internal static bool Reserve(uint sockets)
    {
        s_first = s_first == null ? (uint*)Libc.Reserve(sockets * sizeof(uint)) : s_first;
        return s_sets != null && s_first != null && ReserveItems();
    }

    private static bool ReserveItems()
    {
        s_items = s_items == null ? (Item*)Libc.Reserve(MaxItems * (nuint)sizeof(Item)) : s_items;
        return s_items != null;
    }

    private static bool Is(Item* item, ItemFlags flags) => (item->Flags & flags) != 0;

    /// <summary>A new item, armed; 0 when there is no room.</summary>
    private static uint Add(uint set, int fd, uint target, ItemFlags flags, EpollEvent* e, WakeList* wakes)
    {
        uint at = s_free;
        if (at != 0)
        {
            s_free = s_items[at - 1].NextOfTarget;
        }
        else if (s_used < MaxItems)
        {
            at = ++s_used;
        }
        else
        {
            return 0;
        }

        Item* item = &s_items[at - 1];
        *item = default;
        item->Fd = fd;
        item->Target = target;
        item->Set = set;
        item->Flags = flags;
        uint* first = FirstOf(item);
        item->NextOfTarget = *first;
        *first = at;
        Set* owner = &s_sets[set - 1];
        item->NextOfSet = owner->FirstItem;
        if (owner->FirstItem != 0)
        {
            s_items[owner->FirstItem - 1].PreviousOfSet = at;
        }

        owner->FirstItem = at;
        owner->Items++;
        s_count++;
        if (Is(item, ItemFlags.NativeToo))
        {
            JoinBoth(owner, at);
        }

        Arm(item, at, e, wakes);
        if (owner->Items == 1)
        {
            FetchNativeWaiters(set);
        }

        return at;
    }

    /// <summary>What ADD and MOD do: what holds now is an event.</summary>
    private static void Arm(Item* item, uint at, EpollEvent* e, WakeList* wakes)
    {
        item->Events = e->Events;
        item->Data = e->Data;
        item->Flags &= ~ItemFlags.Disarmed;
        _ = News(item);
        if ((Mask(item) & State(item)) != 0)
        {
            Link(item, at);
            Tell(item->Set, wakes);
        }
    }

    /// <summary>The events that the program wants now.</summary>
    private static uint Mask(Item* item) => Is(item, ItemFlags.Disarmed) ? 0 : item->Events | Abi.EPOLLERR | Abi.EPOLLHUP;

    /// <summary>The events that hold now.</summary>
    private static uint State(Item* item) =>
        Is(item, ItemFlags.IsSet) ? AnyReady(&s_sets[item->Target]) ? Abi.EPOLLIN | Abi.EPOLLRDNORM : 0
        : Is(item, ItemFlags.Lost) ? 0 : Is(item, ItemFlags.Dead) ? Readiness.Broken : Readiness.Of(Region.Socket(item->Target));

    /// <summary>The kinds of events that happened to an item's socket since it was last looked at.</summary>
    private static uint News(Item* item)
    {
        if (Is(item, ItemFlags.IsSet | ItemFlags.Lost | ItemFlags.Dead))
        {
            return 0;
        }

        SocketSlot* s = Region.Socket(item->Target);
        uint ins = Volatile.Read(ref s->EventsIn), outs = Volatile.Read(ref s->EventsOut), states = Volatile.Read(ref s->EventsState);
        uint news = (ins != item->SeenIn ? Readiness.InBits : 0) | (outs != item->SeenOut ? Readiness.OutBits : 0)
            | (states != item->SeenState ? ~0u : 0);
        item->SeenIn = ins;
        item->SeenOut = outs;
        item->SeenState = states;
        return news;
    }

    private static uint* FirstOf(Item* item) => Is(item, ItemFlags.IsSet) ? &s_sets[item->Target].FirstParent : &s_first[item->Target];

    /// <summary>The item of a set that was added by that fd and still means the same thing; 0: none.</summary>
    private static uint Find(uint set, int fd, uint first, ItemFlags condition)
    {
        const ItemFlags Life = ItemFlags.Dead | ItemFlags.Lost;
        uint at = first;
        while (at != 0 && (s_items[at - 1].Set != set || s_items[at - 1].Fd != fd || (s_items[at - 1].Flags & Life) != (condition & Life)))
        {
            at = s_items[at - 1].NextOfTarget;
        }

        return at;
    }

    private static void Remove(uint at)
    {
        Item* item = &s_items[at - 1];
        Set* set = &s_sets[item->Set - 1];
        LeaveBoth(set, at);
        Unlink(item, at);
        ForgetWatch(item);
        uint* link = FirstOf(item);
        while (*link != at)
        {
            link = &s_items[*link - 1].NextOfTarget;
        }

        *link = item->NextOfTarget;
        if (item->PreviousOfSet == 0)
        {
            set->FirstItem = item->NextOfSet;
        }
        else
        {
            s_items[item->PreviousOfSet - 1].NextOfSet = item->NextOfSet;
        }

        if (item->NextOfSet != 0)
        {
            s_items[item->NextOfSet - 1].PreviousOfSet = item->PreviousOfSet;
        }

        set->Items--;
        s_count--;
        item->Set = 0;
        item->NextOfTarget = s_free;
        s_free = at;
    }

    /// <summary>The last fd of a socket in this process is closed: it leaves every set.</summary>
    internal static void RemoveSocket(uint socket, FdKind kind)
    {
        if (s_count == 0 || !Enter())
        {
            return;
        }

        ItemFlags life = kind == FdKind.Dead ? ItemFlags.Dead : kind == FdKind.Lost ? ItemFlags.Lost : 0;
        for (uint at = s_first[socket]; at != 0;)
        {
            uint next = s_items[at - 1].NextOfTarget;
            if ((s_items[at - 1].Flags & (ItemFlags.Dead | ItemFlags.Lost)) == life)
            {
                if (s_items[at - 1].WatchPlusOne != 0)
                {
                    PartFromSocket(at);
                }

                Remove(at);
            }

            at = next;
        }

        Leave();
    }

    /// <summary>This process has no fd of a socket any more that a shared set watches. If others have one, it stays in the set, and in the kernel's.</summary>
    private static void PartFromSocket(uint at)
    {
        Item* item = &s_items[at - 1];
        ref ProcessMask holders = ref Region.Socket(item->Target)->Holders;
        if (!Region.Dead && holders.Has(Region.Slot) && holders.IsSingle)
        {
            FreeWatch(item);
        }
        else
        {
            item->Flags &= ~ItemFlags.NativeToo;
        }
    }
}
