using NetKernel.Channel;

namespace NetKernel.GuestLib;

/// <summary>
/// MSG_FASTOPEN (tcp(7), RFC 7413): connects and sends in one call. The NSM's socket is told to keep its SYN for the first data (TCP_FASTOPEN_CONNECT) when it has a cookie of that peer, and
/// says then that it is connected; what is sent next goes in the SYN. A non-blocking call says EINPROGRESS, as the kernel does without a cookie: the data is sent when the socket is writable,
/// and goes in the SYN as well if there was one.
/// </summary>
internal static unsafe class FastOpening
{
    internal static nint Send(int fd, SocketSlot* s, IoVec* vectors, nuint count, int flags, void* address, uint length)
    {
        if ((Volatile.Read(ref s->Status) & (SocketStatus.Connected | SocketStatus.Connecting)) != 0)
        {
            return Sending.Send(fd, s, vectors, count, flags);
        }

        if (length >= sizeof(ushort) && *(ushort*)address == Abi.AF_UNSPEC)
        {
            return Libc.Fail(Abi.EOPNOTSUPP);
        }

        bool outside = Addresses.Parse((byte*)address, length, s->Domain, out ulong low, out ulong high, out _) == 0
            && !Addresses.IsLoopback(low, high) && !Region.IsOwnAddress(low, high);
        if (outside)
        {
            Nqe option;
            Options.Fill(&option, Abi.IPPROTO_TCP, Abi.TCP_FASTOPEN_CONNECT, 1, sizeof(int));
            option.Socket = Fds.IdOf(fd);
            int refused = Options.SetAndWait(fd, s, &option);
            if (refused != 0)
            {
                return Libc.Fail(refused == Abi.ENOPROTOOPT ? Abi.EOPNOTSUPP : refused);
            }
        }

        if (Opening.Connect(fd, s, (byte*)address, length) != 0)
        {
            return -1;
        }

        flags &= ~Abi.MSG_FASTOPEN;
        if ((Volatile.Read(ref s->Status) & SocketStatus.Native) == 0)
        {
            return Sending.Send(fd, s, vectors, count, flags);
        }

        MsgHdr message = new() { Iov = vectors, IovLength = count };
        return Real.sendmsg(fd, &message, flags);
    }
}
