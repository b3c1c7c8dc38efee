using NetKernel.Channel;

namespace NetKernel.GuestLib;

/// <summary>accept(2): connections that the NSM announced, and those that came over the guest's own loopback.</summary>
internal static unsafe class Accepting
{
    internal static int Accept(int fd, SocketSlot* s, void* address, uint* length, int flags)
    {
        Interrupts.Point();
        int accepted = Run(fd, s, address, length, flags);
        if (Orphans.Any)
        {
            Orphans.Settle();
        }

        return accepted;
    }

    private static int Run(int fd, SocketSlot* s, void* address, uint* length, int flags)
    {
        if ((flags & ~(Abi.SOCK_NONBLOCK | Abi.SOCK_CLOEXEC)) != 0)
        {
            return Libc.Fail(Abi.EINVAL);
        }

        PollFd* fds = stackalloc PollFd[1];
        uint id = Fds.IdOf(fd);
        bool nonBlocking = (Volatile.Read(ref s->Status) & Status.NonBlocking) != 0; // as it was when the call began
        long deadline = -2;
        while (true)
        {
            bool isLost = Fds.KindOf(fd) == FdKind.Lost;
            if (isLost || (!Region.Dead && Region.IsOver(s)))
            {
                if (isLost && !AwaitRevival(fd))
                {
                    return -1;
                }

                s = Fds.Ours(fd);
                if (s == null)
                {
                    return AcceptNative(fd, address, length, flags);
                }

                id = Fds.IdOf(fd);
            }

            uint ticket = Draining.Ticket();
            uint status = Volatile.Read(ref s->Status);
            if ((status & SocketStatus.Listening) == 0 || (status & SocketStatus.Reset) != 0)
            {
                if (Region.Dead && Fds.KindOf(fd) == FdKind.Lost)
                {
                    continue;
                }

                return Libc.Fail(Region.Dead ? Abi.ECONNRESET : Abi.EINVAL);
            }

            if (Volatile.Read(ref s->RxTail) != s->RxHead || (Draining.Of(s->QueueSet) && Volatile.Read(ref s->RxTail) != s->RxHead))
            {
                int accepted = Take(fd, s, id, address, length, flags);
                if (accepted != -2)
                {
                    return accepted;
                }

                continue; // another thread or process was faster
            }

            // Another thread may have closed the fd meanwhile, and its number may be another socket's: both halves are waited for still.
            int half = (status & SocketStatus.NativeBound) != 0 ? Orphans.HalfOf(fd, id) : -1;
            bool native = half >= 0;
            if (nonBlocking)
            {
                return native ? AcceptNative(half, address, length, flags) : Libc.Fail(Abi.EAGAIN);
            }

            if (deadline == -2)
            {
                deadline = Options.Deadline(fd, s, Abi.SO_RCVTIMEO);
            }

            fds[0].Fd = half;
            fds[0].Events = Abi.POLLIN;
            fds[0].Revents = 0;
            int ready = Waiting.Block(id, fds, native ? 1u : 0u, deadline, deadline >= 0, ticket, exclusive: true);
            if (ready < 0)
            {
                return -1;
            }

            if (native && ready > 0)
            {
                int accepted = TakeNative(fd, s, id, address, length, flags);
                if (accepted != -2)
                {
                    return accepted;
                }
            }

            if (deadline >= 0 && Libc.Now() >= deadline)
            {
                return Libc.Fail(Abi.EAGAIN);
            }
        }
    }

    /// <summary>
    /// A listener whose CoreEngine is gone: waits until it lives again, or until its loopback half has a connection, unless the socket is
    /// non-blocking. False with errno when a signal came.
    /// </summary>
    internal static bool AwaitRevival(int fd)
    {
        bool nonBlocking = (Real.fcntl(fd, Abi.F_GETFL, 0) & Abi.O_NONBLOCK) != 0;
        while (true)
        {
            Reviving.Try();
            if (nonBlocking || Fds.KindOf(fd) != FdKind.Lost)
            {
                return true;
            }

            PollFd own = new() { Fd = fd, Events = Abi.POLLIN };
            TimeSpec nap = new() { Nanoseconds = Reviving.Interval };
            int ready = Real.ppoll(&own, 1, &nap, null);
            if (ready != 0)
            {
                return ready > 0;
            }
        }
    }

    /// <summary>A connection that came over the guest's own loopback: the kernel's, from now on natively.</summary>
    private static int AcceptNative(int fd, void* address, uint* length, int flags)
    {
        int accepted = Real.accept4(fd, address, length, flags);
        Fds.Fresh(accepted);
        return accepted;
    }

    /// <summary>
    /// Accepts from the kernel's half if there is anything; -2 when there is not: somebody was faster, and accept(2) of a blocking socket would wait for
    /// the kernel's connections alone.
    /// </summary>
    private static int TakeNative(int fd, SocketSlot* s, uint id, void* address, uint* length, int flags)
    {
        if (!Locks.TryEnter(ref s->RxLock))
        {
            return Libc.Fail(Abi.EAGAIN);
        }

        PollFd look = new() { Fd = Orphans.HalfOf(fd, id), Events = Abi.POLLIN }; // closed while this thread slept, perhaps
        TimeSpec now = default;
        int accepted = look.Fd >= 0 && Real.ppoll(&look, 1, &now, null) > 0 ? AcceptNative(look.Fd, address, length, flags) : -2;
        int errno = Libc.Errno;
        Locks.Leave(ref s->RxLock);
        Libc.Errno = errno;
        return accepted;
    }

