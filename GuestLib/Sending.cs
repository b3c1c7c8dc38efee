using NetKernel.Channel;

namespace NetKernel.GuestLib;

/// <summary>The sending half of a connection: copy to the TX pool, enqueue, return; SendDone gives the room back.</summary>
internal static unsafe partial class Sending
{
    /// <summary>Bytes one socket may have in flight unless the program says otherwise: as much as stays in the cache.</summary>
    internal const uint DefaultLimit = 512 << 10;

    /// <summary>The least that SO_SNDBUF or TCP_NOTSENT_LOWAT gives.</summary>
    internal const uint LeastLimit = 2048;

    /// <summary>The most that SO_SNDBUF gives.</summary>
    internal const uint MostLimit = 4 << 20;

    private const uint MostSends = SocketSlot.MaxSends - 8;
    private const uint Batch = 16;
    private const int EISDIR = 21;

    /// <summary>Published after so many bytes at the latest, so that the NSM works while this side still copies.</summary>
    private const uint BatchBytes = 128 << 10;

    /// <summary>
    /// Whether a program that waits for EPOLLOUT should be woken: a third of the room is free, as the kernel has it. Always, when nothing is in flight: so whoever waits has a SendDone of its own
    /// to come, which wakes it, and depends on no other socket.
    /// </summary>
    internal static bool HasRoom(SocketSlot* s)
    {
        if (IsDirect(s, out Direct.Link link))
        {
            uint limit = Direct.LimitOf(s, in link);
            return Direct.Unread(s, in link) <= limit - (limit / 3);
        }

        uint flying = Volatile.Read(ref s->TxSends);
        uint bytes = TxShare.BytesOf(s);
        uint sends = TxShare.SendsOf(MostSends, bytes);
        return flying == 0 || (Volatile.Read(ref s->TxBytes) <= bytes - (bytes / 3) && flying <= sends - (sends / 3));
    }

    /// <summary>Sends what the vectors hold. Bytes sent, or -1 with errno.</summary>
    internal static nint Send(int fd, SocketSlot* s, IoVec* vectors, nuint count, int flags)
    {
        nint total = Messages.Total(vectors, count);
        if (total < 0)
        {
            return -1;
        }

        Source source = new() { Vectors = vectors, Count = count, File = -1 };
        return Run(fd, s, ref source, (nuint)total, flags);
    }

    /// <summary>Sends up to <paramref name="length"/> bytes of a file, or of a pipe that has so many, read straight into the TX pool.</summary>
    internal static nint SendFile(int fd, SocketSlot* s, int file, long* offset, nuint length, int flags)
    {
        Source source = new() { File = file, Offset = offset };
        return Run(fd, s, ref source, length, flags);
    }

    private struct Source
    {
        internal IoVec* Vectors;
        internal nuint Count;
        internal nuint Done;
        internal int File;
        internal long* Offset;
        internal bool AtEnd;

        /// <summary>Puts up to <paramref name="room"/> bytes into a chunk; 0 at end of file (which is then noted), -1 with errno.</summary>
        internal nint Fill(byte* chunk, nuint room)
        {
            if (File >= 0)
            {
                nint got = Offset == null ? Raw.Read(File, chunk, room) : Raw.Read(File, chunk, room, *Offset);
                AtEnd = got == 0;
                if (got > 0 && Offset != null)
                {
                    *Offset += got;
                }

                return got >= 0 || Libc.Errno != EISDIR ? got : Libc.Fail(Abi.EINVAL);
            }

            nuint put = 0;
            while (put < room && Count > 0)
            {
                nuint n = Vectors->Length - Done;
                n = n < room - put ? n : room - put;
                if (!UserMemory.CanRead(Vectors->Base + Done, n))
                {
                    return Libc.Fail(Abi.EFAULT); // nothing of this piece, as the kernel
                }

                _ = Libc.memmove(chunk + put, Vectors->Base + Done, n);
                put += n;
                Done += n;
                if (Done == Vectors->Length)
                {
                    Vectors++;
                    Count--;
                    Done = 0;
                }
            }

            return (nint)put;
        }
    }

    private static nint Run(int fd, SocketSlot* s, ref Source source, nuint total, int flags)
    {
        Interrupts.Point();
        nint sent = Fill(fd, s, ref source, total, flags);
        if (Orphans.Any)
        {
            Orphans.Settle();
        }

        return sent;
    }

