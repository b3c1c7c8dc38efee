using NetKernel.Channel;

namespace NetKernel.GuestLib;

/// <summary>send(2) and its kin for datagram sockets: one datagram, one Send (two when it is almost 64 KB), a DatagramHeader in front.</summary>
internal static unsafe partial class DatagramSending
{
    private const uint MostSends = SocketSlot.MaxSends - 8;

    /// <summary>Sends published together by sendmmsg.</summary>
    private const uint Batch = 32;

    private const int Dontroute = 4, Cork = Abi.MSG_MORE;

    /// <summary>Sends that are filled and not yet published.</summary>
    private ref struct Outbox
    {
        internal Nqe* Elements;
        internal uint Count;

        /// <summary><see cref="SocketSlot.Renewals"/> when the first of them was filled.</summary>
        internal uint Renewals;
    }

    internal static nint Send(int fd, SocketSlot* s, MsgHdr* message, int flags)
    {
        Nqe* elements = stackalloc Nqe[2];
        Outbox box = default;
        box.Elements = elements;
        nint sent = One(fd, s, message, flags, ref box);
        sent = Publish(s, ref box) ? sent : Libc.Fail(Region.Dead ? Abi.ENETDOWN : Abi.EAGAIN);
        if (Orphans.Any)
        {
            Orphans.Settle();
        }

        return sent;
    }

    /// <summary>sendmmsg(2): what fits goes out in one publication. An error after the first message is not told, as the kernel has it.</summary>
    internal static int SendMany(int fd, SocketSlot* s, MMsgHdr* messages, uint count, int flags)
    {
        Nqe* elements = stackalloc Nqe[(int)Batch];
        Outbox box = default;
        box.Elements = elements;
        uint done = 0;
        count = count > 1024 ? 1024 : count; // UIO_MAXIOV
        while (done < count)
        {
            if (box.Count > Batch - 2 && !Publish(s, ref box))
            {
                break;
            }

            int error = UserMemory.CanWrite(messages + done, (nuint)sizeof(MMsgHdr)) ? Messages.CheckSend(&messages[done].Header) : Abi.EFAULT;
            nint sent = error != 0 ? Libc.Fail(error) : One(fd, s, &messages[done].Header, flags, ref box);
            if (sent < 0)
            {
                break;
            }

            messages[done++].Length = (uint)sent;
        }

        int errno = Libc.Errno;
        _ = Publish(s, ref box);
        Libc.Errno = errno;
        return done != 0 || count == 0 ? (int)done : -1;
    }

    private static bool Publish(SocketSlot* s, ref Outbox box)
    {
        if (box.Count == 0)
        {
            return true;
        }

        if (IsOutlived(s, ref box))
        {
            return true; // lost on the way, like what was sent before
        }

        Submit(ref box);
        uint count = box.Count;
        box.Count = 0;
        return Rings.Send(s, box.Elements, count);
    }

    /// <summary>Hands the chunks over, only now: a process killed while it still copies leaves chunks that say whose they are.</summary>
    private static void Submit(ref Outbox box)
    {
        for (uint i = 0; i < box.Count; i++)
        {
            TxPool.Submit(box.Elements[i].DataPtr, box.Elements[i].Socket);
        }
    }

    /// <summary>Whether the socket was made again at another NSM since these were filled: they are not in its counts any more, and are dropped.</summary>
    private static bool IsOutlived(SocketSlot* s, ref Outbox box)
    {
        if (box.Renewals == Volatile.Read(ref s->Renewals))
        {
            return false;
        }

        for (uint i = 0; i < box.Count; i++)
        {
            TxPiece piece = new() { Offset = box.Elements[i].DataPtr };
            TxPool.Return(in piece);
        }

        box.Count = 0;
        return true;
    }

