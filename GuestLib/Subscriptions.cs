using NetKernel.Channel;

namespace NetKernel.GuestLib;

/// <summary>
/// The queue sets whose sockets this process uses: its own, and those of the processes that it got sockets from. What is looked at in every wait lies
/// in a short list. Copied by fork; a queue set stays subscribed until the process ends.
/// </summary>
internal static unsafe class Subscriptions
{
    private struct Entry
    {
        internal RingHeader* Completion;
        internal RingHeader* Receive;
        internal uint QueueSet;
    }

    private static Entry* s_list;
    private static uint s_count;
    private static int s_lock;
    private static ProcessMask s_set;

    /// <summary>How many there are.</summary>
    internal static uint Count => Volatile.Read(ref s_count);

    /// <summary>The number of the queue set at a place in the list.</summary>
    internal static uint At(uint index) => s_list[index].QueueSet;

    /// <summary>Makes room for the list.</summary>
    internal static bool Reserve()
    {
        s_list = s_list == null ? (Entry*)Libc.Reserve(ControlLayout.MaxQueueSets * (nuint)sizeof(Entry)) : s_list;
        return s_list != null;
    }

    /// <summary>Forgets them all: the region is dead.</summary>
    internal static void Clear()
    {
        s_count = 0;
        s_set = default;
    }

    internal static void AfterFork() => s_lock = 0;

    /// <summary>
    /// Adds a queue set. Before the process becomes a holder of a socket that lives there: from then on its events are kept.
    /// </summary>
    internal static void Add(uint queueSet)
    {
        while (Interlocked.CompareExchange(ref s_lock, 1, 0) != 0)
        {
            _ = Libc.sched_yield();
        }

        if (!s_set.Has(queueSet))
        {
            Region.QueueSet(queueSet)->Subscribers.Share(Region.Slot);
            Entry* added = &s_list[s_count];
            added->Completion = Region.Ring(queueSet, RingKind.Completion);
            added->Receive = Region.Ring(queueSet, RingKind.Receive);
            added->QueueSet = queueSet;
            s_set.Set(queueSet);
            Volatile.Write(ref s_count, s_count + 1); // Release: the entry is there.
        }

        Volatile.Write(ref s_lock, 0);
    }

    /// <summary>
    /// Changes whenever an event of a subscribed queue set is applied, by whatever process: a waiter takes it before looking at its
    /// condition, and does not sleep when it has changed since.
    /// </summary>
    internal static uint Ticket()
    {
        uint ticket = 0;
        uint count = Count;
        for (uint i = 0; i < count; i++)
        {
            ticket += Volatile.Read(ref s_list[i].Completion->Head) + Volatile.Read(ref s_list[i].Receive->Head);
        }

        return ticket;
    }

    /// <summary>Whether the queue set at a place in the list has something to drain.</summary>
    internal static bool IsPending(uint index) => IsPending(s_list[index].Completion, s_list[index].Receive);

    /// <summary>Whether two rings have something to drain.</summary>
    internal static bool IsPending(RingHeader* completion, RingHeader* receive) =>
        Volatile.Read(ref completion->Tail) != completion->Head || Volatile.Read(ref receive->Tail) != receive->Head;
}
