namespace NetKernel.CoreEngine;

/// <summary>CoreEngine's side of one queue set of a guest. Lives in native memory; everything here is private to its loop.</summary>
internal struct QueueSetPort
{
    public RingConsumer Job;
    public RingConsumer Send;
    public RingProducer Completion;
    public RingProducer Receive;

    /// <summary>NQEs ever put into the two rings: where their tails stand, without looking at shared memory.</summary>
    public uint CompletionProduced;
    public uint ReceiveProduced;

    /// <summary>Up to where doorbells have been rung for them.</summary>
    public uint CompletionRung;
    public uint ReceiveRung;

    /// <summary><see cref="QueueSetHeader.SpaceGiven"/> as it was then.</summary>
    public uint SpaceGiven;

    /// <summary>NQEs that did not fit.</summary>
    public ParkedList ParkedCompletion;
    public ParkedList ParkedReceive;

    /// <summary>Passes without news, while polled.</summary>
    public uint IdlePasses;

    /// <summary>No process drains the completion and receive rings any more.</summary>
    public bool Orphan;

    /// <summary>The process whose queue set it is has been let in, and lives: though it may not have subscribed to it yet, it will drain it.</summary>
    public bool Owned;

    /// <summary>Closed sockets whose slot is freed once the guest has drained what was said about them: first and last, plus 1.</summary>
    public uint DeferredHead;
    public uint DeferredTail;
}

/// <summary>A first-in first-out list of nodes of <see cref="ParkingLot"/>.</summary>
internal struct ParkedList
{
    /// <summary>First and last node, plus 1.</summary>
    public uint Head;
    public uint Tail;

    /// <summary>Nodes.</summary>
    public uint Count;
}
