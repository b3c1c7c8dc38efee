using NetKernel.Channel;

namespace NetKernel.GuestLib;

/// <summary>
/// Sleeping until something happens. One thread of the process, the leader, sleeps on the pipe that CoreEngine rings; the others, the
/// followers, sleep on eventfds of their own and are woken by whoever drains an event of theirs. A leader that leaves wakes a follower to
/// take its place. All sleep in ppoll, so that signals and cancellation behave as in any blocking call.
/// </summary>
internal static unsafe class Waiting
{
    /// <summary>A waiter's key when any event is of interest (poll and select over several sockets).</summary>
    internal const uint AnySocket = uint.MaxValue;

    /// <summary>Turns of sched_yield before sleeping (docs/performance.md: 8 to 50).</summary>
    private const int Yields = 16;

    private const uint MaxFollowers = 256;

    /// <summary>A follower looks again by itself after so long, in case its leader was cancelled or jumped out of its wait.</summary>
    private const long FollowerNap = 1_000_000_000;

    /// <summary>Waits that do not poll, because a yield went to a stranger. Racy between threads, and harmless.</summary>
    private static uint s_penalty;

    private static ulong s_leader;
    private static int s_followers;
    private static Follower* s_slots;

    private struct Follower
    {
        internal int InUse;
        internal int FdPlusOne;
        internal uint Socket;
        internal uint EpollSet;
    }

    /// <summary>In a forked child there is one thread, and nobody waits.</summary>
    internal static void Reset()
    {
        s_leader = 0;
        s_followers = 0;
        if (s_slots != null)
        {
            for (uint i = 0; i < MaxFollowers; i++)
            {
                s_slots[i].InUse = 0; // The eventfds are shared with the parent: do not use them.
                if (s_slots[i].FdPlusOne != 0)
                {
                    Fds.CloseHidden(s_slots[i].FdPlusOne - 1);
                    s_slots[i].FdPlusOne = 0;
                }
            }
        }
    }

