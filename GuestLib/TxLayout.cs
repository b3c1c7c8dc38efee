using NetKernel.Channel;

namespace NetKernel.GuestLib;

/// <summary>
/// What the TX half of the pool is for. At the end of the small chunks each socket of the guest has a place of its own, so that it can always send something, however many others hold
/// what they have; of each class a sixteenth is kept for datagrams; the rest is shared (<see cref="TxShare"/>). That is the guest's own affair: CoreEngine and the NSM see
/// offsets only.
/// </summary>
internal static class TxLayout
{
    /// <summary>Bytes of a socket's own place.</summary>
    internal const uint OwnBytes = 512;

    private const uint PerChunk = PoolLayout.SmallBytes / OwnBytes;

    /// <summary>Of each class one chunk in so many is kept for datagrams.</summary>
    private const uint Spare = 16;

    private static uint s_firstOwn;
    private static uint s_smalls;

    /// <summary>Whether sockets have places of their own: not in a pool that is smaller than that.</summary>
    internal static bool HasOwn => s_firstOwn < s_smalls;

    /// <summary>Takes the pool's layout over.</summary>
    internal static void Use(in PoolLayout pool, uint sockets)
    {
        uint own = (sockets + PerChunk - 1) / PerChunk;
        s_smalls = pool.Tx.Small;
        s_firstOwn = own < s_smalls ? s_smalls - own : s_smalls;
        TxShare.Use(pool, s_firstOwn);
    }

    /// <summary>Region offset of a socket's own place.</summary>
    internal static ulong OwnOf(uint socket) => Region.Tx.OffsetOf(s_firstOwn) + ((ulong)socket * OwnBytes);

    /// <summary>Whether a chunk is made of sockets' own places.</summary>
    internal static bool IsOwn(uint chunk) => chunk - s_firstOwn < s_smalls - s_firstOwn;

    /// <summary>The number behind the last chunk of a class that may be taken.</summary>
    internal static uint EndOf(int sizeClass, bool spare)
    {
        uint first = Region.Tx.FirstOf(sizeClass);
        uint end = sizeClass == 0 ? s_firstOwn : Region.Tx.FirstOf(sizeClass + 1);
        return spare ? end : end - ((end - first) / Spare);
    }

    /// <summary>Whether a chunk is kept for datagrams.</summary>
    internal static bool IsSpare(uint chunk)
    {
        int sizeClass = Region.Tx.ClassOf(chunk);
        return chunk >= EndOf(sizeClass, spare: false) && chunk < EndOf(sizeClass, spare: true);
    }
}

/// <summary>A place in the TX pool.</summary>
internal struct TxPiece
{
    /// <summary>Region offset.</summary>
    internal ulong Offset;

    /// <summary>Bytes that it holds.</summary>
    internal uint Bytes;
}
