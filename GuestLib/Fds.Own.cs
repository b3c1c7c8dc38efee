namespace NetKernel.GuestLib;

/// <content>Fds of the library's own, which the program does not see.</content>
internal static unsafe partial class Fds
{
    private static int s_floor;
    private static ulong s_numbers;

    /// <summary>The least number for fds of the library's own.</summary>
    internal static int Floor()
    {
        if (Sandbox.Allows(Sandbox.PrLimit64))
        {
            int floor = (int)Libc.sysconf(4) - 24; // _SC_OPEN_MAX
            s_floor = floor > 1000 ? 1000 : floor < 64 ? 64 : floor; // beyond 1023 the kernel would enlarge the table
        }

        return s_floor;
    }

    /// <summary>A hidden eventfd(2) that never blocks; -1 with errno.</summary>
    internal static int HiddenEvent(uint value)
    {
        bool entered = EnterNumbers();
        int fd = Hide(Libc.eventfd(value, Abi.O_CLOEXEC | Abi.O_NONBLOCK));
        LeaveNumbers(entered);
        return fd;
    }

    /// <summary>A hidden epoll set; -1 with errno.</summary>
    internal static int HiddenSet()
    {
        bool entered = EnterNumbers();
        int fd = Hide(Real.epoll_create1(Abi.O_CLOEXEC));
        LeaveNumbers(entered);
        return fd;
    }

    /// <summary>A hidden fd of the same file as <paramref name="fd"/>; -1 with errno.</summary>
    internal static int HiddenDuplicate(int fd)
    {
        bool entered = EnterNumbers();
        int hidden = Hide(Real.fcntl(fd, Abi.F_DUPFD_CLOEXEC, 0));
        LeaveNumbers(entered);
        return hidden;
    }

    /// <summary>
    /// While the library makes an fd it lies on the lowest free number, where the dup2(2) of another thread would put its own file in its place: the two exclude each other.
    /// False when this very thread is at it already (it is in a signal handler): nobody else can be waited for.
    /// </summary>
    internal static bool EnterNumbers() => Locks.TryEnterPrivate(ref s_numbers);

    /// <summary>Undoes <see cref="EnterNumbers"/>, which returned <paramref name="entered"/>.</summary>
    internal static void LeaveNumbers(bool entered)
    {
        if (entered)
        {
            Locks.Leave(ref s_numbers);
        }
    }

    /// <summary>This thread leaves by a jump or by cancellation.</summary>
    internal static void AbandonNumbers() => Locks.AbandonPrivate(ref s_numbers);

    /// <summary>In a forked child nobody else is at it.</summary>
    internal static void AfterFork() => s_numbers = 0;

    /// <summary>Moves a fresh fd out of the program's way (high numbers, close-on-exec) and hides it. The fd, or -1 with errno.</summary>
    internal static int Hide(int fd)
    {
        if (fd < 0)
        {
            return -1;
        }

        int high = Real.fcntl(fd, Abi.F_DUPFD_CLOEXEC, Floor());
        if (high >= 0)
        {
            _ = Real.close(fd);
        }
        else
        {
            high = fd;
        }

        if (s_entries != null && Fits(high))
        {
            Set(high, FdKind.Hidden, 0);
        }

        return high;
    }

    /// <summary>A number is the program's again.</summary>
    internal static void Unhide(int fd) => s_entries[fd].Kind = FdKind.Native;

    /// <summary>Closes one of the library's own fds.</summary>
    internal static void CloseHidden(int fd)
    {
        if (fd >= 0)
        {
            if (Fits(fd) && fd < High)
            {
                s_entries[fd].Kind = FdKind.Native;
            }

            _ = Real.close(fd);
        }
    }
}
