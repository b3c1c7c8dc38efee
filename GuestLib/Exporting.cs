using NetKernel.Channel;

namespace NetKernel.GuestLib;

/// <summary>
/// Sockets that are about to be with somebody who is not yet among their holders: in a message over AF_UNIX, or inherited by a program that is being
/// started without having been forked (posix_spawn, vfork). CoreEngine is given the file (<see cref="AttachOp.Export"/>) and closes the socket with it.
/// </summary>
internal static unsafe class Exporting
{
    private const int F_GETFD = 1, FD_CLOEXEC = 1;

    /// <summary>Exports a socket, once. <paramref name="fd"/> is any fd of it.</summary>
    internal static void Export(int fd, uint id)
    {
        SocketSlot* s = Region.Socket(id);
        int errno = Libc.Errno;
        if (Volatile.Read(ref s->Exported) == 0 && Attaching.Tell(AttachOp.Export, id, fd))
        {
            Volatile.Write(ref s->Exported, 1); // After the message: whoever leaves an exported socket to CoreEngine can rely on its knowing.
        }

        Libc.Errno = errno;
    }

    /// <summary>The last holder of an exported socket has left, and has closed its fds before.</summary>
    internal static void Left(uint id)
    {
        int errno = Libc.Errno;
        _ = Attaching.Tell(AttachOp.Left, id, -1);
        Libc.Errno = errno;
    }

    /// <summary>
    /// Before an exec. A process with a slot of its own needs nothing: CoreEngine sees its exec. A vfork child has borrowed memory, slot and books, and
    /// its own fds: those that the program will inherit are exported.
    /// </summary>
    internal static void BeforeExec()
    {
        Epoll.MarkInherited();
        if (!Region.Attached || Region.Dead || Fds.Held == 0 || Libc.getpid() == Forking.Pid)
        {
            return;
        }

        int errno = Libc.Errno;
        FdListing listing;
        fixed (byte* path = "/proc/self/fd"u8)
        {
            listing = new FdListing(path, own: true);
        }

        // Over a connection of its own: it may have closed its parent's, or have put something else in its place.
        int connection = -1;
        while (listing.TryNextSocket(out int fd, out ulong inode))
        {
            uint id = (Real.fcntl(fd, F_GETFD, 0) & FD_CLOEXEC) == 0 ? Inheriting.Find(inode) : Slots.None;
            if (id != Slots.None && Volatile.Read(ref Region.Socket(id)->Exported) == 0)
            {
                connection = connection < 0 ? Attaching.Connect() : connection;
                if (connection >= 0 && Attaching.TellBy(connection, AttachOp.Export, id, fd))
                {
                    Volatile.Write(ref Region.Socket(id)->Exported, 1);
                }
            }
        }

        listing.Close();
        if (connection >= 0)
        {
            Attaching.Finish(connection); // its parent's messages go another way: this one's must be there first
        }

        Libc.Errno = errno;
    }

    /// <summary>After posix_spawn: exports what the child has inherited, whatever the file actions made of it.</summary>
    internal static void AfterSpawn(int pid)
    {
        if (!Region.Attached || Region.Dead || Fds.Held == 0)
        {
            return;
        }

        int errno = Libc.Errno;
        byte* path = stackalloc byte[32];
        Write(path, pid);
        FdListing listing = new(path, own: false);
        while (listing.TryNextSocket(out _, out ulong inode))
        {
            uint id = Inheriting.Find(inode);
            int own = id == Slots.None ? -1 : Fds.Find(FdKind.Socket, id, -1);
            if (own >= 0)
            {
                Export(own, id);
            }
        }

        listing.Close();
        Libc.Errno = errno;
    }

    /// <summary>Before a child of libc's own (popen), whose pid nobody learns: exports whatever it may inherit.</summary>
    internal static void BeforeChild()
    {
        Epoll.MarkInherited();
        for (int fd = 0; fd < Fds.High && Fds.Held != 0 && !Region.Dead; fd++)
        {
            if (Fds.KindOf(fd) == FdKind.Socket && (Real.fcntl(fd, F_GETFD, 0) & FD_CLOEXEC) == 0)
            {
                Export(fd, Fds.IdOf(fd));
            }
        }
    }

    /// <summary>"/proc/PID/fd".</summary>
    private static void Write(byte* path, int pid)
    {
        fixed (byte* start = "/proc/"u8, end = "/fd"u8)
        {
            _ = Libc.memmove(path, start, 6);
            byte* digits = stackalloc byte[12];
            int n = 0;
            do
            {
                digits[n++] = (byte)('0' + (pid % 10));
                pid /= 10;
            }
            while (pid != 0);
            byte* at = path + 6;
            while (n > 0)
            {
                *at++ = digits[--n];
            }

            _ = Libc.memmove(at, end, 4);
        }
    }
}
