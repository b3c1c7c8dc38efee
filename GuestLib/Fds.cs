using NetKernel.Channel;

namespace NetKernel.GuestLib;

/// <summary>What an fd of this process is to the library.</summary>
internal enum FdKind : byte
{
    /// <summary>The kernel's: the call passes through.</summary>
    Native = 0,

    /// <summary>A stream socket with a <see cref="SocketSlot"/>.</summary>
    Socket = 1,

    /// <summary>An epoll set that has, or once had, a socket of ours.</summary>
    Epoll = 2,

    /// <summary>A socket whose CoreEngine is gone: every call fails.</summary>
    Dead = 3,

    /// <summary>A listener or datagram socket whose CoreEngine is gone: it waits for the next one (<see cref="Reviving"/>).</summary>
    Lost = 5,

    /// <summary>The library's own: the program can neither use nor close it.</summary>
    Hidden = 4,
}

internal struct FdEntry
{
    internal FdKind Kind;

    /// <summary>Of what is <see cref="FdKind.Lost"/>: a datagram socket.</summary>
    internal bool IsDatagrams;

    /// <summary>Of what is <see cref="FdKind.Dead"/>: the program has been told of the reset.</summary>
    internal bool IsTold;

    /// <summary>Socket id, or index of the epoll set.</summary>
    internal uint Id;
}

/// <summary>This process's fd table: fd to socket, and how many fds name each socket. Copied by fork with the rest of the memory.</summary>
internal static unsafe partial class Fds
{
    private const uint Capacity = 1 << 20;
    private static FdEntry* s_entries;
    private static int* s_references;
    private static int s_held;

    /// <summary>One more than the highest fd that ever had an entry.</summary>
    internal static int High;

    /// <summary>Sockets that fds of this process name.</summary>
    internal static int Held => Volatile.Read(ref s_held);

    /// <summary>Makes the table: at start, since epoll sets have entries before the process attaches.</summary>
    internal static bool Reserve()
    {
        s_entries = s_entries == null ? (FdEntry*)Libc.Reserve(Capacity * (nuint)sizeof(FdEntry)) : s_entries;
        return s_entries != null;
    }

    /// <summary>Makes the counts of fds per socket.</summary>
    internal static bool Reserve(uint sockets)
    {
        s_references = s_references == null ? (int*)Libc.Reserve((nuint)sockets * sizeof(int)) : s_references;
        return s_entries != null && s_references != null;
    }

    internal static FdKind KindOf(int fd) => s_entries == null || (uint)fd >= (uint)High ? FdKind.Native : s_entries[fd].Kind;

    /// <summary>The socket behind an fd, or null when the call is the kernel's.</summary>
    internal static SocketSlot* SocketOf(int fd) =>
        s_entries == null || (uint)fd >= (uint)High || s_entries[fd].Kind != FdKind.Socket ? null : Region.Socket(s_entries[fd].Id);

    /// <summary>The socket behind an fd if it is ours to serve: null when the call is the kernel's, or when the socket is dead.</summary>
    internal static SocketSlot* Ours(int fd)
    {
        SocketSlot* s = SocketOf(fd);
        s = s == null && IsSuspended(fd) ? Reviving.Now(fd) : s;
        return s == null || (Volatile.Read(ref s->Status) & SocketStatus.Native) != 0 ? null : s;
    }

    /// <summary>Whether calls on it fail, for ever or, of a datagram socket, until there is a CoreEngine.</summary>
    internal static bool IsDead(int fd) => KindOf(fd) == FdKind.Dead || IsSuspended(fd);

    /// <summary>A datagram socket that waits for a CoreEngine.</summary>
    internal static bool IsSuspended(int fd) => KindOf(fd) == FdKind.Lost && s_entries[fd].IsDatagrams;

    /// <summary>Fails a call on what <see cref="IsDead"/>.</summary>
    internal static int FailDead(int fd) => Libc.Fail(IsSuspended(fd) ? Abi.ENETDOWN : Abi.ECONNRESET);

    /// <summary>Fails a send on what <see cref="IsDead"/>: of a stream ECONNRESET once, then EPIPE and its signal, as after any reset.</summary>
    internal static nint FailSend(int fd, int flags = 0) => IsSuspended(fd) ? Libc.Fail(Abi.ENETDOWN) : Sending.Broken(TakeReset(fd) == 0 ? Abi.EPIPE : Abi.ECONNRESET, flags);

