namespace NetKernel.Stack.Tests;

/// <summary>What the simulated link does to frames in one direction.</summary>
internal sealed class Impairment
{
    public double Loss, Duplicate, Corrupt, Reorder, MarkCe;
    public long Delay = 100, Jitter, ReorderDelay = 5_000;

    /// <summary>Bits per second; 0: without limit. Frames beyond <see cref="QueueBytes"/> of backlog are dropped.</summary>
    public long Rate;
    public long QueueBytes = 1 << 20;

    /// <summary>Backlog from which on ECN-capable packets are marked; 0: never.</summary>
    public long MarkBytes { get; set; }

    /// <summary>Frames that a test wants to come later, by <see cref="ReorderDelay"/>.</summary>
    public Func<byte[], bool>? ReorderNow { get; set; }

    /// <summary>Frames that a test wants to be lost.</summary>
    public Func<byte[], bool>? Drop { get; set; }
}
