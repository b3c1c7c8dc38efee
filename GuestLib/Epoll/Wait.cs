namespace NetKernel.GuestLib;

/// <content>epoll_wait(2).</content>
internal static unsafe partial class Epoll
{
    /// <summary>Busy as this library's items may be, the kernel is asked for its part this often (ns).</summary>
    private const long AskEvery = 20_000;

    internal static int Wait(int epoll, EpollEvent* events, int most, long deadline, void* signals, out bool native)
    {
        Set* set = SetOf(epoll);
        native = set == null || set->Items == 0 || most <= 0 || events == null || !Region.Attached;
        if (native)
        {
            return 0;
        }

        PollFd* fds = stackalloc PollFd[3];
        uint index = Fds.IdOf(epoll) + 1;
        while (true)
        {
            bool last = deadline > 0 && Libc.Now() >= deadline;
            uint ticket = Draining.Ticket();
            if (!Draining.All())
            {
                Collect();
            }

            last |= deadline == 0;
            int n = Take(set, epoll, events, most, last);
            if (n > 0 || (last && signals == null))
            {
                return n;
            }

            if (last)
            {
                return Unite(set, events, 0, Real.epoll_pwait(epoll, events, most, 0, signals)); // for the signals
            }

            fds[0].Fd = epoll;
            fds[0].Events = Abi.POLLIN;
            fds[0].Revents = 0;
            int ready = Waiting.Park(Waiting.AnySocket, index, fds, 1, deadline, signals, ticket);
            if (ready < 0)
            {
                return -1;
            }

            if (ready > 0)
            {
                n = Unite(set, events, 0, Real.epoll_pwait(epoll, events, most, 0, null));
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
        long now = set->Natives > 0 ? Libc.Now() : 0;
        bool ask = set->Natives > 0 && (last || now - set->Asked >= AskEvery);
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
            int natives = Real.epoll_pwait(epoll, events + n, most - n, 0, null);
            n += natives > 0 ? Unite(set, events, n, natives) : 0;
            n += Gather(set, events, n, most - n, ref left);
        }

        return n;
    }

    /// <summary>Whether poll on an epoll fd must ask this library too.</summary>
    internal static bool HasItems(int epoll)
    {
        Set* set = SetOf(epoll);
        return set != null && set->Items != 0 && Region.Attached;
    }

    /// <summary>What poll says of a set's items, the kernel's aside.</summary>
    internal static uint StateOf(int epoll)
    {
        Collect();
        if (!Enter())
        {
            return 0;
        }

        bool ready = AnyReady(SetOf(epoll));
        Leave();
        return ready ? Abi.EPOLLIN | Abi.EPOLLRDNORM : 0;
    }
}
