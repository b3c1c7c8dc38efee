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
    /// Takes a chunk of a class, or of a neighbouring one when that class is used up. False when the pool is exhausted. What <see cref="TxLayout.Spare"/> keeps is for
    /// datagrams (<paramref name="spare"/>): they cannot be cut to what is left, and are never held up for long.
    /// </summary>
    internal static bool TryTake(int sizeClass, bool spare, out TxPiece piece)
    {
        piece = default;
        uint chunk;
        if (!Take(sizeClass, spare, out chunk) && !Take(sizeClass == 0 ? 1 : 0, spare, out chunk) && !Take(sizeClass == 2 ? 1 : 2, spare, out chunk))
        {
            TxShare.Exhausted();
            return false;
        }

        piece.Offset = Region.Tx.OffsetOf(chunk);
        piece.Bytes = PoolHalf.BytesOf(Region.Tx.ClassOf(chunk));
        TxShare.Taken(piece.Bytes);
        return true;
    }

    /// <summary>Takes a socket's own place, if it has one that is not in flight. The caller holds TxLock.</summary>
    internal static bool TryTakeOwn(SocketSlot* s, uint socket, out TxPiece piece)
    {
        piece = default;
        if (!HasOwn(s))
        {
            return false;
        }

        piece.Offset = TxLayout.OwnOf(socket);
        piece.Bytes = TxLayout.OwnBytes;
        return true;
    }

    /// <summary>Whether a socket has a place of its own that is free.</summary>
    internal static bool HasOwn(SocketSlot* s) => TxLayout.HasOwn && Volatile.Read(ref s->TxOwn) == 0;

    /// <summary>Hands a filled place over to its socket: from now on SendDone frees it.</summary>
    internal static void Submit(ulong offset, uint socket)
    {
        _ = Region.Tx.TryFind(offset, 1, out uint chunk);
        if (TxLayout.IsOwn(chunk))
        {
            Volatile.Write(ref Region.Socket(socket)->TxOwn, 1);
            return;
        }

        Volatile.Write(ref Region.TxOwners[chunk], TxOwner.InFlight | socket);
    }

    /// <summary>Gives back a place that was not submitted.</summary>
    internal static void Return(in TxPiece piece)
    {
        _ = Region.Tx.TryFind(piece.Offset, 1, out uint chunk);
        if (!TxLayout.IsOwn(chunk))
        {
            Volatile.Write(ref Region.TxOwners[chunk], TxOwner.Free);
            Remember(chunk);
        }
    }

    /// <summary>A Send is done: frees its place; false when it was freed before.</summary>
    internal static bool Completed(SocketSlot* s, ulong offset, uint size, uint socket)
    {
        if (!Region.Tx.TryFind(offset, size, out uint chunk))
        {
            return false;
        }

        if (TxLayout.IsOwn(chunk))
        {
            return offset == TxLayout.OwnOf(socket) && Interlocked.Exchange(ref s->TxOwn, 0) != 0;
        }

        if (Interlocked.CompareExchange(ref Region.TxOwners[chunk], TxOwner.Free, TxOwner.InFlight | socket) != (TxOwner.InFlight | socket))
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
        if (TxLayout.IsSpare(chunk) || Interlocked.CompareExchange(ref s_lock, 1, 0) != 0)
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

    private static bool Take(int sizeClass, bool spare, out uint chunk)
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
        uint count = TxLayout.EndOf(sizeClass, spare) - first;
        uint start = cache.Cursor < count ? cache.Cursor : 0;
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
