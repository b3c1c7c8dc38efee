using NetKernel.Channel;

namespace NetKernel.GuestLib;

/// <summary>
/// Options of stream sockets, by <see cref="OptionTable"/>. The kernel socket behind the fd checks and stores a value, so that errors and read-back are the kernel's own; what
/// changes something on the wire is told to the NSM as well, and what nobody here honours is refused. Nothing is accepted and then ignored.
/// </summary>
internal static unsafe partial class Options
{
    private const ulong Copied = (1ul << OptionTable.Linger) | (1ul << OptionTable.ReceiveLowWater) | (1ul << OptionTable.ReceiveTimeout) | (1ul << OptionTable.SendTimeout)
        | (1ul << OptionTable.ReceiveTimeoutNew) | (1ul << OptionTable.SendTimeoutNew) | (1ul << OptionTable.InQueue)
        | (1ul << OptionTable.FastOpenConnect) | OptionTable.Six;

    private const ulong OnOff = (1ul << OptionTable.ReuseAddress) | (1ul << OptionTable.ReusePort) | (1ul << OptionTable.V6Only)
        | (1ul << OptionTable.BindNoPort) | (1ul << OptionTable.HasStored);

    internal static int Set(int fd, SocketSlot* s, int level, int name, void* value, uint length)
    {
        if ((int)length < 0)
        {
            return Libc.Fail(Abi.EINVAL);
        }

        int row = OptionTable.Find(level, name);
        if (row < 0)
        {
            return IsLevel(level) ? Refuse(fd, level, name, value, length, Abi.ENOPROTOOPT, unlessZero: false)
                : Real.setsockopt(fd, level, name, value, length) != 0 ? -1 : Libc.Fail(Abi.ENOPROTOOPT);
        }

        OptionSet policy = OptionTable.SetOf(row);
        switch (policy)
        {
            case OptionSet.Stored:
                if (Real.setsockopt(fd, level, name, value, length) != 0)
                {
                    return -1;
                }

                Interlocked.Or(ref s->OptionMask, 1ul << OptionTable.HasStored);
                return 0;
            case OptionSet.Refused:
            case OptionSet.OnlyZero:
                return Refuse(fd, level, name, value, length, OptionTable.ErrnoOf(row), policy == OptionSet.OnlyZero);
            case OptionSet.Special:
                return level == Abi.IPPROTO_TCP ? SetCongestion(fd, s, value, length) : BindToDevice(fd, s, level, name, value, length);
            default:
                break;
        }

        if (IsTooLate(s, level, name))
        {
            return Libc.Fail(Abi.EINVAL);
        }

        if (Real.setsockopt(fd, level, name, value, length) != 0)
        {
            return -1;
        }

        if (row == OptionTable.Linger)
        {
            _ = Linger(fd) >= 0 ? Interlocked.Or(ref s->Status, Status.Lingers) : Interlocked.And(ref s->Status, ~Status.Lingers);
        }

        if (policy != OptionSet.Local)
        {
            int told = Tell(fd, s, row, policy == OptionSet.Verified);
            if (told == 0 && row is (OptionTable.SendBuffer or OptionTable.NotSentLowWater))
            {
                LimitSending(fd, s);
            }

            return told;
        }

        Keep(fd, s, row, *(int*)value != 0);
        return 0;
    }

    internal static int Get(int fd, SocketSlot* s, int level, int name, void* value, uint* length)
    {
        if (!UserMemory.CanWrite(length, sizeof(uint)))
        {
            return Libc.Fail(Abi.EFAULT);
        }

        if ((int)*length < 0)
        {
            return Libc.Fail(Abi.EINVAL);
        }

        if (level == Abi.IPPROTO_IPV6 && s->Domain == Abi.AF_INET)
        {
            return Real.getsockopt(fd, level, name, value, length); // EOPNOTSUPP, whatever the name
        }

        int row = OptionTable.Find(level, name);
        OptionGet policy = row < 0 ? OptionGet.Refused : OptionTable.GetOf(row);
        if (policy == OptionGet.Refused)
        {
            return IsLevel(level) || Real.getsockopt(fd, level, name, value, length) == 0 ? Libc.Fail(Abi.ENOPROTOOPT) : -1;
        }

        if (policy == OptionGet.Special)
        {
            return GetSpecial(fd, s, row, level, name, value, length);
        }

        bool here = policy == OptionGet.Kernel || (policy == OptionGet.Inherited && (row >= OptionTable.Marked || (s->OptionMask & (1ul << row)) != 0));
        uint wanted = SocketStatus.Known | (policy == OptionGet.Inherited ? SocketStatus.Connected : 0);
        if (!here && (Volatile.Read(ref s->Status) & (wanted | SocketStatus.Reset | SocketStatus.Connecting)) == wanted)
        {
            int result = Ask(s, Fds.IdOf(fd), level, name, value, length);
            if (result == 0 || policy == OptionGet.Nsm || Libc.Errno is not (Abi.ENOPROTOOPT or Abi.EOPNOTSUPP))
            {
                return result;
            }
        }

        return Real.getsockopt(fd, level, name, value, length);
    }

