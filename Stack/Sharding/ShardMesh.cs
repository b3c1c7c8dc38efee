namespace NetKernel.Stack;

/// <summary>
/// Several stacks, one per thread, that serve the same addresses: each pair has a ring in either direction, and all of them one table of bound ports. No shard ever waits for another
/// (docs/adr/0016).
/// </summary>
public sealed class ShardMesh : IDisposable
{
    /// <summary>The most shards: a port's word has a byte for each.</summary>
    public const uint Most = 8;

    private readonly ShardRing[] _rings;

    /// <summary>A mesh of that many (2 to <see cref="Most"/>), with a key for <see cref="FlowHash"/>.</summary>
    public ShardMesh(uint count, uint key)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(count, 2u);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(count, Most);
        Count = count;
        Key = key;
        _rings = new ShardRing[count * count];
        for (int i = 0; i < _rings.Length; i++)
        {
            _rings[i] = new ShardRing();
        }
    }

    /// <summary>Shards.</summary>
    public uint Count { get; }

    /// <summary>Key of <see cref="FlowHash"/>.</summary>
    public uint Key { get; }

    internal PortClaims Claims { get; } = new();

    /// <inheritdoc/>
    public void Dispose()
    {
        Claims.Dispose();
        for (int i = 0; i < _rings.Length; i++)
        {
            _rings[i].Dispose();
        }
    }

    internal ShardRing Ring(uint from, uint to) => _rings[(from * Count) + to];
}
