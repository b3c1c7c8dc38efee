using NetKernel.Channel;
using NetKernel.Channel.Host;

namespace NetKernel.ServiceLib;

/// <content>Datagrams: one or two Sends each, behind a <see cref="DatagramHeader"/> that the guest wrote and may still be writing.</content>
public sealed unsafe partial class StackHost
{
    /// <summary>
    /// Takes apart the datagram that starts at the queued Send number <paramref name="index"/>, counted from the oldest. False when there is none, or its second half has not
    /// come yet. What makes no sense comes with <see cref="Datagram.Error"/> set, and is to be completed with it.
    /// </summary>
    public bool TryReadDatagram(Connection* c, uint index, out Datagram datagram)
    {
        datagram = default;
        if (index >= c->SendCount)
        {
            return false;
        }

        Guest guest = GuestOf(c);
        PendingSend first = c->SendAt(c->SendHead + index);
        datagram.Sends = 1;
        if (first.Continued || first.Size < DatagramHeader.Bytes)
        {
            datagram.Error = Libc.EINVAL; // The half of a datagram whose other half nobody sent, or no header.
            return true;
        }

        byte* start = guest.TxAt(first.Offset);
        datagram.Header = *(DatagramHeader*)start; // Copied out once: from here on the guest cannot change it.
        datagram.First.Base = start + DatagramHeader.Bytes;
        datagram.First.Length = first.Size - DatagramHeader.Bytes;
        nuint bytes = datagram.First.Length;
        if (first.More)
        {
            if (index + 1 == c->SendCount)
            {
                return false;
            }

            PendingSend second = c->SendAt(c->SendHead + index + 1);
            if (!second.Continued || second.More)
            {
                datagram.Error = Libc.EINVAL;
                return true;
            }

            datagram.Sends = 2;
            datagram.Second.Base = guest.TxAt(second.Offset);
            datagram.Second.Length = second.Size;
            bytes += second.Size;
        }

        if (bytes != datagram.Header.Length || bytes > DatagramHeader.MostPayload)
        {
            datagram.Error = Libc.EINVAL;
        }

        return true;
    }

    /// <summary>The oldest datagram, of that many Sends, is the stack's, or failed with an errno.</summary>
    public void DatagramDone(Connection* c, uint sends, int error)
    {
        for (uint i = 0; i < sends; i++)
        {
            SendDone(c, c->SendAt(c->SendHead++), error);
        }
    }

    /// <summary>The oldest datagram, of that many Sends, is for the guest's other NSM. Only of the shared-memory NSM.</summary>
    public void PassOn(Connection* c, uint sends)
    {
        for (uint i = 0; i < sends; i++)
        {
            PendingSend send = c->SendAt(c->SendHead++);
            Nqe* e = Complete(c, Op.SendElsewhere);
            e->DataPtr = send.Offset;
            e->Size = send.Size;
            e->Flags = (send.More ? NqeFlags.More : 0) | (send.Continued ? NqeFlags.Continued : 0) | (send.Sync ? NqeFlags.Sync : 0);
        }
    }

    /// <summary>Whether that many datagrams can be delivered, each with a second chunk: else the connection is scheduled when credits come back.</summary>
    public static uint DatagramRoom(Connection* c)
    {
        uint room = (SocketSlot.RxEntries - c->RxOut) / 2;
        if (room == 0)
        {
            c->Flags |= ConnectionFlags.WaitsForCredit;
        }

        return room;
    }

    /// <summary>A chunk that holds that many bytes, for the rest of a datagram; false when the pool has none.</summary>
    public bool TryReserveRest(Connection* c, uint bytes, out RxBuffer buffer)
    {
        Guest guest = GuestOf(c);
        buffer = default;
        uint chunk = guest.Rx.Take(PoolHalf.ClassFor(bytes), first: c->RxOut == 0);
        if (chunk == RxPool.None)
        {
            return false;
        }

        buffer.Chunk = chunk;
        buffer.Start = guest.RxAt(chunk);
        buffer.Capacity = guest.Rx.BytesOf(chunk);
        if (buffer.Capacity >= bytes)
        {
            return true;
        }

        guest.Rx.Free(chunk);
        return false;
    }

    /// <summary>
    /// The socket has an error that does not end it, or its error queue has something (<paramref name="queued"/>). Run may tell at most two between two datagrams.
    /// </summary>
    public void Error(Connection* c, int error, bool queued)
    {
        if (!c->Has(ConnectionFlags.Closing | ConnectionFlags.ResetTold))
        {
            Nqe* e = Event(c, Op.Error);
            e->OpData = (ulong)error;
            e->Size = queued ? 1u : 0;
        }
    }
}

/// <summary>A datagram to be sent.</summary>
public unsafe struct Datagram
{
    /// <summary>The guest's wishes, copied out of its memory, and no more checked than its length.</summary>
    public DatagramHeader Header;

    /// <summary>The payload, or its first part.</summary>
    public Libc.IoVec First;

    /// <summary>The rest of it, with <see cref="Sends"/> 2.</summary>
    public Libc.IoVec Second;

    /// <summary>Sends that it is made of.</summary>
    public uint Sends;

    /// <summary>Not 0: it is malformed.</summary>
    public int Error;
}
