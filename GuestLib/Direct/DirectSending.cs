using NetKernel.Channel;

namespace NetKernel.GuestLib;

/// <content>Sending in the direct form: into the ring that the peer reads out of.</content>
internal static unsafe partial class Sending
{
    /// <summary>Published after so many bytes at the latest, so that the peer reads while this side still copies.</summary>
    private const uint DirectPiece = 32 << 10;

    /// <summary>Whether what is sent now goes into the ring: from when the peer has said that it reads there, until it is gone.</summary>
    private static bool IsDirect(SocketSlot* s, out Direct.Link link)
    {
        link = default;
        return Volatile.Read(ref s->DirectRegion) != 0 && Direct.TryOpen(s, out link)
            && (s->DirectStarted != 0 || Volatile.Read(ref link.Peer->Ready) != 0) && (Volatile.Read(ref link.Peer->Gone) | Volatile.Read(ref link.Mine->Withdrawn)) == 0;
    }

    /// <summary>What is sent from now on goes by the NSM: the ring, if it was used, is complete. The caller holds TxLock.</summary>
    private static void StopDirect(SocketSlot* s)
    {
        if (s->DirectStarted != 0 && Direct.TryOpen(s, out Direct.Link link) && Volatile.Read(ref link.Mine->Withdrawn) != 0)
        {
            Volatile.Write(ref link.Mine->Stopped, 1); // Release: with the last Tail; and before the Send that follows, see Direct.MostByNsm.
        }
    }

    /// <summary>Copies as much as there is room for. Bytes taken (0: no room), or -1 with errno. The caller holds TxLock.</summary>
    private static nint PutDirect(SocketSlot* s, in Direct.Link link, ref Source source, nuint left)
    {
        if (s->DirectStarted == 0)
        {
            link.Mine->Prefix = s->TxByNsm;
            Volatile.Write(ref link.Mine->Started, 1); // Release: with the prefix.
            s->DirectStarted = 1;
        }

        if (!Direct.IsAlive(s->DirectTail))
        {
            return Libc.Fail(Abi.ECONNRESET);
        }

        nint taken = 0;
        uint limit = Direct.LimitOf(s, in link);
        while (left > 0)
        {
            uint unread = Direct.Unread(s, in link);
            if (unread > DirectLayout.RingBytes)
            {
                Direct.Spoil(s);
                return taken > 0 ? taken : Libc.Fail(Abi.ECONNRESET);
            }

            if (unread >= limit)
            {
                break;
            }

            uint tail = s->DirectTail;
            uint at = tail & (DirectLayout.RingBytes - 1);
            uint room = limit - unread;
            room = room < DirectPiece ? room : DirectPiece;
            room = room < DirectLayout.RingBytes - at ? room : DirectLayout.RingBytes - at;
            nint put = source.Fill(link.Out + at, room < left ? room : left);
            if (put <= 0)
            {
                taken = taken == 0 ? put : taken;
                break;
            }

            taken += put;
            left -= (nuint)put;
            s->DirectTail = tail + (uint)put;
            Volatile.Write(ref link.Mine->Tail, tail + (uint)put); // Release: pairs with the peer's acquire in Direct.Waiting.
            Direct.Tell(s, in link, data: true);
        }

        return taken;
    }
}

/// <content>How full the rings are.</content>
internal static unsafe partial class Direct
{
    /// <summary>Who moves data without ever waiting looks so often whether CoreEngine is there, in bytes: without it the connection is dead.</summary>
    private const uint LookEvery = 1 << 20;

    private static uint s_looked;

    /// <summary>Bytes in the own ring that the peer has not read, as it says: no more than a ring's if it is honest.</summary>
    internal static uint Unread(SocketSlot* s, in Link link) => s->DirectTail - Volatile.Read(ref link.Peer->Head);

    /// <summary>The most that may be in the own ring: the program's bound for what it sends, and the peer's for what it receives.</summary>
    internal static uint LimitOf(SocketSlot* s, in Link link)
    {
        ulong limit = (ulong)s->TxLimit + Volatile.Read(ref link.Peer->ReceiveLimit);
        return limit < DirectLayout.RingBytes ? (uint)limit : DirectLayout.RingBytes;
    }

    /// <summary>The peer is to tell as soon as a third of the room is free.</summary>
    internal static void WantRoom(SocketSlot* s)
    {
        if (s->DirectStarted != 0 && TryOpen(s, out Link link))
        {
            uint limit = LimitOf(s, in link);
            Volatile.Write(ref link.Mine->WantsRoom, limit - (limit / 3) + 1);
        }
    }

    /// <summary>
    /// SO_LINGER: waits until no more lies in the own ring than the peer's receive buffer may hold (half of it at most), as TCP waits until the rest is acknowledged. The socket has no holder any more,
    /// whose threads could be told: so it looks again now and then.
    /// </summary>
    internal static void Linger(SocketSlot* s, uint id, long deadline)
    {
        const long Again = 20_000_000;
        while (s->DirectStarted != 0 && TryOpen(s, out Link link) && Volatile.Read(ref link.Peer->Gone) == 0 && !Region.IsOver(s))
        {
            uint ticket = Draining.Ticket();
            uint limit = Volatile.Read(ref link.Peer->ReceiveLimit);
            limit = limit < DirectLayout.RingBytes / 2 ? limit : DirectLayout.RingBytes / 2;
            long now = Libc.Now();
            if (Unread(s, in link) <= limit || now >= deadline || (Volatile.Read(ref s->Status) & SocketStatus.Reset) != 0)
            {
                return;
            }

            _ = GuestLib.Waiting.Hold(id, deadline < now + Again ? deadline : now + Again, ticket);
        }
    }

    /// <summary>Whether CoreEngine has been there when last looked.</summary>
    internal static bool IsAlive(uint moved)
    {
        if (moved - s_looked >= LookEvery)
        {
            s_looked = moved; // between connections approximate
            return GuestLib.Waiting.CheckAlive();
        }

        return !Region.Dead && Region.Header->State == RegionState.Running;
    }
}