    /// <summary>Gives an accepted socket what its listener has and the NSM does not know of.</summary>
    internal static void Inherit(int listenerFd, SocketSlot* listener, int fd, SocketSlot* s)
    {
        s->TxLimit = listener->TxLimit;
        ulong mask = listener->OptionMask & (Copied | OnOff);
        s->OptionMask = mask;
        if ((mask >> OptionTable.HasStored) != 0)
        {
            InheritStored(listenerFd, fd);
        }

        ulong* value = stackalloc ulong[2];
        for (ulong rest = mask & Copied; rest != 0; rest &= rest - 1)
        {
            int row = System.Numerics.BitOperations.TrailingZeroCount(rest);
            int level = OptionTable.LevelOf(row), name = OptionTable.NameOf(row);
            uint length = 2 * sizeof(ulong);
            if (Real.getsockopt(listenerFd, level, name, value, &length) != 0 || Real.setsockopt(fd, level, name, value, length) != 0)
            {
                continue;
            }

            if (row >= OptionTable.Told)
            {
                Keep(fd, s, row, on: true);
            }
            else if (row == OptionTable.Linger && Linger(fd) >= 0)
            {
                Interlocked.Or(ref s->Status, Status.Lingers);
            }
        }
    }

    /// <summary>Options without effect are inherited too; programs that set one on a listener are rare, so nobody keeps a list of them.</summary>
    private static void InheritStored(int listenerFd, int fd)
    {
        for (int row = OptionTable.Marked; row < OptionTable.Count; row++)
        {
            if (OptionTable.SetOf(row) != OptionSet.Stored || OptionTable.GetOf(row) == OptionGet.Refused)
            {
                continue;
            }

            int level = OptionTable.LevelOf(row), name = OptionTable.NameOf(row);
            int theirs = 0, ours = 0;
            uint length = sizeof(int), size = sizeof(int);
            if (Real.getsockopt(listenerFd, level, name, &theirs, &length) == 0 && length == sizeof(int)
                && Real.getsockopt(fd, level, name, &ours, &size) == 0 && theirs != ours)
            {
                _ = Real.setsockopt(fd, level, name, &theirs, length);
            }
        }
    }

    /// <summary>SO_RCVTIMEO or SO_SNDTIMEO as a deadline; -1: none. The kernel socket keeps the value.</summary>
    internal static long Deadline(int fd, SocketSlot* s, int name)
    {
        if ((Volatile.Read(ref s->Status) & Status.HasTimeouts) == 0)
        {
            return -1;
        }

        TimeVal time = default;
        uint length = 16;
        return Real.getsockopt(fd, Abi.SOL_SOCKET, name, &time, &length) != 0 || (time.Seconds | time.Microseconds) == 0
            ? -1 : Libc.Now() + (time.Seconds * 1_000_000_000) + (time.Microseconds * 1000);
    }

    /// <summary>Seconds of SO_LINGER; -1 when it is off.</summary>
    internal static int Linger(int fd)
    {
        int* linger = stackalloc int[2]; // l_onoff, l_linger
        uint length = 8;
        return Real.getsockopt(fd, Abi.SOL_SOCKET, Abi.SO_LINGER, linger, &length) == 0 && linger[0] != 0 ? linger[1] : -1;
    }

    internal static bool IsOn(int fd, int level, int name)
    {
        int value = 0;
        uint length = 4;
        return Real.getsockopt(fd, level, name, &value, &length) == 0 && value != 0;
    }

    /// <summary>Writes a number as the kernel does: as much of it as fits.</summary>
    internal static int Put(void* value, uint* length, int number)
    {
        if ((int)*length < 0)
        {
            return Libc.Fail(Abi.EINVAL);
        }

        uint n = *length < 4 ? *length : 4;
        if (!UserMemory.CanWrite(value, n))
        {
            return Libc.Fail(Abi.EFAULT);
        }

        _ = Libc.memmove(value, &number, n);
        *length = n;
        return 0;
    }

