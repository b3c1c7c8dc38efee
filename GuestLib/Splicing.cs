using NetKernel.Channel;

namespace NetKernel.GuestLib;

/// <summary>
/// splice(2) and sendfile(2) with a socket of ours at one end. Data moves between the other end and the pools without a buffer of the program's: files and pipes are read
/// straight into the TX pool, and pipes are written straight from the RX pool.
/// </summary>
internal static unsafe class Splicing
{
    internal const uint SPLICE_F_NONBLOCK = 2, SPLICE_F_MORE = 4, SPLICE_F_ALL = 15;

    private const uint S_IFMT = 0xF000, S_IFIFO = 0x1000, S_IFCHR = 0x2000, S_IFBLK = 0x6000, S_IFREG = 0x8000;
    private const int O_ACCMODE = 3, O_RDONLY = 0, O_WRONLY = 1;
    private const int F_GETPIPE_SZ = 1032;

    /// <summary>A pipe that has room (POLLOUT) takes as much without blocking.</summary>
    private const nuint PipeBuffer = 4096;

    /// <summary>sendfile(2) into a connection.</summary>
    internal static nint SendFile(int fd, SocketSlot* s, int from, long* offset, nuint length)
    {
        int error = Datagrams.Is(s) ? Abi.EINVAL : CheckFile(from, offset, length); // no zero-copy into datagrams
        return error != 0 ? Libc.Fail(error)
            : length == 0 ? 0
            : Sending.SendFile(fd, s, from, offset, length > Messages.MostBytes ? Messages.MostBytes : length, 0);
    }

    /// <summary>splice(2) with at least one end of ours.</summary>
    internal static nint Splice(int from, long* fromOffset, int to, long* toOffset, nuint length, uint flags)
    {
        if (length == 0 || (flags & ~SPLICE_F_ALL) != 0)
        {
            return length == 0 ? 0 : Libc.Fail(Abi.EINVAL);
        }

        SocketSlot* source = Fds.Ours(from);
        SocketSlot* destination = Fds.Ours(to);
        int pipe = source == null ? from : to;
        long* pipeOffset = source == null ? fromOffset : toOffset;
        long* socketOffset = source == null ? toOffset : fromOffset;
        if ((source != null && destination != null) || Datagrams.Is(source != null ? source : destination))
        {
            return Libc.Fail(Abi.EINVAL); // one end must be a pipe
        }

        int mode = Real.fcntl(pipe, Abi.F_GETFL, 0);
        bool isPipe = TypeOf(pipe) == S_IFIFO;
        if (mode < 0 || (mode & O_ACCMODE) == (source == null ? O_WRONLY : O_RDONLY))
        {
            return Libc.Fail(isPipe && pipeOffset != null ? Abi.ESPIPE : Abi.EBADF);
        }

        if (!isPipe || pipeOffset != null || socketOffset != null)
        {
            return Libc.Fail(isPipe && pipeOffset != null ? Abi.ESPIPE : UserMemory.CanRead(socketOffset, socketOffset == null ? 0u : 8u) ? Abi.EINVAL : Abi.EFAULT);
        }

        flags |= (mode & Abi.O_NONBLOCK) != 0 ? SPLICE_F_NONBLOCK : 0;
        return source != null ? ToPipe(from, source, to, length, flags) : FromPipe(from, to, destination, length, flags);
    }

    /// <summary>From a connection into a pipe: what is there, or what comes first.</summary>
    internal static nint ToPipe(int fd, SocketSlot* s, int pipe, nuint length, uint flags)
    {
        if (!Await(pipe, Abi.POLLOUT, (flags & SPLICE_F_NONBLOCK) != 0, out short events))
        {
            return -1;
        }

        if ((events & Abi.POLLERR) != 0)
        {
            _ = Libc.pthread_kill(Libc.pthread_self(), Abi.SIGPIPE);
            return Libc.Fail(Abi.EPIPE); // nobody reads
        }

        // A look at the first byte waits, ends or fails as any receive does.
        byte first;
        IoVec look = new() { Base = &first, Length = 1 };
        nint there = Receiving.Receive(fd, s, &look, 1, Abi.MSG_PEEK);
        return there <= 0 ? there : Receiving.ReceiveToPipe(fd, s, pipe, length > Messages.MostBytes ? Messages.MostBytes : length);
    }

    /// <summary>Writes to a pipe without blocking: bytes, 0 when it is full, -1 with errno.</summary>
    internal static nint Put(int pipe, byte* source, nuint bytes)
    {
        nint done = 0;
        while ((nuint)done < bytes)
        {
            int queued = 0;
            nuint room = Real.ioctl(pipe, Abi.FIONREAD, (nint)(&queued)) == 0 && queued == 0 ? (nuint)Real.fcntl(pipe, F_GETPIPE_SZ, 0)
                : Await(pipe, Abi.POLLOUT, true, out _) ? PipeBuffer : 0;
            nuint left = bytes - (nuint)done;
            nint put = room == 0 ? 0 : Raw.Write(pipe, source + done, left < room ? left : room);
            if (put <= 0)
            {
                return done > 0 ? done : put < 0 && Libc.Errno == Abi.EAGAIN ? 0 : put;
            }

            done += put;
        }

        return done;
    }

    /// <summary>From a pipe into a connection: what is in the pipe now, or what comes first.</summary>
    private static nint FromPipe(int pipe, int fd, SocketSlot* s, nuint length, uint flags)
    {
        if (!Await(pipe, Abi.POLLIN, (flags & SPLICE_F_NONBLOCK) != 0, out _))
        {
            return -1;
        }

        int queued = 0;
        if (Real.ioctl(pipe, Abi.FIONREAD, (nint)(&queued)) != 0 || queued == 0)
        {
            return 0; // nobody writes
        }

        length = length < (nuint)queued ? length : (nuint)queued;
        return Sending.SendFile(fd, s, pipe, null, length, (flags & SPLICE_F_MORE) != 0 ? Abi.MSG_MORE : 0);
    }

    /// <summary>Waits for a native fd; false with EAGAIN or EINTR.</summary>
    private static bool Await(int fd, short wanted, bool atOnce, out short events)
    {
        PollFd poll = new() { Fd = fd, Events = wanted };
        int ready = atOnce ? Raw.PollNow(&poll, 1) : Real.ppoll(&poll, 1, null, null);
        events = poll.Revents;
        if (ready == 0)
        {
            Libc.Errno = Abi.EAGAIN;
        }

        return ready > 0;
    }

    /// <summary>What sendfile(2) says of its input: 0, or an errno.</summary>
    private static int CheckFile(int from, long* offset, nuint length)
    {
        if (offset != null && !UserMemory.CanWrite(offset, sizeof(long)))
        {
            return Abi.EFAULT;
        }

        int mode = Fds.KindOf(from) == FdKind.Hidden ? -1 : Real.fcntl(from, Abi.F_GETFL, 0);
        if (mode < 0 || (mode & O_ACCMODE) == O_WRONLY)
        {
            return Abi.EBADF;
        }

        // Sockets, pipes and the like cannot be read at a place, and cannot be read again when the connection takes less.
        uint type = TypeOf(from);
        return type is S_IFREG or S_IFBLK or S_IFCHR ? (nint)length < 0 || (offset != null && *offset < 0) ? Abi.EINVAL : 0
            : offset != null && type == S_IFIFO ? Abi.ESPIPE : Abi.EINVAL;
    }

    private static uint TypeOf(int fd)
    {
        Stat stat = default;
        return Libc.fstat(fd, &stat) == 0 ? stat.Mode & S_IFMT : 0;
    }
}
