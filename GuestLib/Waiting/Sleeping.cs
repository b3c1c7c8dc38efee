using NetKernel.Channel;

namespace NetKernel.GuestLib;

/// <content>Sleeping in the kernel, and polling a little before that.</content>
internal static unsafe partial class Waiting
{
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

        bool beside = Region.Process(Region.Slot)->RungOn == (uint)(Libc.sched_getcpu() + 1);
        long before = Libc.Now();
        uint yields = s_sleepsLong ? IdleStrategy.Few : Yields;
        for (uint i = 0; i < yields; i++)
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

            if (beside && now - before < IdleStrategy.Short)
            {
                return false; // CoreEngine is on this core, and runs only when this thread sleeps
            }

            before = now;
        }

        return false;
    }

    private static bool HasNews(uint ticket) => Draining.Ticket() != ticket || Draining.AnyPending() || Region.Dead;
}
