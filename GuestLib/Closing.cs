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
        uint ends = (how != Abi.SHUT_WR ? SocketStatus.ShutRead : 0) | (how != Abi.SHUT_RD ? SocketStatus.ShutWrite : 0);
        if ((status & SocketStatus.Listening) != 0)
        {
            return how == Abi.SHUT_WR ? 0 : StopListening(fd, s);
        }

        if ((status & (SocketStatus.Connected | SocketStatus.Connecting)) == 0 || IsOver(s, status))
        {
            Interlocked.Or(ref s->Status, ends); // as the kernel, which also keeps it in mind
            Waiting.Changed(s, Fds.IdOf(fd));
            return Libc.Fail(Abi.ENOTCONN);
        }

        Interlocked.Or(ref s->Status, ends);
        Nqe nqe = default;
        nqe.Op = Op.Shutdown;
        nqe.Socket = Fds.IdOf(fd);
        nqe.OpData = (status & SocketStatus.Connecting) != 0 ? Abi.SHUT_RDWR : (ulong)(uint)how; // either half ends an attempt to connect
        if (!Rings.Send(s, &nqe, 1))
        {
            return Libc.Fail(Abi.ECONNRESET);
        }

        if ((status & SocketStatus.Connecting) != 0)
        {
            Opening.AwaitCancelled(Fds.IdOf(fd), s);
        }

        Waiting.Changed(s, Fds.IdOf(fd));
        return 0;
    }

    /// <summary>Whether the connection is no more, as the kernel's TCP_CLOSE has it: reset, or ended in both directions.</summary>
    internal static bool IsOver(SocketSlot* s, uint status) =>
        (status & SocketStatus.Reset) != 0
        || ((status & (SocketStatus.PeerClosed | SocketStatus.ShutWrite)) == (SocketStatus.PeerClosed | SocketStatus.ShutWrite) && Volatile.Read(ref s->TxBytes) == 0);

    /// <summary>
    /// shutdown(2) of a listener takes it back to before listen(2): what waits is refused, whoever waits in accept(2) gets EINVAL, and it may listen again. The answer to
    /// a question to the NSM wakes them, in every process.
    /// </summary>
    internal static int StopListening(int fd, SocketSlot* s)
    {
        uint id = Fds.IdOf(fd);
        Interlocked.And(ref s->Status, ~SocketStatus.Listening);
        Nqe nqe = default;
        nqe.Op = Op.Shutdown;
        nqe.Socket = id;
        nqe.OpData = Abi.SHUT_RDWR;
        if (!Rings.Send(s, &nqe, 1) || !Accepting.DeclineAll(s, id))
        {
            return Libc.Fail(Abi.EAGAIN);
        }

        if ((s->Status & SocketStatus.NativeBound) != 0)
        {
            _ = Real.shutdown(fd, Abi.SHUT_RD);
        }

        Draining.Changed(s);
        int answer;
        uint length = sizeof(int);
        _ = Options.Ask(s, id, Abi.SOL_SOCKET, Abi.SO_ERROR, &answer, &length);
        return 0;
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
                if (Libc.getpid() != Forking.Pid)
                {
                    return Real.close(fd);
                }

                uint last = Clear(fd, out int linger);
                int result = Real.close(fd);
                if (last != Slots.None)
                {
                    Holding.Leave(last, linger); // after the kernel's close: CoreEngine closes an exported socket when its file is gone
                }

                return result;
        }
    }

    /// <summary>Takes an fd out of the library's books; closes the socket when nobody holds it any more.</summary>
    internal static void Forget(int fd)
    {
        uint last = Clear(fd, out int linger);
        if (last != Slots.None)
        {
            Holding.Leave(last, linger);
        }
    }

    /// <summary>The libc may have closed an fd, or put another file in its place, without a call that this library sees.</summary>
    internal static void Replaced(int fd)
    {
        if (Fds.KindOf(fd) is FdKind.Native or FdKind.Hidden || Libc.getpid() != Forking.Pid)
        {
            return;
        }

        Stat stat = default;
        if (Libc.fstat(fd, &stat) != 0 || !stat.IsSocket || (Fds.KindOf(fd) == FdKind.Socket && Region.Socket(Fds.IdOf(fd))->Inode != stat.Inode))
        {
            Forget(fd);
        }
    }

    /// <summary>
    /// Takes an fd out of the library's books; the socket that this process no longer holds, or <see cref="Slots.None"/>, and how long its close lingers.
    /// </summary>
    private static uint Clear(int fd, out int linger)
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

        linger = last && (Volatile.Read(ref Region.Socket(id)->Status) & Status.Lingers) != 0 ? Options.Linger(fd) : -1;
        if (!last || !Waiters.NoteOrphans(id))
        {
            return last ? id : Slots.None;
        }

        Orphans.Keep(id, fd);
        return Slots.None;
    }

    /// <summary>After a successful dup of any kind: the new fd names the same socket.</summary>
    internal static int Duplicated(int from, int to)
    {
        if (to < 0)
        {
            return to;
        }

        FdKind kind = Fds.KindOf(from);
        if (kind != FdKind.Native && Libc.getpid() != Forking.Pid)
        {
            return to;
        }

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
