using NetKernel.Channel;

namespace NetKernel.GuestLib;

/// <content>The leader, which takes events for all threads of the process, and those who follow.</content>
internal static unsafe partial class Waiting
{
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
            Direct.Sleeps(true);
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
}
