namespace NetKernel.Channel;

/// <summary>What a loop without work does next.</summary>
public enum IdleAction
{
    /// <summary>Look again at once (after a pause instruction).</summary>
    Spin,

    /// <summary>Give the core away (sched_yield) and look again.</summary>
    Yield,

    /// <summary>Announce "asleep", look once more, and sleep on the doorbell.</summary>
    Sleep,
}

/// <summary>
/// Interrupt-driven polling: spin, then yield, then sleep on the doorbell. When cores are shared among the parts of one path, yielding beats
/// both spinning and sleeping. When somebody else keeps the cores busy it is the worst: each yield gives a whole time slice
/// away, whereas a sleeper that is woken runs soon. So a yield that took long ends the polling, and the next
/// <see cref="Penalty"/> times there is none. When the other side is on this very core and does not run although this one yields, because they are in
/// different scheduling groups (sched_yield(2) is heard in the caller's own only: cgroups, and sessions with autogroup, sched(7)), it can go on only when this one sleeps.
/// </summary>
/// <remarks>
/// How long to poll is the ski rental problem: sleeping and being woken costs about as much as <see cref="Few"/> yields, so polling for longer pays only when the work comes soon. Whether it
/// does is seen from the last sleep, as the kernel's haltpoll governor has it: after a <see cref="Brief"/> one all yields are spent, after a longer one a few.
/// </remarks>
public struct IdleStrategy
{
    /// <summary>A yield of more nanoseconds than this went to a stranger: more than a batch of any part takes, less than a time slice.</summary>
    public const long Long = 200_000;

    /// <summary>A yield of fewer nanoseconds, with a look for work, went to nobody: two switches take longer.</summary>
    public const long Short = 1_000;

    /// <summary>Times without polling after a long yield.</summary>
    public const uint Penalty = 64;

    /// <summary>Yields before a sleep when the one before was not brief.</summary>
    public const uint Few = 3;

    /// <summary>A sleep of fewer nanoseconds, waking included, would have been saved by polling for longer: about what 20 yields to nobody take, and a wake-up.</summary>
    public const long Brief = 20_000;

    private readonly uint _spins;
    private readonly uint _yields;
    private uint _budget;
    private uint _turns;
    private uint _penalty;
    private long _yielded;
    private long _asleep;

    /// <summary>Spins and yields that many turns before sleeping; yields fewer times when it is of no use.</summary>
    public IdleStrategy(uint spins, uint yields)
    {
        _spins = spins;
        _yields = yields;
        _budget = yields;
        _turns = 0;
        _penalty = 0;
        _yielded = 0;
        _asleep = 0;
    }

    /// <summary>Whether whoever woke the loop last did so from the core on which the loop runs.</summary>
    public bool Beside { get; set; }

    /// <summary>Work was found: start over.</summary>
    public void Reset() => _turns = 0;

    /// <summary>The sleep that <see cref="Next"/> asked for is over: start over, with as many yields as it has shown to be of use.</summary>
    public void Woke(long now)
    {
        _turns = 0;
        _budget = BudgetAfter(now - _asleep, _yields);
    }

    /// <summary>Of so many yields, those worth spending after a sleep of that many nanoseconds.</summary>
    public static uint BudgetAfter(long slept, uint yields) => slept < Brief || yields < Few ? yields : Few;

    /// <summary>No work was found: what to do now. <paramref name="now"/> is a monotonic clock in nanoseconds.</summary>
    public IdleAction Next(long now)
    {
        uint turn = _turns;
        uint most = _spins + _budget;
        if (turn > _spins && turn < most && now - _yielded > Long)
        {
            _penalty = Penalty;
            return Sleep(now);
        }

        if (Beside && turn > _spins && now - _yielded < Short)
        {
            return Sleep(now);
        }

        if (turn == 0 && _penalty != 0)
        {
            _penalty--;
            return Sleep(now);
        }

        if (turn >= most)
        {
            return Sleep(now);
        }

        _turns = turn + 1;
        _yielded = now;
        return turn < _spins ? IdleAction.Spin : IdleAction.Yield;
    }

    private IdleAction Sleep(long now)
    {
        _asleep = now;
        return IdleAction.Sleep;
    }
}
