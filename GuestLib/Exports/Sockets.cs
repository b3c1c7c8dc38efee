using System.Runtime;
using NetKernel.Channel;

namespace NetKernel.GuestLib.Exports;

/// <summary>The calls that set up, name and end connections.</summary>
internal static unsafe class Sockets
{
    [RuntimeExport("bind")]
    public static int Bind(int fd, byte* address, uint length)
    {
        Real.Ensure();
        SocketSlot* s = Fds.Ours(fd);
        return s == null ? Fds.IsSuspended(fd) ? Fds.FailDead(fd) : Real.bind(fd, address, length)
            : Datagrams.Is(s) ? DatagramNames.Bind(fd, s, address, length) : Opening.Bind(fd, s, address, length);
    }

    [RuntimeExport("listen")]
    public static int Listen(int fd, int backlog)
    {
        Real.Ensure();
        SocketSlot* s = Fds.Ours(fd);
        return s == null || Datagrams.Is(s) ? Real.listen(fd, backlog) : Opening.Listen(fd, s, backlog);
    }

    [RuntimeExport("connect")]
    public static int Connect(int fd, byte* address, uint length)
    {
        Real.Ensure();
        SocketSlot* s = Fds.Ours(fd);
        return s != null ? Datagrams.Is(s) ? DatagramNames.Connect(fd, s, address, length) : Opening.Connect(fd, s, address, length)
            : Fds.IsDead(fd) ? Libc.Fail(Abi.ENETDOWN) : (int)Addresses.Unreachable(fd, Real.connect(fd, address, length));
    }

    [RuntimeExport("accept4")]
    public static int Accept4(int fd, void* address, uint* length, int flags)
    {
        Real.Ensure();
        SocketSlot* s = Fds.Ours(fd);
        if (s != null && !Datagrams.Is(s))
        {
            return Accepting.Accept(fd, s, address, length, flags);
        }

        if (Fds.KindOf(fd) == FdKind.Dead)
        {
            return Libc.Fail(Abi.ECONNRESET);
        }

        if (Fds.KindOf(fd) == FdKind.Lost && !Fds.IsSuspended(fd) && !Accepting.AwaitRevival(fd))
        {
            return -1;
        }

        if ((s = Fds.Ours(fd)) != null && !Datagrams.Is(s))
        {
            return Accepting.Accept(fd, s, address, length, flags);
        }

        int accepted = Real.accept4(fd, address, length, flags);
        Fds.Fresh(accepted);
        return accepted;
    }

    [RuntimeExport("accept")]
    public static int Accept(int fd, void* address, uint* length) => Accept4(fd, address, length, 0);

    [RuntimeExport("shutdown")]
    public static int Shutdown(int fd, int how)
    {
        Real.Ensure();
        SocketSlot* s = Fds.Ours(fd);
        return s != null ? Datagrams.Is(s) ? Datagrams.Shutdown(fd, s, how) : Closing.Shutdown(fd, s, how) : Fds.IsDead(fd) ? Libc.Fail(Abi.ENOTCONN) : Real.shutdown(fd, how);
    }

    [RuntimeExport("getsockname")]
    public static int GetSockName(int fd, void* address, uint* length)
    {
        Real.Ensure();
        SocketSlot* s = Fds.Ours(fd);
        if (s != null && Datagrams.Is(s))
        {
            return DatagramNames.GetSockName(fd, s, address, length);
        }

        // The local address of an accepted connection comes with AcceptDone, that of one under way with Connecting. Both are quiet: they do not ring, so look again by oneself.
        while (s != null && LacksName(s))
        {
            uint ticket = Draining.Ticket();
            if (!Draining.All() && LacksName(s))
            {
                _ = Waiting.Hold(Fds.IdOf(fd), Libc.Now() + 200_000, ticket);
            }
        }

        uint status = s == null ? 0 : Volatile.Read(ref s->Status);
        if ((status & (SocketStatus.Bound | SocketStatus.Connected | Status.Named)) == 0)
        {
            return Real.getsockname(fd, address, length);
        }

        int error = Addresses.Put(s->Domain, s->LocalLow, s->LocalHigh, s->LocalPort, address, length);
        return error == 0 ? 0 : Libc.Fail(error);
    }

    private static bool LacksName(SocketSlot* s)
    {
        uint status = Volatile.Read(ref s->Status);
        return !Region.Dead && ((status & SocketStatus.Connected) != 0
            ? Volatile.Read(ref s->LocalPort) == 0 && (status & SocketStatus.Reset) == 0
            : (status & (SocketStatus.Connecting | Status.Named)) == SocketStatus.Connecting);
    }

    [RuntimeExport("getpeername")]
    public static int GetPeerName(int fd, void* address, uint* length)
    {
        Real.Ensure();
        SocketSlot* s = Fds.Ours(fd);
        if (s == null)
        {
            return Fds.IsSuspended(fd) ? Fds.FailDead(fd) : Real.getpeername(fd, address, length);
        }

        if (Datagrams.Is(s))
        {
            return DatagramNames.GetPeerName(fd, s, address, length);
        }

        _ = Draining.All();
        uint status = Volatile.Read(ref s->Status);
        if ((status & SocketStatus.Connected) == 0 || Closing.IsOver(s, status))
        {
            return Libc.Fail(Abi.ENOTCONN);
        }

        int error = Addresses.Put(s->Domain, s->PeerLow, s->PeerHigh, s->PeerPort, address, length);
        return error == 0 ? 0 : Libc.Fail(error);
    }

    [RuntimeExport("setsockopt")]
    public static int SetSockOpt(int fd, int level, int name, void* value, uint length)
    {
        Real.Ensure();
        SocketSlot* s = Fds.Ours(fd);
        return s == null ? Fds.IsSuspended(fd) ? Fds.FailDead(fd) : Real.setsockopt(fd, level, name, value, length)
            : Datagrams.Is(s) ? DatagramOptions.Set(fd, s, level, name, value, length) : Options.Set(fd, s, level, name, value, length);
    }

    [RuntimeExport("getsockopt")]
    public static int GetSockOpt(int fd, int level, int name, void* value, uint* length)
    {
        Real.Ensure();
        SocketSlot* s = Fds.Ours(fd);
        if (s == null && Fds.KindOf(fd) == FdKind.Dead && level == Abi.SOL_SOCKET && name == Abi.SO_ERROR && value != null && length != null && *length >= 4)
        {
            *(int*)value = Fds.TakeReset(fd);
            *length = 4;
            return 0;
        }

        return s == null ? Real.getsockopt(fd, level, name, value, length)
            : Datagrams.Is(s) ? DatagramOptions.Get(fd, s, level, name, value, length) : Options.Get(fd, s, level, name, value, length);
    }
}
