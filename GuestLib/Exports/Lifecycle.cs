using System.Runtime;
using NetKernel.Channel;

namespace NetKernel.GuestLib.Exports;

/// <summary>The constructor, and the calls that make and end fds.</summary>
internal static unsafe class Lifecycle
{
    private const int AsDup2 = -1; // a sandbox may allow but one of the two calls
    private const int O_ASYNC = 0x2000;

    /// <summary>The constructor: the dynamic loader calls it before the program's main, on the only thread.</summary>
    [RuntimeExport("nk_init")]
    public static void Init()
    {
        Real.Ensure();
        Attaching.Configure();
        if (!Attaching.IsGuest || !Fds.Reserve() || !Epoll.Reserve())
        {
            return;
        }

        Forking.Register();

        Inheriting.AtStart();
    }

    /// <summary>Major, minor and patch number, one byte each: 0x000100 is 0.1.0.</summary>
    [RuntimeExport("nk_version")]
    public static int Version() => 0x00_01_00;

    [RuntimeExport("prctl")]
    public static int PrCtl(int option, nint a, nint b, nint c, nint d)
    {
        Real.Ensure();
        return Sandbox.Control(option, a, b, c, d);
    }

    [RuntimeExport("socket")]
    public static int Socket(int domain, int type, int protocol)
    {
        Real.Ensure();
        return Opening.Socket(domain, type, protocol);
    }

    [RuntimeExport("close")]
    public static int Close(int fd)
    {
        Real.Ensure();
        return Closing.Close(fd);
    }

    [RuntimeExport("close_range")]
    public static int CloseRange(uint first, uint last, int flags)
    {
        Real.Ensure();
        const int CLOSE_RANGE_UNSHARE = 2, CLOSE_RANGE_CLOEXEC = 4;
        if (Fds.High == 0 || first > last || (flags & CLOSE_RANGE_CLOEXEC) != 0 || Libc.getpid() != Forking.Pid || (flags & ~CLOSE_RANGE_UNSHARE) != 0)
        {
            return Real.close_range(first, last, flags);
        }

        // Around the library's own fds.
        uint start = first;
        for (uint fd = first; fd < (uint)Fds.High && fd <= last; fd++)
        {
            switch (Fds.KindOf((int)fd))
            {
                case FdKind.Hidden:
                    if (fd > start && CloseNumbers(start, fd - 1, flags) != 0)
                    {
                        return -1;
                    }

                    start = fd + 1;
                    break;
                case FdKind.Native:
                    break;
                default:
                    Closing.Forget((int)fd);
                    break;
            }
        }

        return start <= last ? CloseNumbers(start, last, flags) : 0;
    }

    [RuntimeExport("closefrom")]
    public static void CloseFrom(int first) => CloseRange(first < 0 ? 0 : (uint)first, uint.MaxValue, 0);

    [RuntimeExport("dup")]
    public static int Dup(int fd)
    {
        Real.Ensure();
        return Fds.KindOf(fd) == FdKind.Hidden ? Libc.Fail(Abi.EBADF) : Closing.Duplicated(fd, Fresh(Real.dup(fd)));
    }

    [RuntimeExport("dup2")]
    public static int Dup2(int from, int to)
    {
        Real.Ensure();
        if (from == to || Libc.getpid() != Forking.Pid)
        {
            return Fds.KindOf(from) == FdKind.Hidden && Libc.getpid() == Forking.Pid ? Libc.Fail(Abi.EBADF) : Real.dup2(from, to);
        }

        return DuplicateTo(from, to, AsDup2);
    }

    [RuntimeExport("dup3")]
    public static int Dup3(int from, int to, int flags)
    {
        Real.Ensure();
        if (from == to || Libc.getpid() != Forking.Pid)
        {
            return Real.dup3(from, to, flags);
        }

        return (flags & ~Abi.O_CLOEXEC) != 0 ? Libc.Fail(Abi.EINVAL) : DuplicateTo(from, to, flags);
    }

    [RuntimeExport("pidfd_getfd")]
    public static int PidFdGetFd(int process, int fd, uint flags)
    {
        Real.Ensure();
        return Real.pidfd_getfd == null ? Libc.Fail(38) : Passing.Taken(Real.pidfd_getfd(process, fd, flags)); // ENOSYS: a libc before 2.36
    }

    [RuntimeExport("fcntl")]
    public static int Fcntl(int fd, int command, nint argument)
    {
        Real.Ensure();
        if (Fds.KindOf(fd) == FdKind.Native)
        {
            int passed = Real.fcntl(fd, command, argument);
            return command is Abi.F_DUPFD or Abi.F_DUPFD_CLOEXEC ? Fresh(passed) : passed;
        }

        if (Fds.KindOf(fd) == FdKind.Hidden)
        {
            return Libc.Fail(Abi.EBADF);
        }

        if (command == Abi.F_SETFL && (argument & O_ASYNC) != 0 && Fds.Ours(fd) != null)
        {
            return Libc.Fail(Abi.EINVAL); // nobody would send the SIGIO
        }

        int result = Real.fcntl(fd, command, argument);
        if (result < 0)
        {
            return result;
        }

        if (command is Abi.F_DUPFD or Abi.F_DUPFD_CLOEXEC && Libc.getpid() == Forking.Pid)
        {
            return Closing.Duplicated(fd, Fresh(result));
        }

        SocketSlot* s = Fds.SocketOf(fd);
        if (command == Abi.F_SETFL && s != null)
        {
            SetNonBlocking(s, (argument & Abi.O_NONBLOCK) != 0);
        }

        return result;
    }

    [RuntimeExport("fcntl64")]
    public static int Fcntl64(int fd, int command, nint argument) => Fcntl(fd, command, argument);

    [RuntimeExport("ioctl")]
    public static int Ioctl(int fd, nuint request, nint argument)
    {
        Real.Ensure();
        SocketSlot* s = Fds.SocketOf(fd);
        if (s == null)
        {
            return Real.ioctl(fd, request, argument);
        }

        if (request == Abi.FIONBIO)
        {
            int result = Real.ioctl(fd, request, argument);
            if (result == 0)
            {
                SetNonBlocking(s, *(int*)argument != 0);
            }

            return result;
        }

        return Fds.Ours(fd) == null ? Real.ioctl(fd, request, argument) : Ioctls.Do(fd, s, request, argument);
    }

    private static void SetNonBlocking(SocketSlot* s, bool on) =>
        _ = on ? Interlocked.Or(ref s->Status, Status.NonBlocking) : Interlocked.And(ref s->Status, ~Status.NonBlocking);

    private static int DuplicateTo(int from, int to, int flags)
    {
        while (Vacating.MakeRoom(from, to))
        {
            bool entered = Fds.EnterNumbers();
            bool free = Fds.KindOf(to) != FdKind.Hidden; // else another thread has just made an fd of the library's there
            int result = !free ? -1 : flags == AsDup2 ? Real.dup2(from, to) : Real.dup3(from, to, flags);
            Fds.LeaveNumbers(entered);
            if (free)
            {
                return Closing.Duplicated(from, Fresh(result));
            }
        }

        return -1;
    }

    private static int CloseNumbers(uint first, uint last, int flags)
    {
        bool entered = Fds.EnterNumbers();
        int result = Real.close_range(first, last, flags);
        Fds.LeaveNumbers(entered);
        return result;
    }

    private static int Fresh(int fd)
    {
        Fds.Fresh(fd);
        return fd;
    }
}
