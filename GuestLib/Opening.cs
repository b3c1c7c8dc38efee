using NetKernel.Channel;

namespace NetKernel.GuestLib;

/// <summary>socket(2), bind(2), listen(2), connect(2).</summary>
internal static unsafe class Opening
{
    private const uint S_IFMT = 0xF000, S_IFSOCK = 0xC000;

    /// <summary>Whether a socket of that kind is ours.</summary>
    internal static bool IsCovered(int domain, int type, int protocol) =>
        (domain is Abi.AF_INET or Abi.AF_INET6 && (type & Abi.SOCK_TYPE_MASK) == Abi.SOCK_STREAM && protocol is 0 or Abi.IPPROTO_TCP)
        || Datagrams.IsCovered(domain, type, protocol);

    /// <summary>Gives a fresh kernel socket its slot. 0, or an errno (the fd is still the caller's to close).</summary>
    internal static int Adopt(int fd, int domain, int type, uint status, out uint id)
    {
        id = 0;
        Stat stat = default;
        if (!Fds.Fits(fd) || Libc.fstat(fd, &stat) != 0)
        {
            return Abi.EMFILE;
        }

        if ((type & Abi.SOCK_NONBLOCK) != 0)
        {
            status |= Status.NonBlocking;
        }

        if (!Slots.TryClaim(domain, type & Abi.SOCK_TYPE_MASK, stat.Inode, status, out id))
        {
            return Abi.ENOBUFS;
        }

        Fds.Set(fd, FdKind.Socket, id);
        return 0;
    }

    internal static int Socket(int domain, int type, int protocol)
    {
        int fd = Real.socket(domain, type, protocol);
        if (fd < 0)
        {
            return fd;
        }

        Fds.Fresh(fd);
        if (!IsCovered(domain, type, protocol) || !Attaching.IsGuest)
        {
            return fd;
        }

        int error = Attaching.Ensure() ? Adopt(fd, domain, type, 0, out _) : Libc.Errno;
        if (error == 0)
        {
            return fd;
        }

        _ = Real.close(fd);
        return Libc.Fail(error);
    }

    /// <summary>bind(2). <paramref name="toListen"/>: a port is wanted now, whatever IP_BIND_ADDRESS_NO_PORT says.</summary>
    internal static int Bind(int fd, SocketSlot* s, byte* address, uint length, bool toListen = false)
    {
        int error = Addresses.Parse(address, length, s->Domain, out ulong low, out ulong high, out ushort port);
        if (error == Abi.EAFNOSUPPORT && s->Domain == Abi.AF_INET && *(ushort*)address == Abi.AF_UNSPEC && *(uint*)(address + 4) == 0)
        {
            error = 0; // as the kernel: old programs leave the family out
            high = Addresses.Map(0);
            port = Addresses.Swap(*(ushort*)(address + 2));
        }

        if (error != 0)
        {
            return Libc.Fail(error);
        }

        bool wildcard = Addresses.IsWildcard(low, high);
        bool inside = !wildcard && (Addresses.IsLoopback(low, high) || Addresses.IsMulticast(low, high));
        bool foreign = !inside && !wildcard && !Region.IsHostMode && !Region.IsOwnAddress(low, high);
        bool named = (s->Status & (SocketStatus.Bound | SocketStatus.Connected | SocketStatus.Connecting)) != 0;
        if (foreign && !(named && s->Domain == Abi.AF_INET6))
        {
            return Libc.Fail(Abi.EADDRNOTAVAIL); // looked at before the socket's state by __inet_bind, and after it by __inet6_bind
        }

        if (named)
        {
            // What is over has no port any more, and may have one; nothing can be done with it.
            return Closing.IsOver(s, s->Status) ? Real.bind(fd, address, length) : Libc.Fail(Abi.EINVAL);
        }

        if (inside)
        {
            // The guest's own kernel decides.
            int result = Real.bind(fd, address, length);
            if (result == 0)
            {
                BecomeNative(fd, s);
            }

            return result;
        }

        if (port == 0 && !toListen && !Region.IsHostMode && (s->OptionMask & (1ul << OptionTable.BindNoPort)) != 0)
        {
            return Real.bind(fd, address, length); // the address is the guest's only one, and connect finds a port
        }

        byte* local = stackalloc byte[28];
        length = length > 28 ? 28 : length;
        _ = Libc.memmove(local, address, length);
        return BindBoth(fd, s, local, length, low, high, port, wildcard);
    }

