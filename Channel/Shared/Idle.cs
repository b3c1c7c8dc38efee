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
/// Interrupt-driven polling: spin, then yield, then sleep on the doorbell. Measured on two cores (docs/performance.md): when cores
/// are shared, yielding beats spinning; pure spinning suits exactly two processes on two cores.
/// </summary>
public struct IdleStrategy
{
    private readonly uint _spins;
    private readonly uint _yields;
    private uint _turns;

    /// <summary>Spins and yields that many turns before sleeping.</summary>
    public IdleStrategy(uint spins, uint yields)
    {
        _spins = spins;
        _yields = yields;
        _turns = 0;
    }

    /// <summary>Work was found: start over.</summary>
    public void Reset() => _turns = 0;

    /// <summary>No work was found: what to do now.</summary>
    public IdleAction Next()
    {
        uint turn = _turns;
        if (turn < _spins + _yields)
        {
            _turns = turn + 1;
            return turn < _spins ? IdleAction.Spin : IdleAction.Yield;
        }

        return IdleAction.Sleep;
    }
}
