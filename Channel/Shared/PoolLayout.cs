using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace NetKernel.Channel;

/// <summary>How many chunks of each size class one direction of a pool has.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct PoolCounts
{
    /// <summary>Chunks of <see cref="PoolLayout.SmallBytes"/>.</summary>
    public uint Small;

    /// <summary>Chunks of <see cref="PoolLayout.MediumBytes"/>.</summary>
    public uint Medium;

    /// <summary>Chunks of <see cref="PoolLayout.LargeBytes"/>.</summary>
    public uint Large;

    /// <summary>Chunks of all classes.</summary>
    public readonly uint Total => Small + Medium + Large;

    /// <summary>Bytes of all chunks, rounded up to 2 MB, so that a direction can be mapped with huge pages and rights of its own.</summary>
    public readonly ulong Bytes =>
        (((ulong)Small * PoolLayout.SmallBytes) + ((ulong)Medium * PoolLayout.MediumBytes) + ((ulong)Large * PoolLayout.LargeBytes)
            + PoolLayout.Alignment - 1) & ~(ulong)(PoolLayout.Alignment - 1);
}

/// <summary>
/// A pool region: a header page, then the TX half (allocated by the guest, read by the NSM), then the RX half (allocated by the NSM,
/// read by the guest). Each half holds its small chunks, then the medium, then the large ones. A data pointer is an offset from
/// the region's start; chunks are numbered through their half: small first.
/// </summary>
public struct PoolLayout
{
    /// <summary>Bytes of a small chunk: one message of a request-response protocol.</summary>
    public const uint SmallBytes = 2048;

    /// <summary>Bytes of a medium chunk.</summary>
    public const uint MediumBytes = 16384;

    /// <summary>Bytes of a large chunk: a bulk stream's.</summary>
    public const uint LargeBytes = 65536;

    /// <summary>Both halves start and end at multiples of this: a 2 MB page.</summary>
    public const int Alignment = 2 << 20;

    /// <summary>Where the TX half starts: after the header, which has a huge page to itself.</summary>
    public const ulong TxOffset = Alignment;

    /// <summary>"NKPOOL01".</summary>
    public const ulong Magic = 0x31304C4F4F504B4E;

    /// <summary>TX chunks.</summary>
    public PoolCounts Tx;

    /// <summary>RX chunks.</summary>
    public PoolCounts Rx;

    /// <summary>Where the RX half starts.</summary>
    public readonly ulong RxOffset => TxOffset + Tx.Bytes;

    /// <summary>Bytes of the region.</summary>
    public readonly ulong Length => RxOffset + Rx.Bytes;

    /// <summary>The TX half.</summary>
    public readonly PoolHalf TxHalf => new(TxOffset, Tx);

    /// <summary>The RX half.</summary>
    public readonly PoolHalf RxHalf => new(RxOffset, Rx);

    /// <summary>
    /// The default: 32 MB each way, and 8 MB more of small chunks that are kept for sockets which have nothing yet: so that each can go on, however many others hold what
    /// they have. All of it is touched only as used.
    /// </summary>
    public static PoolLayout Default
    {
        get
        {
            PoolLayout layout = default;
            layout.Tx.Small = 8192;
            layout.Tx.Medium = 512;
            layout.Tx.Large = 256;
            layout.Rx = layout.Tx;
            return layout;
        }
    }
}

