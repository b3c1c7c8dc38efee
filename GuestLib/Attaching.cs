using NetKernel.Channel;

namespace NetKernel.GuestLib;

/// <summary>Getting to the guest's channel: over the attach socket at first need, by the inherited connection after a fork.</summary>
internal static unsafe class Attaching
{
    private const int PathBytes = 108;
    private const int ControlBytes = 128;
    private const uint ExecutedFlag = 1u << 31;
    private static byte* s_path;
    private static int s_busy;
    private static int s_connection;

    /// <summary>The end of the pipe by which CoreEngine wakes this process.</summary>
    internal static int WakeFd;

    /// <summary>eventfds that wake CoreEngine's loops.</summary>
    private static int* s_bells;

    /// <summary>Whether this process is in a guest at all.</summary>
    internal static bool IsGuest => s_path != null;

    /// <summary>Reads the way to the guest's channel from the environment.</summary>
    internal static void Configure()
    {
        byte* path;
        fixed (byte* name = "NETKERNEL_ATTACH"u8)
        {
            path = Libc.getenv(name);
        }

        if (path == null || path[0] == 0)
        {
            return;
        }

        // A copy: programs overwrite their environment (setproctitle).
        byte* copy = Libc.Reserve(4096);
        if (copy == null)
        {
            return;
        }

        uint n = 0;
        while (n < PathBytes - 1 && path[n] != 0)
        {
            copy[n] = path[n];
            n++;
        }

        s_bells = (int*)(copy + 256);
        s_connection = -1;
        WakeFd = -1;
        s_path = path[n] == 0 ? copy : null;
        fixed (byte* name = "NETKERNEL_LOOPBACK"u8, netkernel = "netkernel"u8)
        {
            byte* value = Libc.getenv(name);
            Region.CarriesLoopback = value != null && Libc.strcmp(value, netkernel) == 0;
        }

        if (s_path != null)
        {
            Environment.Configure(s_path, copy + 512);
        }
    }

