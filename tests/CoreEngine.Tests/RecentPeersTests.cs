namespace NetKernel.CoreEngine.Tests;

/// <summary>Whom a guest has talked to lately: what is lately, by a clock that the tests turn.</summary>
public sealed class RecentPeersTests
{
    private const ulong Begin = 1_000_000_000_000, Generation = RecentPeers.Generation;

    private readonly RecentPeers _peers = new();

    [Theory]
    [InlineData(0u)]
    [InlineData(63u)]
    [InlineData(64u)]
    [InlineData(1023u)]
    public void A_peer_is_one_and_its_neighbours_by_number_are_none(uint guest)
    {
        _peers.Add(guest, Begin);
        for (uint id = 0; id < SwitchLoop.MaxGuests; id++)
        {
            Assert.Equal(id == guest, _peers.Has(id, Begin));
        }
    }

    [Theory]
    [InlineData(Generation, true)]
    [InlineData(Generation + 1, true)]
    [InlineData(2 * Generation, true)]
    [InlineData((2 * Generation) + 1, false)]
    [InlineData(100 * Generation, false)]
    public void Who_says_nothing_more_is_forgotten(ulong later, bool known)
    {
        _peers.Add(5, Begin);
        Assert.Equal(known, _peers.Has(5, Begin + later));
    }

    [Fact]
    public void Others_that_talk_do_not_keep_it()
    {
        _peers.Add(5, Begin);
        _peers.Add(6, Begin + Generation + 1);
        Assert.True(_peers.Has(5, Begin + Generation + 1));
        _peers.Add(6, Begin + (2 * Generation) + 2);
        Assert.False(_peers.Has(5, Begin + (2 * Generation) + 2));
        Assert.True(_peers.Has(6, Begin + (2 * Generation) + 2));
    }

    [Fact]
    public void After_a_long_silence_nothing_old_comes_back()
    {
        _peers.Add(5, Begin);
        _peers.Add(6, Begin + (50 * Generation));
        Assert.False(_peers.Has(5, Begin + (50 * Generation)));
    }

    [Fact]
    public void One_that_has_gone_is_forgotten_in_both_generations()
    {
        _peers.Add(5, Begin);
        _peers.Add(6, Begin + Generation + 1);
        _peers.Remove(5);
        _peers.Remove(6);
        Assert.False(_peers.Has(5, Begin + Generation + 1));
        Assert.False(_peers.Has(6, Begin + Generation + 1));
    }
}
