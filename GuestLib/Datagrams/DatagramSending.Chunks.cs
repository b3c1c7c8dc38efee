using NetKernel.Channel;

namespace NetKernel.GuestLib;

// The TX pool's side: room for a datagram, its chunks, its elements.
internal static unsafe partial class DatagramSending
{
    /// <summary>Waits for room and fills chunks. Bytes, or -1 with errno.</summary>
    private static nint Enqueue(int fd, SocketSlot* s, MsgHdr* message, int flags, ref DatagramHeader header, ref Outbox box)
    {
        uint id = Fds.IdOf(fd);
        bool nonBlocking = (Volatile.Read(ref s->Status) & Status.NonBlocking) != 0 || (flags & Abi.MSG_DONTWAIT) != 0;
        long deadline = -2;
        while (true)
        {
            uint ticket = Draining.Ticket();
            int error = Refusal(s);
            if (error != 0)
            {
                return Libc.Fail(error);
            }

            if (!Locks.TryEnter(ref s->TxLock))
            {
                return Libc.Fail(Region.Dead ? Abi.ENETDOWN : Abi.EAGAIN);
            }

            if (s->TxBytes > s->TxLimit / 2 || s->TxSends > MostSends / 2)
            {
                _ = Draining.Of(s->QueueSet);
            }

            int put = HasRoom(s, header.Length) ? Fill(s, id, message, ref header, ref box) : 0;
            Locks.Leave(ref s->TxLock);
            if (put != 0)
            {
                return put > 0 ? (nint)header.Length : Libc.Fail(Abi.EFAULT);
            }

            // What waits here may be what the room is wanted for.
            if (!Publish(s, ref box))
            {
                return Libc.Fail(Region.Dead ? Abi.ENETDOWN : Abi.EAGAIN);
            }

            bool wished = Readiness.WantRoom(s);
            if (Draining.All() || (!wished && HasRoom(s, header.Length) && nonBlocking && Volatile.Read(ref s->TxSends) != 0))
            {
                continue;
            }

            if (nonBlocking)
            {
                return Libc.Fail(Abi.EAGAIN);
            }

            deadline = deadline == -2 ? Options.Deadline(fd, s, Abi.SO_SNDTIMEO) : deadline;

            // The pool may have no chunk that is large enough, and other sockets' SendDones do not wake this one: look again soon.
            long soon = wished ? deadline : Libc.Now() + 1_000_000;
            if (Waiting.Block(id, null, 0, deadline >= 0 && (soon < 0 || deadline < soon) ? deadline : soon, deadline >= 0, ticket) < 0)
            {
                return -1;
            }

            if (deadline >= 0 && Libc.Now() >= deadline)
            {
                return Libc.Fail(Abi.EAGAIN);
            }
        }
    }

    private static bool HasRoom(SocketSlot* s, uint payload) =>
        s->TxSends == 0 || (s->TxSends + 2 <= MostSends && s->TxBytes + payload + DatagramHeader.Bytes <= s->TxLimit);

    /// <summary>Puts a datagram into chunks: 1; 0: the pool has none; -1: the program's memory is not there to be read.</summary>
    private static int Fill(SocketSlot* s, uint id, MsgHdr* message, ref DatagramHeader header, ref Outbox box)
    {
        uint whole = header.Length + DatagramHeader.Bytes;
        uint first = whole <= PoolLayout.LargeBytes ? whole : PoolLayout.SmallBytes;
        if (!TryTake(s, id, first, out TxPiece piece))
        {
            return 0;
        }

        TxPiece second = default;
        if (first != whole && !TryTake(s, id, whole - first, out second))
        {
            TxPool.Return(in piece);
            return 0;
        }

        ulong offset = piece.Offset;
        ulong rest = second.Offset;
        *(DatagramHeader*)(Region.Pool + offset) = header;
        if (!Gather(message, 0, Region.Pool + offset + DatagramHeader.Bytes, first - DatagramHeader.Bytes)
            || !Gather(message, first - DatagramHeader.Bytes, Region.Pool + rest, whole - first))
        {
            TxPool.Return(in piece);
            if (first != whole)
            {
                TxPool.Return(in second);
            }

            return -1;
        }

        // By this CoreEngine sees whether it may go to a guest of the same host.
        ulong to = (header.Fields & DatagramFields.Peer) != 0 ? header.PeerLow ^ header.PeerHigh : s->PeerLow ^ s->PeerHigh;
        Put(s, id, to, offset, first, first != whole ? NqeFlags.More : NqeFlags.None, ref box);
        if (first != whole)
        {
            Put(s, id, to, rest, whole - first, NqeFlags.Continued, ref box);
        }

        return 1;
    }

    private static void Put(SocketSlot* s, uint id, ulong to, ulong offset, uint size, NqeFlags flags, ref Outbox box)
    {
        Interlocked.Add(ref s->TxBytes, size);
        Interlocked.Increment(ref s->TxSends);
        box.Renewals = box.Count == 0 ? Volatile.Read(ref s->Renewals) : box.Renewals;
        Nqe* nqe = &box.Elements[box.Count++];
        *nqe = default;
        nqe->Op = Op.Send;
        nqe->Socket = id;
        nqe->OpData = to;
        nqe->DataPtr = offset;
        nqe->Size = size;
        nqe->Flags = flags;
    }

    /// <summary>A chunk that holds that many bytes: a datagram cannot be cut to what is left.</summary>
    private static bool TryTake(SocketSlot* s, uint id, uint bytes, out TxPiece piece)
    {
        if (TxPool.TryTake(PoolHalf.ClassFor(bytes), spare: true, out piece))
        {
            if (piece.Bytes >= bytes)
            {
                return true;
            }

            TxPool.Return(in piece);
        }

        return bytes <= TxLayout.OwnBytes && s->TxSends == 0 && TxPool.TryTakeOwn(s, id, out piece);
    }

    private static bool Gather(MsgHdr* message, nuint skip, byte* destination, nuint bytes)
    {
        for (nuint i = 0; i < message->IovLength && bytes > 0; i++)
        {
            nuint length = message->Iov[i].Length;
            if (skip >= length)
            {
                skip -= length;
                continue;
            }

            nuint n = length - skip < bytes ? length - skip : bytes;
            if (!UserMemory.CanRead(message->Iov[i].Base + skip, n))
            {
                return false;
            }

            _ = Libc.memmove(destination, message->Iov[i].Base + skip, n);
            destination += n;
            bytes -= n;
            skip = 0;
        }

        return true;
    }
}
