using NetKernel.Channel;

namespace NetKernel.GuestLib;

/// <summary>
/// Sleeping until something happens. One thread of the process, the leader, sleeps on the pipe that CoreEngine rings, takes the events and wakes
/// those whose they are; the others, the followers, sleep on a semaphore or an eventfd of their own. A leader whose own event has come hands over to a
/// follower. All sleep in calls of the C library, so that signals and cancellation behave as in any blocking call.
/// </summary>
internal static unsafe partial class Waiting
{
    /// <summary>Turns of sched_yield before sleeping (docs/performance.md: 8 to 50).</summary>
    private const uint Yields = 16;

    /// <summary>A thread that can neither lead nor be woken (out of fds, in a signal handler in the middle of the library) looks again after so long.</summary>
    private const long Nap = 1_000_000;

    /// <summary>Waits that do not poll, because a yield went to a stranger. Racy between threads, and harmless.</summary>
    private static uint s_penalty;

    /// <summary>The last sleep was not brief, so that few yields are enough (<see cref="IdleStrategy"/>). As racy.</summary>
    private static bool s_sleepsLong;

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
    /// <param name="edges">The native fd, of which there is one, says POLLERR all the time: it is what is new that counts.</param>
    internal static int Block(uint socket, PollFd* fds, uint count, long deadline, bool timed, uint ticket, bool exclusive = false, bool edges = false)
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
        wish.Edges = edges;
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

        if (Poll(wish->Ticket))
        {
            return 0;
        }

        long asleep = Libc.Now();
        int result = Enter(wish);
        s_sleepsLong = Libc.Now() - asleep >= IdleStrategy.Brief;
        return result;
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
        int result = (wish->Edges && WatchEdges(&guard)) || HasNews(wish->Ticket) ? 0 : TryLead(&guard) ? Lead(&guard) : guard.Waiter != 0 ? Follow(&guard) : SleepBriefly(wish);
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
        if (guard->EdgeFdPlusOne != 0)
        {
            Fds.CloseHidden(guard->EdgeFdPlusOne - 1);
            guard->EdgeFdPlusOne = 0;
        }

        if (guard->Leads)
        {
            guard->Leads = false;
            Volatile.Write(ref Region.Process(Region.Slot)->Asleep, 0);
            Direct.Sleeps(false);
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
