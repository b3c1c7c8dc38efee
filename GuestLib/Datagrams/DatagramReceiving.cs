using NetKernel.Channel;

namespace NetKernel.GuestLib;

/// <summary>recv(2) and its kin for datagram sockets: from the NSM's half and from the kernel socket, neither starving the other.</summary>
internal static unsafe class DatagramReceiving
{
    /// <summary>Credits returned in one publication.</summary>
    private const uint Batch = 16;

    /// <summary>Every so many receives the kernel socket comes first.</summary>
    private const uint NativeTurn = 8;

    private static uint s_turn; // racy between threads, and harmless

    /// <summary>Credits that are not yet published.</summary>
    private ref struct Credits
    {
        internal Nqe* Elements;
        internal uint Count;
        internal uint Bytes;

        /// <summary>Position of the first of them, or a little before.</summary>
        internal uint From;
        internal bool Loud;
    }

    /// <summary>Receives one datagram. Bytes, or -1 with errno.</summary>
    internal static nint Receive(int fd, SocketSlot* s, MsgHdr* message, int flags)
    {
        Nqe* elements = stackalloc Nqe[(int)Batch];
        Credits credits = default;
        credits.Elements = elements;
        nint got = One(fd, ref s, message, flags, ref credits);
        Return(s, ref credits);
        Settle();
        return got;
    }

    /// <summary>recvmmsg(2): the timeout is looked at after each datagram only, and an error after the first one is kept for the next call.</summary>
    internal static int ReceiveMany(int fd, SocketSlot* s, MMsgHdr* messages, uint count, int flags, TimeSpec* timeout)
    {
        long deadline = -1;
        if (timeout != null)
        {
            if (!UserMemory.CanWrite(timeout, (nuint)sizeof(TimeSpec)))
            {
                return Libc.Fail(Abi.EFAULT);
            }

            if (timeout->Seconds < 0 || (ulong)timeout->Nanoseconds > 999_999_999)
            {
                return Libc.Fail(Abi.EINVAL);
            }

            long seconds = timeout->Seconds > 1_000_000_000 ? 1_000_000_000 : timeout->Seconds;
            deadline = Libc.Now() + (seconds * 1_000_000_000) + timeout->Nanoseconds;
        }

        Nqe* elements = stackalloc Nqe[(int)Batch];
        Credits credits = default;
        credits.Elements = elements;
        uint done = 0;
        count = count > 1024 ? 1024 : count; // UIO_MAXIOV
        while (done < count)
        {
            int refused = Messages.CheckReceive(&messages[done].Header);
            nint got = refused != 0 ? Libc.Fail(refused) : One(fd, ref s, &messages[done].Header, flags & ~Abi.MSG_WAITFORONE, ref credits);
            if (got < 0)
            {
                int errno = Libc.Errno;
                if (done != 0 && errno != Abi.EAGAIN && errno != Abi.EINTR)
                {
                    s->Error = errno;
                }

                break;
            }

            messages[done++].Length = (uint)got;
            flags |= (flags & Abi.MSG_WAITFORONE) != 0 ? Abi.MSG_DONTWAIT : 0;
            if (deadline >= 0)
            {
                long left = deadline - Libc.Now();
                left = left < 0 ? 0 : left;
                timeout->Seconds = left / 1_000_000_000;
                timeout->Nanoseconds = left % 1_000_000_000;
                if (left == 0)
                {
                    break;
                }
            }
        }

        int error = Libc.Errno;
        Return(s, ref credits);
        Settle();
        Libc.Errno = error;
        return done != 0 || count == 0 ? (int)done : -1;
    }

    private static void Settle()
    {
        if (Orphans.Any)
        {
            Orphans.Settle();
        }
    }

