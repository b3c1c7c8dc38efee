using System.Runtime;

namespace NetKernel.GuestLib.Exports;

/// <summary>The calls that wait on several fds.</summary>
internal static unsafe class Waits
{
    private static long DeadlineOf(int milliseconds) => milliseconds < 0 ? -1 : milliseconds == 0 ? 0 : Libc.Now() + (milliseconds * 1_000_000L);

    private static bool TryDeadline(TimeSpec* time, out long deadline)
    {
        deadline = -1;
        if (time == null)
        {
            return true;
        }

        if (time->Seconds < 0 || (ulong)time->Nanoseconds > 999_999_999)
        {
            return false;
        }

        long seconds = time->Seconds > 1_000_000_000 ? 1_000_000_000 : time->Seconds;
        deadline = (seconds | time->Nanoseconds) == 0 ? 0 : Libc.Now() + (seconds * 1_000_000_000) + time->Nanoseconds;
        return true;
    }

    [RuntimeExport("poll")]
    public static int Poll(PollFd* fds, nuint count, int timeout)
    {
        Real.Ensure();
        Interrupts.Point();
        return Polling.Poll(fds, count, DeadlineOf(timeout), null);
    }

    [RuntimeExport("__poll_chk")]
    public static int PollChecked(PollFd* fds, nuint count, int timeout, nuint room)
    {
        Check(count, room);
        return Poll(fds, count, timeout);
    }

    [RuntimeExport("ppoll")]
    public static int PPoll(PollFd* fds, nuint count, TimeSpec* timeout, void* signals)
    {
        Real.Ensure();
        Interrupts.Point();
        return TryDeadline(timeout, out long deadline) ? Polling.Poll(fds, count, deadline, signals) : Libc.Fail(Abi.EINVAL);
    }

    [RuntimeExport("__ppoll_chk")]
    public static int PPollChecked(PollFd* fds, nuint count, TimeSpec* timeout, void* signals, nuint room)
    {
        Check(count, room);
        return PPoll(fds, count, timeout, signals);
    }

    [RuntimeExport("select")]
    public static int Select(int count, ulong* reads, ulong* writes, ulong* excepts, TimeVal* timeout)
    {
        Real.Ensure();
        TimeSpec time = default;
        if (timeout != null)
        {
            if (timeout->Seconds < 0 || timeout->Microseconds < 0)
            {
                return Libc.Fail(Abi.EINVAL);
            }

            time.Seconds = timeout->Seconds + (timeout->Microseconds / 1_000_000);
            time.Nanoseconds = timeout->Microseconds % 1_000_000 * 1000;
        }

        _ = TryDeadline(timeout == null ? null : &time, out long deadline);
        Interrupts.Point();
        int result = Selecting.Select(count, reads, writes, excepts, deadline, null, out bool native);
        if (native)
        {
            result = Real.pselect(count, reads, writes, excepts, timeout == null ? null : &time, null);
        }

        // Linux tells what is left of the time (select(2)).
        if (timeout != null)
        {
            int errno = Libc.Errno;
            long left = deadline == 0 ? 0 : deadline - Libc.Now();
            left = left < 0 ? 0 : left;
            timeout->Seconds = left / 1_000_000_000;
            timeout->Microseconds = left % 1_000_000_000 / 1000;
            Libc.Errno = errno;
        }

        return result;
    }

    [RuntimeExport("pselect")]
    public static int PSelect(int count, ulong* reads, ulong* writes, ulong* excepts, TimeSpec* timeout, void* signals)
    {
        Real.Ensure();
        if (!TryDeadline(timeout, out long deadline))
        {
            return Libc.Fail(Abi.EINVAL);
        }

        Interrupts.Point();
        int result = Selecting.Select(count, reads, writes, excepts, deadline, signals, out bool native);
        return native ? Real.pselect(count, reads, writes, excepts, timeout, signals) : result;
    }

    [RuntimeExport("epoll_create1")]
    public static int EpollCreate1(int flags)
    {
        Real.Ensure();
        int fd = Real.epoll_create1(flags);
        Fds.Fresh(fd);
        Epoll.Created(fd);
        return fd;
    }

    [RuntimeExport("epoll_create")]
    public static int EpollCreate(int size) => size <= 0 ? Libc.Fail(Abi.EINVAL) : EpollCreate1(0);

    [RuntimeExport("epoll_ctl")]
    public static int EpollCtl(int epoll, int operation, int fd, EpollEvent* e)
    {
        Real.Ensure();
        return Epoll.Control(epoll, operation, fd, e);
    }

    [RuntimeExport("epoll_wait")]
    public static int EpollWait(int epoll, EpollEvent* events, int most, int timeout) => EpollPWait(epoll, events, most, timeout, null);

    [RuntimeExport("epoll_pwait")]
    public static int EpollPWait(int epoll, EpollEvent* events, int most, int timeout, void* signals)
    {
        Real.Ensure();
        return Wait(epoll, events, most, DeadlineOf(timeout), timeout, null, false, signals);
    }

    [RuntimeExport("epoll_pwait2")]
    public static int EpollPWait2(int epoll, EpollEvent* events, int most, TimeSpec* timeout, void* signals)
    {
        Real.Ensure();
        if (!TryDeadline(timeout, out long deadline))
        {
            return Libc.Fail(Abi.EINVAL);
        }

        return Wait(epoll, events, most, deadline, 0, timeout, true, signals);
    }

    private static int Wait(int epoll, EpollEvent* events, int most, long deadline, int milliseconds, TimeSpec* time, bool isTime, void* signals)
    {
        Interrupts.Point();
        TimeSpec left;
        while (true)
        {
            int result = Epoll.Wait(epoll, events, most, deadline, signals, out bool native);
            if (!native)
            {
                return result;
            }

            result = Epoll.WaitNatively(epoll, events, most, milliseconds, time, isTime, signals, out bool fetched);
            if (!fetched)
            {
                return result;
            }

            if (deadline > 0)
            {
                long rest = deadline - Libc.Now();
                rest = rest < 0 ? 0 : rest;
                left.Seconds = rest / 1_000_000_000;
                left.Nanoseconds = rest % 1_000_000_000;
                time = &left;
                isTime = true;
            }
        }
    }

    /// <summary>From the first of these on, calls that need not wait are cancellation points too.</summary>
    [RuntimeExport("pthread_cancel")]
    public static int PthreadCancel(nuint thread)
    {
        Real.Ensure();
        Interrupts.Cancels();
        return Real.pthread_cancel(thread);
    }

    private static void Check(nuint count, nuint room)
    {
        if (count > room / (nuint)sizeof(PollFd))
        {
            Internal.Runtime.LibC.abort(); // what glibc's fortified calls do
        }
    }
}
