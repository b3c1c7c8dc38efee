namespace NetKernel.CoreEngine;

/// <summary>One NSM as one switching loop sees it: the queue set that the two share. Made by the control thread, then the loop's alone.</summary>
internal sealed unsafe class NsmPort
{
    public NsmPort(uint id, uint loop, byte* region, ControlLayout layout, NsmCounters* counters, int nsmBell, int bell)
    {
        Id = id;
        Bell = (LoopBell*)(region + ControlLayout.LoopBellOf(loop));
        Process = (ProcessSlot*)(region + layout.ProcessOf(loop));
        uint slots = layout.Counts.RingSlots;
        Job = new RingProducer(region + layout.RingOf(loop, RingKind.Job), slots);
        Send = new RingProducer(region + layout.RingOf(loop, RingKind.Send), slots);
        Completion = new RingConsumer(region + layout.RingOf(loop, RingKind.Completion), slots);
        Receive = new RingConsumer(region + layout.RingOf(loop, RingKind.Receive), slots);
        Counters = counters;
        NsmBellFd = nsmBell;
        BellFd = bell;
    }

    public uint Id { get; }

    public readonly LoopBell* Bell;
    public readonly ProcessSlot* Process;
    public readonly NsmCounters* Counters;

    /// <summary>The eventfd that the NSM sleeps on, and the one that wakes this loop.</summary>
    public readonly int NsmBellFd;
    public readonly int BellFd;

    // Mutable structs: fields, not properties, so that they are changed in place.
    public RingProducer Job;
    public RingProducer Send;
    public RingConsumer Completion;
    public RingConsumer Receive;

    /// <summary>Something is staged in this pass.</summary>
    public bool JobStaged;
    public bool SendStaged;

    /// <summary>Connections that CoreEngine closes itself, as soon as there is room: first and last, plus 1.</summary>
    public uint CloseHead;
    public uint CloseTail;

    /// <summary>In the loop's list of polled regions; passes without news.</summary>
    public bool Active;
    public uint IdlePasses;

    /// <summary>Its indices were impossible: told to the control thread, which ends its connection.</summary>
    public bool Broken;
}