    private static nint One(int fd, ref SocketSlot* s, MsgHdr* message, int flags, ref Credits credits)
    {
        if ((flags & Abi.MSG_ERRQUEUE) != 0)
        {
            return DatagramErrors.Receive(fd, s, message, flags);
        }

        nint total = Messages.Total(message->Iov, message->IovLength);
        if (total < 0 || !UserMemory.CanWrite(message, (nuint)sizeof(MsgHdr)))
        {
            return total < 0 ? -1 : Libc.Fail(Abi.EFAULT);
        }

        uint id = Fds.IdOf(fd);
        bool nonBlocking = (Volatile.Read(ref s->Status) & Status.NonBlocking) != 0 || (flags & Abi.MSG_DONTWAIT) != 0; // as it was when the call began
        long deadline = -2;
        bool hasErrors = false;
        while (true)
        {
            uint ticket = Draining.Ticket();
            uint status = Volatile.Read(ref s->Status);
            int half = Orphans.HalfOf(fd, id); // another thread may have closed the fd meanwhile, and its number may be another socket's
            if ((status & Datagrams.NativePeer) != 0 && half >= 0)
            {
                Return(s, ref credits);
                return Real.recvmsg(half, message, flags);
            }

            int error = Volatile.Read(ref s->Error) == 0 ? 0 : Interlocked.Exchange(ref s->Error, 0);
            if (error != 0)
            {
                return Libc.Fail(error);
            }

            bool native = half >= 0 && Datagrams.HasNativeHalf(status);
            bool nativeFirst = native && ++s_turn % NativeTurn == 0;
            nint got;
            if (!nativeFirst && (got = Take(s, fd, message, flags, ref credits)) != -2)
            {
                return got;
            }

            if (native && ((got = Real.recvmsg(half, message, flags | Abi.MSG_DONTWAIT)) >= 0 || Libc.Errno != Abi.EAGAIN))
            {
                return got;
            }

            if (nativeFirst && (got = Take(s, fd, message, flags, ref credits)) != -2)
            {
                return got;
            }

            if (Region.IsOver(s))
            {
                SocketSlot* revived = DatagramRevival.Await(fd, flags);
                if (revived == null)
                {
                    return -1;
                }

                s = revived;
                id = Fds.IdOf(fd);
                continue;
            }

            if ((status & SocketStatus.Reset) != 0)
            {
                return Libc.Fail(Abi.ENETDOWN);
            }

            if (nonBlocking)
            {
                return Libc.Fail(Abi.EAGAIN);
            }

            if ((status & SocketStatus.ShutRead) != 0)
            {
                message->NameLength = 0;
                message->ControlLength = 0;
                message->Flags = 0;
                return 0;
            }

            Return(s, ref credits);
            deadline = deadline == -2 ? Options.Deadline(fd, s, Abi.SO_RCVTIMEO) : deadline;
            PollFd* fds = stackalloc PollFd[1];
            fds[0].Fd = half;
            fds[0].Events = Abi.POLLIN;
            fds[0].Revents = 0;

            // A socket without a name may get one meanwhile, or a peer on loopback, of which the NSM, which could ring, does not know.
            bool watched = half >= 0 && (status & SocketStatus.Connected) == 0;
            if (Waiting.Block(id, fds, watched ? 1u : 0u, deadline, deadline >= 0, ticket, edges: watched && hasErrors) < 0)
            {
                return -1;
            }

            // The half's error queue has something, which is no reason for a receive to return, nor to look again.
            hasErrors = hasErrors || (fds[0].Revents & (Abi.POLLIN | Abi.POLLERR)) == Abi.POLLERR;

            if (deadline >= 0 && Libc.Now() >= deadline && !Datagrams.HasQueued(s) && !Draining.AnyPending())
            {
                return Libc.Fail(Abi.EAGAIN);
            }
        }
    }

    /// <summary>Drops what waits in the NSM's half.</summary>
    internal static void DropAll(int fd, SocketSlot* s)
    {
        Nqe* elements = stackalloc Nqe[(int)Batch];
        Credits credits = default;
        credits.Elements = elements;
        MsgHdr nothing = default;
        for (uint i = 0; i < SocketSlot.RxRing && Take(s, fd, &nothing, 0, ref credits) >= 0; i++)
        {
        }

        Return(s, ref credits);
    }

