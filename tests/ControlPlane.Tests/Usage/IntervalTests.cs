using NetKernel.Channel;
using NetKernel.ControlPlane.Usage;
using static NetKernel.ControlPlane.Tests.Usage.Readings;

namespace NetKernel.ControlPlane.Tests.Usage;

/// <summary>What two readings say happened in between.</summary>
public sealed class IntervalTests
{
    private static readonly UsageKey Web = new("acme", "web", "kernel0");

    [Fact]
    public void Counters_that_go_on_count_the_difference()
    {
        Dictionary<UsageKey, Amounts> amounts = Of().With(1, "web", 5, sent: 1500, nqes: 12, received: 70).Since(Of().With(1, "web", 5, sent: 1000, nqes: 10, received: 70));
        Amounts web = Assert.Single(amounts).Value;
        Assert.Equal((500, 0, 2, 4), (web[Amount.BytesSent], web[Amount.BytesReceived], web[Amount.Operations], web[Amount.Nqes]));
    }

    [Fact]
    public void Nothing_happened_is_nothing() => Assert.Empty(Of().With(1, "web", 5, sent: 1000, nqes: 10).Since(Of().With(1, "web", 5, sent: 1000, nqes: 10)));

    [Fact]
    public void A_guest_that_was_made_again_counts_from_its_beginning()
    {
        Reading before = Of().With(1, "web", 5, sent: 1000);
        Assert.Equal(300, Of().With(1, "web", 6, sent: 300).Since(before)[Web][Amount.BytesSent]);
        Assert.Equal(4000, Of().With(1, "web", 6, sent: 4000).Since(before)[Web][Amount.BytesSent]);
    }

    [Fact]
    public void An_engine_that_was_started_again_counts_from_its_beginning()
    {
        Dictionary<UsageKey, Amounts> amounts = Of(engine: 2, engineCpu: 40).With(1, "web", 5, sent: 300).Since(Of(engine: 1, engineCpu: 1000).With(1, "web", 5, sent: 100));
        Assert.Equal(300, amounts[Web][Amount.BytesSent]);
        Assert.Equal(40, amounts.Sum(Amount.EngineCpu));
    }

    [Fact]
    public void A_row_that_is_being_cleared_is_never_negative()
    {
        Dictionary<UsageKey, Amounts> amounts = Of().With(1, "web", 5, sent: 10, nqes: 2).Since(Of().With(1, "web", 5, sent: 1000, nqes: 1));
        Assert.All(amounts.Values, of => Assert.All(Enum.GetValues<Amount>(), kind => Assert.True(of[kind] >= 0)));
        Assert.Equal(0, amounts.Sum(Amount.BytesSent));
    }

    [Fact]
    public void What_a_guest_did_before_it_was_removed_counts_once()
    {
        Reading before = Of().With(1, "web", 5, sent: 1000);
        (uint, GuestReading) ended = (1, Of().With(1, "web", 5, sent: 1700).Guests[1]);
        (uint, GuestReading) short_ = (1, Of().With(1, "tmp", 6, sent: 30).Guests[1]);
        Dictionary<UsageKey, Amounts> amounts = Of().With(1, "api", 7, sent: 9).Since(before, ended, short_);
        Assert.Equal(
            [("api", 9L), ("tmp", 30L), ("web", 700L)], amounts.Select(pair => (pair.Key.Guest, pair.Value[Amount.BytesSent])).OrderBy(pair => pair.Guest, StringComparer.Ordinal));
    }

