using NetKernel.Channel;

namespace NetKernel.GuestLib;

/// <summary>
/// Chunks of the TX pool. The owner word in shared memory is the truth (<see cref="TxOwner"/>); this process remembers which chunks it
/// freed last, so that the next one it takes is still in the cache, and searches only when it remembers none.
/// </summary>
internal static unsafe class TxPool
{
    private const uint Remembered = 64; // per class: 64 large chunks are 4 MB; the hot set is at the top

    private static Cache s_small, s_medium, s_large;
    private static int s_lock;

    private struct Cache
    {
        internal uint Count;
        internal uint Cursor;
        internal fixed uint Chunks[(int)Remembered];
    }

    /// <summary>Forgets what a parent process remembered.</summary>
    internal static void Reset()
    {
        s_small.Count = s_medium.Count = s_large.Count = 0;
        s_lock = 0;
    }

    /// <summary>
    /// Takes a chunk of a class, or of a neighbouring one when that class is used up. False when the pool is exhausted.
    /// </summary>
    internal static bool TryTake(int sizeClass, out uint chunk) =>
        Take(sizeClass, out chunk) || Take(sizeClass == 0 ? 1 : 0, out chunk) || Take(sizeClass == 2 ? 1 : 2, out chunk);

    /// <summary>Hands a filled chunk over to a socket: from now on SendDone frees it.</summary>
    internal static void Submit(uint chunk, uint socket) => Volatile.Write(ref Region.TxOwners[chunk], TxOwner.InFlight | socket);

    /// <summary>Gives back a chunk that was not submitted.</summary>
    internal static void Return(uint chunk)
    {
        Volatile.Write(ref Region.TxOwners[chunk], TxOwner.Free);
        Remember(chunk);
    }

    /// <summary>A Send is done: frees its chunk; false when it was freed before.</summary>
    internal static bool Completed(ulong offset, uint size, uint socket)
    {
        if (!Region.Tx.TryFind(offset, size, out uint chunk)
            || Interlocked.CompareExchange(ref Region.TxOwners[chunk], TxOwner.Free, TxOwner.InFlight | socket) != (TxOwner.InFlight | socket))
        {
            return false;
        }

        Remember(chunk);
        return true;
    }

    private static ref Cache CacheOf(int sizeClass)
    {
        if (sizeClass == 0)
        {
            return ref s_small;
        }

        if (sizeClass == 1)
        {
            return ref s_medium;
        }

        return ref s_large;
    }

    private static void Remember(uint chunk)
    {
        // Only a hint: when another thread is at it, the search will find the chunk.
        if (Interlocked.CompareExchange(ref s_lock, 1, 0) != 0)
        {
            return;
        }

        ref Cache cache = ref CacheOf(Region.Tx.ClassOf(chunk));
        if (cache.Count < Remembered)
        {
            cache.Chunks[cache.Count++] = chunk;
        }

        Volatile.Write(ref s_lock, 0);
    }

    private static bool Take(int sizeClass, out uint chunk)
    {
        uint mine = TxOwner.Filling | Region.Slot;
        bool locked = Interlocked.CompareExchange(ref s_lock, 1, 0) == 0;
        ref Cache cache = ref CacheOf(sizeClass);
        while (locked && cache.Count > 0)
        {
            chunk = cache.Chunks[--cache.Count];
            if (Interlocked.CompareExchange(ref Region.TxOwners[chunk], mine, TxOwner.Free) == TxOwner.Free)
            {
                Volatile.Write(ref s_lock, 0);
                return true;
            }
        }

        uint first = Region.Tx.FirstOf(sizeClass);
        uint count = Region.Tx.FirstOf(sizeClass + 1) - first;
        uint start = cache.Cursor;
        for (uint i = 0; i < count; i++)
        {
            uint at = start + i < count ? start + i : start + i - count;
            chunk = first + at;
            if (Volatile.Read(ref Region.TxOwners[chunk]) == TxOwner.Free
                && Interlocked.CompareExchange(ref Region.TxOwners[chunk], mine, TxOwner.Free) == TxOwner.Free)
            {
                cache.Cursor = at;
                if (locked)
                {
                    Volatile.Write(ref s_lock, 0);
                }

                return true;
            }
        }

        if (locked)
        {
            Volatile.Write(ref s_lock, 0);
        }

        chunk = 0;
        return false;
    }
}
