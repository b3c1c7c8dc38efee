using NetKernel.Channel;

namespace NetKernel.GuestLib;

/// <summary>shutdown(2), close(2), dup(2): who holds a socket, and what happens when nobody does any more.</summary>
internal static unsafe class Closing
{
    internal static int Shutdown(int fd, SocketSlot* s, int how)
    {
        if (how is < Abi.SHUT_RD or > Abi.SHUT_RDWR)
        {
            return Libc.Fail(Abi.EINVAL);
        }

        uint status = Volatile.Read(ref s->Status);
        if ((status & SocketStatus.Connected) == 0)
        {
            if ((status & SocketStatus.Listening) != 0 && (status & SocketStatus.NativeBound) != 0)
            {
                return Real.shutdown(fd, how);
            }

            return Libc.Fail(Abi.ENOTCONN);
        }

        if ((status & SocketStatus.Reset) != 0)
        {
            return Libc.Fail(Abi.ENOTCONN);
        }

        Interlocked.Or(ref s->Status, (how != Abi.SHUT_WR ? SocketStatus.ShutRead : 0) | (how != Abi.SHUT_RD ? SocketStatus.ShutWrite : 0));
        Nqe nqe = default;
        nqe.Op = Op.Shutdown;
        nqe.Socket = Fds.IdOf(fd);
        nqe.OpData = (ulong)(uint)how;
        return Rings.Send(s->QueueSet, &nqe, 1) ? 0 : Libc.Fail(Abi.ECONNRESET);
    }

    internal static int Close(int fd)
    {
        switch (Fds.KindOf(fd))
        {
            case FdKind.Native:
                return Real.close(fd);
            case FdKind.Hidden:
                return Libc.getpid() == Forking.Pid ? Libc.Fail(Abi.EBADF) : Real.close(fd);
            default:
                // A vfork child shares this memory: what it closes is closed in its own fd table only.
                if (Libc.getpid() == Forking.Pid)
                {
                    Forget(fd);
                }

                return Real.close(fd);
        }
    }

    /// <summary>Takes an fd out of the library's books; closes the socket when nobody holds it any more.</summary>
    internal static void Forget(int fd)
    {
        FdKind kind = Fds.KindOf(fd);
        uint id = Fds.IdOf(fd);
        if (kind == FdKind.Epoll)
        {
            Epoll.Drop(id, fd);
        }

        if (kind == FdKind.Lost)
        {
            Reviving.Forget(id);
        }

        // What epoll watches is the socket, not the fd: it stays while a dup is open.
        bool last = Fds.Clear(fd);
        if (last || (kind is FdKind.Dead or FdKind.Lost && Fds.Find(kind, id, -1) < 0))
        {
            Epoll.RemoveSocket(id, kind);
        }

        if (last)
        {
            Holding.Leave(id);
        }
    }

    /// <summary>After a successful dup of any kind: the new fd names the same socket.</summary>
    internal static int Duplicated(int from, int to)
    {
        if (to < 0)
        {
            return to;
        }

        FdKind kind = Fds.KindOf(from);
        if (kind is FdKind.Socket or FdKind.Dead or FdKind.Lost && Fds.Fits(to))
        {
            Fds.Set(to, kind, Fds.IdOf(from));
        }
        else if (kind == FdKind.Epoll && Fds.Fits(to))
        {
            Fds.Set(to, kind, Epoll.Duplicate(Fds.IdOf(from)));
        }

        return to;
    }
}