    /// <summary>
    /// Binds at the NSM, and at the same port on the guest's own kernel for the loopback half. The kernel is asked before: it knows the program's rights, which the NSM must not
    /// exceed, and the ports in use on the loopback; what the NSM has bound stays bound until the next attempt.
    /// </summary>
    private static int BindBoth(int fd, SocketSlot* s, byte* local, uint length, ulong low, ulong high, ushort port, bool wildcard)
    {
        const int PortTries = 16;
        if (port != 0 && !CanBind(fd, s, local, length))
        {
            return -1;
        }

        for (int tries = 1; ; tries++)
        {
            int error = BindAtNsm(fd, Fds.IdOf(fd), s, low, high, port, wildcard);
            if (error != 0)
            {
                return Libc.Fail(error);
            }

            uint bound = SocketStatus.Bound | Status.ExplicitBound | (wildcard ? SocketStatus.WildcardBound : 0);
            *(ushort*)(local + 2) = Addresses.Swap(s->LocalPort);
            if (Region.IsHostMode || Real.bind(fd, local, length) == 0)
            {
                // In host mode the NSM's socket serves the loopback too; two sockets cannot have one port.
                Interlocked.Or(ref s->Status, bound | (Region.IsHostMode ? 0 : SocketStatus.NativeBound));
                return 0;
            }

            if (port != 0 || Libc.Errno != Abi.EADDRINUSE || tries == PortTries)
            {
                return -1; // somebody was faster, or the ports that the NSM chooses are never free here
            }
        }
    }

    /// <summary>Whether the guest's own kernel would bind an address to a socket like this one; if not, errno says why.</summary>
    private static bool CanBind(int fd, SocketSlot* s, byte* address, uint length)
    {
        int probe = !Sandbox.Allows(Sandbox.Socket) ? -1 : Real.socket(s->Domain, Abi.SOCK_STREAM | Abi.SOCK_CLOEXEC, 0);
        if (probe < 0)
        {
            return true; // it will be seen
        }

        Same(fd, probe, Abi.SOL_SOCKET, Abi.SO_REUSEADDR);
        Same(fd, probe, Abi.SOL_SOCKET, Abi.SO_REUSEPORT);
        if (s->Domain == Abi.AF_INET6)
        {
            Same(fd, probe, Abi.IPPROTO_IPV6, Abi.IPV6_V6ONLY);
        }

        bool can = Real.bind(probe, address, length) == 0 || (Region.IsHostMode && Libc.Errno != Abi.EACCES);
        int errno = Libc.Errno;
        _ = Real.close(probe);
        Libc.Errno = errno;
        return can;
    }

    private static void Same(int from, int to, int level, int name)
    {
        int on = Options.IsOn(from, level, name) ? 1 : 0;
        _ = Real.setsockopt(to, level, name, &on, sizeof(int));
    }

    /// <summary>Binds at the NSM; an errno, or 0 with the local address and port in the slot.</summary>
    internal static int BindAtNsm(int fd, uint id, SocketSlot* s, ulong low, ulong high, ushort port, bool wildcard)
    {
        if (!Locks.TryEnter(ref s->ControlLock))
        {
            return Abi.EAGAIN;
        }

        Nqe* elements = stackalloc Nqe[Control.IntroduceMost];
        uint count = Control.Introduce(s, id, fd, elements);
        Nqe* bind = &elements[count];
        *bind = default;
        bind->Op = Op.Bind;
        bind->Socket = id;
        bind->OpData = low;
        bind->DataPtr = high;
        bind->Aux = port;
        bind->Flags = (wildcard ? NqeFlags.Wildcard : 0)
            | (s->Domain == Abi.AF_INET6 && Options.IsOn(fd, Abi.IPPROTO_IPV6, Abi.IPV6_V6ONLY) ? NqeFlags.V6Only : 0)
            | ((s->OptionMask & (1ul << OptionTable.ReuseAddress)) != 0 ? NqeFlags.ReuseAddress : 0)
            | ((s->OptionMask & (1ul << OptionTable.ReusePort)) != 0 ? NqeFlags.ReusePort : 0);
        int error = Control.Request(s, id, RingKind.Job, elements, count + 1);
        error = error != 0 ? error : (int)s->ControlError;
        if (error == 0)
        {
            s->LocalLow = low;
            s->LocalHigh = high;
            s->LocalPort = (ushort)s->ControlPtr;
        }

        Locks.Leave(ref s->ControlLock);
        return error;
    }

