namespace NetKernel.GuestLib;

/// <content>epoll_wait(2).</content>
internal static unsafe partial class Epoll
{
    /// <summary>Busy as this library's items may be, the kernel is asked for its part this often (ns).</summary>
    private const long AskEvery = 20_000;

    internal static int Wait(int epoll, EpollEvent* events, int most, long deadline, void* signals, out bool native)
    {
        Set* set = SetOf(epoll);
        native = set == null || (set->Items == 0 && set->SharedPlusOne == 0) || most <= 0 || !Region.Attached;
        if (!native && !UserMemory.CanWrite(events, (nuint)sizeof(EpollEvent)))
        {
            native = StateOf(epoll) == 0;
            return Libc.Fail(Abi.EFAULT);
        }

        if (native)
        {
            return 0;
        }

        Use(set);
        int n = Run(set, Fds.IdOf(epoll), epoll, events, most, deadline, signals);
        if (set->Closed)
        {
            LeaveClosed(set);
        }
        else if (n > 0 && set->ReadyCount > 0 && Waiters.AnyIn(ref set->FirstWaiter))
        {
            Pass(set); // there is more, for another thread
        }

        return n;
    }

    private static int Run(Set* set, uint index, int epoll, EpollEvent* events, int most, long deadline, void* signals)
    {
        PollFd* fds = stackalloc PollFd[3];
        while (true)
        {
            bool last = deadline == 0 || (deadline > 0 && Libc.Now() >= deadline);
            uint ticket = Draining.Ticket();
            if (!Draining.All())
            {
                _ = Collect();
            }

            int n = Take(set, epoll, events, most, last);
            if (n > 0 || (last && signals == null))
            {
                return n;
            }

            if (last)
            {
                return Natives(set, epoll, events, 0, most, signals); // for the signals
            }

            fds[0].Fd = epoll;
            fds[0].Events = Abi.POLLIN;
            fds[0].Revents = 0;
            Wish wish = default;
            wish.Kind = WaitKind.Set;
            wish.Key = index;
            wish.Exclusive = true;
            wish.Fds = fds;
            wish.Count = set->Closed ? 0u : 1;
            wish.Deadline = deadline;
            wish.Signals = signals;
            wish.Ticket = ticket;
            int ready = Waiting.Park(&wish);
            if (ready < 0)
            {
                return -1;
            }

            if (ready > 0 && !set->Closed)
            {
                n = Natives(set, epoll, events, 0, most, null);
                if (n != 0)
                {
                    return n;
                }
            }
        }
    }

    /// <summary>What is ready now, of ours and, when it is time or the last look, of the kernel's: neither starves the other.</summary>
    private static int Take(Set* set, int epoll, EpollEvent* events, int most, bool last)
    {
        bool any = (set->Natives > 0 || set->SharedPlusOne != 0) && !set->Closed;
        long now = any ? Libc.Now() : 0;
        bool ask = any && (last || now - set->Asked >= AskEvery);
        bool share = ask && set->NativesTurn;
        uint left = set->ReadyCount;
        int n = Gather(set, events, 0, share ? most / 2 : most, ref left);
        if (!ask)
        {
            return n;
        }

        set->NativesTurn = !share;
        if (n < most)
        {
            set->Asked = now;
            int natives = Natives(set, epoll, events, n, most, null);
            n += natives > 0 ? natives : 0;
            n += Gather(set, events, n, most - n, ref left);
        }

        return n;
    }

    /// <summary>What the kernel's set has ready, behind <paramref name="ours"/> events that are there already. -1 with errno.</summary>
    private static int Natives(Set* set, int epoll, EpollEvent* events, int ours, int most, void* signals)
    {
        int n = Real.epoll_pwait(epoll, events + ours, most - ours, 0, signals);
        return n <= 0 ? n : Unite(set, events, ours, WithoutKick(set, events + ours, n));
    }

    /// <summary>A set has more than who was woken for it takes: another thread is to look.</summary>
    private static void Pass(Set* set)
    {
        WakeList wakes = default;
        Waiters.NotifySet(ref set->FirstWaiter, &wakes);
        wakes.Ring();
    }

    /// <summary>A thread that was woken for a set left without looking.</summary>
    internal static void Pass(uint index, WakeList* wakes)
    {
        LeaveClosed(&s_sets[index]);
        Waiters.NotifySet(ref s_sets[index].FirstWaiter, wakes);
    }

    /// <summary>Whether poll on an epoll fd must ask this library too.</summary>
    internal static bool HasItems(int epoll)
    {
        Set* set = SetOf(epoll);
        return set != null && (set->Items | set->SharedPlusOne) != 0 && Region.Attached;
    }

    /// <summary>What poll says of a set's items, the kernel's aside.</summary>
    internal static uint StateOf(int epoll)
    {
        Use(SetOf(epoll));
        _ = Collect();
        if (!Enter())
        {
            return 0;
        }

        bool ready = AnyReady(SetOf(epoll));
        Leave();
        return ready ? Abi.EPOLLIN | Abi.EPOLLRDNORM : 0;
    }
}
