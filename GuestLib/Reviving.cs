using NetKernel.Channel;

namespace NetKernel.GuestLib;

/// <summary>
/// Listeners outlive CoreEngine. When it dies, connections end, but a listening socket only waits: as soon as a new CoreEngine runs, it is
/// bound and listens again, so that a server need not be restarted. The kernel socket behind the fd names it: of several processes that
/// share it (nginx's workers) the first makes it anew, the others find it by its inode and join.
/// </summary>
internal static unsafe class Reviving
{
    private const uint Most = 256;

    /// <summary>How long to wait between attempts.</summary>
    internal const long Interval = 20_000_000;

    private struct Listener
    {
        internal uint OldId;
        internal int References;
        internal ulong Inode;
        internal ulong LocalLow, LocalHigh;
        internal ushort LocalPort, Domain;
        internal uint Status;
        internal ulong OptionMask;
        internal int Backlog;
    }

    private static Listener* s_lost;
    private static int s_count;
    private static int s_busy;
    private static long s_next;

    /// <summary>Whether listeners wait for a CoreEngine.</summary>
    internal static bool Any => Volatile.Read(ref s_count) != 0;

    internal static void AfterFork() => s_busy = 0;

    /// <summary>Remembers a listener of the dead region; false when it cannot (then it is dead for good).</summary>
    internal static bool Remember(uint id)
    {
        s_lost = s_lost == null ? (Listener*)Libc.Reserve(Most * (nuint)sizeof(Listener)) : s_lost;
        if (s_lost == null)
        {
            return false;
        }

        SocketSlot* s = Region.Socket(id);
        Listener* free = null;
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
        free->Status = s->Status & (Status.NonBlocking | Status.ExplicitBound | SocketStatus.NativeBound | SocketStatus.WildcardBound);
        free->OptionMask = s->OptionMask;
        free->Backlog = s->Backlog;
        s_count++;
        return true;
    }

    /// <summary>An fd of a waiting listener is closed.</summary>
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

    private static void Revive(Listener* lost)
    {
        int fd = Fds.Find(FdKind.Lost, lost->OldId, -1);
        if (fd < 0)
        {
            return;
        }

        if (!TryJoin(lost->Inode, out uint id) && !TryMake(fd, lost, out id) && !TryJoin(lost->Inode, out id))
        {
            return;
        }

        Fds.Revived(lost->OldId, id);
        Epoll.Revived(lost->OldId, id);
        lost->References = 0;
        s_count--;
    }

    /// <summary>Another process of the guest was faster.</summary>
    private static bool TryJoin(ulong inode, out uint id)
    {
        uint high = Region.Header->SocketHigh < Region.Sockets ? Region.Header->SocketHigh : Region.Sockets;
        for (id = 0; id < high; id++)
        {
            SocketSlot* s = Region.Socket(id);
            if (s->Inode != inode || Volatile.Read(ref s->State) != SocketState.Open || (Volatile.Read(ref s->Status) & SocketStatus.Listening) == 0)
            {
                continue;
            }

            if (Holding.TryJoin(id, inode))
            {
                return true;
            }
        }

        return false;
    }

    private static bool TryMake(int fd, Listener* lost, out uint id)
    {
        if (!Slots.TryClaim(lost->Domain, Abi.SOCK_STREAM, lost->Inode, lost->Status | SocketStatus.Bound, out id))
        {
            return false;
        }

        SocketSlot* s = Region.Socket(id);
        s->OptionMask = lost->OptionMask;
        s->Backlog = lost->Backlog;
        bool wildcard = (lost->Status & SocketStatus.WildcardBound) != 0;
        int error = Opening.BindAtNsm(fd, id, s, lost->LocalLow, lost->LocalHigh, lost->LocalPort, wildcard);
        error = error != 0 ? error : Opening.ListenAtNsm(id, s, lost->Backlog);
        if (error == 0)
        {
            return true;
        }

        Holding.Leave(id);
        return false;
    }
}
