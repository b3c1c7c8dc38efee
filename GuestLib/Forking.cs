using NetKernel.Channel;

namespace NetKernel.GuestLib;

/// <summary>
/// fork(2): the child gets a process slot before it exists, and holds every socket its parent holds, so that at no moment does a shared
/// socket look abandoned. Registered with pthread_atfork, which also sees the forks that libc makes by itself (daemon(3)).
/// </summary>
internal static unsafe class Forking
{
    private const uint NoSlot = uint.MaxValue;

    /// <summary>How long a parent waits for its child to have introduced itself.</summary>
    private const long Patience = 2_000_000_000;

    /// <summary>How often to look for a free slot, a millisecond apart.</summary>
    private const int SlotTurns = 250;

    private static uint s_child;
    private static ulong s_lock; // threads fork one at a time: newer libc versions do not see to it
    private static ulong s_teller;

    /// <summary>The process these books are for. Differs from getpid() in a vfork child, which borrows the memory.</summary>
    internal static int Pid;

    internal static void Register()
    {
        Pid = Libc.getpid();
        s_child = NoSlot;
        _ = Libc.pthread_atfork((nint)(delegate*<void>)&Prepare, (nint)(delegate*<void>)&InParent, (nint)(delegate*<void>)&InChild);
    }

    /// <summary>Before a fork: a slot for the child.</summary>
    internal static void Prepare()
    {
        _ = Locks.TryEnterPrivate(ref s_lock);
        s_child = NoSlot;
        if (!Region.Attached || Region.Dead)
        {
            Epoll.BeforeFork(NoSlot);
            return;
        }

        int errno = Libc.Errno;
        for (int turn = 0; turn < SlotTurns && !TryClaimSlot(); turn++)
        {
            // All taken. That of a process that has just ended is free as soon as CoreEngine has tidied up after it.
            Raw.Nap(1_000_000);
        }

        if (s_child == NoSlot)
        {
            Report.Line("this guest has as many processes with sockets as it can have (256): a forked child cannot use its parent's"u8);
        }
        else
        {
            Share(s_child, true);
        }

        // After the child holds the sockets: from here on their events are noted for it as well.
        Epoll.BeforeFork(s_child);
        Libc.Errno = errno;
    }

    private static bool TryClaimSlot()
    {
        for (uint slot = 0; slot < Region.Layout.Counts.QueueSets; slot++)
        {
            ProcessSlot* p = Region.Process(slot);
            if (Volatile.Read(ref p->State) == ProcessState.Free
                && Interlocked.CompareExchange(ref p->State, ProcessState.Forking, ProcessState.Free) == ProcessState.Free)
            {
                p->Parent = Region.Slot;
                p->Asleep = 0;
                s_child = slot;
                return true;
            }
        }

        return false;
    }

    /// <summary>This thread will say by <see cref="Made"/> whether there is a child.</summary>
    internal static void WillTell() => Volatile.Write(ref s_teller, Libc.pthread_self());

    private static void InParent()
    {
        Epoll.AfterForkInParent();
        if (Volatile.Read(ref s_teller) != Libc.pthread_self())
        {
            Made(true); // or not: libc does not say
        }
    }

    /// <summary>After a fork, in the parent.</summary>
    internal static void Made(bool child)
    {
        if (s_teller == Libc.pthread_self())
        {
            s_teller = 0;
        }

        if (s_lock == Libc.pthread_self())
        {
            Epoll.AfterForkInParent();
            Settle(child);
            Locks.Leave(ref s_lock);
        }
    }

    private static void Settle(bool child)
    {
        if (s_child == NoSlot)
        {
            return;
        }

        // Until the child has introduced itself, CoreEngine knows nobody but this process to hold the child's share.
        int errno = Libc.Errno;
        ProcessSlot* p = Region.Process(s_child);
        if (!child || !AwaitLive(p))
        {
            Share(s_child, false); // fork failed
            Epoll.Unshare(s_child);
            _ = Interlocked.CompareExchange(ref p->State, ProcessState.Free, ProcessState.Forking);
        }

        Libc.Errno = errno;
    }

    /// <summary>Waits until CoreEngine knows the child: only then is its queue set drained for it, and only then can it be woken.</summary>
    private static bool AwaitLive(ProcessSlot* p)
    {
        long deadline = Libc.Now() + Patience;
        for (int turn = 0; Volatile.Read(ref p->State) == ProcessState.Forking; turn++)
        {
            if (Libc.Now() > deadline || Region.Header->State != RegionState.Running)
            {
                return false;
            }

            if (turn > 20)
            {
                Raw.Nap(50_000);
            }
            else
            {
                _ = Libc.sched_yield();
            }
        }

        return true;
    }

    /// <summary>After a fork, in the child.</summary>
    internal static void InChild()
    {
        Pid = Libc.getpid();
        s_lock = 0;
        s_teller = 0;
        Fds.AfterFork();
        Attaching.AfterFork();
        Reviving.AfterFork();
        Subscriptions.AfterFork();
        Direct.AfterFork();
        Names.Service.AfterFork();
        Epoll.AfterFork();
        if (!Region.Attached || Region.Dead)
        {
            return;
        }

        int errno = Libc.Errno;
        TxPool.Reset();
        Slots.Reset();
        Waiting.Reset();
        if (s_child == NoSlot)
        {
            Attaching.LoseBell(); // the parent's: its end must not stay open here
            Region.Dead = true;
            Fds.KillSockets();
            return;
        }

        ProcessSlot* p = Region.Process(s_child);
        Attaching.Become(s_child);
        if (!Attaching.ForkAttach(s_child) || !AwaitLive(p))
        {
            Volatile.Write(ref p->State, ProcessState.Live); // nobody is there to say so; the parent need not wait either
            Waiting.Died();
        }

        Libc.Errno = errno;
    }

    /// <summary>Sets or clears a child's bit in every socket that this process holds, and in their queue sets.</summary>
    private static void Share(uint slot, bool set)
    {
        uint high = Region.Header->SocketHigh < Region.Sockets ? Region.Header->SocketHigh : Region.Sockets;
        for (uint id = 0; id < high; id++)
        {
            if (Fds.Holds(id))
            {
                Mark(ref Region.Socket(id)->Holders, slot, set);
            }
        }

        for (uint i = 0; i < Subscriptions.Count; i++)
        {
            Mark(ref Region.QueueSet(Subscriptions.At(i))->Subscribers, slot, set);
        }
    }

    private static void Mark(ref ProcessMask mask, uint slot, bool set)
    {
        if (set)
        {
            mask.Share(slot);
        }
        else
        {
            _ = mask.Unshare(slot);
        }
    }
}
