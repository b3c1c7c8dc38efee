using NetKernel.Channel;

namespace NetKernel.GuestLib;

/// <summary>
/// Sockets that this process has without having made them: inherited across exec (inetd, socket activation, a server that executes its new version),
/// received over AF_UNIX, taken from another process. The inode of the kernel socket behind the fd says which they are.
/// </summary>
internal static unsafe class Inheriting
{
    /// <summary>Before the program's first instruction: attaches if it starts with an Internet socket among its fds, and makes them its own.</summary>
    internal static void AtStart()
    {
        FdListing listing = Own();
        bool any = false;
        while (!any && listing.TryNextSocket(out int fd, out _))
        {
            any = IsInternet(fd);
        }

        bool blind = !listing.IsOpen;
        listing.Close();
        for (int fd = 0; blind && !any && fd < 16; fd++)
        {
            any = IsInternet(fd); // without /proc: where inetd and socket activation put them
        }

        if (any)
        {
            _ = Attaching.Ensure(); // adopts them
        }
    }

    /// <summary>Makes this process a holder of every socket of the guest's that is among its fds.</summary>
    internal static void AdoptAll()
    {
        FdListing listing = Own();
        while (listing.TryNext(out int fd, out Stat stat))
        {
            if (stat.IsSocket)
            {
                _ = TryAdopt(fd, stat.Inode);
            }
            else if (stat.IsAnonymous && Fds.KindOf(fd) == FdKind.Native)
            {
                Epoll.TryJoin(fd);
            }
        }

        for (int fd = 0; !listing.IsOpen && fd < 1024; fd++)
        {
            _ = Adopt(fd);
        }

        listing.Close();
    }

    /// <summary>An fd that came from elsewhere: ours if it is a socket of this guest's.</summary>
    internal static bool Adopt(int fd)
    {
        Stat stat = default;
        if (Libc.fstat(fd, &stat) != 0)
        {
            return false;
        }

        if (stat.IsAnonymous)
        {
            Epoll.TryJoin(fd);
        }

        return stat.IsSocket && IsInternet(fd) && Attaching.IsGuest && Attaching.Ensure()
            && (Fds.KindOf(fd) == FdKind.Socket || TryAdopt(fd, stat.Inode)); // attaching has adopted it, perhaps
    }

    /// <summary>Whether an fd that is not adopted was a socket of the guest's: its slot is closing, or free and not used again.</summary>
    internal static bool WasOurs(int fd)
    {
        Stat stat = default;
        uint high = Region.Attached && Libc.fstat(fd, &stat) == 0 && stat.IsSocket ? Math.Min(Region.Header->SocketHigh, Region.Sockets) : 0;
        for (uint id = 0; id < high; id++)
        {
            if (Region.Socket(id)->Inode == stat.Inode)
            {
                return true;
            }
        }

        return false;
    }

    /// <summary>The open socket of an inode, or <see cref="Slots.None"/>.</summary>
    internal static uint Find(ulong inode)
    {
        uint high = Region.Header->SocketHigh < Region.Sockets ? Region.Header->SocketHigh : Region.Sockets;
        for (uint id = 0; id < high; id++)
        {
            SocketSlot* s = Region.Socket(id);
            if (s->Inode == inode && Volatile.Read(ref s->State) == SocketState.Open)
            {
                return id;
            }
        }

        return Slots.None;
    }

    private static bool TryAdopt(int fd, ulong inode)
    {
        if (Fds.KindOf(fd) != FdKind.Native || !Fds.Fits(fd))
        {
            return false;
        }

        uint id = Find(inode);
        if (id == Slots.None || (!Fds.Holds(id) && !Holding.TryJoin(id, inode)))
        {
            return false;
        }

        Fds.Set(fd, FdKind.Socket, id);
        Epoll.Reread();
        return true;
    }

    private static bool IsInternet(int fd)
    {
        int domain = 0;
        uint length = 4;
        return Real.getsockopt(fd, Abi.SOL_SOCKET, Abi.SO_DOMAIN, &domain, &length) == 0 && domain is Abi.AF_INET or Abi.AF_INET6;
    }

    private static FdListing Own()
    {
        fixed (byte* path = "/proc/self/fd"u8)
        {
            return new FdListing(path, own: true);
        }
    }
}
