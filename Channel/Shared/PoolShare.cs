namespace NetKernel.Channel;

/// <summary>
/// How much of one half of a pool a socket may have, from how much of the half is free. While three quarters are, the socket's own limit (SO_SNDBUF, SO_RCVBUF or the default) alone
/// counts; below that the share is the limit times the square of the free part. Sockets that fill up one after the other and never empty (peers that do not read) thus leave a half that
/// shrinks with their number, where a share of a fixed part would leave one that shrinks exponentially. What is owed to a socket that has nothing (its first chunk) is kept apart.
/// </summary>
public readonly struct PoolShare
{
    /// <summary>Free parts are counted in so many steps; three quarters and more are all of them.</summary>
    private const uint Steps = 1024, Plenty = 768;

    private readonly ulong _bytes;
    private readonly uint _chunks;

    /// <summary>Shares of that many bytes in that many chunks.</summary>
    public PoolShare(ulong bytes, uint chunks)
    {
        _bytes = bytes == 0 ? 1 : bytes;
        _chunks = chunks == 0 ? 1 : chunks;
    }

    /// <summary>What is free, in 1024ths: of the bytes or of the chunks, whichever is scarcer.</summary>
    public uint FreeSteps(ulong freeBytes, uint freeChunks)
    {
        uint ofBytes = (uint)(freeBytes * Steps / _bytes);
        uint ofChunks = (uint)((ulong)freeChunks * Steps / _chunks);
        return ofBytes < ofChunks ? ofBytes : ofChunks;
    }

    /// <summary>Whether so little is taken that nobody's share is smaller than its limit.</summary>
    public static bool IsPlenty(uint steps) => steps >= Plenty;

    /// <summary>The part of <paramref name="limit"/> that one socket may have, with so many 1024ths free.</summary>
    public static uint Of(uint limit, uint steps)
    {
        if (steps >= Plenty)
        {
            return limit;
        }

        ulong part = (ulong)limit * steps / Plenty;
        return (uint)(part * steps / Plenty);
    }

    /// <summary>The part of <paramref name="limit"/> that one socket may have; all bits set: as much as it likes.</summary>
    public uint Of(uint limit, ulong freeBytes, uint freeChunks)
    {
        uint steps = FreeSteps(freeBytes, freeChunks);
        return IsPlenty(steps) ? uint.MaxValue : Of(limit, steps);
    }
}
