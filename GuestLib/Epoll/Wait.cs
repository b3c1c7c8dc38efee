namespace NetKernel.GuestLib;

/// <content>Epoll_wait(2).</content>
internal static unsafe partial class Epoll
{
    internal static int Wait(int epoll, EpollEvent* events, int most, long deadline, void* signals, out bool native)
    {
        Set* set = SetOf(epoll);
        native = set == null || set->Items == 0 || most <= 0 || events == null;
        if (native)
        {
            return 0;
        }

        PollFd* fds = stackalloc PollFd[2];
        uint index = Fds.IdOf(epoll) + 1;
        while (true)
        {
            uint ticket = Draining.Ticket();
            if (!Draining.All())
            {
                Collect();
            }

            int n = Gather(set, events, most);
            if (n > 0)
            {
                // Native fds get their turn however busy ours are.
                if (set->Natives > 0 && n < most && (++set->Turn & 3) == 0)
                {
                    int more = Real.epoll_pwait(epoll, events + n, most - n, 0, null);
                    n += more > 0 ? more : 0;
                }

                return n;
            }

            if (deadline == 0)
            {
                return set->Natives > 0 ? Real.epoll_pwait(epoll, events, most, 0, signals) : 0;
            }

            fds[0].Fd = epoll;
            fds[0].Events = Abi.POLLIN;
            fds[0].Revents = 0;
            int ready = Waiting.Park(Waiting.AnySocket, index, fds, set->Natives > 0 ? 1u : 0u, deadline, signals, ticket);
            if (ready < 0)
            {
                return -1;
            }

            if (ready > 0)
            {
                n = Real.epoll_pwait(epoll, events, most, 0, null);
                if (n != 0)
                {
                    return n;
                }
            }

            if (deadline > 0 && Libc.Now() >= deadline && !Draining.AnyPending())
            {
                return 0;
            }
        }
    }
}
