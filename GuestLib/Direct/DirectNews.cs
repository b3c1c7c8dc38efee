using System.Numerics;
using NetKernel.Channel;

namespace NetKernel.GuestLib;

/// <content>
/// News: who moves an index sets the connection's bit at the peer, and kicks (by CoreEngine) who sleeps there. Bits are taken after the processes of this guest have been told, so that
/// nobody goes to sleep in between, and one who is killed in the middle loses nothing.
/// </content>
internal static unsafe partial class Direct
{
    private const uint Words = DirectLayout.Connections / 64;

    /// <summary>Changes whenever news is told; see <see cref="Subscriptions.Ticket"/>.</summary>
    internal static uint Ticket() => Volatile.Read(ref s_count) == 0 ? 0 : Volatile.Read(ref Region.Header->DirectTold);

    /// <summary>Whether a peer has news.</summary>
    internal static bool AnyPending()
    {
        uint count = Volatile.Read(ref s_count);
        for (uint i = 0; i < count; i++)
        {
            DirectSide* side = s_mappings[i].Mine;
            if (side != null && (Volatile.Read(ref side->News[0]) | Volatile.Read(ref side->News[1])) != 0 && s_mappings[i].Belief.Lasts())
            {
                return true;
            }
        }

        return false;
    }

    /// <summary>Tells the processes of this guest what peers have news of; true when there was any.</summary>
    internal static bool Drain()
    {
        bool any = false;
        uint count = Volatile.Read(ref s_count);
        for (uint i = 0; i < count; i++)
        {
            DirectSide* side = s_mappings[i].Mine;
            for (uint word = 0; side != null && word < Words; word++)
            {
                ulong news = Volatile.Read(ref side->News[word]);
                if (news != 0 && s_mappings[i].Belief.Lasts())
                {
                    Take(s_mappings + i, word, news);
                    any = true;
                }
            }
        }

        return any;
    }

    /// <summary>This process sleeps, or does no more. A full fence where it does.</summary>
    internal static void Sleeps(bool does)
    {
        uint count = Volatile.Read(ref s_count);
        for (uint i = 0; i < count; i++)
        {
            DirectSide* side = s_mappings[i].Mine;
            if (side == null || side->Asleep.Has(Region.Slot) == does)
            {
                continue;
            }

            if (does)
            {
                side->Asleep.Share(Region.Slot);
            }
            else
            {
                _ = side->Asleep.Unshare(Region.Slot);
            }
        }
    }

    /// <summary>An index was moved: the peer is to hear of it. <paramref name="data"/>: there is something to read.</summary>
    internal static void Tell(SocketSlot* s, in Link link, bool data)
    {
        // Full fence: the index must be visible before the bit, the sleepers and Gone are looked at. Pairs with the fences in Take, Sleeps and the NSM's LeaveRing.
        Interlocked.MemoryBarrier();
        ref ulong word = ref link.PeerSide->News[link.Connection >> 6];
        ulong bit = 1ul << (int)(link.Connection & 63);
        if ((Volatile.Read(ref word) & bit) == 0)
        {
            Interlocked.Or(ref word, bit);
        }

        bool kick = Volatile.Read(ref link.Peer->Gone) != 0 && data;
        for (uint i = 0; i < ProcessMask.Words && !kick; i++)
        {
            kick = (Volatile.Read(ref link.PeerSide->Asleep.Word(i)) & Volatile.Read(ref link.Peer->Users.Word(i))) != 0;
        }

        if (!kick || (Volatile.Read(ref link.Peer->Gone) == 0 && Interlocked.Exchange(ref link.Peer->Kicked, 1) != 0))
        {
            return;
        }

        Nqe nqe = default;
        nqe.Op = Op.Kick;
        nqe.Socket = IdOf(s);
        nqe.OpData = data ? 1u : 0;
        _ = Rings.Send(s, &nqe, 1);
    }

    /// <summary>The peer's kick has come.</summary>
    internal static void Kicked(SocketSlot* s)
    {
        if (TryOpen(s, out Link link))
        {
            Interlocked.Exchange(ref link.Mine->Kicked, 0); // Full fence: whoever moves an index after this kicks again.
            Apply(s, in link);
        }
    }

    private static void Take(Mapping* mapping, uint word, ulong news)
    {
        ulong* seen = stackalloc ulong[64];
        for (ulong bits = news; bits != 0; bits &= bits - 1)
        {
            uint bit = (uint)BitOperations.TrailingZeroCount(bits);
            SocketSlot* s = Find(mapping, (word << 6) + bit, out Link link);
            seen[bit] = s == null ? 0 : Indices(in link);
            if (s != null)
            {
                Apply(s, in link);
            }
        }

        Interlocked.Increment(ref Region.Header->DirectTold);
        ulong taken = Interlocked.And(ref mapping->Mine->News[word], ~news) & news; // what another thread or process was faster with is its to judge

        // What came between the two looks found the bit set, and somebody of this guest may have gone to sleep after it was taken.
        for (ulong bits = news; bits != 0; bits &= bits - 1)
        {
            uint bit = (uint)BitOperations.TrailingZeroCount(bits);
            SocketSlot* s = Find(mapping, (word << 6) + bit, out Link link);
            ulong indices = s == null ? 0 : Indices(in link);
            if ((taken & (1ul << (int)bit)) != 0)
            {
                mapping->Belief.Judge(s, (word << 6) + bit, indices);
            }

            if (s != null && indices != seen[bit])
            {
                Apply(s, in link);
                Interlocked.Increment(ref Region.Header->DirectTold);
                for (uint slot = s->Holders.Next(0); slot != ProcessMask.None; slot = s->Holders.Next(slot + 1))
                {
                    if (slot < Region.Layout.Counts.QueueSets && Volatile.Read(ref Region.Process(slot)->Asleep) != 0)
                    {
                        int errno = Libc.Errno;
                        _ = Attaching.Tell(AttachOp.Nudge, slot, -1);
                        Libc.Errno = errno;
                    }
                }
            }
        }
    }

    private static ulong Indices(in Link link) => Volatile.Read(ref link.Peer->Tail) | ((ulong)Volatile.Read(ref link.Peer->Head) << 32);

    /// <summary>The socket of a connection, as far as it is one of this guest's that says the same.</summary>
    private static SocketSlot* Find(Mapping* mapping, uint connection, out Link link)
    {
        DirectEnd* ends = (DirectEnd*)(mapping->Start + DirectLayout.EndsOf(connection));
        uint side = mapping->Mine == (DirectSide*)mapping->Start ? 0u : 1;
        uint id = Volatile.Read(ref ends[side].Socket);
        link = default;
        if (id >= Region.Sockets)
        {
            return null;
        }

        SocketSlot* s = Region.Socket(id);
        return Volatile.Read(ref s->DirectRegion) == mapping->Region && s->DirectEnd == DirectPlace.End(connection, side) && TryOpen(s, out link) ? s : null;
    }

    /// <summary>Tells who has the socket that it may have data, or room.</summary>
    private static void Apply(SocketSlot* s, in Link link)
    {
        if ((Volatile.Read(ref s->Status) & Status.NoSpace) != 0 && (Sending.HasRoom(s) || !Readiness.WantRoom(s)))
        {
            Readiness.GotRoom(s);
            Interlocked.Increment(ref s->EventsOut);
        }

        if (Volatile.Read(ref link.Peer->Tail) != s->DirectHead)
        {
            Interlocked.Increment(ref s->EventsIn);
        }

        Draining.Happened(s, IdOf(s));
    }
}
