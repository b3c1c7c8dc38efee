using NetKernel.Channel;
using NetKernel.Channel.Host;

namespace NetKernel.ServiceLib;

/// <content>
/// Datagrams of a stack that has no socket of a kernel's behind it in which they could wait: what the guest's queue has no place for waits in chunks of the receiver's own pool, within its
/// receive buffer; what does not fit is lost, as UDP has it.
/// </content>
public sealed unsafe partial class StackHost
{
    /// <summary>A datagram counts for so many bytes more than it has, as the kernel counts the memory of its own buffers (socket(7), SO_RCVBUF).</summary>
    private const uint DatagramOverhead = 512;

    /// <summary>
    /// Takes chunks for a datagram of that many bytes, header included: one, or two. False when the receive buffer or the guest's pool is full. The caller gives them to
    /// <see cref="DeliverDatagram"/> before the turn ends.
    /// </summary>
    public bool TryReserveDatagram(Connection* c, uint bytes, out RxBuffer first, out RxBuffer second)
    {
        Guest guest = GuestOf(c);
        RxPool pool = guest.Rx;
        first = second = default;
        uint limit = LimitOf(c);
        uint waiting = c->RxOut + c->HeldCount;
        uint used = c->RxDataOut + c->HeldData + (waiting * DatagramOverhead);
        if (used > limit || (waiting != 0 && c->RxBytesOut + c->HeldBytes >= pool.ShareOf(limit)))
        {
            return false; // As the kernel: what is not full takes one more, whatever its size.
        }

        uint chunk = pool.Take(PoolHalf.ClassFor(bytes), first: waiting == 0);
        if (chunk == RxPool.None)
        {
            return false;
        }

        first.Chunk = chunk;
        first.Start = guest.RxAt(chunk);
        first.Capacity = pool.BytesOf(chunk);
        if (first.Capacity >= bytes || TryReserveRest(c, bytes - first.Capacity, out second))
        {
            return true;
        }

        pool.Free(chunk);
        return false;
    }

    /// <summary>Gives the guest the datagram of that many bytes that the caller has put into its chunks, now or as soon as there is a place in its queue.</summary>
    public void DeliverDatagram(Connection* c, in RxBuffer first, in RxBuffer second, uint bytes, NqeFlags loud)
    {
        RxPool pool = GuestOf(c).Rx;
        uint inFirst = bytes < first.Capacity ? bytes : first.Capacity;
        bool goesOn = inFirst < bytes;
        pool.Hold(first.Chunk, c, inFirst, goesOn ? loud | NqeFlags.More : loud);
        if (goesOn)
        {
            pool.Hold(second.Chunk, c, bytes - inFirst, loud | NqeFlags.Continued);
        }

        DeliverWaiting(c);
    }

    /// <summary>
    /// Tells the guest of datagrams that wait, as far as its queue has places. Run calls this when the connection is scheduled: so it is when credits come back.
    /// </summary>
    public void DeliverWaiting(Connection* c)
    {
        RxPool pool = GuestOf(c).Rx;
        while (c->HeldCount != 0 && c->RxOut + 2 <= SocketSlot.RxEntries)
        {
            TellOldest(c, pool);
            if (c->HeldCount != 0 && pool.IsRest(c->HeldFirst))
            {
                TellOldest(c, pool);
            }
        }
    }

    private void TellOldest(Connection* c, RxPool pool)
    {
        uint chunk = pool.Release(c, out uint data, out NqeFlags flags);
        Nqe* e = Event(c, Op.Data);
        e->DataPtr = pool.OffsetOf(chunk);
        e->Size = data;
        e->Flags = IsScarce(pool, c) ? flags | NqeFlags.Sync : flags;
    }
}
