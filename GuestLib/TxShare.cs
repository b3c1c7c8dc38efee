using NetKernel.Channel;

namespace NetKernel.GuestLib;

/// <summary>
/// How much of the TX pool one stream may have in flight. The owner words are counted now and then rather than a counter kept: no process that is killed can leave it wrong. What was
/// found lies in shared memory, so that all processes of the guest go by the same number.
/// </summary>
internal static unsafe class TxShare
{
    /// <summary>Counted again after chunks of so many bytes were taken; a small chunk counts for more than it holds.</summary>
    private const uint CountEvery = 2 << 20, SmallCounts = 8192;

    /// <summary>While the pool is scarce, whoever finds no room counts again after so long (ns).</summary>
    private const long Stale = 1_000_000;

    private const uint All = 1024;

    private static PoolShare s_share;
    private static uint s_since;
    private static long s_counted;

    /// <summary>Takes the pool's layout over.</summary>
    internal static void Use(in PoolLayout pool, uint smalls)
    {
        ulong bytes = ((ulong)smalls * PoolLayout.SmallBytes) + ((ulong)pool.Tx.Medium * PoolLayout.MediumBytes) + ((ulong)pool.Tx.Large * PoolLayout.LargeBytes);
        s_share = new PoolShare(bytes, smalls + pool.Tx.Medium + pool.Tx.Large);
    }

    /// <summary>Whether sockets may have less than their own limits.</summary>
    internal static bool IsScarce => !PoolShare.IsPlenty(Free);

    /// <summary>The most bytes that a socket may have in flight now; one with nothing in flight may always have its own place.</summary>
    internal static uint BytesOf(SocketSlot* s)
    {
        uint free = Free;
        return PoolShare.IsPlenty(free) ? s->TxLimit : PoolShare.Of(s->TxLimit < Sending.DefaultLimit ? s->TxLimit : Sending.DefaultLimit, free);
    }

    /// <summary>The most Sends, of <paramref name="most"/>, for a socket that may have so many bytes in flight: as many as small chunks make up that.</summary>
    internal static uint SendsOf(uint most, uint bytes)
    {
        uint small = (bytes / PoolLayout.SmallBytes) + 1;
        return !IsScarce || small > most ? most : small;
    }

    /// <summary>A chunk was taken.</summary>
    internal static void Taken(uint bytes)
    {
        s_since += bytes < SmallCounts ? SmallCounts : bytes; // between threads approximate
        if (s_since >= CountEvery)
        {
            Count();
        }
    }

    /// <summary>There was no chunk to be had.</summary>
    internal static void Exhausted() => Volatile.Write(ref Region.Header->TxTaken, All);

    /// <summary>Somebody found no room: it may be that there is more by now.</summary>
    internal static void Refresh()
    {
        if (IsScarce && Libc.Now() - s_counted > Stale)
        {
            Count();
        }
    }

    /// <summary>Free 1024ths at the last count. The word is the guest's own, and so is the harm if it says nonsense.</summary>
    private static uint Free
    {
        get
        {
            uint taken = Volatile.Read(ref Region.Header->TxTaken);
            return taken < All ? All - taken : 0;
        }
    }

    private static void Count()
    {
        s_since = 0;
        s_counted = Libc.Now();
        ulong bytes = 0;
        uint chunks = 0;
        for (int k = 0; k < 3; k++)
        {
            uint free = CountFree(Region.Tx.FirstOf(k), TxLayout.EndOf(k, spare: false));
            chunks += free;
            bytes += (ulong)free * PoolHalf.BytesOf(k);
        }

        Volatile.Write(ref Region.Header->TxTaken, All - s_share.FreeSteps(bytes, chunks));
    }

    /// <summary>Free owner words from <paramref name="at"/> on, two at a time where both are free.</summary>
    private static uint CountFree(uint at, uint end)
    {
        uint* owners = Region.TxOwners;
        uint free = 0;
        if ((at & 1) != 0 && at < end)
        {
            free += owners[at++] == TxOwner.Free ? 1u : 0;
        }

        for (; at + 1 < end; at += 2)
        {
            free += *(ulong*)(owners + at) == 0 ? 2u : (owners[at] == TxOwner.Free ? 1u : 0) + (owners[at + 1] == TxOwner.Free ? 1u : 0);
        }

        return at < end && owners[at] == TxOwner.Free ? free + 1 : free;
    }
}