    private static nint One(int fd, SocketSlot* s, MsgHdr* message, int flags, ref Outbox box)
    {
        uint status = Volatile.Read(ref s->Status);
        if ((status & Datagrams.NativePeer) != 0)
        {
            if (!GoesOutside(fd, s, message))
            {
                return Publish(s, ref box) ? Addresses.Unreachable(fd, Real.sendmsg(fd, message, flags)) : Libc.Fail(Abi.EAGAIN);
            }

            // An error waits at the other half: the next call tells it, wherever it goes (sock_alloc_send_skb).
            int pending = 0;
            uint size = sizeof(int);
            if (Real.getsockopt(fd, Abi.SOL_SOCKET, Abi.SO_ERROR, &pending, &size) == 0 && pending != 0)
            {
                return Libc.Fail(pending);
            }
        }

        nint total = Messages.Total(message->Iov, message->IovLength);
        if (total < 0)
        {
            return -1;
        }

        DatagramHeader header = default;
        bool named = message->Name != null && (s->Domain == Abi.AF_INET || message->NameLength < 2 || *(ushort*)message->Name != Abi.AF_UNSPEC);
        int error = Prepare(fd, s, message, (uint)total, flags, named, &header);
        if (error == 0 && named && Datagrams.IsNative(s, header.PeerLow, header.PeerHigh))
        {
            return Publish(s, ref box) ? SendNative(fd, s, message, flags) : Libc.Fail(Abi.EAGAIN);
        }

        error = error != 0 ? error : DatagramNames.EnsureBound(fd, s);
        if (error != 0)
        {
            DatagramNames.EnsureNativePort(fd, s); // the kernel chooses the port before it looks at anything
            return Libc.Fail(error);
        }

        header.Length = (uint)total;
        nint sent = Enqueue(fd, s, message, flags, ref header, ref box);
        return sent >= 0 && MayFail(s, named, in header) ? Confirm(fd, s, header.PeerLow, header.PeerHigh, sent, ref box) : sent;
    }

    /// <summary>Looks at what is to be sent as the kernel's udp_sendmsg and udpv6_sendmsg do. 0, or an errno.</summary>
    private static int Prepare(int fd, SocketSlot* s, MsgHdr* message, uint total, int flags, bool named, DatagramHeader* header)
    {
        const uint MostLength4 = 0xFFFF; // looked at before anything else, over IPv4
        if (total > MostLength4 && s->Domain == Abi.AF_INET)
        {
            return Abi.EMSGSIZE;
        }

        int error = named ? Destination(fd, s, message, header) : (Volatile.Read(ref s->Status) & SocketStatus.Connected) != 0 ? 0 : Abi.EDESTADDRREQ;
        if (error != 0)
        {
            return error;
        }

        bool v4 = named ? Addresses.IsMapped(header->PeerLow, header->PeerHigh) : Addresses.IsMapped(s->PeerLow, s->PeerHigh);
        if (v4 && total > MostLength4)
        {
            return Abi.EMSGSIZE;
        }

        if (named && header->PeerPort == 0)
        {
            return Abi.EINVAL;
        }

        if (named && !v4 && IsFour(fd, s))
        {
            return Abi.EAFNOSUPPORT;
        }

        if (named && Datagrams.IsNative(s, header->PeerLow, header->PeerHigh))
        {
            return 0; // the rest is for the guest's kernel to judge
        }

        if ((flags & (Cork | Dontroute | (v4 ? Abi.MSG_OOB : 0))) != 0)
        {
            return Abi.EOPNOTSUPP; // only IPv4 minds MSG_OOB; the others mean something, and are not offered
        }

        return total > (v4 ? DatagramHeader.MostPayload4 : DatagramHeader.MostPayload) ? Abi.EMSGSIZE : ControlMessages.Read(s, message, v4, header);
    }

    /// <summary>Whether an IPv6 socket has an IPv4 address of its own, by bind or by its peer: from there IPv6 is out of reach (ip6_dst_lookup_tail).</summary>
    private static bool IsFour(int fd, SocketSlot* s)
    {
        uint status = Volatile.Read(ref s->Status);
        if ((status & (SocketStatus.Bound | SocketStatus.Connected)) != 0 && (status & Datagrams.NativePeer) == 0)
        {
            return Addresses.IsMapped(s->LocalLow, s->LocalHigh);
        }

        byte* local = stackalloc byte[28];
        uint length = 28;
        return (status & Datagrams.NativePeer) != 0 && Real.getsockname(fd, local, &length) == 0
            && Addresses.Parse(local, length, s->Domain, out ulong low, out ulong high, out _) == 0 && Addresses.IsMapped(low, high);
    }

    /// <summary>Whether the kernel might refuse this one at once: a destination that is new, or, for who asks not to be fragmented, a large one.</summary>
    private static bool MayFail(SocketSlot* s, bool named, in DatagramHeader header)
    {
        const uint Unfragmented = 1452; // fits 1500 bytes over IPv6
        return (named && !Destinations.IsKnown(header.PeerLow, header.PeerHigh))
            || (header.Length > Unfragmented && (s->OptionMask & DatagramOptions.Fragmentation) != 0);
    }