    private static nint Fill(int fd, SocketSlot* s, ref Source source, nuint total, int flags)
    {
        nuint done = 0;
        uint id = Fds.IdOf(fd);
        bool nonBlocking = (Volatile.Read(ref s->Status) & Status.NonBlocking) != 0 || (flags & Abi.MSG_DONTWAIT) != 0;
        long deadline = -2;
        if (!Locks.TryEnter(ref s->TxLock))
        {
            return Libc.Fail(Region.IsOver(s) ? Abi.ECONNRESET : Abi.EAGAIN);
        }

        while (true)
        {
            uint ticket = Draining.Ticket();
            Draining.EventsOf(s->QueueSet); // who only sends must hear of a reset too
            int error = Refusal(s);
            if (error == Abi.EINPROGRESS)
            {
                // A connect is under way: the kernel waits for it here as well.
                Locks.Leave(ref s->TxLock);
                if (!nonBlocking && Wait(fd, s, id, ref deadline, -1, false, ticket) && Locks.TryEnter(ref s->TxLock))
                {
                    continue;
                }

                return nonBlocking ? Libc.Fail(Abi.EAGAIN) : -1;
            }

            if ((flags & (Abi.MSG_OOB | Abi.MSG_FASTOPEN)) != 0)
            {
                error = (flags & Abi.MSG_FASTOPEN) != 0 ? error == 0 ? Abi.EISCONN : Abi.EOPNOTSUPP : error == 0 ? Abi.EOPNOTSUPP : error;
            }

            if (error != 0)
            {
                if (done != 0 && error is not (Abi.EPIPE or Abi.EOPNOTSUPP or Abi.EISCONN))
                {
                    _ = Interlocked.CompareExchange(ref s->Error, error, 0); // a short count first: the next call says why (tcp_sendmsg)
                }

                Locks.Leave(ref s->TxLock);
                return done != 0 ? (nint)done : Broken(error, flags);
            }

            if (total == 0)
            {
                Locks.Leave(ref s->TxLock);
                return 0;
            }

            if (IsDirect(s, out Direct.Link link))
            {
                nint written = PutDirect(s, in link, ref source, total - done);
                if (written < 0)
                {
                    Locks.Leave(ref s->TxLock);
                    return done != 0 ? (nint)done : -1;
                }

                done += (nuint)written;
                if (done == total || source.AtEnd)
                {
                    Locks.Leave(ref s->TxLock);
                    return (nint)done;
                }

                if (written > 0 || Draining.All() || !Readiness.WantRoom(s))
                {
                    continue;
                }

                Locks.Leave(ref s->TxLock);
                if (nonBlocking)
                {
                    return done != 0 ? (nint)done : Libc.Fail(Abi.EAGAIN);
                }

                if (!Wait(fd, s, id, ref deadline, -1, done > 0, ticket))
                {
                    return done != 0 ? (nint)done : -1;
                }

                if (!Locks.TryEnter(ref s->TxLock))
                {
                    return done != 0 ? (nint)done : Libc.Fail(Abi.EAGAIN);
                }

                continue;
            }

            StopDirect(s);
            if (Direct.IsOutOfReach(s))
            {
                Locks.Leave(ref s->TxLock);
                return done != 0 ? (nint)done : Libc.Fail(Region.IsOver(s) ? Abi.ECONNRESET : Abi.ENOMEM);
            }

            // Completions gather while a program only sends: take them before the room looks smaller than it is.
            if (s->TxBytes > s->TxLimit / 2 || s->TxSends > MostSends / 2 || TxShare.IsScarce)
            {
                _ = Draining.Of(s->QueueSet);
            }

            nint put = Put(s, id, ref source, total - done, flags);
            if (put < 0)
            {
                Locks.Leave(ref s->TxLock);
                return done != 0 ? (nint)done : -1;
            }

            done += (nuint)put;
            if (done == total || source.AtEnd)
            {
                Locks.Leave(ref s->TxLock);
                return (nint)done;
            }

            if (put > 0)
            {
                continue;
            }

            if (Draining.All())
            {
                continue;
            }

            // No room. Whoever has waited for it wants to be woken by SendDone.
            TxShare.Refresh();
            bool stuck = Volatile.Read(ref s->TxSends) == 0; // its own place is not free, or there is none
            if (stuck ? TxPool.HasOwn(s) : !Readiness.WantRoom(s) && HasAny(s))
            {
                continue;
            }

            Locks.Leave(ref s->TxLock);
            if (nonBlocking)
            {
                return done != 0 ? (nint)done : Libc.Fail(Abi.EAGAIN);
            }

            if (!Wait(fd, s, id, ref deadline, stuck ? Libc.Now() + 1_000_000 : -1, done > 0, ticket))
            {
                return done != 0 ? (nint)done : -1;
            }

            if (!Locks.TryEnter(ref s->TxLock))
            {
                return done != 0 ? (nint)done : Libc.Fail(Abi.EAGAIN);
            }
        }
    }

