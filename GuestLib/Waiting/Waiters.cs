using NetKernel.Channel;

namespace NetKernel.GuestLib;

/// <summary>
/// The threads of this process that wait, each with a record: found by what they wait for, and woken by a semaphore or an eventfd of
/// their own. A process with a single thread has none. Under one lock, held for list operations only; nobody is woken while it is held.
/// </summary>
internal static unsafe partial class Waiters
{
    private const uint Most = 1 << 15;

    private struct Record
    {
        internal Semaphore Semaphore;
        internal ulong Thread;
        internal ulong Mask;
        internal uint Key;
        internal WaitKind Kind;
        internal bool Exclusive;
        internal bool Plain;

        /// <summary>An event of its has come.</summary>
        internal bool Notified;

        internal bool Parked;
        internal int FdPlusOne;

        // Plus one, 0: none.
        internal uint Next, Previous; // of the same socket, set, or kind; of the free ones: the next
        internal uint NextOfAll, PreviousOfAll;
    }

    private static Record* s_records;
    private static uint* s_bySocket;
    private static uint s_many;
    private static uint s_all;
    private static uint s_freePlain; // records without an eventfd, and with one
    private static uint s_freeWithFd;
    private static uint s_used;
    private static int s_parked;
    private static uint s_promoted;
    private static ulong s_lock;
    private static bool s_missed;

    /// <summary>Whether a thread with a record waits.</summary>
    internal static bool Any => Volatile.Read(ref s_parked) != 0;

    /// <summary>Whether somebody waits in the list that starts there.</summary>
    internal static bool AnyIn(ref uint first) => Volatile.Read(ref first) != 0;

    /// <summary>In a forked child there is one thread, and nobody waits. The eventfds are the parent's.</summary>
    internal static void Reset()
    {
        s_lock = 0;
        for (uint at = s_all; at != 0; at = s_records[at - 1].NextOfAll)
        {
            *FirstOf(&s_records[at - 1]) = 0;
        }

        for (uint i = 0; i < s_used; i++)
        {
            Fds.CloseHidden(s_records[i].FdPlusOne - 1);
            s_records[i] = default;
        }

        s_all = s_many = s_used = s_freePlain = s_freeWithFd = s_promoted = 0;
        s_parked = 0;
    }

    /// <summary>A record for this thread; 0 when there is none to be had.</summary>
    internal static uint Enlist(Wish* wish)
    {
        if (!Reserve() || !Enter())
        {
            return 0;
        }

        uint at = Take(wish->IsPlain);
        if (at != 0)
        {
            Record* me = &s_records[at - 1];
            me->Thread = Libc.pthread_self();
            me->Key = wish->Key;
            me->Kind = wish->Kind;
            me->Mask = wish->Mask;
            me->Exclusive = wish->Exclusive;
            me->Plain = wish->IsPlain;
            me->Notified = false;
            me->Parked = true;
            _ = Libc.sem_init(&me->Semaphore, 0, 0);
            Join(me, at);
        }

        Leave();
        if (at != 0 && !s_records[at - 1].Plain && s_records[at - 1].FdPlusOne == 0)
        {
            bool may = Sandbox.Allows(Sandbox.EventFd2) && Sandbox.Allows(Sandbox.Fcntl);
            s_records[at - 1].FdPlusOne = may ? Fds.HiddenEvent(0) + 1 : 0;
            if (s_records[at - 1].FdPlusOne == 0)
            {
                Retire(at);
                return 0;
            }
        }

        return at;
    }

    /// <summary>This thread waits no more.</summary>
    internal static void Retire(uint at)
    {
        if (!Enter())
        {
            return;
        }

        Record* me = &s_records[at - 1];
        if (me->Parked)
        {
            me->Parked = false;
            s_promoted = s_promoted == at ? 0 : s_promoted;
            Part(me, at);
            uint* free = AddressOf(ref me->FdPlusOne > 0 ? ref s_freeWithFd : ref s_freePlain);
            me->Next = *free;
            *free = at;
        }

        Leave();
    }

    internal static bool IsNotified(uint at) => Volatile.Read(ref s_records[at - 1].Notified);

    /// <summary>Sleeps until woken; -1 with errno EINTR when a handler without SA_RESTART ran.</summary>
    internal static int SleepPlainly(uint at)
    {
        return Libc.sem_wait(&s_records[at - 1].Semaphore);
    }

