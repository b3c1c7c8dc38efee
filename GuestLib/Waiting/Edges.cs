using NetKernel.Channel;

namespace NetKernel.GuestLib;

/// <content>
/// A native datagram socket whose error queue (IP_RECVERR in ip(7)) holds something says POLLERR for as long as it does, while a receive that finds no datagram waits on. Such a wait is for what
/// is new: on an epoll set of its own, edge-triggered, in the place of the socket.
/// </content>
internal static unsafe partial class Waiting
{
    /// <summary>How soon to look again where no set can be made (no fds left, a sandbox), in ns.</summary>
    private const long Unwatched = 20_000_000;

    /// <summary>Prepares the wait for what is new. True: something is there already. <see cref="Leave"/> undoes it.</summary>
    private static bool WatchEdges(Guard* guard)
    {
        Wish* wish = guard->Wish;
        int half = wish->Fds[0].Fd;
        EpollEvent news = new() { Events = Abi.EPOLLIN | Abi.EPOLLET };
        int set = Fds.HiddenSet();
        if (set < 0 || Real.epoll_ctl(set, Abi.EPOLL_CTL_ADD, half, &news) != 0)
        {
            Fds.CloseHidden(set);
            long soon = Libc.Now() + Unwatched;
            wish->Deadline = wish->Deadline < 0 || soon < wish->Deadline ? soon : wish->Deadline;
            wish->Count = 0;
            return false;
        }

        guard->EdgeFdPlusOne = set + 1;
        _ = Real.epoll_pwait(set, &news, 1, 0, null); // the edge of what lies there

        // What came before the set was made is looked at once more: a datagram stays, an error is taken over.
        int error = 0;
        uint length = sizeof(int);
        if (Real.getsockopt(half, Abi.SOL_SOCKET, Abi.SO_ERROR, &error, &length) == 0 && error != 0)
        {
            _ = Interlocked.CompareExchange(ref Region.Socket(wish->Key)->Error, error, 0);
            return true;
        }

        PollFd now = wish->Fds[0];
        wish->Fds[0].Fd = set;
        return Raw.PollNow(&now, 1) > 0 && (now.Revents & Abi.POLLIN) != 0;
    }
}
