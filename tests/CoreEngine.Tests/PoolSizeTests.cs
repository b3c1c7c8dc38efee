using NetKernel.Channel;
using NetKernel.Channel.Host;
using NetKernel.CoreEngine.Control;
using NetKernel.Testing;

namespace NetKernel.CoreEngine.Tests;

/// <summary>A limit of pool memory: the region is no larger, and everything goes on in it.</summary>
public sealed class PoolSizeTests
{
    [Theory]
    [InlineData(16ul << 20)]
    [InlineData((16ul << 20) + 1)]
    [InlineData(33ul << 20)]
    [InlineData(79ul << 20)]
    public void A_pool_is_no_larger_than_its_limit_and_has_chunks_of_all_classes(ulong limit)
    {
        foreach (uint parts in new uint[] { 1, 2, 4 })
        {
            PoolLayout wide = PoolLayout.Default;
            wide.Rx.Small *= parts;
            wide.Rx.Medium *= parts;
            wide.Rx.Large *= parts;
            PoolLayout pool = PoolSize.Within(wide, limit);
            Assert.InRange(pool.Tx.Bytes + pool.Rx.Bytes, limit / 2, limit);
            Assert.All([pool.Tx.Small, pool.Tx.Medium, pool.Tx.Large, pool.Rx.Small / parts, pool.Rx.Medium / parts, pool.Rx.Large / parts], count => Assert.True(count >= 8, $"{count}"));
        }
    }

    [Fact]
    public void What_is_within_the_limit_stays_as_it_is() => Assert.Equal(PoolLayout.Default, PoolSize.Within(PoolLayout.Default, 1ul << 30));

    [Fact]
    public void A_guests_region_has_the_size_of_its_limit()
    {
        const ulong Limit = 24 << 20;
        using var host = new EngineHost();
        AttachMessage message = FakeControlPlane.Message(AttachOp.AddGuest, 1, 1, "g1");
        message.Limits.PoolBytes = Limit;
        Assert.Equal(0, host.Control.Ask(message).Error);
        using var guest = new FakeGuest(host.GuestSocket(1));
        Assert.InRange(guest.Pool!.Length, Limit / 2, Limit + PoolLayout.TxOffset);
        message = FakeControlPlane.Message(AttachOp.AddGuest, 2, 1, "g2");
        message.Limits.PoolBytes = 1 << 20;
        Assert.Equal(Libc.EINVAL, host.Control.Ask(message).Error);
    }
}
