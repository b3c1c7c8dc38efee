namespace NetKernel.GuestLib;

/// <summary>
/// Calls in the place of others: the library uses the younger of two that do the same (ppoll, epoll_pwait, accept4), and a filter may allow the older one only, since it is the
/// one that the program, or the libc for it, makes.
/// </summary>
internal static unsafe class Substitutes
{
    private const long MostMilliseconds = int.MaxValue;
    private const uint MostEvents = 64;

    private static delegate* unmanaged[Cdecl, SuppressGCTransition]<PollFd*, nuint, TimeSpec*, void*, int> s_ppoll;
    private static delegate* unmanaged[Cdecl, SuppressGCTransition]<int, EpollEvent*, int, int, void*, int> s_epollPWait;
    private static delegate* unmanaged[Cdecl, SuppressGCTransition]<int, void*, uint*, int, int> s_accept4;
    private static int s_epollPlusOne;
    private static bool s_cannotPoll;

    /// <summary>Whether there is a way to poll at all. Who only reads and writes may have none, and needs none.</summary>
    internal static bool CanPoll => !s_cannotPoll;

    /// <summary>Before a filter: an epoll set for those who may wait in no other way.</summary>
    internal static void Prepare()
    {
        if (s_ppoll == null)
        {
            s_ppoll = Real.ppoll;
            s_epollPWait = Real.epoll_pwait;
            s_accept4 = Real.accept4;
            s_epollPlusOne = Region.Attached ? Fds.HiddenSet() + 1 : 0;
        }
    }

    /// <summary>An fd of the library has another number.</summary>
    internal static void Moved(int from, int to) => s_epollPlusOne = s_epollPlusOne == from + 1 ? to + 1 : s_epollPlusOne;

    /// <summary>Chooses for the filters in force.</summary>
    internal static void Choose()
    {
        bool poll = Sandbox.Allows(Sandbox.Poll), epoll = Sandbox.Allows(Sandbox.EpollCtl) && (Sandbox.Allows(Sandbox.EpollWait) || Sandbox.Allows(Sandbox.EpollPWait));
        nint instead = Sandbox.Allows(Sandbox.PPoll) ? (nint)s_ppoll
            : poll ? (nint)(delegate*<PollFd*, nuint, TimeSpec*, void*, int>)&PollFor
            : epoll && s_epollPlusOne != 0 ? (nint)(delegate*<PollFd*, nuint, TimeSpec*, void*, int>)&EpollFor
            : (nint)s_ppoll;
        Real.ppoll = (delegate* unmanaged[Cdecl, SuppressGCTransition]<PollFd*, nuint, TimeSpec*, void*, int>)instead;
        s_cannotPoll = !poll && !Sandbox.Allows(Sandbox.PPoll) && (!epoll || s_epollPlusOne == 0);
        instead = Sandbox.Allows(Sandbox.EpollPWait) || !Sandbox.Allows(Sandbox.EpollWait) ? (nint)s_epollPWait : (nint)(delegate*<int, EpollEvent*, int, int, void*, int>)&EpollWaitFor;
        Real.epoll_pwait = (delegate* unmanaged[Cdecl, SuppressGCTransition]<int, EpollEvent*, int, int, void*, int>)instead;
        instead = Sandbox.Allows(Sandbox.Accept4) || !Sandbox.Allows(Sandbox.Accept) ? (nint)s_accept4 : (nint)(delegate*<int, void*, uint*, int, int>)&AcceptFor;
        Real.accept4 = (delegate* unmanaged[Cdecl, SuppressGCTransition]<int, void*, uint*, int, int>)instead;
    }

    private static int Milliseconds(TimeSpec* time)
    {
        if (time == null)
        {
            return -1;
        }

        long milliseconds = time->Seconds > MostMilliseconds / 1000 ? MostMilliseconds : (time->Seconds * 1000) + ((time->Nanoseconds + 999_999) / 1_000_000);
        return (int)(milliseconds > MostMilliseconds ? MostMilliseconds : milliseconds);
    }

    /// <summary>A mask of signals comes from a program that calls ppoll itself, which its filter then refuses as it would without this library.</summary>
    private static int PollFor(PollFd* fds, nuint count, TimeSpec* time, void* signals) =>
        signals != null ? s_ppoll(fds, count, time, signals) : Real.poll(fds, count, Milliseconds(time));

    private static int EpollWaitFor(int epoll, EpollEvent* events, int most, int milliseconds, void* signals) =>
        signals != null ? s_epollPWait(epoll, events, most, milliseconds, signals) : Real.epoll_wait(epoll, events, most, milliseconds);

    private static int AcceptFor(int fd, void* address, uint* length, int flags) =>
        flags != 0 ? s_accept4(fd, address, length, flags) : Real.accept(fd, address, length);

    /// <summary>poll(2) by an epoll set: what is to be polled goes in, and out again. What two threads poll at the same time is watched for one of them.</summary>
    private static int EpollFor(PollFd* fds, nuint count, TimeSpec* time, void* signals)
    {
        const uint EPOLLERR = 8, EPOLLHUP = 16;
        int set = s_epollPlusOne - 1, ready = 0;
        bool isNow = time != null && time->Seconds == 0 && time->Nanoseconds == 0;
        for (nuint i = 0; i < count; i++)
        {
            fds[i].Revents = 0;
            EpollEvent item = new() { Events = (uint)(ushort)fds[i].Events, Data = (ulong)(uint)fds[i].Fd };
            if (fds[i].Fd >= 0 && Real.epoll_ctl(set, Abi.EPOLL_CTL_ADD, fds[i].Fd, &item) != 0)
            {
                fds[i].Revents = Libc.Errno == Abi.EBADF ? Abi.POLLNVAL : Libc.Errno == Abi.EPERM ? (short)(fds[i].Events & (Abi.POLLIN | Abi.POLLOUT)) : (short)0;
                ready += fds[i].Revents != 0 ? 1 : 0;
            }
        }

        EpollEvent* events = stackalloc EpollEvent[(int)MostEvents];
        int milliseconds = ready != 0 || isNow ? 0 : Milliseconds(time);
        int n = Real.epoll_pwait(set, events, (int)MostEvents, milliseconds, null);
        int errno = Libc.Errno;
        for (int i = 0; i < n; i++)
        {
            for (nuint k = 0; k < count; k++)
            {
                if (fds[k].Fd == (int)events[i].Data)
                {
                    short before = fds[k].Revents;
                    fds[k].Revents |= (short)(events[i].Events & ((uint)(ushort)fds[k].Events | EPOLLERR | EPOLLHUP));
                    ready += before == 0 && fds[k].Revents != 0 ? 1 : 0;
                }
            }
        }

        for (nuint i = 0; i < count; i++)
        {
            EpollEvent none = default;
            _ = fds[i].Fd >= 0 ? Real.epoll_ctl(set, Abi.EPOLL_CTL_DEL, fds[i].Fd, &none) : 0;
        }

        Libc.Errno = errno;
        return n < 0 && ready == 0 ? -1 : ready;
    }
}