    [Fact]
    public void Processor_time_is_shared_out_by_work_and_adds_up_to_that_of_the_processes()
    {
        Reading before = Of(1, 1_000_000, 900_000).With(1, "web", 5, 0).With(2, "db", 6, 0, tenant: "beta").WithNsm(Kernel, 500);
        Reading now = Of(1, 1_000_000 + 1_000_003, 900_000 + 800_001).With(1, "web", 5, 0, nqes: 300).With(2, "db", 6, 0, nqes: 100, tenant: "beta").WithNsm(Kernel, 500 + 4001);
        Dictionary<UsageKey, Amounts> amounts = now.Since(before);
        Assert.Equal(1_000_003, amounts.Sum(Amount.EngineCpu));
        Assert.Equal(4001, amounts.Sum(Amount.NsmCpu));
        Assert.Equal(200_002, amounts[Platform][Amount.EngineCpu]);
        Assert.InRange(amounts[Web][Amount.EngineCpu], 600_000, 600_001);
        Assert.InRange(amounts[new UsageKey("beta", "db", "kernel0")][Amount.EngineCpu], 200_000, 200_001);
        Assert.InRange(amounts[Web][Amount.NsmCpu], 3000, 3001);
    }

    [Fact]
    public void Time_without_work_is_the_platforms()
    {
        Dictionary<UsageKey, Amounts> amounts = Of(1, 700, 600).WithNsm(Kernel, 50).Since(Of(1, 0, 0).WithNsm(Kernel, 0));
        Assert.Equal(700, amounts[Platform][Amount.EngineCpu]);
        Assert.Equal(50, amounts[new UsageKey("", "", "kernel0")][Amount.NsmCpu]);
    }

    [Fact]
    public void A_loops_time_never_exceeds_the_processs()
    {
        Dictionary<UsageKey, Amounts> amounts = Of(1, 500, 400, 300).With(1, "web", 5, 0, nqes: 1).Since(Of(1, 0, 0, 0));
        Assert.Equal(500, amounts.Sum(Amount.EngineCpu));
    }

    [Fact]
    public void Bytes_that_the_loop_copies_itself_count_as_work_of_the_loop()
    {
        Reading now = Of(1, 1000, 1000).With(1, "web", 5, sent: 100 * Interval.EngineBytesPerNqe, nqes: 50, nsm: Shared).With(2, "db", 6, sent: 100 * Interval.EngineBytesPerNqe, nqes: 50);
        Dictionary<UsageKey, Amounts> amounts = now.Since(Of(1, 0, 0));
        Assert.Equal(667, amounts[new UsageKey("acme", "web", "sharedmem")][Amount.EngineCpu], 2.0);
        Assert.Equal(333, amounts[new UsageKey("acme", "db", "kernel0")][Amount.EngineCpu], 2.0);
    }

    [Fact]
    public void Measures_of_stacks_count_the_difference_and_begin_anew_with_a_stack()
    {
        static GuestMeasures Measured(ulong retransmits, ulong rtts) => new() { Since = 3, Retransmits = retransmits, RttMicroseconds = rtts * 100, RttSamples = rtts };
        Reading before = Of().With(1, "web", 5, 0).WithNsm(Kernel, 0, measuredSince: 3, guests: (1, Measured(4, 10)));
        Amounts more = Of().With(1, "web", 5, 0).WithNsm(Kernel, 0, measuredSince: 3, guests: (1, Measured(6, 15))).Since(before)[Web];
        Assert.Equal((2, 500, 5), (more[Amount.Retransmits], more[Amount.RttMicroseconds], more[Amount.RttSamples]));
        Amounts anew = Of().With(1, "web", 5, 0).WithNsm(Kernel, 0, measuredSince: 8, guests: (1, Measured(6, 15))).Since(before)[Web];
        Assert.Equal(6, anew[Amount.Retransmits]);
    }

    [Theory]
    [InlineData(10, new ulong[] { 1, 1, 1 }, new long[] { 4, 3, 3 })]
    [InlineData(5, new ulong[] { 0, 7 }, new long[] { 0, 5 })]
    [InlineData(5, new ulong[] { 0, 0 }, new long[] { 0, 0 })]
    [InlineData(long.MaxValue, new ulong[] { ulong.MaxValue, ulong.MaxValue }, new long[] { (long.MaxValue / 2) + 1, long.MaxValue / 2 })]
    public void What_is_shared_out_adds_up(long amount, ulong[] weights, long[] parts) => Assert.Equal(parts, Split.InProportion(amount, weights));
}
