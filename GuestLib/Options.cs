using NetKernel.Channel;

namespace NetKernel.GuestLib;

/// <summary>
/// Socket options. The kernel socket behind the fd checks and stores them, so that errors and read-back are the kernel's own; those that
/// change what happens on the wire go to the NSM as well. What neither honours is refused with ENOPROTOOPT.
/// </summary>
internal static unsafe class Options
{
    private const int Forwarded = 25;

    /// <summary>Level and name of a forwarded option by its bit in <see cref="SocketSlot.OptionMask"/>.</summary>
    private static bool TryForwarded(int index, out int level, out int name)
    {
        level = index is < 7 or 24 ? Abi.SOL_SOCKET : index < 20 ? Abi.IPPROTO_TCP : index < 22 ? Abi.IPPROTO_IP : Abi.IPPROTO_IPV6;
        name = index switch
        {
            0 => Abi.SO_KEEPALIVE,
            1 => Abi.SO_LINGER,
            2 => Abi.SO_RCVBUF,
            3 => Abi.SO_SNDBUF,
            4 => Abi.SO_RCVLOWAT,
            5 => Abi.SO_PRIORITY,
            6 => Abi.SO_MAX_PACING_RATE,
            7 => Abi.TCP_NODELAY,
            8 => Abi.TCP_MAXSEG,
            9 => Abi.TCP_CORK,
            10 => Abi.TCP_KEEPIDLE,
            11 => Abi.TCP_KEEPINTVL,
            12 => Abi.TCP_KEEPCNT,
            13 => Abi.TCP_SYNCNT,
            14 => Abi.TCP_LINGER2,
            15 => Abi.TCP_DEFER_ACCEPT,
            16 => Abi.TCP_WINDOW_CLAMP,
            17 => Abi.TCP_QUICKACK,
            18 => Abi.TCP_USER_TIMEOUT,
            19 => Abi.TCP_NOTSENT_LOWAT,
            20 => Abi.IP_TOS,
            21 => Abi.IP_TTL,
            22 => Abi.IPV6_TCLASS,
            23 => Abi.IPV6_UNICAST_HOPS,
            24 => Abi.SO_OOBINLINE,
            _ => 0,
        };
        return (uint)index < Forwarded;
    }

    private static int IndexOf(int level, int name)
    {
        for (int i = 0; i < Forwarded; i++)
        {
            if (TryForwarded(i, out int l, out int n) && l == level && n == name)
            {
                return i;
            }
        }

        return -1;
    }

    /// <summary>Kept by the kernel socket or by this library alone.</summary>
    private static bool IsLocal(int level, int name) =>
        (level == Abi.SOL_SOCKET && name is Abi.SO_REUSEADDR or Abi.SO_REUSEPORT or Abi.SO_RCVTIMEO or Abi.SO_SNDTIMEO)
        || (level == Abi.IPPROTO_IPV6 && name == Abi.IPV6_V6ONLY);

    /// <summary>Answered from what the kernel socket is.</summary>
    private static bool IsIdentity(int level, int name) =>
        level == Abi.SOL_SOCKET && name is Abi.SO_TYPE or Abi.SO_DOMAIN or Abi.SO_PROTOCOL;

    /// <summary>Makes a SetOption of an option that the kernel socket has stored.</summary>
    internal static bool TryStored(int fd, int index, Nqe* element)
    {
        ulong value = 0;
        uint length = 8;
        if (!TryForwarded(index, out int level, out int name) || Real.getsockopt(fd, level, name, &value, &length) != 0)
        {
            return false;
        }

        if (name is Abi.SO_SNDBUF or Abi.SO_RCVBUF && level == Abi.SOL_SOCKET)
        {
            value /= 2; // socket(7): the kernel doubles what is set, and will do so again in the NSM
        }

        Fill(element, level, name, value, length);
        return true;
    }

    internal static int Set(int fd, SocketSlot* s, int level, int name, void* value, uint length)
    {
        if (level == Abi.IPPROTO_TCP && name == Abi.TCP_CONGESTION)
        {
            return SetCongestion(fd, s, value, length);
        }

        int index = IndexOf(level, name);
        if (index < 0 && !IsLocal(level, name))
        {
            return Libc.Fail(level == Abi.SOL_SOCKET || level == Abi.IPPROTO_TCP || level == Abi.IPPROTO_IP || level == Abi.IPPROTO_IPV6
                ? Abi.ENOPROTOOPT : Real.setsockopt(fd, level, name, value, length) != 0 ? Libc.Errno : Abi.ENOPROTOOPT);
        }

        // An option that only an established connection has (TCP_MAXSEG of a lower value and the like) is judged by the NSM's kernel.
        if (Real.setsockopt(fd, level, name, value, length) != 0)
        {
            return -1;
        }

        if (index < 0)
        {
            if (name is Abi.SO_RCVTIMEO or Abi.SO_SNDTIMEO)
            {
                Interlocked.Or(ref s->Status, Status.HasTimeouts);
            }

            return 0;
        }

        Interlocked.Or(ref s->OptionMask, 1u << index);
        if (level == Abi.SOL_SOCKET && name == Abi.SO_SNDBUF)
        {
            int bytes = 0;
            uint size = 4;
            _ = Real.getsockopt(fd, level, name, &bytes, &size);
            s->TxLimit = bytes < 4096 ? 4096u : bytes > (int)Sending.MostLimit ? Sending.MostLimit : (uint)bytes;
        }

        if (level == Abi.SOL_SOCKET && name == Abi.SO_LINGER)
        {
            _ = Linger(fd) >= 0 ? Interlocked.Or(ref s->Status, Status.Lingers) : Interlocked.And(ref s->Status, ~Status.Lingers);
        }

        if ((Volatile.Read(ref s->Status) & SocketStatus.Known) != 0)
        {
            Nqe element = default;
            if (TryStored(fd, index, &element))
            {
                element.Socket = Fds.IdOf(fd);
                _ = Rings.Send(s->QueueSet, &element, 1);
            }
        }

        return 0;
    }