    /// <summary>ECONNRESET, the first time that somebody asks what became of a dead socket; 0 after that.</summary>
    internal static int TakeReset(int fd)
    {
        bool told = s_entries[fd].IsTold;
        s_entries[fd].IsTold = true;
        return told ? 0 : Abi.ECONNRESET;
    }

    internal static uint IdOf(int fd) => s_entries[fd].Id;

    /// <summary>Whether an fd is, still, one of that socket.</summary>
    internal static bool Names(int fd, uint socket) => KindOf(fd) == FdKind.Socket && s_entries[fd].Id == socket;

    /// <summary>Fd numbers that the table has room for.</summary>
    internal static bool Fits(int fd) => (uint)fd < Capacity;

    internal static void Set(int fd, FdKind kind, uint id)
    {
        s_entries[fd].Id = id;
        s_entries[fd].Kind = kind;
        for (int high = High; fd >= high; high = High)
        {
            _ = Interlocked.CompareExchange(ref High, fd + 1, high);
        }

        if (kind == FdKind.Socket && Interlocked.Increment(ref s_references[id]) == 1)
        {
            Interlocked.Increment(ref s_held);
        }
    }

    /// <summary>Forgets an fd; true when it was the last one of its socket in this process.</summary>
    internal static bool Clear(int fd)
    {
        FdEntry entry = s_entries[fd];
        s_entries[fd].Kind = FdKind.Native;
        if (entry.Kind != FdKind.Socket || Interlocked.Decrement(ref s_references[entry.Id]) != 0)
        {
            return false;
        }

        Interlocked.Decrement(ref s_held);
        return true;
    }

    internal static bool Holds(uint socket) => s_references != null && s_references[socket] != 0;

    /// <summary>An fd number that the kernel has just given out cannot still be ours: something closed it behind our back.</summary>
    internal static void Fresh(int fd)
    {
        if (fd >= 0 && KindOf(fd) is FdKind.Socket or FdKind.Dead or FdKind.Lost or FdKind.Epoll && Libc.getpid() == Forking.Pid)
        {
            Closing.Forget(fd);
        }
    }

    /// <summary>An fd of a kind and id, other than a given one; -1: none.</summary>
    internal static int Find(FdKind kind, uint id, int except)
    {
        for (int fd = 0; fd < High; fd++)
        {
            if (s_entries[fd].Kind == kind && s_entries[fd].Id == id && fd != except)
            {
                return fd;
            }
        }

        return -1;
    }

    /// <summary>Every fd of one socket becomes one of another.</summary>
    internal static void Move(uint oldId, uint id)
    {
        s_references[oldId] = 0;
        for (int fd = 0; fd < High; fd++)
        {
            if (s_entries[fd].Kind == FdKind.Socket && s_entries[fd].Id == oldId)
            {
                Set(fd, FdKind.Socket, id);
            }
        }
    }

    /// <summary>A socket that waited lives again, under another id.</summary>
    internal static void Revived(uint oldId, uint id)
    {
        for (int fd = 0; fd < High; fd++)
        {
            if (s_entries[fd].Kind == FdKind.Lost && s_entries[fd].Id == oldId)
            {
                Set(fd, FdKind.Socket, id);
            }
        }
    }

    /// <summary>Turns every socket fd into a dead one; listeners and datagram sockets wait.</summary>
    internal static void KillSockets()
    {
        for (int fd = 0; fd < High; fd++)
        {
            if (s_entries[fd].Kind == FdKind.Socket)
            {
                uint id = s_entries[fd].Id;
                s_references[id] = 0;
                s_held = 0;
                SocketSlot* s = Region.Socket(id);
                bool datagrams = Datagrams.Is(s);
                bool waits = datagrams ? (s->Status & (SocketStatus.Native | SocketStatus.Reset)) == 0
                    : (s->Status & (SocketStatus.Listening | SocketStatus.Native)) == SocketStatus.Listening;
                s_entries[fd].IsDatagrams = datagrams;
                s_entries[fd].IsTold = false;
                s_entries[fd].Kind = waits && Reviving.Remember(id) ? FdKind.Lost : FdKind.Dead;
            }
        }
    }
}
