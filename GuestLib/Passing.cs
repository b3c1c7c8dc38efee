using NetKernel.Channel;

namespace NetKernel.GuestLib;

/// <summary>
/// Sockets of ours in messages over AF_UNIX (SCM_RIGHTS, unix(7)). The kernel passes the fd; who sends it exports the socket first, so that it lives as long as the
/// message does, and who receives it joins its holders. A message that is peeked at, cut short or never received needs nothing else: the file says it all.
/// </summary>
internal static unsafe class Passing
{
    private const int HeaderBytes = 16; // struct cmsghdr

    internal static nint Send(int fd, MsgHdr* message, int flags) =>
        (Fds.Held == 0 && !Epoll.AnySets) || TryExport(message) ? Real.sendmsg(fd, message, flags) : -1;

    internal static int SendMany(int fd, MMsgHdr* messages, uint count, int flags)
    {
        for (uint i = 0; i < count && i < Messages.MostVectors && (Fds.Held != 0 || Epoll.AnySets); i++)
        {
            if (!UserMemory.CanRead(&messages[i], (nuint)sizeof(MMsgHdr)))
            {
                break; // the kernel says so
            }

            if (!TryExport(&messages[i].Header))
            {
                return i == 0 ? -1 : Real.sendmmsg(fd, messages, i, flags);
            }
        }

        return Real.sendmmsg(fd, messages, count, flags);
    }

    internal static nint Receive(int fd, MsgHdr* message, int flags)
    {
        nint got = Real.recvmsg(fd, message, flags);
        if (got >= 0)
        {
            Take(message);
        }

        return got;
    }

    internal static int ReceiveMany(int fd, MMsgHdr* messages, uint count, int flags, TimeSpec* timeout)
    {
        int got = Real.recvmmsg(fd, messages, count, flags, timeout);
        for (int i = 0; i < got; i++)
        {
            Take(&messages[i].Header);
        }

        return got;
    }

    /// <summary>
    /// After pidfd_getfd(2): the socket is this process's too. When its last holder has closed it meanwhile there is nothing to get: EBADF, as if asked a moment later.
    /// </summary>
    internal static int Taken(int fd)
    {
        if (fd < 0 || !Attaching.IsGuest)
        {
            return fd;
        }

        Fds.Fresh(fd);
        if (Inheriting.Adopt(fd) || !Inheriting.WasOurs(fd))
        {
            return fd;
        }

        _ = Real.close(fd);
        return Libc.Fail(Abi.EBADF);
    }

    /// <summary>Exports what a message carries. False with errno when it carries what cannot be passed.</summary>
    private static bool TryExport(MsgHdr* message)
    {
        if (!UserMemory.CanRead(message, (nuint)sizeof(MsgHdr)) || message->Control == null || message->ControlLength < HeaderBytes
            || !UserMemory.CanRead(message->Control, message->ControlLength) || Libc.getpid() != Forking.Pid)
        {
            return true;
        }

        nuint at = 0;
        while (TryNext(message, ref at, out int* fds, out nuint count))
        {
            for (nuint i = 0; i < count; i++)
            {
                FdKind kind = Fds.KindOf(fds[i]);
                if (kind == FdKind.Hidden)
                {
                    return Libc.Fail(Abi.EBADF) == 0;
                }

                if (kind == FdKind.Epoll)
                {
                    Epoll.Mark(fds[i]);
                }
                else if (kind == FdKind.Socket)
                {
                    Exporting.Export(fds[i], Fds.IdOf(fds[i]));
                }
            }
        }

        return true;
    }

    /// <summary>Fds have come: those of sockets of ours are this process's from now on.</summary>
    private static void Take(MsgHdr* message)
    {
        if (message->Control == null || message->ControlLength < HeaderBytes || !Attaching.IsGuest || Libc.getpid() != Forking.Pid)
        {
            return;
        }

        int errno = Libc.Errno;
        nuint at = 0;
        while (TryNext(message, ref at, out int* fds, out nuint count))
        {
            for (nuint i = 0; i < count; i++)
            {
                Fds.Fresh(fds[i]);
                _ = Inheriting.Adopt(fds[i]);
            }
        }

        Libc.Errno = errno;
    }

    /// <summary>The next control message that carries fds, from <paramref name="at"/> on; false at the end, or where the kernel would stop reading.</summary>
    private static bool TryNext(MsgHdr* message, ref nuint at, out int* fds, out nuint count)
    {
        byte* control = (byte*)message->Control;
        nuint end = message->ControlLength;
        while (at + HeaderBytes <= end)
        {
            byte* header = control + at;
            nuint length = *(nuint*)header;
            if (length < HeaderBytes || length > end - at)
            {
                break;
            }

            at += (length + 7) & ~(nuint)7;
            if (*(int*)(header + 8) == Abi.SOL_SOCKET && *(int*)(header + 12) == Abi.SCM_RIGHTS)
            {
                fds = (int*)(header + HeaderBytes);
                count = (length - HeaderBytes) / sizeof(int);
                return true;
            }
        }

        fds = null;
        count = 0;
        return false;
    }
}