    /// <summary>
    /// Sleeps until an event is applied after <paramref name="ticket"/> was taken, one of the <paramref name="count"/> native fds is ready, the
    /// deadline (monotonic ns; -1: none) passes, or a signal comes (-1 with EINTR). May return early. Returns how many of the native fds
    /// are ready. <paramref name="fds"/> must have room for one more.
    /// </summary>
    internal static int Park(uint socket, uint epollSet, PollFd* fds, uint count, long deadline, void* signals, uint ticket)
    {
        if (Reviving.Any)
        {
            Reviving.Try();
            long soon = Libc.Now() + Reviving.Interval;
            deadline = deadline < 0 || soon < deadline ? soon : deadline;
        }

        if (Region.Dead)
        {
            return Reviving.Any ? Sleep(fds, count, deadline, signals) : 0;
        }

        if (HasNews(ticket))
        {
            // The caller may have drained its socket's queue set only: what waits in another one is news for ever if nobody takes it.
            if (!Draining.All())
            {
                _ = Libc.sched_yield(); // somebody else is draining: let it finish
            }

            return 0;
        }

        if (Poll(ticket))
        {
            return 0;
        }

        ulong self = Libc.pthread_self();
        if (s_leader == self)
        {
            s_leader = 0; // This thread jumped out of an earlier wait.
        }

        return Interlocked.CompareExchange(ref s_leader, self, 0) == 0
            ? Lead(fds, count, deadline, signals, ticket)
            : Follow(socket, epollSet, fds, count, deadline, signals, ticket);
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

    /// <summary>Wakes followers that wait for a socket. Called while draining.</summary>
    internal static void Notify(uint socket)
    {
        if (Volatile.Read(ref s_followers) != 0)
        {
            WakeFollowers(socket, 0, all: false);
        }
    }

    /// <summary>Wakes followers that wait for an epoll set.</summary>
    internal static void NotifySet(uint epollSet)
    {
        if (Volatile.Read(ref s_followers) != 0)
        {
            WakeFollowers(AnySocket, epollSet, all: false);
        }
    }

    /// <summary>After events were applied: tell the epoll sets.</summary>
    internal static void AfterDrain() => Epoll.Collect();

    /// <summary>Looks whether CoreEngine is still there, without waiting.</summary>
    internal static bool CheckAlive()
    {
        PollFd fd = new() { Fd = Attaching.WakeFd, Events = Abi.POLLIN };
        TimeSpec now = default;
        if (Real.ppoll(&fd, 1, &now, null) > 0 && (fd.Revents & (Abi.POLLHUP | Abi.POLLERR | Abi.POLLNVAL)) != 0)
        {
            Died();
        }

        return !Region.Dead;
    }

    private static bool HasNews(uint ticket) => Draining.Ticket() != ticket || Draining.AnyPending() || Region.Dead;

    private static int Lead(PollFd* fds, uint count, long deadline, void* signals, uint ticket)
    {
        ProcessSlot* process = Region.Process(Region.Slot);
        Volatile.Write(ref process->Asleep, 1);
        Interlocked.MemoryBarrier(); // Pairs with CoreEngine's fence between publishing and looking at Asleep.
        int result = 0;
        bool rung = false;
        int errno = 0;
        if (!HasNews(ticket))
        {
            fds[count].Fd = Attaching.WakeFd;
            fds[count].Events = Abi.POLLIN;
            fds[count].Revents = 0;
            result = Sleep(fds, count + 1, deadline, signals);
            errno = Libc.Errno;
            if (result > 0 && fds[count].Revents != 0)
            {
                result--;
                rung = true;
            }
        }

        Volatile.Write(ref process->Asleep, 0);
        if (rung)
        {
            short events = fds[count].Revents;
            byte* bytes = stackalloc byte[64];
            if ((events & Abi.POLLIN) != 0)
            {
                _ = Real.read(Attaching.WakeFd, bytes, 64);
            }

            if ((events & (Abi.POLLHUP | Abi.POLLERR | Abi.POLLNVAL)) != 0)
            {
                Died();
            }
        }

        Volatile.Write(ref s_leader, 0);
        Interlocked.MemoryBarrier();
        if (Volatile.Read(ref s_followers) != 0)
        {
            // Events of foreign queue sets may have been applied by another process, which knows nothing of our followers.
            WakeFollowers(AnySocket, 0, all: Subscriptions.Count > 1 || Region.Dead);
            if (rung)
            {
                _ = Draining.All();
            }
        }

        if (result < 0)
        {
            Libc.Errno = errno;
        }

        return result;
    }

    private static int Follow(uint socket, uint epollSet, PollFd* fds, uint count, long deadline, void* signals, uint ticket)
    {
        Follower* me = Enlist(socket, epollSet);
        long nap = Libc.Now() + (me == null ? 1_000_000 : FollowerNap);
        deadline = deadline < 0 || nap < deadline ? nap : deadline;
        int result = 0;
        if (me != null)
        {
            Interlocked.Increment(ref s_followers);
            Interlocked.MemoryBarrier();
            fds[count].Fd = me->FdPlusOne - 1;
            fds[count].Events = Abi.POLLIN;
            fds[count].Revents = 0;
        }

        if (!HasNews(ticket) && Volatile.Read(ref s_leader) != 0)
        {
            result = Sleep(fds, me == null ? count : count + 1, deadline, signals);
        }

        if (me != null)
        {
            int errno = Libc.Errno;
            Interlocked.Decrement(ref s_followers);
            if (result > 0 && fds[count].Revents != 0)
            {
                ulong value;
                _ = Real.read(me->FdPlusOne - 1, &value, 8);
                result--;
            }

            Volatile.Write(ref me->InUse, 0);
            Libc.Errno = errno;
        }

        return result;
    }

    private static int Sleep(PollFd* fds, uint count, long deadline, void* signals)
    {
        if (deadline < 0)
        {
            return Real.ppoll(fds, count, null, signals);
        }

        long left = deadline - Libc.Now();
        left = left < 0 ? 0 : left;
        TimeSpec time = new() { Seconds = left / 1_000_000_000, Nanoseconds = left % 1_000_000_000 };
        return Real.ppoll(fds, count, &time, signals);
    }

    private static Follower* Enlist(uint socket, uint epollSet)
    {
        if (s_slots == null)
        {
            Follower* slots = (Follower*)Libc.Reserve(MaxFollowers * (nuint)sizeof(Follower));
            if (slots == null)
            {
                return null;
            }

            if (Interlocked.CompareExchange(ref *(long*)AddressOfSlots(), (long)slots, 0) != 0)
            {
                _ = Libc.munmap((nint)slots, MaxFollowers * (nuint)sizeof(Follower));
            }
        }

        for (uint i = 0; i < MaxFollowers; i++)
        {
            Follower* slot = &s_slots[i];
            if (Volatile.Read(ref slot->InUse) == 0 && Interlocked.CompareExchange(ref slot->InUse, 1, 0) == 0)
            {
                if (slot->FdPlusOne == 0)
                {
                    slot->FdPlusOne = Fds.Hide(Libc.eventfd(0, Abi.O_CLOEXEC | Abi.O_NONBLOCK)) + 1;
                    if (slot->FdPlusOne == 0)
                    {
                        Volatile.Write(ref slot->InUse, 0);
                        return null;
                    }
                }

                slot->Socket = socket;
                slot->EpollSet = epollSet;
                return slot;
            }
        }

        return null;
    }

    /// <summary>Wakes those that match; when nobody leads any more, one of them besides.</summary>
    private static void WakeFollowers(uint socket, uint epollSet, bool all)
    {
        bool promote = Volatile.Read(ref s_leader) == 0;
        for (uint i = 0; i < MaxFollowers && s_slots != null; i++)
        {
            Follower* slot = &s_slots[i];
            if (Volatile.Read(ref slot->InUse) == 0)
            {
                if (slot->FdPlusOne == 0)
                {
                    break;
                }

                continue;
            }

            bool match = all || promote
                || (epollSet != 0 ? slot->EpollSet == epollSet : slot->Socket == socket || (slot->Socket == AnySocket && slot->EpollSet == 0));
            if (match)
            {
                promote = false;
                ulong one = 1;
                _ = Real.write(slot->FdPlusOne - 1, &one, 8);
            }
        }
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
        if (Volatile.Read(ref s_followers) != 0)
        {
            WakeFollowers(AnySocket, 0, all: true);
        }
    }

    private static void* AddressOfSlots()
    {
        fixed (Follower** field = &s_slots)
        {
            return field;
        }
    }
}
