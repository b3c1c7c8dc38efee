using System.Runtime.InteropServices;

namespace NetKernel.Stack.Tests;

public sealed unsafe class TimerWheelTests : ITimerSink
{
    private readonly Dictionary<nint, long> _fired = [];
    private long _now;

    void ITimerSink.Fired(Timer* timer) => _fired[(nint)timer] = _now;

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(3)]
    public void TimersFireInTimeAndOnce(int seed)
    {
        const int Count = 500;
        Random random = new(seed);
        using TimerWheel wheel = new(this, 12_345);
        Timer* timers = (Timer*)NativeMemory.AllocZeroed(Count, (nuint)sizeof(Timer));
        Dictionary<nint, long> due = [];
        _now = 12_345;
        for (int step = 0; step < 20_000; step++)
        {
            Timer* t = timers + random.Next(Count);
            switch (random.Next(6))
            {
                case 0 or 1 or 2:
                    long delay = random.Next(5) switch { 0 => random.Next(200), 1 => random.Next(100_000), 2 => random.Next(20_000_000), _ => random.NextInt64(9_000_000_000) };
                    wheel.Set(t, _now + delay);
                    due[(nint)t] = _now + delay;
                    break;
                case 3:
                    wheel.Cancel(t);
                    _ = due.Remove((nint)t);
                    break;
                default:
                    long before = _now;
                    _now += random.Next(4) == 0 ? random.NextInt64(2_000_000_000) : random.Next(300_000);
                    long next = wheel.NextDeadline();
                    wheel.Advance(_now);
                    foreach ((nint key, long at) in _fired)
                    {
                        Assert.True(due.Remove(key), "fired though not armed, or twice");
                        Assert.True(at >= before, "fired early");
                    }

                    if (_fired.Count != 0)
                    {
                        Assert.True(next <= _now, $"fired before NextDeadline said: {next} > {_now}");
                    }

                    _fired.Clear();
                    Assert.All(due.Values, d => Assert.True(d > _now - 256, $"due {d} was missed at {_now}"));
                    break;
            }

            Assert.Equal((uint)due.Count, wheel.Count);
        }

        NativeMemory.Free(timers);
    }

    [Fact]
    public void FollowingNextDeadlineWastesFewTurns()
    {
        using TimerWheel wheel = new(this, 0);
        Timer* t = (Timer*)NativeMemory.AllocZeroed((nuint)sizeof(Timer));
        wheel.Set(t, 7_200_000_000);
        int turns = 0;
        while (_fired.Count == 0)
        {
            _now = wheel.NextDeadline();
            wheel.Advance(_now);
            turns++;
        }

        Assert.InRange(_now, 7_200_000_000, 7_200_000_000 + 256);
        Assert.InRange(turns, 1, 6);
        Assert.Equal(long.MaxValue, wheel.NextDeadline());
        NativeMemory.Free(t);
    }
}
