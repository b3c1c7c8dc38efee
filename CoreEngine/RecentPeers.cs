using System.Threading;

namespace NetKernel.CoreEngine;

/// <summary>
/// The guests of this host that a guest has talked to lately of its own accord: it connected to one of their addresses, or accepted a connection from there. Shared by all loops. Two
/// generations of bits, so that what was said counts for one to two times <see cref="Generation"/>; two loops that turn them over at once may lose a bit, which is said again with the next connection.
/// </summary>
internal sealed class RecentPeers
{
    /// <summary>Nanoseconds after which a new generation of bits begins.</summary>
    public const ulong Generation = 10_000_000_000;

    private readonly ulong[] _young = new ulong[SwitchLoop.MaxGuests / 64];
    private readonly ulong[] _old = new ulong[SwitchLoop.MaxGuests / 64];
    private ulong _since;

    /// <summary>It has talked to that guest.</summary>
    public void Add(uint guest, ulong now)
    {
        ulong since = Volatile.Read(ref _since);
        if (now > since + Generation && Interlocked.CompareExchange(ref _since, now, since) == since)
        {
            bool follows = now <= since + (2 * Generation);
            for (int i = 0; i < _young.Length; i++)
            {
                ulong was = Interlocked.Exchange(ref _young[i], 0);
                Volatile.Write(ref _old[i], follows ? was : 0);
            }
        }

        ref ulong word = ref _young[guest / 64];
        ulong bit = 1ul << (int)(guest % 64);
        if ((Volatile.Read(ref word) & bit) == 0)
        {
            _ = Interlocked.Or(ref word, bit);
        }
    }

    /// <summary>Whether it has talked to that guest lately.</summary>
    public bool Has(uint guest, ulong now)
    {
        ulong since = Volatile.Read(ref _since);
        ulong word = now > since + (2 * Generation) ? 0
            : now > since + Generation ? Volatile.Read(ref _young[guest / 64])
            : Volatile.Read(ref _young[guest / 64]) | Volatile.Read(ref _old[guest / 64]);
        return (word >> (int)(guest % 64) & 1) != 0;
    }

    /// <summary>The number belongs to another guest from now on.</summary>
    public void Remove(uint guest)
    {
        ulong others = ~(1ul << (int)(guest % 64));
        _ = Interlocked.And(ref _young[guest / 64], others);
        _ = Interlocked.And(ref _old[guest / 64], others);
    }
}
