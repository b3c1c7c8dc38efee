namespace NetKernel.CoreEngine.Control;

/// <summary>
/// A limit of pool memory is the size of the pool: what is not in the region, which is sealed, nobody can use, neither a guest that ignores every other bound nor an NSM
/// (docs/adr/0012-a-limit-of-pool-memory-is-the-pools-size.md).
/// </summary>
internal static class PoolSize
{
    /// <summary>The smallest limit: a page of 2 MB to send from, and enough for several NSMs to receive into.</summary>
    public const ulong Least = 16 << 20;

    /// <summary>The pool with as much less of each class that its chunks, each direction rounded up to 2 MB, take no more than so many bytes.</summary>
    public static PoolLayout Within(PoolLayout pool, ulong bytes)
    {
        ulong all = pool.Tx.Bytes + pool.Rx.Bytes;
        if (all <= bytes)
        {
            return pool;
        }

        const ulong Page = PoolLayout.Alignment;
        ulong forTx = Math.Max((ulong)((UInt128)bytes * pool.Tx.Bytes / all) / Page * Page, Page);
        Shrink(ref pool.Tx, forTx);
        Shrink(ref pool.Rx, (bytes - forTx) / Page * Page);
        return pool;
    }

    private static void Shrink(ref PoolCounts counts, ulong to)
    {
        ulong from = counts.Bytes;
        if (from <= to)
        {
            return;
        }

        counts.Small = (uint)(counts.Small * to / from);
        counts.Medium = (uint)(counts.Medium * to / from);
        counts.Large = (uint)(counts.Large * to / from);
    }
}
