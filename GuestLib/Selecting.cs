namespace NetKernel.GuestLib;

/// <summary>select(2) and pselect(2), by way of poll. Sets of fds are arrays of 64-bit words, as large as the program makes them.</summary>
internal static unsafe class Selecting
{
    private const uint OnStack = 256;

    /// <summary>Fds that every process has room for: the kernel looks at no more bits than its table of fds is long (select(2)).</summary>
    private const int Usual = 1024;

    /// <summary>Selects until the deadline (monotonic ns; -1: none, 0: do not wait). <paramref name="native"/>: nothing is done, the call is the kernel's.</summary>
    internal static int Select(int count, ulong* reads, ulong* writes, ulong* excepts, long deadline, void* signals, out bool native)
    {
        native = true;
        int high = count < Fds.High ? count : Fds.High;
        if (high <= 0 || !CanWrite(reads, high) || !CanWrite(writes, high) || !CanWrite(excepts, high))
        {
            return 0;
        }

        for (int fd = 0; fd < high && native; fd++)
        {
            native = (!Has(reads, fd) && !Has(writes, fd) && !Has(excepts, fd)) || Polling.IsNative(fd, Fds.KindOf(fd));
        }

        ulong* limit = stackalloc ulong[2];
        if (!native && count > Usual && Libc.getrlimit(Libc.RLIMIT_NOFILE, limit) == 0 && (ulong)count > limit[0])
        {
            count = limit[0] < Usual ? Usual : (int)limit[0];
        }

        if (native || !CanWrite(reads, count) || !CanWrite(writes, count) || !CanWrite(excepts, count))
        {
            native = true;
            return 0;
        }

        uint fdCount = 0;
        for (int fd = 0; fd < count; fd++)
        {
            fdCount += Has(reads, fd) || Has(writes, fd) || Has(excepts, fd) ? 1u : 0;
        }

        nuint bytes = (fdCount + 1) * (nuint)sizeof(PollFd);
        PollFd* small = stackalloc PollFd[(int)OnStack];
        PollFd* fds = fdCount < OnStack ? small : (PollFd*)Libc.Reserve(bytes);
        if (fds == null)
        {
            return Libc.Fail(Abi.ENOMEM);
        }

        int result = Run(count, reads, writes, excepts, fds, deadline, signals);
        int errno = Libc.Errno;
        if (fds != small)
        {
            _ = Libc.munmap((nint)fds, bytes);
        }

        Libc.Errno = errno;
        return result;
    }

    private static int Run(int count, ulong* reads, ulong* writes, ulong* excepts, PollFd* fds, long deadline, void* signals)
    {
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

        int result = Polling.Poll(fds, n, deadline, signals);
        if (result < 0)
        {
            return -1;
        }

        for (uint i = 0; i < n && result > 0; i++)
        {
            if ((fds[i].Revents & Abi.POLLNVAL) != 0)
            {
                return Libc.Fail(Abi.EBADF);
            }
        }

        int bits = 0;
        for (uint i = 0; i < n; i++)
        {
            bits += Keep(reads, fds[i].Fd, fds[i].Revents, Abi.POLLIN | Abi.POLLRDNORM | Abi.POLLRDBAND | Abi.POLLHUP | Abi.POLLERR);
            bits += Keep(writes, fds[i].Fd, fds[i].Revents, Abi.POLLOUT | Abi.POLLWRNORM | Abi.POLLWRBAND | Abi.POLLERR);
            bits += Keep(excepts, fds[i].Fd, fds[i].Revents, Abi.POLLPRI);
        }

        return bits;
    }

    private static bool CanWrite(ulong* set, int count) => set == null || UserMemory.CanWrite(set, (nuint)((count + 63) / 64 * 8));

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
