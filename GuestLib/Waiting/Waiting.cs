using NetKernel.Channel;

namespace NetKernel.GuestLib;

/// <summary>
/// Sleeping until something happens. One thread of the process, the leader, sleeps on the pipe that CoreEngine rings, takes the events and wakes
/// those whose they are; the others, the followers, sleep on a semaphore or an eventfd of their own. A leader whose own event has come hands over to a
/// follower. All sleep in calls of the C library, so that signals and cancellation behave as in any blocking call.
/// </summary>
internal static unsafe class Waiting
{
    /// <summary>Turns of sched_yield before sleeping (docs/performance.md: 8 to 50).</summary>
    private const int Yields = 16;

    /// <summary>A thread that can neither lead nor be woken (out of fds, in a signal handler in the middle of the library) looks again after so long.</summary>
    private const long Nap = 1_000_000;

    /// <summary>Waits that do not poll, because a yield went to a stranger. Racy between threads, and harmless.</summary>
    private static uint s_penalty;

    private static ulong s_leader;

    /// <summary>Where in its stack the leader's wait lies.</summary>
    private static nuint s_frame;

    /// <summary>Whether a thread leads.</summary>
    internal static bool IsLed => Volatile.Read(ref s_leader) != 0;

    /// <summary>In a forked child there is one thread, and nobody waits.</summary>
    internal static void Reset()
    {
        s_leader = 0;
        Waiters.Reset();
        Orphans.AfterFork();
    }

    /// <summary>
    /// In a blocking call: sleeps until something happens to the socket, one of <paramref name="count"/> (at most 2) native fds is ready, the deadline (monotonic ns; -1: none)
    /// passes, or a signal comes that ends the call (-1 with EINTR). May return early. Returns how many of the native fds are ready.
    /// </summary>
    /// <param name="socket">The socket's id.</param>
    /// <param name="fds">Native fds, or null.</param>
    /// <param name="count">How many.</param>
    /// <param name="deadline">When to look again at the latest.</param>
    /// <param name="timed">The program has set a timeout for such calls: a signal always ends them (signal(7)).</param>
    /// <param name="ticket"><see cref="Draining.Ticket"/>, taken before the condition was looked at.</param>
    /// <param name="exclusive">What happens is for one thread only.</param>
    internal static int Block(uint socket, PollFd* fds, uint count, long deadline, bool timed, uint ticket, bool exclusive = false)
    {
        PollFd* room = stackalloc PollFd[4];
        for (uint i = 0; i < count; i++)
        {
            room[i] = fds[i];
        }

        Wish wish = default;
        wish.Kind = WaitKind.Socket;
        wish.Key = socket;
        wish.Fds = room;
        wish.Count = count;
        wish.Deadline = deadline;
        wish.Ticket = ticket;
        wish.Restarts = !timed;
        wish.Exclusive = exclusive;
        int result = Park(&wish);
        for (uint i = 0; i < count; i++)
        {
            fds[i] = room[i];
        }

        return result;
    }