    /// <summary>The eventfd that wakes a thread which waits for fds as well; -1: none.</summary>
    internal static int FdOf(uint at) => s_records[at - 1].FdPlusOne - 1;

    /// <summary>Something happened to a socket: who waits for it is to be woken.</summary>
    internal static void Notify(uint socket, WakeList* wakes)
    {
        if (!Any || !Enter())
        {
            return;
        }

        // One thread per connection that waits to be accepted; everybody for anything else.
        SocketSlot* s = Region.Socket(socket);
        uint share = (Volatile.Read(ref s->Status) & SocketStatus.Listening) != 0 ? Volatile.Read(ref s->RxTail) - s->RxHead : uint.MaxValue;
        for (uint at = s_bySocket[socket]; at != 0; at = s_records[at - 1].Next)
        {
            Record* other = &s_records[at - 1];
            if (!other->Exclusive || share != 0)
            {
                share -= other->Exclusive ? 1u : 0;
                Tell(other, at, wakes);
            }
        }

        NotifyMany(Wish.BitOf(socket), wakes);
        Leave();
    }

    /// <summary>An epoll set has something: one of those in its list is to be woken, and who polls sets.</summary>
    internal static void NotifySet(ref uint first, WakeList* wakes)
    {
        if (!Any || !Enter())
        {
            return;
        }

        uint at = first;
        while (at != 0 && s_records[at - 1].Notified)
        {
            at = s_records[at - 1].Next;
        }

        if (at != 0)
        {
            Tell(&s_records[at - 1], at, wakes);
        }

        NotifyMany(Wish.Sets, wakes);
        Leave();
    }

    /// <summary>Everybody is to look again.</summary>
    internal static void NotifyAll(WakeList* wakes)
    {
        if (!Any || !Enter())
        {
            return;
        }

        for (uint at = s_all; at != 0; at = s_records[at - 1].NextOfAll)
        {
            Tell(&s_records[at - 1], at, wakes);
        }

        Leave();
    }

    /// <summary>Nobody leads any more: one of those who wait is to, unless one is on its way already.</summary>
    internal static void Promote(WakeList* wakes)
    {
        if (!Any || !Enter())
        {
            return;
        }

        uint at = s_promoted != 0 || Waiting.IsLed ? 0 : s_all;
        while (at != 0 && s_records[at - 1].Notified)
        {
            at = s_records[at - 1].NextOfAll; // leaves by itself, and promotes another
        }

        if (at != 0)
        {
            s_promoted = at;
            wakes->Add(at);
        }

        Leave();
    }

    /// <summary>A thread that was woken to lead does so, or finds that another does; true when it was that thread.</summary>
    internal static bool Answer(uint at)
    {
        if (Volatile.Read(ref s_promoted) != at || !Enter())
        {
            return false;
        }

        bool was = s_promoted == at;
        s_promoted = was ? 0 : s_promoted;
        Leave();
        return was;
    }

    /// <summary>Notes every thread that is in a blocking call on a socket whose last fd is being closed; false when there is none.</summary>
    internal static bool NoteOrphans(uint socket)
    {
        if (!Any || !Enter())
        {
            return false;
        }

        bool any = false;
        for (uint at = s_bySocket[socket]; at != 0; at = s_records[at - 1].Next)
        {
            any |= Orphans.TryNote(s_records[at - 1].Thread, socket);
        }

        Leave();
        return any;
    }

    /// <summary>Whether a thread that sleeps in the leader's plain way waits for that socket: nothing but CoreEngine's bell wakes it.</summary>
    internal static bool IsLeaderPlain(ulong thread, uint socket)
    {
        if (!Any || !Enter())
        {
            return false;
        }

        uint at = s_bySocket[socket];
        while (at != 0 && (s_records[at - 1].Thread != thread || !s_records[at - 1].Plain))
        {
            at = s_records[at - 1].Next;
        }

        Leave();
        return at != 0;
    }

    /// <summary>Gives the lock back if this thread, which is leaving by a jump or by cancellation, holds it.</summary>
    internal static void Abandon() => Locks.AbandonPrivate(ref s_lock);

