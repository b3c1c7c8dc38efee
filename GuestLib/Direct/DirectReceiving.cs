using NetKernel.Channel;

namespace NetKernel.GuestLib;

/// <content>Receiving in the direct form: out of the ring that the peer writes into.</content>
internal static unsafe partial class Receiving
{
    /// <summary>Room is given back after so many bytes at the latest.</summary>
    private const uint DirectPiece = 64 << 10;

    /// <summary>As <see cref="Take"/>, out of the ring.</summary>
    private static nint TakeDirect(SocketSlot* s, IoVec* vectors, nuint count, nuint done, nuint total, int flags)
    {
        if (!Locks.TryEnter(ref s->RxLock))
        {
            return Libc.Fail(Region.IsOver(s) ? Abi.ECONNRESET : Abi.EAGAIN);
        }

        bool peek = (flags & Abi.MSG_PEEK) != 0;
        nint taken = 0;
        bool bad = false;
        if (Direct.TryOpen(s, out Direct.Link link))
        {
            if (!Direct.IsAlive(s->DirectHead))
            {
                Locks.Leave(ref s->RxLock);
                return Libc.Fail(Abi.ECONNRESET);
            }

            uint head = s->DirectHead;
            for (uint waiting = Direct.Waiting(s); waiting != 0 && done + (nuint)taken < total;)
            {
                uint at = head & (DirectLayout.RingBytes - 1);
                nuint want = total - done - (nuint)taken;
                uint bytes = waiting < DirectPiece ? waiting : DirectPiece;
                bytes = bytes < DirectLayout.RingBytes - at ? bytes : DirectLayout.RingBytes - at;
                bytes = bytes < want ? bytes : (uint)want;
                if ((flags & MSG_TOPIPE) != 0)
                {
                    nint put = Splicing.Put((int)count, link.In + at, bytes);
                    bytes = put > 0 ? (uint)put : 0;
                }
                else if ((flags & Abi.MSG_TRUNC) == 0 && !Scatter(vectors, count, done + (nuint)taken, link.In + at, bytes))
                {
                    bad = true;
                    break;
                }

                if (bytes == 0)
                {
                    break;
                }

                head += bytes;
                waiting -= bytes;
                taken += (nint)bytes;
                if (!peek)
                {
                    s->DirectHead = head;
                    Volatile.Write(ref link.Mine->Head, head); // Release: pairs with the peer's acquire in Direct.Unread.
                    Direct.Read(s, in link);
                }
            }
        }

        Locks.Leave(ref s->RxLock);
        return Region.IsOver(s) ? Libc.Fail(Abi.ECONNRESET) : bad && taken == 0 ? Libc.Fail(Abi.EFAULT) : taken;
    }
}

/// <content>What waits to be read.</content>
internal static unsafe partial class Direct
{
    /// <summary>
    /// Bytes in the peer's ring that may be read now: not before what it sent by the NSM has been. A peer that claims more than a ring holds ends its connection.
    /// </summary>
    internal static uint Waiting(SocketSlot* s)
    {
        if (Volatile.Read(ref s->DirectRegion) == 0 || !TryOpen(s, out Link link) || Volatile.Read(ref link.Peer->Started) == 0)
        {
            return 0;
        }

        uint waiting = Volatile.Read(ref link.Peer->Tail) - s->DirectHead; // Acquire: pairs with the peer's release of Tail.
        if (waiting == 0 || Volatile.Read(ref link.Peer->Prefix) != s->RxByNsm)
        {
            return 0;
        }

        if (waiting <= DirectLayout.RingBytes)
        {
            return waiting;
        }

        if ((Volatile.Read(ref s->Status) & SocketStatus.Reset) == 0)
        {
            Spoil(s);
        }

        return 0;
    }

    /// <summary>
    /// Of what came by the NSM, the bytes that may be read now: those before the ring, and, once the ring is read to its end, those after it (the connection has left the direct form). Asked when
    /// there is something: who has that has the peer's last Tail, too.
    /// </summary>
    internal static nuint MostByNsm(SocketSlot* s)
    {
        const nuint NoBound = uint.MaxValue; // more than the pool holds
        if (Volatile.Read(ref s->DirectRegion) == 0 || !TryOpen(s, out Link link) || Volatile.Read(ref link.Peer->Started) == 0)
        {
            return NoBound;
        }

        ulong prefix = Volatile.Read(ref link.Peer->Prefix);
        return s->RxByNsm < prefix ? (nuint)(prefix - s->RxByNsm) : s->RxByNsm > prefix || Volatile.Read(ref link.Peer->Tail) == s->DirectHead ? NoBound : 0;
    }

    /// <summary>Room was given back: the peer is told if it waits for that.</summary>
    internal static void Read(SocketSlot* s, in Link link)
    {
        Interlocked.MemoryBarrier(); // Pairs with the peer's fence between WantsRoom and its look at the room.
        uint wants = Volatile.Read(ref link.Peer->WantsRoom);
        if (wants != 0 && Volatile.Read(ref link.Peer->Tail) - s->DirectHead < wants && Interlocked.CompareExchange(ref link.Peer->WantsRoom, 0, wants) == wants)
        {
            Tell(s, in link, data: false);
        }
    }
}
