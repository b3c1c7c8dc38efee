namespace NetKernel.Stack;

/// <summary>One timer, embedded in what it belongs to. A <see cref="TimerWheel"/> owns the links.</summary>
public unsafe struct Timer
{
    /// <summary>Links of the bucket; null: not armed.</summary>
    internal Timer* Next, Previous;

    /// <summary>When it is due, microseconds.</summary>
    internal long Deadline;

    /// <summary>Tick of the bucket it lies in, never after the deadline's.</summary>
    internal long Tick;

    /// <summary>What it belongs to.</summary>
    internal void* Owner;

    /// <summary>Which timer of its owner.</summary>
    internal int Kind;

    /// <summary>Whether it will fire.</summary>
    public readonly bool IsArmed => Next != null;
}

/// <summary>Whom a <see cref="TimerWheel"/> tells.</summary>
public unsafe interface ITimerSink
{
    /// <summary>A timer is due; it is not armed any more and may be armed again.</summary>
    void Fired(Timer* timer);
}