    /// <summary>Sends what lies in the outbox and waits until the NSM's stack has taken the last of it, or refused it.</summary>
    private static nint Confirm(int fd, SocketSlot* s, ulong low, ulong high, nint sent, ref Outbox box)
    {
        if (!Locks.TryEnter(ref s->ControlLock))
        {
            return Libc.Fail(Abi.EAGAIN);
        }

        for (uint i = box.Count; i-- > 0;)
        {
            box.Elements[i].Flags |= NqeFlags.Sync;
            if ((box.Elements[i].Flags & NqeFlags.Continued) == 0)
            {
                break;
            }
        }

        if (IsOutlived(s, ref box))
        {
            Locks.Leave(ref s->ControlLock);
            return Libc.Fail(Abi.ENETDOWN);
        }

        Submit(ref box);
        uint count = box.Count;
        box.Count = 0;
        int error = Control.RequestSend(s, Fds.IdOf(fd), box.Elements, count);
        error = error != 0 ? Abi.ENETDOWN : (int)s->ControlError;
        Locks.Leave(ref s->ControlLock);
        if (error != 0)
        {
            return Libc.Fail(error);
        }

        Destinations.Note(low, high);
        return sent;
    }

    /// <summary>The address of a message. An IPv4 socket takes an unspecified family for its own (udp(7)). 0, or an errno.</summary>
    private static int Destination(int fd, SocketSlot* s, MsgHdr* message, DatagramHeader* header)
    {
        byte* copy = stackalloc byte[28];
        byte* name = (byte*)message->Name;
        if (s->Domain == Abi.AF_INET && message->NameLength >= 16 && *(ushort*)name == Abi.AF_UNSPEC)
        {
            _ = Libc.memmove(copy, name, 16);
            *(ushort*)copy = Abi.AF_INET;
            name = copy;
        }

        int error = DatagramNames.ParsePeer(fd, s, name, message->NameLength, out header->PeerLow, out header->PeerHigh, out header->PeerPort);
        error = error == Abi.EAFNOSUPPORT && s->Domain == Abi.AF_INET6 ? Abi.EINVAL : error;
        header->Fields = DatagramFields.Peer;
        return error;
    }

    /// <summary>Whether a socket that has a peer on the guest's own addresses sends past it to somebody outside. From 127.0.0.1 and ::1 nothing gets there.</summary>
    private static bool GoesOutside(int fd, SocketSlot* s, MsgHdr* message)
    {
        DatagramHeader header = default;
        if (message->Name == null || Region.IsHostMode || Destination(fd, s, message, &header) != 0 || Datagrams.IsNative(s, header.PeerLow, header.PeerHigh))
        {
            return false;
        }

        byte* local = stackalloc byte[28];
        uint length = 28;
        return Real.getsockname(fd, local, &length) == 0 && Addresses.Parse(local, length, s->Domain, out ulong low, out ulong high, out _) == 0
            && (!Addresses.IsLoopback(low, high) || (!Addresses.IsMapped(low, high) && Addresses.IsMapped(header.PeerLow, header.PeerHigh)));
    }

    /// <summary>To the guest's own loopback: from the kernel socket, which thereby has a port that others may answer to.</summary>
    private static nint SendNative(int fd, SocketSlot* s, MsgHdr* message, int flags)
    {
        if (Region.IsHostMode)
        {
            return Real.sendmsg(fd, message, flags);
        }

        uint status = Volatile.Read(ref s->Status);
        _ = (status & SocketStatus.Known) != 0 && Draining.Of(s->QueueSet);
        int pending = Volatile.Read(ref s->Error) == 0 ? 0 : Interlocked.Exchange(ref s->Error, 0);
        if (pending != 0)
        {
            return Libc.Fail(pending); // of the NSM's half
        }

        if ((status & (SocketStatus.Connected | SocketStatus.NativeBound)) == SocketStatus.Connected)
        {
            DatagramNames.BindLoopbackHalf(fd, s); // the port that its peer knows it by
        }

        nint sent = Real.sendmsg(fd, message, flags);
        if (sent >= 0 && (Interlocked.Or(ref s->Status, SocketStatus.NativeBound) & SocketStatus.NativeBound) == 0)
        {
            int errno = Libc.Errno;
            Epoll.WatchNativeHalf(fd, Fds.IdOf(fd));
            Libc.Errno = errno;
        }

        return sent;
    }

    /// <summary>Why nothing can be sent, or 0: a pending error first, then the end of the sending side (sock_alloc_send_skb). No SIGPIPE for datagrams.</summary>
    private static int Refusal(SocketSlot* s)
    {
        uint status = Volatile.Read(ref s->Status);
        if (Region.IsOver(s) || (status & SocketStatus.Reset) != 0 || DatagramRevival.IsDown(s))
        {
            return Abi.ENETDOWN;
        }

        int error = Volatile.Read(ref s->Error) == 0 ? 0 : Interlocked.Exchange(ref s->Error, 0);
        return error != 0 ? error : (status & SocketStatus.ShutWrite) != 0 ? Abi.EPIPE : 0;
    }
}