    internal static int Listen(int fd, SocketSlot* s, int backlog)
    {
        uint status = Volatile.Read(ref s->Status);
        if ((status & (SocketStatus.Connected | SocketStatus.Connecting)) != 0)
        {
            return Libc.Fail(Abi.EINVAL);
        }

        if ((status & SocketStatus.Bound) == 0)
        {
            // listen without bind, or without a port (IP_BIND_ADDRESS_NO_PORT): one is chosen now, on the address that the kernel socket has, mostly the wildcard.
            byte* any = stackalloc byte[28];
            uint length = 28;
            if (Real.getsockname(fd, any, &length) != 0 || Bind(fd, s, any, length, toListen: true) != 0)
            {
                return -1;
            }
        }

        // The kernel's half first: it can be made to stop again.
        bool both = (s->Status & SocketStatus.NativeBound) != 0;
        if (both && Real.listen(fd, backlog) != 0)
        {
            return -1;
        }

        int error = ListenAtNsm(Fds.IdOf(fd), s, backlog);
        if (error != 0)
        {
            _ = both && (status & SocketStatus.Listening) == 0 ? Real.shutdown(fd, Abi.SHUT_RDWR) : 0;
            return Libc.Fail(error);
        }

        if (both)
        {
            Epoll.WatchNativeHalf(fd, Fds.IdOf(fd));
        }

        return 0;
    }

    /// <summary>Listens at the NSM; an errno, or 0.</summary>
    internal static int ListenAtNsm(uint id, SocketSlot* s, int backlog)
    {
        if (!Locks.TryEnter(ref s->ControlLock))
        {
            return Abi.EAGAIN;
        }

        if ((s->Status & SocketStatus.Listening) == 0)
        {
            _ = Accepting.DeclineAll(s, id); // what came after an earlier shutdown
        }

        Nqe listen = default;
        listen.Op = Op.Listen;
        listen.Socket = id;
        listen.OpData = (ulong)(uint)backlog;
        int error = Control.Request(s, id, RingKind.Job, &listen, 1);
        error = error != 0 ? error : (int)s->ControlError;
        if (error == 0)
        {
            s->Backlog = backlog;
            Interlocked.Or(ref s->Status, SocketStatus.Listening);
        }

        Locks.Leave(ref s->ControlLock);
        return error;
    }

    internal static int Connect(int fd, SocketSlot* s, byte* address, uint length)
    {
        Interrupts.Point();
        int result = Run(fd, s, address, length);
        if (Orphans.Any)
        {
            Orphans.Settle();
        }

        return result;
    }

    private static int Run(int fd, SocketSlot* s, byte* address, uint length)
    {
        int error = Addresses.Check(address, length);
        if (error != 0 || length < sizeof(ushort))
        {
            return Libc.Fail(error != 0 ? error : Abi.EINVAL);
        }

        uint status = Volatile.Read(ref s->Status);
        if (*(ushort*)address == Abi.AF_UNSPEC)
        {
            return Disconnecting.Do(fd, s);
        }

        // The state counts before the address, as in the kernel (inet_stream_connect).
        bool nonBlocking = (status & Status.NonBlocking) != 0;
        if ((status & SocketStatus.Connecting) != 0 && Draining.All())
        {
            status = Volatile.Read(ref s->Status); // its end may have been told already
        }

        if ((status & SocketStatus.Connecting) != 0)
        {
            return nonBlocking ? Libc.Fail(Abi.EALREADY) : AwaitConnect(fd, s, Abi.EALREADY);
        }

        if ((status & SocketStatus.Connected) != 0 && (status & Status.ConnectReported) == 0)
        {
            Interlocked.Or(ref s->Status, Status.ConnectReported);
            return 0;
        }

        if ((status & Status.ConnectFailed) != 0)
        {
            return ConnectFailed(s); // a non-blocking one that nobody has asked about yet
        }

        if ((status & (SocketStatus.Listening | SocketStatus.Connected)) != 0)
        {
            return Libc.Fail(Abi.EISCONN);
        }

        error = Addresses.Parse(address, length, s->Domain, out ulong low, out ulong high, out ushort port);
        if (error != 0)
        {
            return Libc.Fail(error);
        }

        if (Addresses.IsLoopback(low, high) || Region.IsOwnAddress(low, high))
        {
            if (nonBlocking)
            {
                BecomeNative(fd, s);
                return Real.connect(fd, address, length);
            }

            // One that was refused may try another address, one that is not the guest's.
            int result = Real.connect(fd, address, length);
            if (result == 0 || Libc.Errno is Abi.EINPROGRESS or Abi.EINTR)
            {
                int errno = Libc.Errno;
                BecomeNative(fd, s);
                Libc.Errno = errno;
            }

            return result;
        }

        if (Addresses.IsWildcard(low, high))
        {
            Addresses.ToSelf(s, ref low, ref high);
        }

        if (!Locks.TryEnter(ref s->ControlLock))
        {
            return Libc.Fail(Abi.EAGAIN);
        }

        Nqe* elements = stackalloc Nqe[Control.IntroduceMost];
        uint id = Fds.IdOf(fd);
        uint count = Control.Introduce(s, id, fd, elements);
        Nqe* connect = &elements[count];
        *connect = default;
        connect->Op = Op.Connect;
        connect->Socket = id;
        connect->OpData = low;
        connect->DataPtr = high;
        connect->Aux = port;
        connect->Flags = (status & Status.ExplicitBound) != 0 ? NqeFlags.Bound : 0;
        s->PeerLow = low;
        s->PeerHigh = high;
        s->PeerPort = port;
        s->Error = 0;
        Interlocked.And(ref s->Status, ~Status.Named);
        Interlocked.Or(ref s->Status, SocketStatus.Connecting);
        bool sent = Rings.Job(s, elements, count + 1);
        Locks.Leave(ref s->ControlLock);
        return !sent ? Libc.Fail(Region.Dead ? Abi.ENETDOWN : Abi.EAGAIN) : nonBlocking ? Libc.Fail(Abi.EINPROGRESS) : AwaitConnect(fd, s, Abi.EINPROGRESS);
    }