    /// <summary>Makes sure that this process is attached; false when it cannot be (errno says why).</summary>
    internal static bool Ensure()
    {
        if (Region.Attached && !Region.Dead)
        {
            return true;
        }

        if (s_path == null)
        {
            return false;
        }

        while (Interlocked.CompareExchange(ref s_busy, 1, 0) != 0)
        {
            _ = Libc.sched_yield();
        }

        const int PTHREAD_CANCEL_DISABLE = 1;
        int before;
        _ = Libc.pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &before);
        bool ok = (Region.Attached && !Region.Dead) || Attach();
        Volatile.Write(ref s_busy, 0);
        _ = Libc.pthread_setcancelstate(before, null);
        return ok;
    }

    internal static void AfterFork() => s_busy = 0;

    /// <summary>One of CoreEngine's bells.</summary>
    internal static int AnyBell => s_bells[0];

    /// <summary>A bell of the caller's own, over a connection of its own; -1: none.</summary>
    internal static int AskForBell() => Ask(AttachOp.Bell, 0);

    /// <summary>Maps a region of the direct form; null: it cannot be had.</summary>
    internal static byte* MapRegion(uint region)
    {
        int fd = Sandbox.IsFiltered ? -1 : Ask(AttachOp.Pair, region);
        if (fd < 0)
        {
            return null;
        }

        nint start = Libc.mmap(0, (nuint)DirectLayout.Length, Abi.PROT_READ | Abi.PROT_WRITE, Abi.MAP_SHARED, fd, 0);
        _ = Real.close(fd);
        return start == -1 ? null : (byte*)start;
    }

    /// <summary>An fd that CoreEngine gives for the asking, over a connection of the caller's own; -1: none.</summary>
    private static int Ask(AttachOp op, uint slot)
    {
        AttachMessage message = default;
        int fd = -1;
        int connection = Connect();
        if (connection >= 0 && TellBy(connection, op, slot, -1) && Receive(connection, &message, &fd, 1) != 1)
        {
            fd = -1;
        }

        if (connection >= 0)
        {
            _ = Real.close(connection);
        }

        return fd;
    }

    /// <summary>Wakes a loop of CoreEngine.</summary>
    internal static void RingLoop(uint loop)
    {
        ulong one = 1;
        Volatile.Write(ref Region.Bell(loop)->RungOn, (uint)(Libc.sched_getcpu() + 1));
        _ = Raw.Write(s_bells[loop], &one, 8);
    }

    /// <summary>An fd of the library has another number.</summary>
    internal static void Moved(int from, int to)
    {
        WakeFd = WakeFd == from ? to : WakeFd;
        s_connection = s_connection == from ? to : s_connection;
        for (uint i = 0; i < Region.Loops; i++)
        {
            s_bells[i] = s_bells[i] == from ? to : s_bells[i];
        }
    }

    /// <summary>Closes this process's end of the pipe that wakes it.</summary>
    internal static void LoseBell()
    {
        Fds.CloseHidden(WakeFd);
        WakeFd = -1;
    }

    /// <summary>In a forked child: a pipe of its own, told over the inherited connection.</summary>
    internal static bool ForkAttach(uint slot)
    {
        Fds.CloseHidden(WakeFd);
        int writeEnd = MakePipe();
        if (writeEnd < 0)
        {
            return false;
        }

        AttachMessage message = default;
        message.Op = AttachOp.ForkAttach;
        message.Slot = slot;
        bool ok = Send(s_connection, &message, writeEnd);
        _ = Real.close(writeEnd);
        return ok;
    }

    private static bool Attach()
    {
        if (Region.Dead)
        {
            Subscriptions.Clear();
            Direct.Reset();
            Slots.Reset();
            TxPool.Reset();
            Fds.CloseHidden(WakeFd);
            Fds.CloseHidden(s_connection);
            for (uint i = 0; i < Region.Loops; i++)
            {
                Fds.CloseHidden(s_bells[i]);
            }
        }

        int connection = Connect();
        if (connection < 0)
        {
            return false;
        }

        int writeEnd = -1;
        AttachMessage message = default;
        int* fds = stackalloc int[2 + ControlHeader.MaxLoops];
        bool ok = (writeEnd = MakePipe()) >= 0;
        if (ok)
        {
            message.Op = AttachOp.Attach;
            _ = Real.prctl(16, (nint)message.Name, 0, 0, 0); // PR_GET_NAME
            ok = Send(connection, &message, writeEnd);
        }

        if (writeEnd >= 0)
        {
            _ = Real.close(writeEnd);
        }

        int received = ok ? Receive(connection, &message, fds, 2 + ControlHeader.MaxLoops) : -1;
        if (received >= 0 && message.Error != 0)
        {
            Report.Refused(message.Text);
            Libc.Errno = message.Error;
        }

        if (received < 3 || message.Error != 0 || !Map(message, fds, received))
        {
            int errno = Libc.Errno;
            for (int i = 0; i < received; i++)
            {
                _ = Real.close(fds[i]);
            }

            _ = Real.close(connection);
            Fds.CloseHidden(WakeFd);
            WakeFd = -1;
            Libc.Errno = errno == 0 ? Abi.ENETDOWN : errno;
            return false;
        }

        s_connection = Fds.Hide(connection);
        Streams.Take();
        Inheriting.AdoptAll();
        if ((message.Flags & ExecutedFlag) != 0)
        {
            _ = Tell(AttachOp.Adopted, 0, -1); // what this process held before its exec it now holds by its new slot
        }

        return true;
    }

    /// <summary>Tells CoreEngine something that it does not answer, with an fd or without (-1). False when it cannot be told.</summary>
    internal static bool Tell(AttachOp op, uint slot, int fd) => TellBy(s_connection, op, slot, fd);

    /// <summary>As <see cref="Tell(AttachOp, uint, int)"/>, over a connection of the caller's.</summary>
    internal static bool TellBy(int connection, AttachOp op, uint slot, int fd)
    {
        AttachMessage message = default;
        message.Op = op;
        message.Slot = slot;
        return Send(connection, &message, fd);
    }

    /// <summary>Closes a connection of the caller's once CoreEngine has taken everything in: it answers the end of file with its own.</summary>
    internal static void Finish(int connection)
    {
        byte* nothing = stackalloc byte[8];
        PollFd poll = new() { Fd = connection, Events = Abi.POLLIN };
        TimeSpec patience = new() { Seconds = 1 };
        if (Real.shutdown(connection, Abi.SHUT_WR) == 0 && Real.ppoll(&poll, 1, &patience, null) > 0)
        {
            _ = Real.recv(connection, nothing, 8, Abi.MSG_DONTWAIT);
        }

        _ = Real.close(connection);
    }

    /// <summary>A new connection to CoreEngine; -1 with errno.</summary>
    internal static int Connect()
    {
        int connection = Real.socket(Abi.AF_UNIX, Abi.SOCK_SEQPACKET | Abi.SOCK_CLOEXEC, 0);
        if (connection < 0)
        {
            return -1;
        }

        byte* address = stackalloc byte[PathBytes + 2];
        *(ushort*)address = Abi.AF_UNIX;
        uint n = 0;
        while (s_path[n] != 0)
        {
            address[2 + n] = s_path[n];
            n++;
        }

        address[2 + n] = 0;
        if (Real.connect(connection, address, n + 3) == 0)
        {
            return connection;
        }

        int errno = Libc.Errno;
        _ = Real.close(connection);
        Libc.Errno = errno;
        return -1;
    }

    /// <summary>The pipe that wakes this process: keeps the read end, returns the write end.</summary>
    private static int MakePipe()
    {
        int* ends = stackalloc int[2];
        if (Pipe(ends) != 0)
        {
            return -1;
        }

        _ = Real.fcntl(ends[0], Abi.F_SETFL, 0); // read in a blocking read, or once it is known to have something
        WakeFd = Fds.Hide(ends[0]);
        return ends[1];
    }

    [System.Runtime.RuntimeImport("*", "pipe2"), System.Runtime.CompilerServices.MethodImpl(System.Runtime.CompilerServices.MethodImplOptions.InternalCall)]
    private static extern int pipe2(int* ends, int flags);

    private static int Pipe(int* ends) => pipe2(ends, Abi.O_CLOEXEC | Abi.O_NONBLOCK);

    private static bool Map(AttachMessage welcome, int* fds, int count)
    {
        nint head = Libc.mmap(0, ControlHeader.Length, Abi.PROT_READ, Abi.MAP_SHARED, fds[0], 0);
        if (head == -1)
        {
            return false;
        }

        ControlHeader* header = (ControlHeader*)head;
        ControlLayout layout = new(header->Counts);
        PoolLayout pool = header->Pool;
        bool ok = header->Magic == ControlHeader.GuestMagic && header->LayoutVersion == ControlHeader.Version && layout.IsValid
            && layout.Length <= header->TotalLength && welcome.Slot < layout.Counts.QueueSets && count == 2 + (int)layout.Counts.Loops
            && layout.Counts.TxChunks >= pool.Tx.Total;
        ulong total = header->TotalLength;
        _ = Libc.munmap(head, ControlHeader.Length);
        if (!ok)
        {
            Libc.Errno = Abi.EINVAL;
            return false;
        }

        if (Region.Attached && layout.Counts.Sockets != Region.Sockets)
        {
            Libc.Errno = Abi.ENETDOWN; // tables were made for the other size
            return false;
        }

        nint control = Libc.mmap(0, (nuint)total, Abi.PROT_READ | Abi.PROT_WRITE, Abi.MAP_SHARED, fds[0], 0);
        nint poolStart = MapPool(pool, fds[1]);
        if (control == -1 || poolStart == -1 || !Fds.Reserve(layout.Counts.Sockets) || !Epoll.Reserve(layout.Counts.Sockets) || !Subscriptions.Reserve())
        {
            Libc.Errno = Abi.ENOMEM;
            return false;
        }

        _ = Real.close(fds[0]);
        _ = Real.close(fds[1]);
        Region.Control = (byte*)control;
        Volatile.WriteBarrier(); // see Region.Owns
        Region.Bytes = total;
        Region.Pool = (byte*)poolStart;
        Region.Header = (ControlHeader*)control;
        Region.Layout = layout;
        Region.Tx = pool.TxHalf;
        Region.Rx = pool.RxHalf;
        Region.TxOwners = (uint*)(control + (nint)layout.TxOwners);
        Region.Sockets = layout.Counts.Sockets;
        Region.RingSlots = layout.Counts.RingSlots;
        Region.Loops = layout.Counts.Loops;
        TxLayout.Use(pool, layout.Counts.Sockets);
        for (int i = 2; i < count; i++)
        {
            s_bells[i - 2] = Fds.Hide(fds[i]);
        }

        Become(welcome.Slot);
        Region.Dead = false;
        Region.Attached = true;
        return true;
    }

    /// <summary>Two mappings in one stretch: the TX half to write, the RX half to read.</summary>
    private static nint MapPool(PoolLayout pool, int fd)
    {
        nint start = Libc.mmap(0, (nuint)(pool.Length + PoolLayout.Alignment), 0, Abi.MAP_PRIVATE | Abi.MAP_ANONYMOUS | Abi.MAP_NORESERVE, -1, 0);
        if (start == -1)
        {
            return -1;
        }

        const int MAP_FIXED = 0x10;
        start = (start + PoolLayout.Alignment - 1) & ~(nint)(PoolLayout.Alignment - 1);
        nint tx = Libc.mmap(start, (nuint)pool.RxOffset, Abi.PROT_READ | Abi.PROT_WRITE, Abi.MAP_SHARED | MAP_FIXED, fd, 0);
        nint rx = Libc.mmap(start + (nint)pool.RxOffset, (nuint)(pool.Length - pool.RxOffset), Abi.PROT_READ, Abi.MAP_SHARED | MAP_FIXED, fd, (long)pool.RxOffset);
        return tx == -1 || rx == -1 ? -1 : start;
    }

    /// <summary>Takes a slot as this process's own.</summary>
    internal static void Become(uint slot)
    {
        Region.Slot = slot;
        ProcessSlot* self = Region.Process(slot);
        _ = Real.prctl(16, (nint)self->Name, 0, 0, 0);
        self->Asleep = 0;
        Subscriptions.Add(slot);
    }

    private static bool Send(int connection, AttachMessage* message, int fd)
    {
        message->Version = ControlHeader.Version;
        message->Fds = fd < 0 ? 0u : 1;
        byte* control = stackalloc byte[24];
        *(nuint*)control = 20;
        *(int*)(control + 8) = Abi.SOL_SOCKET;
        *(int*)(control + 12) = Abi.SCM_RIGHTS;
        *(int*)(control + 16) = fd;
        IoVec iov = new() { Base = (byte*)message, Length = AttachMessage.Length };
        MsgHdr header = default;
        header.Iov = &iov;
        header.IovLength = 1;
        header.Control = fd < 0 ? null : control;
        header.ControlLength = fd < 0 ? 0 : (nuint)24;
        nint sent;
        do
        {
            sent = Real.sendmsg(connection, &header, Abi.MSG_NOSIGNAL);
        }
        while (sent < 0 && Libc.Errno == Abi.EINTR);
        return sent == AttachMessage.Length;
    }

    private static int Receive(int connection, AttachMessage* message, int* fds, int room)
    {
        byte* control = stackalloc byte[ControlBytes];
        IoVec iov = new() { Base = (byte*)message, Length = AttachMessage.Length };
        MsgHdr header = default;
        header.Iov = &iov;
        header.IovLength = 1;
        header.Control = control;
        header.ControlLength = ControlBytes;
        nint got;
        do
        {
            got = Real.recvmsg(connection, &header, Abi.MSG_CMSG_CLOEXEC);
        }
        while (got < 0 && Libc.Errno == Abi.EINTR);
        if (got != AttachMessage.Length || message->Version != ControlHeader.Version)
        {
            Libc.Errno = got < 0 ? Libc.Errno : Abi.ENETDOWN;
            return -1;
        }

        int count = 0;
        if (header.ControlLength >= 16 && *(int*)(control + 8) == Abi.SOL_SOCKET && *(int*)(control + 12) == Abi.SCM_RIGHTS)
        {
            nuint bytes = *(nuint*)control;
            for (nuint at = 16; at + 4 <= bytes && count < room; at += 4)
            {
                fds[count++] = *(int*)(control + at);
            }
        }

        return count;
    }
}