    /// <summary>Takes the first datagram of the NSM's half; -2 when there is none.</summary>
    private static nint Take(SocketSlot* s, int fd, MsgHdr* message, int flags, ref Credits credits)
    {
        if (!Datagrams.HasQueued(s) && !(Draining.Of(s->QueueSet) && Datagrams.HasQueued(s)))
        {
            return -2;
        }

        if (!Locks.TryEnter(ref s->RxLock))
        {
            return Libc.Fail(Region.IsOver(s) ? Abi.ENETDOWN : Abi.EAGAIN);
        }

        DatagramRevival.DropVoid(s);
        if (!Datagrams.HasQueued(s))
        {
            Locks.Leave(ref s->RxLock);
            return -2; // another thread or process was faster
        }

        uint head = s->RxHead;
        RxEntry* first = &((RxEntry*)s->Entries)[head % SocketSlot.RxRing];
        byte* pool = Region.Pool;
        if (!Region.Owns(s))
        {
            Locks.Leave(ref s->RxLock);
            return -2; // lost with the CoreEngine before
        }

        RxEntry* second = (first->Size & Datagrams.GoesOn) != 0 ? &((RxEntry*)s->Entries)[(head + 1) % SocketSlot.RxRing] : null;
        int fault = Copy(s, pool, first, second, message, flags, out nint got);

        bool lost = RxParts.IsVoid(s, first->Offset);
        if ((flags & Abi.MSG_PEEK) == 0 && !lost)
        {
            Credit(s, Fds.IdOf(fd), first, ref credits);
            if (second != null)
            {
                Credit(s, Fds.IdOf(fd), second, ref credits);
            }

            Volatile.Write(ref s->RxHead, head + (second != null ? 2u : 1u)); // Release: pairs with the drainer's acquire in Delivered.
        }

        Locks.Leave(ref s->RxLock);
        return lost ? -2 : fault == 0 ? got : Libc.Fail(fault); // taken all the same, as the kernel does
    }

    /// <summary>Copies a datagram to the program. 0, or an errno.</summary>
    private static int Copy(SocketSlot* s, byte* pool, RxEntry* first, RxEntry* second, MsgHdr* message, int flags, out nint got)
    {
        byte* start = pool + first->Offset;
        DatagramHeader* header = (DatagramHeader*)start;
        uint inFirst = (first->Size & ~Datagrams.GoesOn) - DatagramHeader.Bytes;
        uint inSecond = second != null ? second->Size & ~Datagrams.GoesOn : 0;
        uint length = inFirst + inSecond;
        uint total = (uint)Messages.Total(message->Iov, message->IovLength);
        got = total < length && (flags & Abi.MSG_TRUNC) == 0 ? (nint)total : (nint)length;
        if (!Receiving.Scatter(message->Iov, message->IovLength, 0, start + DatagramHeader.Bytes, inFirst)
            || (second != null && !Receiving.Scatter(message->Iov, message->IovLength, inFirst, pool + second->Offset, inSecond)))
        {
            return Abi.EFAULT;
        }

        Destinations.Note(header->PeerLow, header->PeerHigh);
        message->Flags = (total < length ? Abi.MSG_TRUNC : 0) | (flags & Abi.MSG_CMSG_CLOEXEC);
        if (message->Name != null)
        {
            uint room = message->NameLength;
            int error = Addresses.Put(s->Domain, header->PeerLow, header->PeerHigh, header->PeerPort, message->Name, &room);
            if (error != 0)
            {
                return error;
            }

            message->NameLength = room;
        }

        if (s->Wanted != 0)
        {
            ControlMessages.Write(s, header, message);
        }
        else
        {
            message->ControlLength = 0;
        }

        return 0;
    }

    private static void Credit(SocketSlot* s, uint id, RxEntry* entry, ref Credits credits)
    {
        if (credits.Count == Batch)
        {
            Return(s, ref credits);
        }

        credits.From = credits.Count == 0 ? s->RxHead - 2 : credits.From; // a datagram has at most two entries
        Nqe* credit = &credits.Elements[credits.Count++];
        *credit = default;
        credit->Op = Op.RxCredit;
        credit->Socket = id;
        credit->DataPtr = entry->Offset;
        credit->Size = entry->Size & ~Datagrams.GoesOn;
        credits.Bytes += credit->Size;
    }

    /// <summary>Publishes the credits that have gathered.</summary>
    private static void Return(SocketSlot* s, ref Credits credits)
    {
        if (credits.Count == 0)
        {
            return;
        }

        int errno = Libc.Errno;
        Receiving.Credit(s, credits.Elements, credits.Count, credits.Bytes, credits.From);
        Libc.Errno = errno;
        credits.Count = 0;
        credits.Bytes = 0;
    }
}