    /// <summary>Tells how a connect failed, and makes the socket as good as new.</summary>
    private static int ConnectFailed(SocketSlot* s)
    {
        int error = Interlocked.Exchange(ref s->Error, 0);
        uint status = Interlocked.And(ref s->Status, ~Status.ConnectFailed);
        if ((status & Status.ExplicitBound) == 0 || (status & SocketStatus.WildcardBound) != 0)
        {
            s->LocalLow = 0; // the port stays to be seen, as the kernel has it
            s->LocalHigh = s->Domain == Abi.AF_INET ? Addresses.Map(0) : 0;
        }

        return Libc.Fail(error == 0 ? Abi.ECONNABORTED : error);
    }

    /// <summary>After shutdown(2) of a socket that was connecting: the NSM gives the attempt up, and the socket is as before it, with the error still to be told.</summary>
    internal static void AwaitCancelled(uint id, SocketSlot* s)
    {
        while ((Volatile.Read(ref s->Status) & SocketStatus.Connecting) != 0 && !Region.IsOver(s))
        {
            uint ticket = Draining.Ticket();
            if (!Draining.All() && (Volatile.Read(ref s->Status) & SocketStatus.Connecting) != 0)
            {
                _ = Waiting.Hold(id, -1, ticket);
            }
        }

        Interlocked.And(ref s->Status, ~Status.ConnectFailed);
    }

    /// <summary>Waits for the connect under way; <paramref name="late"/> is the errno when SO_SNDTIMEO ends the wait.</summary>
    private static int AwaitConnect(int fd, SocketSlot* s, int late)
    {
        uint id = Fds.IdOf(fd);
        long deadline = Options.Deadline(fd, s, Abi.SO_SNDTIMEO);
        while (true)
        {
            uint ticket = Draining.Ticket();
            uint status = Volatile.Read(ref s->Status);
            if ((status & SocketStatus.Connecting) == 0)
            {
                if ((status & SocketStatus.Connected) != 0)
                {
                    Interlocked.Or(ref s->Status, Status.ConnectReported);
                    return 0;
                }

                return ConnectFailed(s);
            }

            if (Region.IsOver(s))
            {
                return Libc.Fail(Abi.ENETDOWN);
            }

            if (Draining.All())
            {
                continue;
            }

            if (Waiting.Block(id, null, 0, deadline, deadline >= 0, ticket) < 0)
            {
                return -1;
            }

            if (deadline >= 0 && Libc.Now() >= deadline)
            {
                return Libc.Fail(late);
            }
        }
    }

    /// <summary>From now on the guest's own kernel serves the socket.</summary>
    internal static void BecomeNative(int fd, SocketSlot* s)
    {
        if ((Interlocked.Or(ref s->Status, SocketStatus.Native) & SocketStatus.Native) == 0)
        {
            Epoll.MoveToNative(fd, Fds.IdOf(fd));
        }
    }
}
