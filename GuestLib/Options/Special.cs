using NetKernel.Channel;

namespace NetKernel.GuestLib;

/// <content>Options that are like no other.</content>
internal static unsafe partial class Options
{
    private static int GetSpecial(int fd, SocketSlot* s, int row, int level, int name, void* value, uint* length)
    {
        if (level == Abi.IPPROTO_TCP)
        {
            return name == Abi.TCP_INFO ? GetInfo(fd, s, value, length) : GetCongestion(fd, s, value, length);
        }

        switch (name)
        {
            case Abi.SO_ERROR:
                _ = Draining.Of(s->QueueSet); // it may have been told already
                return Put(value, length, Interlocked.Exchange(ref s->Error, 0));
            case Abi.SO_ACCEPTCONN:
                return Put(value, length, (Volatile.Read(ref s->Status) & SocketStatus.Listening) != 0 ? 1 : 0);
            case Abi.SO_PEERNAME:
                return GetPeerName(s, value, length);
            default:
                // SO_REUSEADDR, SO_REUSEPORT: an accepted socket has its listener's without a system call.
                return Put(value, length, (s->OptionMask & (1ul << row)) != 0 ? 1 : 0);
        }
    }

    /// <summary>TCP_INFO: of the connection in the NSM. While it connects, no question may be asked there.</summary>
    private static int GetInfo(int fd, SocketSlot* s, void* value, uint* length)
    {
        const byte TCP_SYN_SENT = 2;
        uint status = Volatile.Read(ref s->Status);
        if ((status & (SocketStatus.Known | SocketStatus.Reset | SocketStatus.Connecting)) == SocketStatus.Known)
        {
            return Ask(s, Fds.IdOf(fd), Abi.IPPROTO_TCP, Abi.TCP_INFO, value, length);
        }

        int result = Real.getsockopt(fd, Abi.IPPROTO_TCP, Abi.TCP_INFO, value, length);
        if (result == 0 && *length > 0 && (status & SocketStatus.Connecting) != 0)
        {
            *(byte*)value = TCP_SYN_SENT; // tcpi_state
        }

        return result;
    }

    /// <summary>SO_PEERNAME: unlike getpeername(2) it must not be given more room than the address needs.</summary>
    private static int GetPeerName(SocketSlot* s, void* value, uint* length)
    {
        uint status = Volatile.Read(ref s->Status);
        if ((status & SocketStatus.Connected) == 0 || Closing.IsOver(s, status))
        {
            return Libc.Fail(Abi.ENOTCONN);
        }

        byte* full = stackalloc byte[28];
        if (Addresses.Format(s->Domain, s->PeerLow, s->PeerHigh, s->PeerPort, full) < *length)
        {
            return Libc.Fail(Abi.EINVAL);
        }

        if (!UserMemory.CanWrite(value, *length))
        {
            return Libc.Fail(Abi.EFAULT);
        }

        _ = Libc.memmove(value, full, *length);
        return 0;
    }

    /// <summary>TCP_CONGESTION: the NSM's, also of a socket that it does not know yet, since what it takes by itself is its operator's choice.</summary>
    private static int GetCongestion(int fd, SocketSlot* s, void* value, uint* length)
    {
        if ((Volatile.Read(ref s->Status) & (SocketStatus.Reset | SocketStatus.Connecting)) != 0)
        {
            return Real.getsockopt(fd, Abi.IPPROTO_TCP, Abi.TCP_CONGESTION, value, length);
        }

        uint id = Fds.IdOf(fd);
        if ((Volatile.Read(ref s->Status) & SocketStatus.Known) == 0 && Locks.TryEnter(ref s->ControlLock))
        {
            Nqe* elements = stackalloc Nqe[Control.IntroduceMost];
            uint count = Control.Introduce(s, id, fd, elements);
            _ = count != 0 && Rings.Job(s, elements, count);
            Locks.Leave(ref s->ControlLock);
        }

        return Ask(s, id, Abi.IPPROTO_TCP, Abi.TCP_CONGESTION, value, length);
    }

    /// <summary>Congestion control depends on what the NSM offers, so it alone is asked. Names that one request cannot carry are unknown.</summary>
    private static int SetCongestion(int fd, SocketSlot* s, void* value, uint length)
    {
        if (length < 1)
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
            return Libc.Fail(ENOENT);
        }

        if ((Volatile.Read(ref s->Status) & SocketStatus.Connecting) != 0)
        {
            return Libc.Fail(Abi.EALREADY);
        }

        Nqe option;
        Fill(&option, Abi.IPPROTO_TCP, Abi.TCP_CONGESTION, text, n);
        option.Socket = Fds.IdOf(fd);
        int error = SetAndWait(fd, s, &option);
        return error == 0 ? 0 : Libc.Fail(error);
    }

    /// <summary>The guest's only device is its lo: a socket bound to it is the guest kernel's. Any other name is unknown to the kernel, which says so.</summary>
    private static int BindToDevice(int fd, SocketSlot* s, int level, int name, void* value, uint length)
    {
        bool none = length == 0 || (UserMemory.CanRead(value, length < 4 ? length : 4) && (name == Abi.SO_BINDTODEVICE ? *(byte*)value == 0 : length >= 4 && *(int*)value == 0));
        if (!none && (Volatile.Read(ref s->Status) & SocketStatus.Known) != 0)
        {
            return Libc.Fail(ENODEV);
        }

        int result = Real.setsockopt(fd, level, name, value, length);
        if (result == 0 && !none)
        {
            Opening.BecomeNative(fd, s);
        }

        return result;
    }
}
