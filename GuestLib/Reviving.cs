using NetKernel.Channel;

namespace NetKernel.GuestLib;

/// <summary>
/// Listeners and datagram sockets outlive CoreEngine. When it dies, connections end, but these only wait: as soon as a new CoreEngine runs, they are
/// bound again, and listen or are connected, so that a server need not be restarted. The kernel socket behind the fd names it: of several processes that
/// share it (nginx's workers) the first makes it anew, the others find it by its inode and join.
/// </summary>
internal static unsafe class Reviving
{
    private const uint Most = 1024;

    /// <summary>How long to wait between attempts.</summary>
    internal const long Interval = 20_000_000;

    private struct Lost
    {
        internal uint OldId;
        internal int References;
        internal ulong Inode;
        internal ulong LocalLow, LocalHigh;
        internal ushort LocalPort, Domain;
        internal uint Status;
        internal ulong OptionMask;
        internal int Backlog;
        internal ushort Type, PeerPort;
        internal ulong PeerLow, PeerHigh;
        internal uint Wanted, TxLimit;
    }

    private const uint Kept = Status.NonBlocking | Status.ExplicitBound | Status.HasTimeouts | SocketStatus.NativeBound | SocketStatus.WildcardBound;
    private const uint KeptOfDatagrams = Kept | SocketStatus.Bound | SocketStatus.Connected | SocketStatus.ShutRead | SocketStatus.ShutWrite | Datagrams.NativePeer | Datagrams.KeepsPort;

    private static Lost* s_lost;
    private static int s_count;
    private static int s_busy;
    private static long s_next;

    /// <summary>Whether sockets wait for a CoreEngine.</summary>
    internal static bool Any => Volatile.Read(ref s_count) != 0;

    internal static void AfterFork() => s_busy = 0;

    /// <summary>Remembers a listener or datagram socket of the dead region; false when it cannot (then it is dead for good).</summary>
    internal static bool Remember(uint id)
    {
        s_lost = s_lost == null ? (Lost*)Libc.Reserve(Most * (nuint)sizeof(Lost)) : s_lost;
        if (s_lost == null)
        {
            return false;
        }

        SocketSlot* s = Region.Socket(id);
        Lost* free = null;
        for (uint i = 0; i < Most; i++)
        {
            if (s_lost[i].References != 0 && s_lost[i].OldId == id)
            {
                s_lost[i].References++;
                return true;
            }

            free = s_lost[i].References == 0 && free == null ? &s_lost[i] : free;
        }

        if (free == null)
        {
            return false;
        }

        free->OldId = id;
        free->References = 1;
        free->Inode = s->Inode;
        free->LocalLow = s->LocalLow;
        free->LocalHigh = s->LocalHigh;
        free->LocalPort = s->LocalPort;
        free->Domain = s->Domain;
        free->Type = s->Type;
        free->Status = s->Status & (Datagrams.Is(s) ? KeptOfDatagrams : Kept);
        free->PeerLow = s->PeerLow;
        free->PeerHigh = s->PeerHigh;
        free->PeerPort = s->PeerPort;
        free->Wanted = s->Wanted;
        free->TxLimit = s->TxLimit;
        free->OptionMask = s->OptionMask;
        free->Backlog = s->Backlog;
        s_count++;
        return true;
    }

    /// <summary>An fd of a waiting socket is closed.</summary>
    internal static void Forget(uint oldId)
    {
        for (uint i = 0; i < Most && s_lost != null; i++)
        {
            if (s_lost[i].References != 0 && s_lost[i].OldId == oldId && --s_lost[i].References == 0)
            {
                s_count--;
            }
        }
    }

    /// <summary>One attempt, if it is time for one.</summary>
    internal static void Try()
    {
        if (Libc.Now() < s_next || Interlocked.CompareExchange(ref s_busy, 1, 0) != 0)
        {
            return;
        }

        s_next = Libc.Now() + Interval;
        int errno = Libc.Errno;
        if (Attaching.Ensure())
        {
            for (uint i = 0; i < Most; i++)
            {
                if (s_lost[i].References != 0)
                {
                    Revive(&s_lost[i]);
                }
            }
        }

        Libc.Errno = errno;
        Volatile.Write(ref s_busy, 0);
    }

    /// <summary>A datagram socket that waits: the new one, if it is time for an attempt and that succeeds; or null.</summary>
    internal static SocketSlot* Now(int fd)
    {
        Try();
        return Fds.SocketOf(fd);
    }

