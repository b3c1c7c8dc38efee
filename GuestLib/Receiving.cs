using NetKernel.Channel;

namespace NetKernel.GuestLib;

/// <summary>The receiving half of a connection: take from what the NSM has put into the RX pool, return credit.</summary>
internal static unsafe partial class Receiving
{
    private const uint Batch = 16;

    /// <summary>Of <see cref="Take"/> alone: the data goes into a pipe, whose fd stands in place of the number of vectors. No program can pass it: the bit is taken away first.</summary>
    private const int MSG_TOPIPE = 1 << 31;

    /// <summary>
    /// Receives into the vectors. Bytes, 0 at end of stream, or -1 with errno. Where something was waiting and nothing could be taken, another thread was faster, or a peer in the direct form lies: then the
    /// call goes on as if there had been nothing, and does not look again and again for what such a peer may never give.
    /// </summary>
    internal static nint Receive(int fd, SocketSlot* s, IoVec* vectors, nuint count, int flags)
    {
        Interrupts.Point();
        nint received = Run(fd, s, vectors, count, flags);
        if (Orphans.Any)
        {
            Orphans.Settle();
        }

        return received;
    }

    private static nint Run(int fd, SocketSlot* s, IoVec* vectors, nuint count, int flags)
    {
        if ((flags & (Abi.MSG_OOB | Abi.MSG_ERRQUEUE)) != 0)
        {
            return Libc.Fail((flags & Abi.MSG_ERRQUEUE) != 0 ? Abi.EAGAIN
                : (Volatile.Read(ref s->Status) & SocketStatus.Listening) != 0 ? Abi.ENOTCONN : Abi.EINVAL);
        }

        nint total = Messages.Total(vectors, count);
        if (total < 0)
        {
            return -1;
        }

        flags &= ~MSG_TOPIPE;
        bool peek = (flags & Abi.MSG_PEEK) != 0;
        nint target = Target(s, total, flags);
        nint done = 0;
        uint id = Fds.IdOf(fd);
        bool nonBlocking = (Volatile.Read(ref s->Status) & Status.NonBlocking) != 0 || (flags & Abi.MSG_DONTWAIT) != 0; // as it was when the call began
        long deadline = -2;
        while (true)
        {
            uint ticket = Draining.Ticket();
            uint tail = Volatile.Read(ref s->RxTail);
            bool queued = tail != s->RxHead || (Draining.Of(s->QueueSet) && (tail = Volatile.Read(ref s->RxTail)) != s->RxHead);
            bool direct = s->DirectRegion != 0 && Direct.Waiting(s) != 0; // of what came by the NSM, the rest is behind this
            if (queued && !direct)
            {
                if (total == 0)
                {
                    return 0;
                }

                nint taken = Take(s, id, vectors, count, (nuint)(peek ? 0 : done), (nuint)total, flags);
                if (taken < 0)
                {
                    return done != 0 ? done : taken;
                }

                done = peek ? taken : done + taken;
                if (done >= target)
                {
                    return done;
                }

                if (!peek && taken != 0)
                {
                    continue;
                }
            }
            else if (direct)
            {
                if (total == 0)
                {
                    return 0;
                }

                nint taken = TakeDirect(s, vectors, count, (nuint)(peek ? 0 : done), (nuint)total, flags);
                if (taken < 0)
                {
                    return done != 0 ? done : taken;
                }

                done = peek ? taken : done + taken;
                if (done >= target)
                {
                    return done;
                }

                if (!peek && taken != 0)
                {
                    continue;
                }
            }

            // What was told before the end or the error counts before it: look once more when the status says that it is over.
            uint status = Volatile.Read(ref s->Status);
            if (Ended(s, status) && (Volatile.Read(ref s->RxTail) != tail || (!peek && Direct.Waiting(s) != 0)))
            {
                continue;
            }

            if (Direct.IsOutOfReach(s))
            {
                return done != 0 ? done : Libc.Fail(Region.IsOver(s) ? Abi.ECONNRESET : Abi.ENOMEM);
            }

            // A reset that comes after the peer's FIN is for whoever sends; the end of the stream stays the end (tcp_recvmsg: SOCK_DONE before sk_err).
            if (Region.IsOver(s) || (status & (SocketStatus.Reset | SocketStatus.PeerClosed)) == SocketStatus.Reset)
            {
                int error = done != 0 ? 0 : Region.IsOver(s) ? Abi.ECONNRESET : Interlocked.Exchange(ref s->Error, 0);
                return done != 0 ? done : error != 0 ? Libc.Fail(error) : 0;
            }

            if ((status & (SocketStatus.Connected | SocketStatus.Connecting)) == 0)
            {
                // An error once, then the end if there was a connection or a shutdown.
                int error = (status & SocketStatus.Listening) != 0 ? Abi.ENOTCONN : Interlocked.Exchange(ref s->Error, 0);
                return error == 0 && (status & (SocketStatus.ShutRead | Status.ConnectFailed)) != 0 ? 0 : Libc.Fail(error != 0 ? error : Abi.ENOTCONN);
            }

            if ((status & (SocketStatus.PeerClosed | SocketStatus.ShutRead)) != 0)
            {
                return done;
            }

            if (nonBlocking)
            {
                return done != 0 ? done : Libc.Fail(Abi.EAGAIN);
            }

            if (deadline == -2)
            {
                deadline = Options.Deadline(fd, s, Abi.SO_RCVTIMEO);
            }

            if (Waiting.Block(id, null, 0, deadline, deadline >= 0 || done > 0, ticket) < 0)
            {
                return done != 0 ? done : -1;
            }

            if (deadline >= 0 && Libc.Now() >= deadline && Volatile.Read(ref s->RxTail) == tail && (peek || Direct.Waiting(s) == 0))
            {
                return done != 0 ? done : Libc.Fail(Abi.EAGAIN);
            }
        }
    }

