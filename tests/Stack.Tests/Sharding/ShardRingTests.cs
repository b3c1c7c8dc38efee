namespace NetKernel.Stack.Tests.Sharding;

/// <summary>The ring between two shards.</summary>
public sealed unsafe class ShardRingTests
{
    [Fact]
    public void Two_threads_lose_and_change_nothing()
    {
        using ShardRing ring = new();
        const uint Messages = 300_000;
        Thread writer = new(() =>
        {
            Random random = new(7);
            for (uint i = 0; i < Messages; i++)
            {
                uint length = (uint)random.Next(4, i % 1000 == 0 ? 60_000 : 300);
                ShardItem* item;
                while ((item = ring.TryReserve(length, isPacket: i % 2 == 0)) == null)
                {
                    _ = Thread.Yield();
                }

                new Span<byte>(item + 1, (int)length).Fill((byte)i);
                *(uint*)(item + 1) = i;
                ring.Commit();
            }
        });
        writer.Start();
        Random same = new(7);
        for (uint i = 0; i < Messages; i++)
        {
            ShardItem* item;
            while ((item = ring.TryRead()) == null)
            {
                _ = Thread.Yield();
            }

            uint length = (uint)same.Next(4, i % 1000 == 0 ? 60_000 : 300);
            Assert.Equal((length, i), (item->Length, *(uint*)(item + 1)));
            Assert.Equal(-1, new ReadOnlySpan<byte>((byte*)(item + 1) + 4, (int)length - 4).IndexOfAnyExcept((byte)i));
            ring.Release(item);
        }

        writer.Join();
        Assert.False(ring.HasNews);
    }

    [Fact]
    public void Packets_leave_room_for_what_must_not_be_lost()
    {
        using ShardRing ring = new();
        while (ring.TryReserve(60_000, isPacket: true) != null)
        {
            ring.Commit();
        }

        Assert.True(ring.TryReserve(200_000, isPacket: false) != null);
        ring.Commit();
        ShardItem* item = ring.TryRead();
        ring.Release(item);
        Assert.True(ring.HasNews);
        Assert.True(ring.TryReserve(2 << 20, isPacket: false) == null); // more than any message may be
    }
}
