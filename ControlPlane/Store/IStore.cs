namespace NetKernel.ControlPlane.Store;

/// <summary>
/// Keys with revisions, as etcd has them: every transaction that writes makes the next revision, a key remembers in which revision it was made and last
/// changed, and a watch continues from any revision that has not been compacted. What is acknowledged has reached the disk. An embedded engine and a
/// replicated one look the same from here.
/// </summary>
internal interface IStore : IDisposable
{
    /// <summary>The revision of the last write; 0 in an empty store.</summary>
    ValueTask<long> RevisionAsync(CancellationToken stop = default);

    /// <summary>Keys in order, or the last ones first, at one revision. <paramref name="limit"/> 0: all.</summary>
    ValueTask<RangeResult> RangeAsync(KeyRange range, int limit = 0, bool descending = false, CancellationToken stop = default);

    /// <summary>All of a transaction or nothing of it. When this has returned, a crash of whatever kind does not lose it.</summary>
    ValueTask<TransactionResult> CommitAsync(Transaction transaction, CancellationToken stop = default);

    /// <summary>
    /// The changes after a revision, in order, and then those to come, until cancelled. Changes of one revision come together. Throws
    /// <see cref="CompactedException"/> when changes that are asked for are not known any more, also to somebody who reads too slowly.
    /// </summary>
    IAsyncEnumerable<IReadOnlyList<StoreEvent>> WatchAsync(KeyRange range, long after, CancellationToken stop = default);

    /// <summary>Forgets the changes up to a revision; the keys stay.</summary>
    ValueTask CompactAsync(long revision, CancellationToken stop = default);
}

/// <summary>Changes that are asked for have been forgotten: read everything again, then watch from that revision.</summary>
internal sealed class CompactedException(long compacted) : Exception($"changes up to revision {compacted} are not kept any more")
{
    /// <summary>The newest revision whose changes are gone.</summary>
    public long Compacted { get; } = compacted;
}

/// <summary>The store cannot be used: the message says what to do.</summary>
internal sealed class StoreException(string message, Exception? inner = null) : Exception(message, inner);