    /// <summary>Bytes that a call waits for: one, or as many as MSG_WAITALL or SO_RCVLOWAT say (sock_rcvlowat of the kernel).</summary>
    private static nint Target(SocketSlot* s, nint total, int flags)
    {
        nint lowWater = (nint)s->RxLowWater;
        nint target = (flags & Abi.MSG_WAITALL) != 0 || lowWater > total ? total : lowWater;
        return target > 1 ? target : 1;
    }

    /// <summary>
    /// Whether SO_RCVLOWAT is reached, or as much is queued as may well be all that comes before the program reads: the NSM keeps to its credits.
    /// </summary>
    internal static bool IsEnough(SocketSlot* s)
    {
        const uint Plenty = 128 << 10, Many = SocketSlot.RxEntries * 3 / 4;
        uint bytes = (uint)Volatile.Read(ref s->RxBytes);
        bytes += Direct.Waiting(s);
        return bytes >= s->RxLowWater || bytes >= Plenty || s->RxTail - s->RxHead >= Many || IsLoud(s, s->RxHead);
    }

    private static bool Ended(SocketSlot* s, uint status) =>
        (status & (SocketStatus.PeerClosed | SocketStatus.ShutRead | SocketStatus.Reset)) != 0;

    /// <summary>Writes what is queued into a pipe, as far as it takes it. Bytes, or -1 with errno.</summary>
    internal static nint ReceiveToPipe(int fd, SocketSlot* s, int pipe, nuint length)
    {
        bool direct = Direct.Waiting(s) != 0;
        nint taken = direct ? TakeDirect(s, null, (nuint)pipe, 0, length, MSG_TOPIPE) : Take(s, Fds.IdOf(fd), null, (nuint)pipe, 0, length, MSG_TOPIPE);
        return taken == 0 ? Libc.Fail(Abi.EAGAIN) : taken;
    }

    /// <summary>Bytes that recv would give now: FIONREAD.</summary>
    internal static int Available(SocketSlot* s)
    {
        _ = Draining.Of(s->QueueSet);
        int bytes = Volatile.Read(ref s->RxBytes);
        return (bytes < 0 ? 0 : bytes) + (int)Direct.Waiting(s);
    }