    /// <summary>
    /// Sleeps until something happens, or until <paramref name="soon"/> (-1: never). False with errno when a signal came or SO_SNDTIMEO is over. A call that has
    /// <paramref name="begun"/> is not restarted: it returns what it has done.
    /// </summary>
    private static bool Wait(int fd, SocketSlot* s, uint id, ref long deadline, long soon, bool begun, uint ticket)
    {
        deadline = deadline == -2 ? Options.Deadline(fd, s, Abi.SO_SNDTIMEO) : deadline;
        if (Waiting.Block(id, null, 0, deadline >= 0 && (soon < 0 || deadline < soon) ? deadline : soon, deadline >= 0 || begun, ticket) < 0)
        {
            return false;
        }

        if (deadline >= 0 && Libc.Now() >= deadline)
        {
            Libc.Errno = Abi.EAGAIN;
            return false;
        }

        return true;
    }

    private static bool HasAny(SocketSlot* s)
    {
        uint bytes = TxShare.BytesOf(s);
        return Volatile.Read(ref s->TxSends) == 0 || (s->TxBytes < bytes && s->TxSends < TxShare.SendsOf(MostSends, bytes));
    }

    /// <summary>Copies as much as there is room for and enqueues it. Bytes taken (0: no room), or -1 with errno.</summary>
    private static nint Put(SocketSlot* s, uint id, ref Source source, nuint left, int flags)
    {
        Nqe* elements = stackalloc Nqe[(int)Batch];
        uint n = 0;
        nint taken = 0;
        nint result = 0;
        while (n < Batch && (nuint)taken < BatchBytes && left > 0 && HasAny(s))
        {
            uint limit = TxShare.BytesOf(s);
            uint window = limit > s->TxBytes ? limit - s->TxBytes : 0;
            bool limited = limit < DefaultLimit; // the program wants little to wait, or may have no more: the last piece may not go beyond it
            int sizeClass = PoolHalf.ClassFor(limited && window < left ? window : left);
            bool own = window == 0 || (limit < PoolLayout.SmallBytes && TxShare.IsScarce);
            if (own || !TxPool.TryTake(sizeClass, spare: false, out TxPiece piece))
            {
                own = true;
                if (Volatile.Read(ref s->TxSends) != 0 || !TxPool.TryTakeOwn(s, id, out piece))
                {
                    break;
                }
            }

            nuint room = piece.Bytes;
            room = room < left ? room : left;
            room = own || room < window || (n == 0 && !limited) ? room : window;
            nint put = source.Fill(Region.Pool + piece.Offset, room);
            if (put <= 0)
            {
                TxPool.Return(in piece);
                result = put;
                break;
            }

            Interlocked.Add(ref s->TxBytes, (uint)put);
            Interlocked.Increment(ref s->TxSends);
            Nqe* nqe = &elements[n++];
            *nqe = default;
            nqe->Op = Op.Send;
            nqe->Socket = id;
            nqe->DataPtr = piece.Offset;
            nqe->Size = (uint)put;
            taken += put;
            left -= (nuint)put;
            nqe->Flags = left > 0 || (flags & Abi.MSG_MORE) != 0 ? NqeFlags.More : NqeFlags.None;
        }

        if (n == 0)
        {
            return result;
        }

        if ((flags & Abi.MSG_MORE) == 0)
        {
            elements[n - 1].Flags = NqeFlags.None; // what is not taken yet must not hold back what is
        }

        // Handed over only now: a process killed while it still copies leaves chunks that say whose they are.
        for (uint i = 0; i < n; i++)
        {
            TxPool.Submit(elements[i].DataPtr, id);
        }

        if (!Rings.Send(s, elements, n))
        {
            return Libc.Fail(Region.IsOver(s) ? Abi.ECONNRESET : Abi.EAGAIN);
        }

        s->TxByNsm += (ulong)taken;
        return taken;
    }

    /// <summary>Why nothing can be sent, or 0.</summary>
    private static int Refusal(SocketSlot* s)
    {
        uint status = Volatile.Read(ref s->Status);
        if ((status & (SocketStatus.Connected | SocketStatus.Reset | SocketStatus.ShutWrite)) == SocketStatus.Connected && !Region.IsOver(s))
        {
            return 0;
        }

        if (Region.IsOver(s))
        {
            return Abi.ECONNRESET;
        }

        if ((status & SocketStatus.Connecting) != 0)
        {
            return Abi.EINPROGRESS;
        }

        int error = Interlocked.Exchange(ref s->Error, 0);
        return error == 0 ? Abi.EPIPE : error;
    }

    /// <summary>Fails; a broken pipe raises SIGPIPE as the kernel does (send(2)).</summary>
    internal static int Broken(int error, int flags)
    {
        if (error == Abi.EPIPE && (flags & Abi.MSG_NOSIGNAL) == 0)
        {
            _ = Libc.pthread_kill(Libc.pthread_self(), Abi.SIGPIPE);
        }

        return Libc.Fail(error);
    }
}
