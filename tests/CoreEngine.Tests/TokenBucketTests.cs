using FsCheck;
using FsCheck.Fluent;

namespace NetKernel.CoreEngine.Tests;

/// <summary>The bucket with a clock of the test's own.</summary>
public class TokenBucketTests
{
    private const ulong Second = 1_000_000_000;

    // Rates and bursts of all magnitudes, and steps of time from nanoseconds to seconds, each with what somebody would take.
    private static readonly Gen<(ulong Rate, ulong Burst, (ulong Nanoseconds, ulong Wanted)[] Steps)> Cases =
        from rateBits in Gen.Choose(0, 40)
        from rate in Gen.Choose(1, 1000)
        from burst in Gen.OneOf(Gen.Constant(0), Gen.Choose(1, 1 << 30))
        from steps in (from bits in Gen.Choose(0, 22)
                       from time in Gen.Choose(1, 2000)
                       from wanted in Gen.Choose(1, 70_000)
                       select ((ulong)time << bits, (ulong)wanted)).ArrayOf()
        select ((ulong)rate << rateBits, (ulong)burst, steps);

    [Fact]
    public void Never_more_than_rate_times_time_and_burst() =>
        Prop.ForAll(Cases.ToArbitrary(), c =>
        {
            (TokenBucket bucket, ulong burst) = Full(c.Rate, c.Burst);
            ulong now = 0;
            UInt128 taken = 0;
            foreach ((ulong nanoseconds, ulong wanted) in c.Steps)
            {
                now += nanoseconds;
                bucket.Refill(now);
                if (bucket.Available() != 0)
                {
                    bucket.Take(wanted);
                    taken += wanted;
                    Assert.True(taken <= ((UInt128)c.Rate * now / Second) + burst + wanted, $"{taken} at {now} ns");
                }
            }
        }).QuickCheckThrowOnFailure();

    [Fact]
    public void No_less_than_the_rate_while_somebody_wants_it() =>
        Prop.ForAll(Gen.Choose(1, 1000).ToArbitrary(), Gen.Choose(0, 30).ToArbitrary(), Gen.Choose(1, 3_000_000).ToArbitrary(), (rate, bits, step) =>
        {
            ulong perSecond = (ulong)rate << bits;
            (TokenBucket bucket, _) = Full(perSecond, perSecond);
            bucket.Take(bucket.Available());
            UInt128 taken = 0;
            ulong now = 0;
            for (; now < 3 * Second; now += (ulong)step + 100_000)
            {
                bucket.Refill(now);
                ulong some = bucket.Available();
                bucket.Take(some);
                taken += some;
            }

            // Within a thousandth, one token, and what the last two looks did not see.
            UInt128 due = (UInt128)perSecond * (now - (2 * ((ulong)step + 100_000))) / Second;
            Assert.True(taken + 1 + (due / 1000) >= due, $"{taken} of {due}");
        }).QuickCheckThrowOnFailure();

    [Fact]
    public void When_the_wait_is_over_there_is_a_token() =>
        Prop.ForAll(Cases.ToArbitrary(), c =>
        {
            (TokenBucket bucket, ulong burst) = Full(c.Rate, c.Burst);
            bucket.Take(burst + 12345);
            ulong wait = bucket.Wait();
            bucket.Refill(wait + 100_000 + (wait / 1000));
            Assert.NotEqual(0ul, bucket.Available());
        }).QuickCheckThrowOnFailure();

    [Fact]
    public void Without_a_rate_nothing_is_counted()
    {
        var bucket = new TokenBucket();
        bucket.Take(1000);
        bucket.Refill(Second);
        Assert.Equal((ulong.MaxValue, 0ul, 0L, false), (bucket.Available(), bucket.Wait(), bucket.Debt(), bucket.IsLimited));
    }

    [Fact]
    public void The_same_again_leaves_the_bucket_as_it_is_and_another_fills_it()
    {
        (TokenBucket bucket, _) = Full(100, 50);
        bucket.Take(80);
        bucket.Set(100, 50, 0);
        Assert.Equal(-30, bucket.Tokens);
        bucket.Set(100, 60, 0);
        Assert.Equal(60, bucket.Tokens);
    }

    private static (TokenBucket Bucket, ulong Burst) Full(ulong rate, ulong burst)
    {
        var bucket = new TokenBucket();
        bucket.Set(rate, burst, 0);
        return (bucket, burst != 0 ? burst : Math.Max(rate / 10, 1));
    }
}
