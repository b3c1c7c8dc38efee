namespace NetKernel.Channel.Tests;

public class PoolShareTests
{
    private const uint Limit = 512 << 10, Large = PoolLayout.LargeBytes, Bytes = 32 << 20, Chunks = 4864;

    [Fact]
    public void The_limit_counts_alone_while_there_is_plenty()
    {
        PoolShare share = new(Bytes, Chunks);
        Assert.Equal(uint.MaxValue, share.Of(Limit, Bytes, Chunks));
        Assert.Equal(uint.MaxValue, share.Of(Limit, Bytes / 4 * 3, Chunks));
        Assert.True(share.Of(Limit, (Bytes / 4 * 3) - Large, Chunks) < Limit);
        Assert.True(share.Of(Limit, Bytes, Chunks / 2) < Limit); // small messages use up chunks rather than bytes
    }

    [Fact]
    public void Less_free_never_means_more()
    {
        for (uint steps = 1; steps <= 1024; steps++)
        {
            Assert.InRange(PoolShare.Of(Limit, steps), PoolShare.Of(Limit, steps - 1), Limit);
        }

        Assert.Equal(0u, PoolShare.Of(Limit, 0));
    }

    /// <summary>One after the other takes its share and keeps it: what is left shrinks with their number, not exponentially.</summary>
    [Theory]
    [InlineData(100, 8192, 1u << 18)]
    [InlineData(500, 2048, 1u << 20)]
    [InlineData(2000, 0, 1u << 18)]
    public void Many_that_never_give_back_leave_something(int sockets, uint leastShare, uint leastFree)
    {
        PoolShare share = new(Bytes, Chunks);
        ulong free = Bytes;
        uint last = 0;
        for (int i = 0; i < sockets; i++)
        {
            last = Math.Min(share.Of(Limit, free, Chunks), Limit);
            free -= last;
        }

        Assert.True(last >= leastShare, $"the last one may have {last}");
        Assert.True(free >= leastFree, $"{free} are free");
    }
}