    private static bool IsLevel(int level) => level is Abi.SOL_SOCKET or Abi.IPPROTO_TCP or Abi.IPPROTO_IP or Abi.IPPROTO_IPV6;

    /// <summary>What the kernel checks before it looks at the name, then the errno.</summary>
    private static int Refuse(int fd, int level, int name, void* value, uint length, int errno, bool unlessZero)
    {
        bool isNumber = level is Abi.SOL_SOCKET or Abi.IPPROTO_TCP && !(level == Abi.IPPROTO_TCP && name == Abi.TCP_ULP);
        if (isNumber ? length < sizeof(int) : name == Abi.TCP_ULP && length == 0)
        {
            return Libc.Fail(Abi.EINVAL);
        }

        if (!UserMemory.CanRead(value, length < sizeof(int) ? length : sizeof(int)))
        {
            return Libc.Fail(Abi.EFAULT);
        }

        return unlessZero && (length >= sizeof(int) ? *(int*)value : length != 0 ? *(byte*)value : 1) == 0
            ? Real.setsockopt(fd, level, name, value, length) : Libc.Fail(errno);
    }

    /// <summary>The kernel socket is never connected, and in host mode never bound: what it would refuse then is refused here.</summary>
    private static bool IsTooLate(SocketSlot* s, int level, int name) =>
        (level == Abi.IPPROTO_IPV6 && name == Abi.IPV6_V6ONLY && s->Domain == Abi.AF_INET6
            && (Volatile.Read(ref s->Status) & (SocketStatus.Bound | SocketStatus.Connected | SocketStatus.Connecting)) != 0)
        || (level == Abi.IPPROTO_TCP && name == Abi.TCP_FASTOPEN && (Volatile.Read(ref s->Status) & (SocketStatus.Connected | SocketStatus.Connecting)) != 0)
        || (level == Abi.IPPROTO_TCP && name == Abi.TCP_FASTOPEN_CONNECT
            && (Volatile.Read(ref s->Status) & (SocketStatus.Listening | SocketStatus.Connected | SocketStatus.Connecting)) != 0);

    /// <summary>An option that the library itself acts on.</summary>
    private static void Keep(int fd, SocketSlot* s, int row, bool on)
    {
        if (row is OptionTable.ReuseAddress or OptionTable.ReusePort or OptionTable.V6Only or OptionTable.BindNoPort && !on)
        {
            Interlocked.And(ref s->OptionMask, ~(1ul << row));
            return;
        }

        Interlocked.Or(ref s->OptionMask, 1ul << row);
        if (row is OptionTable.ReceiveTimeout or OptionTable.SendTimeout or OptionTable.ReceiveTimeoutNew or OptionTable.SendTimeoutNew)
        {
            Interlocked.Or(ref s->Status, Status.HasTimeouts);
        }
        else if (row == OptionTable.ReceiveLowWater)
        {
            uint bytes = 1;
            uint length = sizeof(uint);
            _ = Real.getsockopt(fd, Abi.SOL_SOCKET, Abi.SO_RCVLOWAT, &bytes, &length);
            Volatile.Write(ref s->RxLowWater, bytes);
        }
        else if (row == OptionTable.InQueue)
        {
            s->Wanted = IsOn(fd, Abi.IPPROTO_TCP, Abi.TCP_INQ) ? ControlMessages.WantsInQueue : 0;
        }
    }

    /// <summary>
    /// SO_SNDBUF and TCP_NOTSENT_LOWAT bound what the pool holds for the socket. The kernel doubles what a program asks of SO_SNDBUF; the pool holds the half, since the NSM's
    /// kernel has a buffer of that size as well.
    /// </summary>
    private static void LimitSending(int fd, SocketSlot* s)
    {
        uint buffer = 0, lowWater = 0;
        uint size = sizeof(uint);
        _ = Real.getsockopt(fd, Abi.SOL_SOCKET, Abi.SO_SNDBUF, &buffer, &size);
        _ = Real.getsockopt(fd, Abi.IPPROTO_TCP, Abi.TCP_NOTSENT_LOWAT, &lowWater, &size);
        uint limit = (s->OptionMask & (1ul << OptionTable.SendBuffer)) == 0 && buffer / 2 < Sending.DefaultLimit ? Sending.DefaultLimit : buffer / 2;
        limit = lowWater != 0 && lowWater < limit ? lowWater : limit;
        s->TxLimit = limit < Sending.LeastLimit ? Sending.LeastLimit : limit > Sending.MostLimit ? Sending.MostLimit : limit;
    }
}