    private static void Revive(Lost* lost)
    {
        int fd = Fds.Find(FdKind.Lost, lost->OldId, -1);
        if (fd < 0)
        {
            return;
        }

        if (!TryJoin(lost, out uint id) && !TryMake(fd, lost, out id) && !TryJoin(lost, out id))
        {
            return;
        }

        Fds.Revived(lost->OldId, id);
        Epoll.Revived(lost->OldId, id);
        FollowKernel(fd, Region.Socket(id));
        lost->References = 0;
        s_count--;
    }

    /// <summary>
    /// While it waited, fcntl and ioctl reached the kernel's socket only. One remembered as non-blocking that is so no more would wait in the kernel's accept,
    /// where nobody from outside comes.
    /// </summary>
    private static void FollowKernel(int fd, SocketSlot* s)
    {
        int flags = Real.fcntl(fd, Abi.F_GETFL, 0);
        if (flags >= 0)
        {
            _ = (flags & Abi.O_NONBLOCK) != 0 ? Interlocked.Or(ref s->Status, Status.NonBlocking) : Interlocked.And(ref s->Status, ~Status.NonBlocking);
        }
    }

    /// <summary>Another process of the guest was faster.</summary>
    private static bool TryJoin(Lost* lost, out uint id)
    {
        uint whole = lost->Type == Abi.SOCK_DGRAM ? lost->Status & (SocketStatus.Bound | SocketStatus.Connected) : SocketStatus.Listening;
        uint high = Region.Header->SocketHigh < Region.Sockets ? Region.Header->SocketHigh : Region.Sockets;
        for (id = 0; id < high; id++)
        {
            SocketSlot* s = Region.Socket(id);
            if (s->Inode != lost->Inode || Volatile.Read(ref s->State) != SocketState.Open || (Volatile.Read(ref s->Status) & whole) != whole)
            {
                continue;
            }

            if (Holding.TryJoin(id, lost->Inode))
            {
                return true;
            }
        }

        return false;
    }

    private static bool TryMake(int fd, Lost* lost, out uint id)
    {
        bool datagrams = lost->Type == Abi.SOCK_DGRAM;
        uint status = datagrams ? lost->Status & ~(SocketStatus.Bound | SocketStatus.Connected) : lost->Status | SocketStatus.Bound;
        if (!Slots.TryClaim(lost->Domain, lost->Type, lost->Inode, status, out id))
        {
            return false;
        }

        SocketSlot* s = Region.Socket(id);
        s->OptionMask = lost->OptionMask;
        s->Backlog = lost->Backlog;
        bool wildcard = (lost->Status & SocketStatus.WildcardBound) != 0;
        int error = datagrams ? MakeDatagrams(fd, lost, id, s, wildcard) : Opening.BindAtNsm(fd, id, s, lost->LocalLow, lost->LocalHigh, lost->LocalPort, wildcard);
        error = error != 0 || datagrams ? error : Opening.ListenAtNsm(id, s, lost->Backlog);
        if (error == 0)
        {
            return true;
        }

        Holding.Leave(id);
        return false;
    }

    private static int MakeDatagrams(int fd, Lost* lost, uint id, SocketSlot* s, bool wildcard)
    {
        s->Wanted = lost->Wanted;
        s->TxLimit = lost->TxLimit;
        if (!Locks.TryEnter(ref s->ControlLock))
        {
            return Abi.EAGAIN;
        }

        // A port that only a connect chose is asked for again, since the peer knows it.
        int error = (lost->Status & (SocketStatus.Bound | SocketStatus.Connected)) == 0 ? 0 : DatagramNames.BindAtNsm(
            fd, id, s, wildcard ? 0 : lost->LocalLow, !wildcard ? lost->LocalHigh : s->Domain == Abi.AF_INET ? Addresses.Map(0) : 0, lost->LocalPort, wildcard);
        error = error != 0 || (lost->Status & SocketStatus.Connected) == 0 ? error
            : DatagramNames.ConnectAtNsm(fd, id, s, lost->PeerLow, lost->PeerHigh, lost->PeerPort);
        if (error == 0)
        {
            Interlocked.Or(ref s->Status, lost->Status & SocketStatus.Bound);
        }

        Locks.Leave(ref s->ControlLock);
        return error;
    }
}