    /// <summary>Wakes a thread. Its record may be somebody else's by now, who then looks once too often.</summary>
    internal static void Ring(uint at)
    {
        Record* other = &s_records[at - 1];
        if (other->Plain)
        {
            _ = Libc.sem_post(&other->Semaphore);
        }
        else if (other->FdPlusOne > 0)
        {
            ulong one = 1;
            _ = Raw.Write(other->FdPlusOne - 1, &one, 8);
        }
    }

    private static bool Enter()
    {
        if (Locks.TryEnterPrivate(ref s_lock))
        {
            return true;
        }

        s_missed = true; // in a signal handler, in the middle of this thread's own list operation
        return false;
    }

    private static void Leave()
    {
        Locks.Leave(ref s_lock);
        if (s_missed)
        {
            s_missed = false;
            WakeList wakes = default;
            NotifyAll(&wakes);
            wakes.Ring();
        }
    }

    private static void NotifyMany(ulong bit, WakeList* wakes)
    {
        for (uint at = s_many; at != 0; at = s_records[at - 1].Next)
        {
            if ((s_records[at - 1].Mask & bit) != 0)
            {
                Tell(&s_records[at - 1], at, wakes);
            }
        }
    }

    private static void Tell(Record* other, uint at, WakeList* wakes)
    {
        if (!other->Notified)
        {
            Volatile.Write(ref other->Notified, true);
            wakes->Add(at);
        }
    }

    private static bool Reserve()
    {
        if (s_bySocket == null)
        {
            byte* sockets = Libc.Reserve(Region.Sockets * sizeof(uint));
            if (sockets == null || Interlocked.CompareExchange(ref *(long*)AddressOfSockets(), (long)sockets, 0) != 0)
            {
                _ = Libc.munmap((nint)sockets, Region.Sockets * sizeof(uint));
            }
        }

        if (s_records == null)
        {
            byte* records = Libc.Reserve(Most * (nuint)sizeof(Record));
            if (records == null || Interlocked.CompareExchange(ref *(long*)AddressOfRecords(), (long)records, 0) != 0)
            {
                _ = Libc.munmap((nint)records, Most * (nuint)sizeof(Record));
            }
        }

        return s_bySocket != null && s_records != null;
    }

    private static uint Take(bool plain)
    {
        uint* free = AddressOf(ref plain ? ref s_freePlain : ref s_freeWithFd);
        uint at = *free;
        if (at == 0 && s_used < Most)
        {
            return ++s_used;
        }

        *free = at == 0 ? 0 : s_records[at - 1].Next;
        return at;
    }

    private static uint* FirstOf(Record* record) => record->Kind switch
    {
        WaitKind.Socket => &s_bySocket[record->Key],
        WaitKind.Set => Epoll.FirstWaiterOf(record->Key),
        _ => AddressOf(ref s_many),
    };

    private static void Join(Record* me, uint at)
    {
        uint* first = FirstOf(me);
        me->Previous = 0;
        me->Next = *first;
        if (*first != 0)
        {
            s_records[*first - 1].Previous = at;
        }

        Volatile.Write(ref *first, at);
        me->PreviousOfAll = 0;
        me->NextOfAll = s_all;
        if (s_all != 0)
        {
            s_records[s_all - 1].PreviousOfAll = at;
        }

        s_all = at;
        Interlocked.Increment(ref s_parked); // full fence: the record is there before this thread looks again at what it waits for
    }

    private static void Part(Record* me, uint at)
    {
        *(me->Previous == 0 ? FirstOf(me) : &s_records[me->Previous - 1].Next) = me->Next;
        if (me->Next != 0)
        {
            s_records[me->Next - 1].Previous = me->Previous;
        }

        *(me->PreviousOfAll == 0 ? AddressOf(ref s_all) : &s_records[me->PreviousOfAll - 1].NextOfAll) = me->NextOfAll;
        if (me->NextOfAll != 0)
        {
            s_records[me->NextOfAll - 1].PreviousOfAll = me->PreviousOfAll;
        }

        Interlocked.Decrement(ref s_parked);
    }

    // Static fields do not move.
    private static uint* AddressOf(ref uint field)
    {
        fixed (uint* address = &field)
        {
            return address;
        }
    }

    private static void* AddressOfSockets()
    {
        fixed (uint** field = &s_bySocket)
        {
            return field;
        }
    }

    private static void* AddressOfRecords()
    {
        fixed (Record** field = &s_records)
        {
            return field;
        }
    }
}
