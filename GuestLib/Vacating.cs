namespace NetKernel.GuestLib;

/// <summary>dup2(2) onto a number under which the library has an fd of its own: to the program that number is free, so the library moves away.</summary>
internal static unsafe class Vacating
{
    private const int F_GETFD = 1;

    /// <summary>
    /// Before <paramref name="from"/> is duplicated to <paramref name="to"/>. False with errno when that cannot be: the library needs some numbers below the
    /// program's limit on files, and keeps its own when the program has taken all others.
    /// </summary>
    internal static bool MakeRoom(int from, int to)
    {
        if (Fds.KindOf(from) == FdKind.Hidden)
        {
            return Libc.Fail(Abi.EBADF) == 0;
        }

        if (to < 0 || Fds.KindOf(to) != FdKind.Hidden)
        {
            return true;
        }

        // From here on the old number must be given away: what can fail is looked at first.
        if (Real.fcntl(from, F_GETFD, 0) < 0)
        {
            return false;
        }

        int moved = Real.fcntl(to, Abi.F_DUPFD_CLOEXEC, Fds.Floor());
        moved = moved >= 0 ? moved : Real.fcntl(to, Abi.F_DUPFD_CLOEXEC, 0);
        if (moved < 0 || !Fds.Fits(moved))
        {
            return Libc.Fail(Abi.EBADF) == 0;
        }

        Fds.Set(moved, FdKind.Hidden, 0);
        Attaching.Moved(to, moved);
        Epoll.Moved(to, moved);
        Substitutes.Moved(to, moved);
        Orphans.Moved(to, moved);
        Waiters.Moved(to, moved); // last: waits until nobody sleeps on the old number
        Fds.Unhide(to);
        return true;
    }
}