/// <summary>One direction of a pool: turns offsets into chunk numbers and back, refusing what lies outside.</summary>
public readonly struct PoolHalf
{
    private readonly ulong _start;
    private readonly ulong _medium;
    private readonly ulong _large;
    private readonly ulong _smallBytes;
    private readonly ulong _mediumBytes;
    private readonly ulong _largeBytes;
    private readonly uint _smallCount;
    private readonly uint _mediumCount;
    private readonly uint _largeCount;

    /// <summary>The half that starts at region offset <paramref name="start"/>.</summary>
    public PoolHalf(ulong start, PoolCounts counts)
    {
        _start = start;
        _smallBytes = (ulong)counts.Small * PoolLayout.SmallBytes;
        _mediumBytes = (ulong)counts.Medium * PoolLayout.MediumBytes;
        _largeBytes = (ulong)counts.Large * PoolLayout.LargeBytes;
        _medium = start + _smallBytes;
        _large = _medium + _mediumBytes;
        _smallCount = counts.Small;
        _mediumCount = counts.Medium;
        _largeCount = counts.Large;
    }

    private PoolHalf(in PoolHalf whole, uint part, uint parts)
    {
        this = whole;
        _smallCount = whole._smallCount / parts;
        _mediumCount = whole._mediumCount / parts;
        _largeCount = whole._largeCount / parts;
        _smallBytes = (ulong)_smallCount * PoolLayout.SmallBytes;
        _mediumBytes = (ulong)_mediumCount * PoolLayout.MediumBytes;
        _largeBytes = (ulong)_largeCount * PoolLayout.LargeBytes;
        _start += part * _smallBytes;
        _medium += part * _mediumBytes;
        _large += part * _largeBytes;
    }

    /// <summary>One of equal parts of the chunks of each class, with numbers of its own.</summary>
    public PoolHalf Part(uint part, uint parts) => new(in this, part, parts);

    /// <summary>Which of that many equal parts an offset lies in.</summary>
    public uint PartOf(ulong offset, uint parts)
    {
        int sizeClass = offset < _medium ? 0 : offset < _large ? 1 : 2;
        uint chunks = (sizeClass switch { 0 => _smallCount, 1 => _mediumCount, _ => _largeCount }) / parts;
        ulong chunk = (offset - (sizeClass switch { 0 => _start, 1 => _medium, _ => _large })) / BytesOf(sizeClass);
        return chunks == 0 || chunk / chunks >= parts ? parts - 1 : (uint)(chunk / chunks);
    }

    /// <summary>Chunks of all classes.</summary>
    public uint Count => _smallCount + _mediumCount + _largeCount;

    /// <summary>The number of the first chunk of a class (0 small, 1 medium, 2 large); class 3 gives the end.</summary>
    public uint FirstOf(int sizeClass) => sizeClass switch
    {
        0 => 0,
        1 => _smallCount,
        2 => _smallCount + _mediumCount,
        _ => Count,
    };

    /// <summary>Bytes of a chunk of a class.</summary>
    public static uint BytesOf(int sizeClass) => sizeClass switch
    {
        0 => PoolLayout.SmallBytes,
        1 => PoolLayout.MediumBytes,
        _ => PoolLayout.LargeBytes,
    };

    /// <summary>The smallest class whose chunks hold that many bytes; the largest when none does.</summary>
    public static int ClassFor(ulong bytes) => bytes <= PoolLayout.SmallBytes ? 0 : bytes <= PoolLayout.MediumBytes ? 1 : 2;

    /// <summary>The region offset of a chunk, which must be below <see cref="Count"/>.</summary>
    public ulong OffsetOf(uint chunk)
    {
        if (chunk < _smallCount)
        {
            return _start + ((ulong)chunk * PoolLayout.SmallBytes);
        }

        chunk -= _smallCount;
        return chunk < _mediumCount
            ? _medium + ((ulong)chunk * PoolLayout.MediumBytes)
            : _large + ((ulong)(chunk - _mediumCount) * PoolLayout.LargeBytes);
    }

    /// <summary>The class of a chunk.</summary>
    public int ClassOf(uint chunk) => chunk < _smallCount ? 0 : chunk < _smallCount + _mediumCount ? 1 : 2;

    /// <summary>
    /// Whether the <paramref name="size"/> bytes at <paramref name="offset"/> lie in one chunk of this half. Asked for every NQE that names
    /// data: inlined, and one comparison per class, because an offset below a class's start wraps round to a very large one.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public bool Holds(ulong offset, uint size)
    {
        ulong within = offset - _start;
        ulong last = PoolLayout.SmallBytes - 1;
        if (within >= _smallBytes)
        {
            within = offset - _medium;
            last = PoolLayout.MediumBytes - 1;
            if (within >= _mediumBytes)
            {
                within = offset - _large;
                last = PoolLayout.LargeBytes - 1;
                if (within >= _largeBytes)
                {
                    return false;
                }
            }
        }

        return (ulong)size - 1 <= last - (within & last); // no bytes at all wrap round, too
    }

    /// <summary>
    /// The chunk that holds the <paramref name="size"/> bytes at <paramref name="offset"/>; false when they do not lie in one chunk of this half
    /// or when there are none.
    /// </summary>
    public bool TryFind(ulong offset, uint size, out uint chunk)
    {
        chunk = 0;
        if (!Holds(offset, size))
        {
            return false;
        }

        chunk = offset - _start < _smallBytes ? (uint)((offset - _start) / PoolLayout.SmallBytes)
            : offset - _medium < _mediumBytes ? _smallCount + (uint)((offset - _medium) / PoolLayout.MediumBytes)
            : _smallCount + _mediumCount + (uint)((offset - _large) / PoolLayout.LargeBytes);
        return true;
    }
}
