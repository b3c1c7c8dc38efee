using NetKernel.Channel;

namespace NetKernel.GuestLib;

/// <summary>
/// The direct form of connections between two guests (docs/adr/0013): regions that this process has mapped, and the ends of connections in them. What lies there the peer may write at any
/// time: own indices are kept in the guest's own memory, the peer's are claims that are copied out once and checked.
/// </summary>
internal static unsafe partial class Direct
{
    /// <summary>Regions that a process can have mapped at a time.</summary>
    private const uint Most = 64;

    private static Mapping* s_mappings;
    private static uint s_count;
    private static ulong s_lock; // the thread that has it

    private struct Mapping
    {
        /// <summary>Where it is mapped; null: it could not be.</summary>
        internal byte* Start;

        internal DirectSide* Mine;
        internal uint Region;

        /// <summary>How far the peer has been believed.</summary>
        internal Belief Belief;
    }

    /// <summary>In a forked child.</summary>
    internal static void AfterFork() => s_lock = 0;

    /// <summary>The guest's memory is dead: so are the regions that went with it.</summary>
    internal static void Reset() => s_count = 0;

    /// <summary>Whether a socket has a direct form that this process can use.</summary>
    internal static bool TryOpen(SocketSlot* s, out Link link)
    {
        link = default;
        uint region = Volatile.Read(ref s->DirectRegion); // Acquire: DirectEnd was written before.
        if (region == 0 || Region.IsOver(s) || !TryMap(region, s->DirectEnd, out Mapping* mapping) || mapping->Start == null)
        {
            return false;
        }

        uint connection = DirectPlace.ConnectionOf(s->DirectEnd) % DirectLayout.Connections;
        uint side = DirectPlace.SideOf(s->DirectEnd);
        DirectEnd* ends = (DirectEnd*)(mapping->Start + DirectLayout.EndsOf(connection));
        link.Mine = ends + side;
        link.Peer = ends + (1 - side);
        link.PeerSide = (DirectSide*)(mapping->Start + DirectLayout.SideOf(1 - side));
        link.Out = mapping->Start + DirectLayout.RingOf(connection, side);
        link.In = mapping->Start + DirectLayout.RingOf(connection, 1 - side);
        link.Connection = connection;
        if (!link.Mine->Users.Has(Region.Slot) && s->Holders.Has(Region.Slot))
        {
            link.Mine->Socket = IdOf(s);
            link.Mine->Users.Share(Region.Slot); // From now on this process is woken for it.
            s->DirectReady = 1;
            Volatile.Write(ref link.Mine->Ready, 1);
        }

        return true;
    }

    /// <summary>The direct form is in use, and this process cannot get at it: there is no going on.</summary>
    internal static bool IsOutOfReach(SocketSlot* s) => s->DirectReady != 0 && Volatile.Read(ref s->DirectRegion) != 0 && !TryOpen(s, out _);

    /// <summary>The peer has broken the rules: this connection, which is its own, cannot go on.</summary>
    internal static void Spoil(SocketSlot* s)
    {
        s->Error = Abi.EIO;
        Interlocked.Or(ref s->Status, SocketStatus.Reset);
        Draining.Mark(s, IdOf(s));
    }

    internal static uint IdOf(SocketSlot* s) => (uint)((ulong)((byte*)s - (byte*)Region.Socket(0)) / SocketSlot.Length);

    private static bool TryMap(uint region, uint end, out Mapping* mapping)
    {
        uint count = Volatile.Read(ref s_count);
        for (uint i = 0; i < count; i++)
        {
            mapping = s_mappings + i;
            if (mapping->Region == region)
            {
                return true;
            }
        }

        return Map(region, DirectPlace.SideOf(end), out mapping);
    }

    private static bool Map(uint region, uint side, out Mapping* mapping)
    {
        const int PTHREAD_CANCEL_DISABLE = 1;
        mapping = null;
        ulong self = Libc.pthread_self();
        for (ulong held = self; (held = Interlocked.CompareExchange(ref s_lock, self, 0)) != 0; _ = Libc.sched_yield())
        {
            if (held == self)
            {
                return false; // a signal handler in the middle of it
            }
        }

        int before, errno = Libc.Errno;
        _ = Libc.pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &before);
        if (s_mappings == null)
        {
            s_mappings = (Mapping*)Libc.Reserve(Most * (nuint)sizeof(Mapping));
        }

        uint at = 0;
        while (at < s_count && s_mappings[at].Region != region)
        {
            at++;
        }

        bool ok = s_mappings != null && (at < s_count || (at < Most && !Region.Dead));
        if (ok && at == s_count)
        {
            mapping = s_mappings + at;
            mapping->Region = region;
            mapping->Start = Attaching.MapRegion(region);
            mapping->Mine = mapping->Start == null ? null : (DirectSide*)(mapping->Start + DirectLayout.SideOf(side));
            mapping->Belief.Begin();
            Volatile.Write(ref s_count, at + 1); // Release: the mapping is there.

            // A thread of this process may sleep for all already. Full fence: either it has seen this mapping, or it is seen here.
            Interlocked.MemoryBarrier();
            if (mapping->Mine != null && GuestLib.Waiting.IsLed)
            {
                mapping->Mine->Asleep.Share(Region.Slot);
            }
        }

        mapping = s_mappings + at;
        Volatile.Write(ref s_lock, 0);
        _ = Libc.pthread_setcancelstate(before, null);
        Libc.Errno = errno;
        return ok;
    }

    /// <summary>A connection's two ends and rings, in this process.</summary>
    internal struct Link
    {
        internal DirectEnd* Mine, Peer;
        internal DirectSide* PeerSide;

        /// <summary>The ring to write into, and the one to read out of.</summary>
        internal byte* Out, In;

        internal uint Connection;
    }
}