    internal static int Get(int fd, SocketSlot* s, int level, int name, void* value, uint* length)
    {
        if (value == null || length == null)
        {
            return Real.getsockopt(fd, level, name, value, length);
        }

        uint status = Volatile.Read(ref s->Status);
        if (level == Abi.SOL_SOCKET && name == Abi.SO_ERROR)
        {
            return Put(value, length, Interlocked.Exchange(ref s->Error, 0));
        }

        if (level == Abi.SOL_SOCKET && name == Abi.SO_ACCEPTCONN)
        {
            return Put(value, length, (status & SocketStatus.Listening) != 0 ? 1 : 0);
        }

        bool live = (status & SocketStatus.Known) != 0 && (status & (SocketStatus.Reset | SocketStatus.Connecting)) == 0;
        if (level == Abi.IPPROTO_TCP && name is Abi.TCP_INFO or Abi.TCP_CONGESTION or Abi.TCP_MAXSEG or Abi.TCP_FASTOPEN && live)
        {
            return Ask(s, Fds.IdOf(fd), level, name, value, length);
        }

        return IndexOf(level, name) >= 0 || IsLocal(level, name) || IsIdentity(level, name)
            || (level == Abi.IPPROTO_TCP && name is Abi.TCP_INFO or Abi.TCP_CONGESTION or Abi.TCP_FASTOPEN)
            ? Real.getsockopt(fd, level, name, value, length) : Libc.Fail(Abi.ENOPROTOOPT);
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

    internal static void Fill(Nqe* element, int level, int name, ulong value, uint length)
    {
        *element = default;
        element->Op = Op.SetOption;
        element->DataPtr = (uint)level | ((ulong)(uint)name << 32);
        element->OpData = value;
        element->Size = length;
    }

    /// <summary>Congestion control depends on what the NSM offers: asked there, and kept on the kernel socket for before it is connected.</summary>
    private static int SetCongestion(int fd, SocketSlot* s, void* value, uint length)
    {
        if (length < 1 || (int)length < 0)
        {
            return Libc.Fail(Abi.EINVAL);
        }

        if (!UserMemory.CanRead(value, length < 15 ? length : 15))
        {
            return Libc.Fail(Abi.EFAULT);
        }

        uint n = 0;
        ulong text = 0;
        while (n < length && n < 8 && ((byte*)value)[n] != 0)
        {
            ((byte*)&text)[n] = ((byte*)value)[n];
            n++;
        }

        if (n == 0 || (n == 8 && length > 8 && ((byte*)value)[8] != 0))
        {
            return Libc.Fail(2); // ENOENT: no such algorithm
        }

        if (!Locks.TryEnter(ref s->ControlLock))
        {
            return Libc.Fail(Abi.EAGAIN);
        }

        Nqe* elements = stackalloc Nqe[Control.IntroduceMost];
        uint id = Fds.IdOf(fd);
        uint count = Control.Introduce(s, id, fd, elements);
        Fill(&elements[count], Abi.IPPROTO_TCP, Abi.TCP_CONGESTION, text, n);
        elements[count].Socket = id;
        elements[count].Flags = NqeFlags.Sync;
        int error = Control.Request(s, id, RingKind.Job, elements, count + 1);
        error = error != 0 ? error : (int)s->ControlError;
        Locks.Leave(ref s->ControlLock);
        return error == 0 ? 0 : Libc.Fail(error);
    }

    /// <summary>Asks the NSM. No other control request may be under way on the socket, a connect among them.</summary>
    internal static int Ask(SocketSlot* s, uint id, int level, int name, void* value, uint* length)
    {
        if ((int)*length < 0)
        {
            return Libc.Fail(Abi.EINVAL);
        }

        if (!Locks.TryEnter(ref s->ControlLock))
        {
            return Libc.Fail(Abi.EAGAIN);
        }

        Nqe element = default;
        element.Op = Op.GetOption;
        element.Socket = id;
        element.OpData = (uint)level | ((ulong)(uint)name << 32);
        element.Size = *length > 512 ? 512 : *length;
        int error = Control.Request(s, id, RingKind.Job, &element, 1);
        error = error != 0 ? error : (int)s->ControlError;
        uint got = (uint)s->ControlData;
        if (error == 0 && got != 0)
        {
            if (Region.Rx.TryFind(s->ControlPtr, got, out _))
            {
                uint n = got < *length ? got : *length;
                _ = Libc.memmove(value, Region.Pool + s->ControlPtr, n);
                *length = n;
                Nqe credit = default;
                credit.Op = Op.RxCredit;
                credit.Socket = id;
                credit.DataPtr = s->ControlPtr;
                credit.Size = got;
                _ = Rings.Credit(s->QueueSet, &credit, 1, got);
            }
            else
            {
                error = Abi.EIO;
            }
        }
        else if (error == 0)
        {
            *length = 0;
        }

        Locks.Leave(ref s->ControlLock);
        return error == 0 ? 0 : Libc.Fail(error);
    }

    internal static int Put(void* value, uint* length, int number)
    {
        if ((int)*length < 0)
        {
            return Libc.Fail(Abi.EINVAL);
        }

        uint n = *length < 4 ? *length : 4;
        _ = Libc.memmove(value, &number, n);
        *length = n;
        return 0;
    }
}
