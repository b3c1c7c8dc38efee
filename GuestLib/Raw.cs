namespace NetKernel.GuestLib;

/// <summary>
/// System calls as such. The C library's functions of these names are cancellation points (pthreads(7)): a thread that is cancelled in one while it holds a lock of
/// this library would leave the lock behind.
/// </summary>
internal static unsafe class Raw
{
    private const nint SYS_read = 0, SYS_write = 1, SYS_poll = 7, SYS_pread64 = 17, SYS_nanosleep = 35;

    internal static nint Read(int fd, void* buffer, nuint bytes) => Real.syscall(SYS_read, fd, (nint)buffer, (nint)bytes, 0, 0, 0);

    internal static nint Read(int fd, void* buffer, nuint bytes, long offset) => Real.syscall(SYS_pread64, fd, (nint)buffer, (nint)bytes, (nint)offset, 0, 0);

    internal static nint Write(int fd, void* buffer, nuint bytes) => Real.syscall(SYS_write, fd, (nint)buffer, (nint)bytes, 0, 0, 0);

    /// <summary>Looks, without waiting.</summary>
    internal static int PollNow(PollFd* fds, uint count)
    {
        TimeSpec now = default;
        return Sandbox.Allows(Sandbox.Poll) ? (int)Real.syscall(SYS_poll, (nint)fds, (nint)count, 0, 0, 0, 0) : Real.ppoll(fds, count, &now, null);
    }

    /// <summary>Sleeps that many nanoseconds, less than a second; errno stays as it is.</summary>
    internal static void Nap(long nanoseconds)
    {
        int errno = Libc.Errno;
        TimeSpec nap = new() { Nanoseconds = nanoseconds };
        _ = Sandbox.Allows(Sandbox.NanoSleep) ? Real.syscall(SYS_nanosleep, (nint)(&nap), 0, 0, 0, 0, 0) : Substitutes.CanPoll ? Real.ppoll(null, 0, &nap, null) : 0;
        Libc.Errno = errno;
    }
}