    /// <summary>Refuses what has been announced and not accepted.</summary>
    internal static bool DeclineAll(SocketSlot* s, uint listener)
    {
        if (!Locks.TryEnter(ref s->RxLock))
        {
            return false;
        }

        Nqe nqe = default;
        nqe.Op = Op.Decline;
        nqe.Socket = listener;
        for (; Volatile.Read(ref s->RxTail) != s->RxHead; Volatile.Write(ref s->RxHead, s->RxHead + 1))
        {
            nqe.OpData = ((AcceptEntry*)s->Entries)[s->RxHead % SocketSlot.AcceptEntries].Handle;
            _ = Rings.Send(s, &nqe, 1);
        }

        Locks.Leave(ref s->RxLock);
        return true;
    }

    /// <summary>
    /// TCP_DEFER_ACCEPT: what the connection waited for lies at the NSM, and is here in a moment: accept(2) returns when it can be read. Bounded, because a connection
    /// whose time was up comes without any.
    /// </summary>
    private static void AwaitData(int listenerFd, SocketSlot* accepted, uint listener, uint id)
    {
        const long Longest = 10_000_000; // nanoseconds
        if (!Options.IsOn(Orphans.HalfOf(listenerFd, listener), Abi.IPPROTO_TCP, Abi.TCP_DEFER_ACCEPT))
        {
            return; // switched off again
        }

        long deadline = Libc.Now() + Longest;
        while (Volatile.Read(ref accepted->RxTail) == accepted->RxHead && (Volatile.Read(ref accepted->Status) & (SocketStatus.PeerClosed | SocketStatus.Reset)) == 0
            && !Region.Dead && Libc.Now() < deadline)
        {
            uint ticket = Draining.Ticket();
            if (!Draining.All() && Volatile.Read(ref accepted->RxTail) == accepted->RxHead)
            {
                _ = Waiting.Hold(id, deadline, ticket);
            }
        }
    }

    /// <summary>Takes the first announced connection; -2 when there is none any more.</summary>
    private static int Take(int listenerFd, SocketSlot* s, uint listener, void* address, uint* length, int flags)
    {
        if (!Sandbox.Allows(Sandbox.Socket))
        {
            Report.Line("the filter on system calls that this program has installed forbids socket(2), which accept(2) needs here"u8);
            return Libc.Fail(Abi.EPERM);
        }

        int fd = Real.socket(s->Domain, Abi.SOCK_STREAM | (flags & (Abi.SOCK_NONBLOCK | Abi.SOCK_CLOEXEC)), 0);
        if (fd < 0)
        {
            return -1;
        }

        Fds.Fresh(fd);
        if (!Locks.TryEnter(ref s->RxLock))
        {
            _ = Real.close(fd);
            return Libc.Fail(Abi.EAGAIN);
        }

        if (Volatile.Read(ref s->RxTail) == s->RxHead)
        {
            Locks.Leave(ref s->RxLock);
            _ = Real.close(fd);
            return -2;
        }

        AcceptEntry entry = ((AcceptEntry*)s->Entries)[s->RxHead % SocketSlot.AcceptEntries];
        int error = Opening.Adopt(fd, s->Domain, Abi.SOCK_STREAM | flags, SocketStatus.Known | SocketStatus.Connected | Status.ConnectReported, out uint id);
        if (error == 0)
        {
            Volatile.Write(ref s->RxHead, s->RxHead + 1);
        }

        Locks.Leave(ref s->RxLock);
        if (error != 0)
        {
            _ = Real.close(fd);
            return Libc.Fail(error);
        }

        SocketSlot* accepted = Region.Socket(id);
        Options.Inherit(Orphans.HalfOf(listenerFd, listener), s, fd, accepted);
        accepted->PeerLow = entry.PeerLow;
        accepted->PeerHigh = entry.PeerHigh;
        accepted->PeerPort = (ushort)entry.PeerPort;
        if (!Region.IsHostMode)
        {
            // Known without asking: the listener's address, or the guest's own of the family the peer came by.
            bool mapped = Addresses.IsMapped(entry.PeerLow, entry.PeerHigh);
            bool wildcard = Addresses.IsWildcard(s->LocalLow, s->LocalHigh);
            accepted->LocalLow = !wildcard ? s->LocalLow : mapped ? 0 : Region.Header->Address6Low;
            accepted->LocalHigh = !wildcard ? s->LocalHigh : mapped ? Addresses.Map(Region.Header->Address4) : Region.Header->Address6High;
            accepted->LocalPort = s->LocalPort;
        }

        Nqe nqe = default;
        nqe.Op = Op.Accept;
        nqe.Socket = id;
        nqe.OpData = entry.Handle;
        nqe.DataPtr = listener;
        if (!Rings.Send(accepted, &nqe, 1))
        {
            _ = Closing.Close(fd);
            return Libc.Fail(Abi.ECONNABORTED);
        }

        if ((s->OptionMask & (1ul << OptionTable.DeferAccept)) != 0)
        {
            AwaitData(listenerFd, accepted, listener, id);
        }

        error = address == null ? 0 : Addresses.Put(s->Domain, entry.PeerLow, entry.PeerHigh, (ushort)entry.PeerPort, address, length);
        if (error == 0)
        {
            return fd;
        }

        _ = Closing.Close(fd); // as the kernel: the connection is lost
        return Libc.Fail(error);
    }
}