    /// <summary>Moves what is queued into the vectors (or the pipe) from byte <paramref name="done"/> on. Bytes, or -1 with errno.</summary>
    private static nint Take(SocketSlot* s, uint id, IoVec* vectors, nuint count, nuint done, nuint total, int flags)
    {
        if (!Locks.TryEnter(ref s->RxLock))
        {
            return Libc.Fail(Region.IsOver(s) ? Abi.ECONNRESET : Abi.EAGAIN);
        }

        byte* pool = Region.Pool;
        if (!Region.Owns(s))
        {
            Locks.Leave(ref s->RxLock);
            return Libc.Fail(Abi.ECONNRESET); // it came into the pool of the CoreEngine before
        }

        bool peek = (flags & Abi.MSG_PEEK) != 0;
        bool bad = false;
        Nqe* credits = stackalloc Nqe[(int)Batch];
        uint n = 0;
        uint creditBytes = 0;
        nuint skip = done;
        uint head = s->RxHead;
        uint from = head;
        uint offset = s->RxOffset;
        uint tail = Volatile.Read(ref s->RxTail); // Acquire: pairs with the drainer's release.
        ulong first = ((RxEntry*)s->Entries)[head % SocketSlot.RxRing].Offset;
        nint taken = 0;
        nuint most = head == tail ? 0 : Direct.MostByNsm(s);
        total = most < total - done ? done + most : total;
        while (head != tail && done + (nuint)taken < total)
        {
            RxEntry* entry = &((RxEntry*)s->Entries)[head % SocketSlot.RxRing];
            uint size = entry->Size - offset;
            nuint want = total - done - (nuint)taken;
            uint bytes = size < want ? size : (uint)want;
            if ((flags & (Abi.MSG_TRUNC | MSG_TOPIPE)) == 0)
            {
                if (!Scatter(vectors, count, skip + (nuint)taken, pool + entry->Offset + offset, bytes))
                {
                    bad = true;
                    break;
                }
            }
            else if ((flags & MSG_TOPIPE) != 0)
            {
                nint put = Splicing.Put((int)count, pool + entry->Offset + offset, bytes);
                bytes = put > 0 ? (uint)put : 0;
            }

            taken += (nint)bytes;
            offset += bytes;
            if (offset < entry->Size)
            {
                break;
            }

            if (!peek)
            {
                Nqe* credit = &credits[n++];
                *credit = default;
                credit->Op = Op.RxCredit;
                credit->Socket = id;
                credit->DataPtr = entry->Offset;
                credit->Size = entry->Size;
                creditBytes += entry->Size;
            }

            head++;
            offset = 0;
            if (n == Batch)
            {
                Commit(s, head, offset);
                Credit(s, credits, n, creditBytes, from);
                from = head;
                n = 0;
                creditBytes = 0;
            }
        }

        bool lost = taken != 0 && RxParts.IsVoid(s, first); // all of a connection is of one NSM
        if (!peek && !lost)
        {
            Commit(s, head, offset);
            Interlocked.Add(ref s->RxBytes, -(int)taken);
            s->RxByNsm += (ulong)taken;
            if (n != 0)
            {
                Credit(s, credits, n, creditBytes, from);
            }
        }

        Locks.Leave(ref s->RxLock);
        return lost ? Libc.Fail(Abi.ECONNRESET) : bad && taken == 0 ? Libc.Fail(Abi.EFAULT) : taken;
    }

    /// <summary>
    /// Returns what was taken from entry <paramref name="from"/> on. The caller holds RxLock. What lies unannounced is counted for each socket, whatever process and thread reads from it: the
    /// NSM reckons with no more than that before it lets a connection wait.
    /// </summary>
    internal static void Credit(SocketSlot* s, Nqe* credits, uint count, uint bytes, uint from)
    {
        if (IsLoud(s, from))
        {
            s->RxQuiet = 0;
            _ = Rings.Send(s, credits, count);
            return;
        }

        s->RxQuiet += count | ((ulong)bytes << 32);
        if (Rings.IsMuch(s->RxQuiet))
        {
            s->RxQuiet = 0;
            _ = Rings.Send(s, credits, count);
            return;
        }

        _ = Rings.Credit(s, credits, count, bytes);
        Interlocked.MemoryBarrier(); // Published before this look; who makes it loud writes RxLoud before it rings (Draining).
        if (IsLoud(s, from))
        {
            _ = Rings.Wake(s->QueueSet);
        }
    }

    /// <summary>Whether the NSM waits for the credit of an entry at or behind a position. A position and no flag: what is told of one entry is not taken for another's.</summary>
    private static bool IsLoud(SocketSlot* s, uint from) => (int)(Volatile.Read(ref s->RxLoud) - from) > 0;

    private static void Commit(SocketSlot* s, uint head, uint offset)
    {
        s->RxOffset = offset;
        Volatile.Write(ref s->RxHead, head); // Release: pairs with the drainer's acquire in Delivered.
    }

    /// <summary>Copies into the vectors from byte <paramref name="skip"/> on; false when the program's memory is not there to be written.</summary>
    internal static bool Scatter(IoVec* vectors, nuint count, nuint skip, byte* source, nuint bytes)
    {
        for (nuint i = 0; i < count && bytes > 0; i++)
        {
            nuint length = vectors[i].Length;
            if (skip >= length)
            {
                skip -= length;
                continue;
            }

            nuint n = length - skip < bytes ? length - skip : bytes;
            if (!UserMemory.CanWrite(vectors[i].Base + skip, n))
            {
                return false;
            }

            _ = Libc.memmove(vectors[i].Base + skip, source, n);
            source += n;
            bytes -= n;
            skip = 0;
        }

        return true;
    }
}
