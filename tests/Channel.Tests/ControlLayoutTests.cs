using FsCheck;
using FsCheck.Fluent;

namespace NetKernel.Channel.Tests;

public class ControlLayoutTests
{
    public static TheoryData<uint, uint, uint, uint, uint> Counts() => new()
    {
        { 256, 1024, 16384, 4864, 1 }, { 1, 16, 0, 0, 1 }, { 8, 4096, 0, 0, 8 }, { 64, 65536, 1 << 20, 1 << 20, 8 }, { 3, 64, 4096, 16, 2 },
    };

    [Theory]
    [MemberData(nameof(Counts))]
    public void Nothing_overlaps_and_everything_fits(uint queueSets, uint ringSlots, uint sockets, uint txChunks, uint loops)
    {
        var counts = new ControlCounts { QueueSets = queueSets, RingSlots = ringSlots, Sockets = sockets, TxChunks = txChunks, Loops = loops };
        var layout = new ControlLayout(counts);
        Assert.True(layout.IsValid);
        var parts = new List<(ulong Start, ulong Length, string Name)> { (0, 256, "header"), (3072, 4, "socket high") };
        for (uint loop = 0; loop < ControlHeader.MaxLoops; loop++)
        {
            parts.Add((ControlLayout.LoopBellOf(loop), LoopBell.Length, $"bell {loop}"));
        }

        for (uint q = 0; q < queueSets; q++)
        {
            parts.Add((layout.ProcessOf(q), ProcessSlot.Length, $"process {q}"));
            parts.Add((layout.QueueSetOf(q), QueueSetHeader.Length, $"queue set {q}"));
            foreach (RingKind kind in Enum.GetValues<RingKind>())
            {
                parts.Add((layout.RingOf(q, kind), RingHeader.BytesFor(ringSlots), $"{kind} ring {q}"));
            }

            if (sockets != 0)
            {
                parts.Add((layout.DirtyOf(q), sockets / 8, $"dirty {q}"));
                parts.Add((layout.DirtySummaryOf(q), sockets / 512, $"dirty summary {q}"));
            }
        }

        if (sockets != 0)
        {
            parts.Add((layout.SocketOf(0), SocketSlot.Length * (ulong)sockets, "sockets"));
            parts.Add((layout.TxOwners, 4ul * txChunks, "TX owners"));
            parts.Add((layout.SharedSetOf(0), SharedSet.Length * (ulong)ControlLayout.MaxSharedSets, "shared sets"));
            parts.Add((layout.SharedWatchOf(0), SharedWatch.Length * (ulong)ControlLayout.MaxSharedWatches, "shared watches"));
            Assert.Equal(layout.SocketOf(0) + SocketSlot.Length, layout.SocketOf(1));
        }

        parts.Sort();
        for (int i = 1; i < parts.Count; i++)
        {
            Assert.True(parts[i - 1].Start + parts[i - 1].Length <= parts[i].Start, $"{parts[i - 1]} runs into {parts[i]}");
        }

        Assert.True(parts[^1].Start + parts[^1].Length <= layout.Length, $"{parts[^1]} lies outside");
        Assert.Equal(0ul, layout.Length % 4096);
        Assert.All(parts, part => Assert.Equal(0ul, part.Name.StartsWith("header", StringComparison.Ordinal) ? 0 : part.Start % 8));
    }

    [Theory]
    [InlineData(0, 1024, 0, 0, 1)]
    [InlineData(257, 1024, 0, 0, 1)]
    [InlineData(1, 1000, 0, 0, 1)]
    [InlineData(1, 8, 0, 0, 1)]
    [InlineData(1, 1 << 17, 0, 0, 1)]
    [InlineData(1, 16, 4095, 0, 1)]
    [InlineData(1, 16, 1 << 21, 0, 1)]
    [InlineData(1, 16, 0, 15, 1)]
    [InlineData(1, 16, 0, 0, 0)]
    [InlineData(1, 16, 0, 0, 9)]
    public void Counts_beyond_what_every_part_supports_are_refused(uint queueSets, uint ringSlots, uint sockets, uint txChunks, uint loops) =>
        Assert.False(new ControlLayout(new ControlCounts { QueueSets = queueSets, RingSlots = ringSlots, Sockets = sockets, TxChunks = txChunks, Loops = loops }).IsValid);

    [Fact]
    public void A_chunk_is_found_by_every_offset_in_it_and_by_none_outside() =>
        Prop.ForAll(
            (from small in Gen.Choose(0, 50)
             from medium in Gen.Choose(0, 20)
             from large in Gen.Choose(0, 10)
             from start in Gen.Choose(0, 1000)
             from at in Gen.Choose(0, 2_000_000)
             from size in Gen.OneOf(Gen.Choose(0, 3000), Gen.Choose(0, 70000), Gen.Constant(-1))
             select (small, medium, large, start, at, size)).ToArbitrary(),
            c =>
            {
                var counts = new PoolCounts { Small = (uint)c.small, Medium = (uint)c.medium, Large = (uint)c.large };
                var half = new PoolHalf((ulong)c.start * 2048, counts);
                ulong offset = (ulong)c.at;
                uint size = (uint)c.size;
                bool found = half.TryFind(offset, size, out uint chunk);

                // The model: a walk over all chunks.
                int model = -1;
                for (uint i = 0; i < half.Count; i++)
                {
                    ulong from = half.OffsetOf(i);
                    ulong to = from + PoolHalf.BytesOf(half.ClassOf(i));
                    if (size > 0 && offset >= from && offset < to && offset + size <= to)
                    {
                        model = (int)i;
                    }
                }

                return found == (model >= 0) && half.Holds(offset, size) == found && (!found || chunk == model);
            }).QuickCheckThrowOnFailure();

    [Fact]
    public void Offsets_near_the_end_of_the_number_range_are_refused()
    {
        PoolHalf half = PoolLayout.Default.RxHalf;
        foreach (ulong offset in (ulong[])[0, 1, ulong.MaxValue, ulong.MaxValue - 100, PoolLayout.Default.Length, 1ul << 63])
        {
            Assert.False(half.TryFind(offset, 1, out _));
            Assert.False(half.TryFind(offset, uint.MaxValue, out _));
            Assert.False(half.Holds(offset, 0) | half.Holds(offset, 1) | half.Holds(offset, uint.MaxValue));
        }
    }

    [Fact]
    public void The_halves_of_the_default_pool_do_not_touch()
    {
        PoolLayout pool = PoolLayout.Default;
        Assert.Equal(0ul, pool.RxOffset % PoolLayout.Alignment);
        Assert.Equal(0ul, pool.Length % PoolLayout.Alignment);
        ulong last = pool.TxHalf.OffsetOf(pool.TxHalf.Count - 1) + PoolLayout.LargeBytes;
        Assert.True(last <= pool.RxOffset);
        Assert.False(pool.TxHalf.TryFind(pool.RxOffset, 1, out _));
        Assert.False(pool.RxHalf.TryFind(PoolLayout.TxOffset, 1, out _));
        Assert.False(pool.TxHalf.Holds(pool.RxOffset, 1) | pool.RxHalf.Holds(PoolLayout.TxOffset, 1));
        Assert.Equal([0u, 8192u, 8704u, 8960u], new[] { 0, 1, 2, 3 }.Select(pool.TxHalf.FirstOf));
        Assert.Equal([0, 0, 1, 1, 2, 2], new ulong[] { 1, 2048, 2049, 16384, 16385, 1 << 20 }.Select(PoolHalf.ClassFor));
    }
}
