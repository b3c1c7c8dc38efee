using NetKernel.Channel;

namespace NetKernel.GuestLib;

/// <summary>poll(2), ppoll(2), select(2), pselect(2) over native fds and sockets of ours in one wait.</summary>
internal static unsafe class Polling
{
    private const uint OnStack = 256;

    /// <summary>Polls until the deadline (monotonic ns; -1: none, 0: do not wait).</summary>
    internal static int Poll(PollFd* fds, nuint count, long deadline, void* signals)
    {
        uint ours = 0;
        uint key = Waiting.AnySocket;
        for (nuint i = 0; i < count; i++)
        {
            FdKind kind = fds[i].Fd < 0 ? FdKind.Native : Fds.KindOf(fds[i].Fd);
            if (kind != FdKind.Native && !IsNative(fds[i].Fd, kind))
            {
                key = ours++ == 0 && kind == FdKind.Socket ? Fds.IdOf(fds[i].Fd) : Waiting.AnySocket;
            }
        }

        if (ours == 0)
        {
            return Native(fds, count, deadline, signals);
        }

        if (count > 1 << 20)
        {
            return Libc.Fail(Abi.EINVAL);
        }

        if (count <= OnStack)
        {
            PollFd* copy = stackalloc PollFd[(int)OnStack + 1];
            return Mixed(fds, (uint)count, copy, key, deadline, signals);
        }

        nuint bytes = (count + 1) * (nuint)sizeof(PollFd);
        PollFd* large = (PollFd*)Libc.Reserve(bytes);
        if (large == null)
        {
            return Libc.Fail(Abi.ENOMEM);
        }

        int result = Mixed(fds, (uint)count, large, key, deadline, signals);
        int errno = Libc.Errno;
        _ = Libc.munmap((nint)large, bytes);
        Libc.Errno = errno;
        return result;
    }

    private static bool IsNative(int fd, FdKind kind) => kind switch
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

    private static int Mixed(PollFd* fds, uint count, PollFd* copy, uint key, long deadline, void* signals)
    {
        while (true)
        {
            uint ticket = Draining.Ticket();
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

            if (ready > 0 || deadline == 0)
            {
                return natives == 0 ? ready : Merge(fds, copy, count, ready, Native(copy, count, 0, signals));
            }

            int got = Waiting.Park(key, 0, copy, natives == 0 ? 0 : count, deadline, signals, ticket);
            if (got < 0)
            {
                return -1;
            }

            if (got > 0)
            {
                return Merge(fds, copy, count, 0, got);
            }

            if (deadline > 0 && Libc.Now() >= deadline && !Draining.AnyPending())
            {
                return 0;
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

    /// <summary>select over poll: fd sets are arrays of 64-bit words.</summary>
    internal static int Select(int count, ulong* reads, ulong* writes, ulong* excepts, long deadline, void* signals, out bool native)
    {
        native = true;
        if (count is < 0 or > 1 << 20)
        {
            return 0;
        }

        uint fdCount = 0;
        for (int fd = 0; fd < count; fd++)
        {
            if (Has(reads, fd) || Has(writes, fd) || Has(excepts, fd))
            {
                fdCount++;
                FdKind kind = Fds.KindOf(fd);
                native &= IsNative(fd, kind);
            }
        }

        if (native)
        {
            return 0;
        }

        nuint bytes = (fdCount + 1) * (nuint)sizeof(PollFd);
        PollFd* small = stackalloc PollFd[(int)OnStack];
        PollFd* fds = fdCount < OnStack ? small : (PollFd*)Libc.Reserve(bytes);
        if (fds == null)
        {
            return Libc.Fail(Abi.ENOMEM);
        }

        uint n = 0;
        for (int fd = 0; fd < count; fd++)
        {
            bool r = Has(reads, fd), w = Has(writes, fd), x = Has(excepts, fd);
            if (r || w || x)
            {
                fds[n].Fd = fd;
                fds[n].Events = (short)((r ? Abi.POLLIN | Abi.POLLRDNORM : 0) | (w ? Abi.POLLOUT | Abi.POLLWRNORM : 0) | (x ? Abi.POLLPRI : 0));
                fds[n++].Revents = 0;
            }
        }

        int result = Poll(fds, n, deadline, signals);
        int errno = Libc.Errno;
        for (uint i = 0; i < n && result > 0; i++)
        {
            if ((fds[i].Revents & Abi.POLLNVAL) != 0)
            {
                result = -1;
                errno = Abi.EBADF;
            }
        }

        if (result >= 0)
        {
            int bits = 0;
            for (uint i = 0; i < n; i++)
            {
                bits += Keep(reads, fds[i].Fd, fds[i].Revents, Abi.POLLIN | Abi.POLLRDNORM | Abi.POLLRDBAND | Abi.POLLHUP | Abi.POLLERR);
                bits += Keep(writes, fds[i].Fd, fds[i].Revents, Abi.POLLOUT | Abi.POLLWRNORM | Abi.POLLWRBAND | Abi.POLLERR);
                bits += Keep(excepts, fds[i].Fd, fds[i].Revents, Abi.POLLPRI);
            }

            result = bits;
        }

        if (fds != small)
        {
            _ = Libc.munmap((nint)fds, bytes);
        }

        Libc.Errno = errno;
        return result;
    }

    private static bool Has(ulong* set, int fd) => set != null && (set[fd >> 6] & (1ul << (fd & 63))) != 0;

    private static int Keep(ulong* set, int fd, short revents, int mask)
    {
        if (!Has(set, fd))
        {
            return 0;
        }

        if ((revents & mask) != 0)
        {
            return 1;
        }

        set[fd >> 6] &= ~(1ul << (fd & 63));
        return 0;
    }
}
