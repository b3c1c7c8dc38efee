using NetKernel.Channel;

namespace NetKernel.GuestLib;

/// <summary>poll(2) and ppoll(2) over native fds and sockets of ours in one wait.</summary>
internal static unsafe class Polling
{
    private const uint OnStack = 256;
    private const uint Most = 1 << 20;

    /// <summary>Polls until the deadline (monotonic ns; -1: none, 0: do not wait).</summary>
    internal static int Poll(PollFd* fds, nuint count, long deadline, void* signals)
    {
        // A bad pointer or count is the kernel's to refuse.
        if (count - 1 >= Most || !UserMemory.CanWrite(fds, count * (nuint)sizeof(PollFd)))
        {
            return Native(fds, count, deadline, signals);
        }

        uint ours = 0;
        Wish wish = default;
        for (nuint i = 0; i < count; i++)
        {
            FdKind kind = fds[i].Fd < 0 ? FdKind.Native : Fds.KindOf(fds[i].Fd);
            if (kind != FdKind.Native && !IsNative(fds[i].Fd, kind))
            {
                wish.Kind = ours++ == 0 && kind == FdKind.Socket ? WaitKind.Socket : WaitKind.Many;
                wish.Key = kind == FdKind.Socket ? Fds.IdOf(fds[i].Fd) : 0;
                wish.Mask |= kind == FdKind.Socket ? Wish.BitOf(wish.Key) : Wish.Sets;
            }
        }

        if (ours == 0)
        {
            return Native(fds, count, deadline, signals);
        }

        wish.Deadline = deadline;
        wish.Signals = signals;
        if (count <= OnStack)
        {
            PollFd* copy = stackalloc PollFd[(int)OnStack + 2];
            wish.Fds = copy;
            return Mixed(fds, (uint)count, &wish);
        }

        ulong* limit = stackalloc ulong[2];
        if (Libc.getrlimit(Libc.RLIMIT_NOFILE, limit) == 0 && count > limit[0])
        {
            return Libc.Fail(Abi.EINVAL);
        }

        nuint bytes = (count + 2) * (nuint)sizeof(PollFd);
        PollFd* large = (PollFd*)Libc.Reserve(bytes);
        if (large == null)
        {
            return Libc.Fail(Abi.ENOMEM);
        }

        wish.Fds = large;
        int result = Mixed(fds, (uint)count, &wish);
        int errno = Libc.Errno;
        _ = Libc.munmap((nint)large, bytes);
        Libc.Errno = errno;
        return result;
    }

    /// <summary>Whether the kernel alone knows what an fd has.</summary>
    internal static bool IsNative(int fd, FdKind kind) => kind switch
    {
        FdKind.Native => true,
        FdKind.Epoll => !Epoll.HasItems(fd),
        FdKind.Socket => (Volatile.Read(ref Fds.SocketOf(fd)->Status) & SocketStatus.Native) != 0,
        _ => false,
    };

    private static int Native(PollFd* fds, nuint count, long deadline, void* signals)
    {
        if (deadline < 0)
        {
            return Real.ppoll(fds, count, null, signals);
        }

        long left = deadline == 0 ? 0 : deadline - Libc.Now();
        left = left < 0 ? 0 : left;
        TimeSpec time = new() { Seconds = left / 1_000_000_000, Nanoseconds = left % 1_000_000_000 };
        return Real.ppoll(fds, count, &time, signals);
    }

    private static int Mixed(PollFd* fds, uint count, Wish* wish)
    {
        PollFd* copy = wish->Fds;
        long deadline = wish->Deadline;
        while (true)
        {
            bool last = deadline == 0 || (deadline > 0 && Libc.Now() >= deadline);
            wish->Ticket = Draining.Ticket();
            _ = Draining.All();
            uint natives = 0;
            int ready = 0;
            for (uint i = 0; i < count; i++)
            {
                copy[i] = fds[i];
                copy[i].Revents = 0;
                fds[i].Revents = 0;
                if (fds[i].Fd < 0)
                {
                    continue;
                }

                FdKind kind = Fds.KindOf(fds[i].Fd);
                if (IsNative(fds[i].Fd, kind))
                {
                    natives++;
                    continue;
                }

                uint now = Of(fds[i].Fd, kind, (ushort)fds[i].Events, out uint native);
                copy[i].Fd = native != 0 ? copy[i].Fd : -1;
                copy[i].Events = (short)native;
                natives += native != 0 ? 1u : 0;
                fds[i].Revents = (short)(now & ((ushort)fds[i].Events | (uint)(Abi.POLLERR | Abi.POLLHUP | Abi.POLLNVAL)));
                ready += fds[i].Revents != 0 ? 1 : 0;
            }

            if (ready > 0 || last)
            {
                return natives == 0 && (ready > 0 || wish->Signals == null)
                    ? ready : Merge(fds, copy, count, ready, Native(copy, count, 0, ready > 0 ? null : wish->Signals));
            }

            wish->Count = natives == 0 ? 0 : count;
            wish->Deadline = deadline;
            int got = Waiting.Park(wish);
            if (got != 0)
            {
                return got < 0 ? -1 : Merge(fds, copy, count, 0, got);
            }
        }
    }

    private static int Merge(PollFd* fds, PollFd* copy, uint count, int ready, int natives)
    {
        if (natives <= 0)
        {
            return ready > 0 ? ready : natives;
        }

        for (uint i = 0; i < count; i++)
        {
            if (copy[i].Fd >= 0 && copy[i].Revents != 0)
            {
                ready += fds[i].Revents == 0 ? 1 : 0;
                fds[i].Revents |= copy[i].Revents;
            }
        }

        return ready;
    }

    /// <summary>The events that hold, and those that the kernel is to be asked for besides.</summary>
    private static uint Of(int fd, FdKind kind, uint wanted, out uint native)
    {
        native = 0;
        if (kind == FdKind.Hidden)
        {
            return (uint)Abi.POLLNVAL;
        }

        if (kind == FdKind.Dead)
        {
            return Readiness.Broken;
        }

        if (kind == FdKind.Lost)
        {
            native = wanted | Abi.EPOLLERR;
            return 0;
        }

        if (kind == FdKind.Epoll)
        {
            native = wanted | Abi.EPOLLERR;
            return Epoll.StateOf(fd);
        }

        SocketSlot* s = Fds.SocketOf(fd);
        native = Readiness.NativeEvents(s, wanted);
        return Readiness.Of(s);
    }
}