    /// <summary>Sleeps until something happens to the socket or the deadline passes; no signal and no cancellation ends it.</summary>
    internal static int Hold(uint socket, long deadline, uint ticket)
    {
        const int PTHREAD_CANCEL_DISABLE = 1;
        PollFd* room = stackalloc PollFd[2];
        ulong all = ulong.MaxValue;
        Wish wish = default;
        wish.Kind = WaitKind.Socket;
        wish.Key = socket;
        wish.Fds = room;
        wish.Deadline = deadline;
        wish.Ticket = ticket;
        wish.Signals = &all;
        wish.Shielded = true;
        int before;
        _ = Libc.pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &before);
        int result = Park(&wish);
        _ = Libc.pthread_setcancelstate(before, null);
        return result;
    }

    /// <summary>Sleeps until the wish is fulfilled, as far as this process knows; may return early. The native fds that are ready, or -1 with errno.</summary>
    internal static int Park(Wish* wish)
    {
        if (Reviving.Any)
        {
            Reviving.Try();
            long soon = Libc.Now() + Reviving.Interval;
            wish->Deadline = wish->Deadline < 0 || soon < wish->Deadline ? soon : wish->Deadline;
        }

        if (Region.Dead)
        {
            return Reviving.Any ? Sleep(wish, wish->Count) : 0;
        }

        if (HasNews(wish->Ticket))
        {
            if (Draining.IsHeldByThisThread)
            {
                return Libc.Fail(Abi.EAGAIN); // a signal handler in the middle of its own thread's draining
            }

            // The caller may have drained its socket's queue set only: what waits in another one is news for ever if nobody takes it.
            if (!Draining.All())
            {
                _ = Libc.sched_yield(); // somebody else is draining: let it finish
            }

            return 0;
        }

        return Poll(wish->Ticket) ? 0 : Enter(wish);
    }

    private static int Enter(Wish* wish)
    {
        Guard guard = default;
        guard.Wish = wish;
        if (!Libc.IsSingleThreaded)
        {
            guard.Waiter = Waiters.Enlist(wish);
            if (guard.Waiter == 0)
            {
                return SleepBriefly(wish);
            }
        }

        Guard.Push(&guard);
        int result = HasNews(wish->Ticket) ? 0 : TryLead(&guard) ? Lead(&guard) : guard.Waiter != 0 ? Follow(&guard) : SleepBriefly(wish);
        Guard.Pop(&guard);
        int errno = Libc.Errno;
        bool notified = guard.Waiter != 0 && Waiters.IsNotified(guard.Waiter);
        Leave(&guard, abandoned: false);
        if (result < 0 && (notified || (errno == Abi.EINTR && wish->Restarts && !wish->IsPlain && Interrupts.AllRestart())))
        {
            result = 0;
        }

        Libc.Errno = errno;
        return result;
    }

    /// <summary>Undoes what <see cref="Enter"/> has done. Nobody is left without a leader, and no event without a thread that looks at it.</summary>
    internal static void Leave(Guard* guard, bool abandoned)
    {
        WakeList wakes = default;
        if (guard->Leads)
        {
            guard->Leads = false;
            Volatile.Write(ref Region.Process(Region.Slot)->Asleep, 0);
            Interlocked.Exchange(ref s_leader, 0); // Full fence: pairs with the one in Waiters.Join.
        }

        if (guard->Waiter != 0)
        {
            bool unused = abandoned && Waiters.IsNotified(guard->Waiter);
            Waiters.Retire(guard->Waiter);
            guard->Waiter = 0;
            if (unused)
            {
                Pass(guard->Wish, &wakes);
            }
        }

        if (!IsLed)
        {
            Waiters.Promote(&wakes);
        }

        wakes.Ring();
    }

    /// <summary>An event woke a thread that will not look at it: it is for another one.</summary>
    private static void Pass(Wish* wish, WakeList* wakes)
    {
        if (wish->Kind == WaitKind.Set)
        {
            Epoll.Pass(wish->Key, wakes);
        }
        else if (wish->Kind == WaitKind.Socket)
        {
            Waiters.Notify(wish->Key, wakes);
        }
    }

    private static bool TryLead(Guard* guard)
    {
        ulong self = Libc.pthread_self();
        ulong leader = Interlocked.CompareExchange(ref s_leader, self, 0);
        if (leader != 0 && (leader != self || (nuint)guard < s_frame))
        {
            return false; // another thread, or this one in a wait that a signal handler has interrupted
        }

        // Had this thread led already, it would be out of that wait by a jump that the C library knows nothing of.
        s_frame = (nuint)guard;
        guard->Leads = true;
        if (guard->Waiter != 0)
        {
            _ = Waiters.Answer(guard->Waiter);
        }

        return true;
    }

    /// <summary>Sleeps on the pipe until an event of this thread's own has come; takes those of others meanwhile, and wakes them.</summary>
    private static int Lead(Guard* guard)
    {
        Wish* wish = guard->Wish;
        uint me = guard->Waiter;
        ProcessSlot* process = Region.Process(Region.Slot);
        while (true)
        {
            Volatile.Write(ref process->Asleep, 1);
            Interlocked.MemoryBarrier(); // Pairs with CoreEngine's fence between publishing and looking at Asleep.
            if (me == 0 ? HasNews(wish->Ticket) : Region.Dead)
            {
                return 0;
            }

            if (me != 0)
            {
                bool news = Draining.AnyPending() || Epoll.AnyDirty();
                if (news && !TakeForAll())
                {
                    return SleepBriefly(wish);
                }

                // Who holds the lock of the lists may be about to tell this thread, which nobody can wake from a plain sleep.
                bool busy = news || Epoll.IsBusy;
                if (Waiters.IsNotified(me) || (busy && wish->Deadline >= 0 && Libc.Now() >= wish->Deadline))
                {
                    return 0;
                }

                if (busy)
                {
                    continue;
                }
            }

            int result = wish->IsPlain ? SleepOnPipe() : SleepWithPipe(wish, me, out _);
            if (result != 0 || me == 0 || (wish->Deadline >= 0 && Libc.Now() >= wish->Deadline))
            {
                return result;
            }
        }
    }

    /// <summary>Takes what there is for all threads of the process; false when this very thread is in the middle of it.</summary>
    private static bool TakeForAll()
    {
        if (!Draining.All() && Draining.AnyPending())
        {
            if (Draining.IsHeldByThisThread)
            {
                return false;
            }

            _ = Libc.sched_yield();
        }

        return Epoll.Collect();
    }

    private static int Follow(Guard* guard)
    {
        Wish* wish = guard->Wish;
        while (true)
        {
            if (Waiters.IsNotified(guard->Waiter) || Region.Dead)
            {
                return 0;
            }

            if (TryLead(guard))
            {
                return Lead(guard);
            }

            if (Waiters.Answer(guard->Waiter))
            {
                continue; // whoever was faster may have left since, and promoted nobody
            }

            if (wish->IsPlain)
            {
                if (Waiters.SleepPlainly(guard->Waiter) < 0)
                {
                    return -1;
                }

                continue;
            }

            PollFd* own = &wish->Fds[wish->Count];
            own->Fd = Waiters.FdOf(guard->Waiter);
            own->Events = Abi.POLLIN;
            own->Revents = 0;
            int result = Sleep(wish, wish->Count + 1);
            if (result > 0 && own->Revents != 0)
            {
                Clear(own->Fd);
                result--;
            }

            if (result != 0 || (wish->Deadline >= 0 && Libc.Now() >= wish->Deadline))
            {
                return result;
            }
        }
    }

    /// <summary>Sleeps in read(2), which the kernel restarts when it should. 0: rung; -1 with errno.</summary>
    private static int SleepOnPipe()
    {
        byte* bytes = stackalloc byte[64];
        nint got = Real.read(Attaching.WakeFd, bytes, 64);
        if (got == 0)
        {
            Died();
        }

        return got < 0 ? -1 : 0;
    }

    /// <summary>Sleeps on the pipe, the native fds, and this thread's own eventfd.</summary>
    private static int SleepWithPipe(Wish* wish, uint me, out bool rung)
    {
        PollFd* fds = &wish->Fds[wish->Count];
        fds[0].Fd = Attaching.WakeFd;
        fds[0].Events = Abi.POLLIN;
        fds[0].Revents = 0;
        uint more = 1;
        if (me != 0)
        {
            fds[1] = fds[0];
            fds[1].Fd = Waiters.FdOf(me);
            more = 2;
        }

        int result = Sleep(wish, wish->Count + more);
        rung = result > 0 && fds[0].Revents != 0 && fds[0].Fd == Attaching.WakeFd;
        if (result <= 0)
        {
            return result;
        }

        if (me != 0 && fds[1].Revents != 0)
        {
            Clear(fds[1].Fd);
            result--;
        }

        if (!rung)
        {
            result -= fds[0].Revents != 0 ? 1 : 0; // by a number that the pipe has no more
        }
        else
        {
            result--;
            byte* bytes = stackalloc byte[64];
            if ((fds[0].Revents & Abi.POLLIN) != 0)
            {
                _ = Raw.Read(Attaching.WakeFd, bytes, 64);
            }

            if ((fds[0].Revents & (Abi.POLLHUP | Abi.POLLERR | Abi.POLLNVAL)) != 0)
            {
                Died();
            }
        }

        return result;
    }

    private static int SleepBriefly(Wish* wish)
    {
        long soon = Libc.Now() + Nap;
        long deadline = wish->Deadline;
        wish->Deadline = deadline < 0 || soon < deadline ? soon : deadline;
        int result = Sleep(wish, wish->Count);
        wish->Deadline = deadline;
        return result;
    }

    private static int Sleep(Wish* wish, uint count)
    {
        if (wish->Deadline < 0)
        {
            return Real.ppoll(wish->Fds, count, null, wish->Signals);
        }

        long left = wish->Deadline - Libc.Now();
        left = left < 0 ? 0 : left;
        TimeSpec time = new() { Seconds = left / 1_000_000_000, Nanoseconds = left % 1_000_000_000 };
        return Real.ppoll(wish->Fds, count, &time, wish->Signals);
    }

    private static void Clear(int eventFd)
    {
        ulong value;
        _ = Raw.Read(eventFd, &value, 8);
    }

    /// <summary>Yields for a while, as long as yields come back soon (see <see cref="IdleStrategy"/>); true when there is news.</summary>
    private static bool Poll(uint ticket)
    {
        if (s_penalty != 0)
        {
            s_penalty--;
            return false;
        }

        long before = Libc.Now();
        for (int i = 0; i < Yields; i++)
        {
            _ = Libc.sched_yield();
            if (HasNews(ticket))
            {
                return true;
            }

            long now = Libc.Now();
            if (now - before > IdleStrategy.Long)
            {
                s_penalty = IdleStrategy.Penalty;
                return false;
            }

            before = now;
        }

        return false;
    }

    private static bool HasNews(uint ticket) => Draining.Ticket() != ticket || Draining.AnyPending() || Region.Dead;

    /// <summary>After events were applied: tells those who wait for them.</summary>
    internal static void AfterDrain() => Epoll.Collect();

    /// <summary>Wakes who waits for a socket, whatever has happened to it.</summary>
    internal static void Notify(uint socket)
    {
        if (Waiters.Any)
        {
            WakeList wakes = default;
            Waiters.Notify(socket, &wakes);
            wakes.Ring();
        }
    }

    /// <summary>
    /// This process itself has changed a socket's state (<see cref="Draining.Changed"/>): all who wait for it are to look. A plain sleeper on the pipe, and other processes, are
    /// reached by a question to the NSM, whose answer rings.
    /// </summary>
    internal static void Changed(SocketSlot* s, uint socket)
    {
        Draining.Changed(s);
        Draining.Happened(s, socket);
        Draining.Bump();
        _ = Epoll.Collect();
        int errno = Libc.Errno;
        ulong leader = Volatile.Read(ref s_leader);
        if ((Volatile.Read(ref s->Status) & SocketStatus.Known) != 0
            && (!s->Holders.IsSingle || (leader != 0 && leader != Libc.pthread_self() && Waiters.IsLeaderPlain(leader, socket))))
        {
            int answer;
            uint length = sizeof(int);
            _ = Options.Ask(s, socket, Abi.SOL_SOCKET, Abi.SO_TYPE, &answer, &length);
        }

        Libc.Errno = errno;
    }

    /// <summary>Looks whether CoreEngine is still there, without waiting.</summary>
    internal static bool CheckAlive()
    {
        PollFd fd = new() { Fd = Attaching.WakeFd, Events = Abi.POLLIN };
        if (Raw.PollNow(&fd, 1) > 0 && (fd.Revents & (Abi.POLLHUP | Abi.POLLERR | Abi.POLLNVAL)) != 0)
        {
            Died();
        }

        return !Region.Dead;
    }

    /// <summary>CoreEngine is gone, or has let go of this guest.</summary>
    internal static void Died()
    {
        if (Region.Dead)
        {
            return;
        }

        Region.Dead = true;
        Fds.KillSockets();
        Epoll.KillSockets();
        WakeList wakes = default;
        Waiters.NotifyAll(&wakes);
        wakes.Ring();
    }
}
