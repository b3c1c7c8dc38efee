using System.Threading;
using NetKernel.Channel.Host;

namespace NetKernel.CoreEngine;

/// <summary>
/// One guest as one switching loop sees it: its queue sets that belong to the loop, and the map from its socket ids to connection ids.
/// Made by the control thread, then the loop's alone, except for the fields under "told to the control thread".
/// </summary>
internal sealed unsafe class GuestPort : IDisposable
{
    /// <summary>Value of <see cref="Map"/>: the connection table was full when the socket was made.</summary>
    public const uint Refused = uint.MaxValue;

    private readonly ulong _setsBytes;
    private readonly ulong _perSocketBytes;

    public GuestPort(uint id, uint loop, byte* region, ControlLayout layout, PoolLayout pool, GuestCounters* counters, NsmShare* shares, int* pipes, int bell)
    {
        Id = id;
        Region = region;
        Layout = layout;
        Header = (ControlHeader*)region;
        Bell = (LoopBell*)(region + ControlLayout.LoopBellOf(loop));
        Sockets = layout.Counts.Sockets;
        QueueSets = layout.Counts.QueueSets;
        Tx = pool.TxHalf;
        Rx = pool.RxHalf;
        SharedRx = Rx.Part(RegionFlags.SharedPart, RegionFlags.RxParts);
        Counters = counters;
        Shares = shares;
        Pipes = pipes;
        BellFd = bell;
        VmLow = (byte)id;
        VmHigh = (ushort)(id >> 8);

        _setsBytes = QueueSets * (ulong)sizeof(QueueSetPort);
        Sets = (QueueSetPort*)NativeTable.Reserve(_setsBytes);
        for (uint q = loop; q < QueueSets; q += layout.Counts.Loops)
        {
            Mine.Set(q);
            uint slots = layout.Counts.RingSlots;
            Sets[q].Job = new RingConsumer(region + layout.RingOf(q, RingKind.Job), slots, 0);
            Sets[q].Send = new RingConsumer(region + layout.RingOf(q, RingKind.Send), slots, 0);
            Sets[q].Completion = new RingProducer(region + layout.RingOf(q, RingKind.Completion), slots, 0);
            Sets[q].Receive = new RingProducer(region + layout.RingOf(q, RingKind.Receive), slots, 0);
        }

        _perSocketBytes = Sockets * sizeof(uint);
        Map = (uint*)NativeTable.Reserve(_perSocketBytes);
        DeferredNext = (uint*)NativeTable.Reserve(_perSocketBytes);
        DeferredCompletion = (uint*)NativeTable.Reserve(_perSocketBytes);
        DeferredReceive = (uint*)NativeTable.Reserve(_perSocketBytes);
        ReapJobTails = (uint*)NativeTable.Reserve(QueueSets * sizeof(uint));
        ReapSendTails = (uint*)NativeTable.Reserve(QueueSets * sizeof(uint));
    }

    public uint Id { get; }

    public readonly byte* Region;
    public readonly ControlHeader* Header;
    public readonly LoopBell* Bell;
    public readonly ControlLayout Layout;
    public readonly uint Sockets;
    public readonly uint QueueSets;
    public readonly PoolHalf Tx;
    public readonly PoolHalf Rx;

    /// <summary>The part of it that the shared-memory NSM allocates in.</summary>
    public readonly PoolHalf SharedRx;

    public readonly GuestCounters* Counters;

    /// <summary>The same by NSM id.</summary>
    public readonly NsmShare* Shares;

    public readonly QueueSetPort* Sets;
    public readonly byte VmLow;
    public readonly ushort VmHigh;

    /// <summary>Connection id + 1 by socket id; 0: none; or <see cref="Refused"/>.</summary>
    public readonly uint* Map;

    /// <summary>Write ends of the processes' pipes by slot, -1: none. Changed by the control thread only while every loop waits for it.</summary>
    public readonly int* Pipes;

    /// <summary>The eventfd that wakes the loop for this guest.</summary>
    public readonly int BellFd;

    /// <summary>Queue sets that belong to the loop.</summary>
    public readonly ProcessMask Mine;

    /// <summary>Those of them that a process has had, or rung for: the others' memory is not looked at, so that it stays unused.</summary>
    public ProcessMask Used;

    /// <summary>NSMs that the guest has at most at a time, the shared-memory NSM apart.</summary>
    public const int MaxOwn = (int)RegionFlags.SharedPart;

    /// <summary>The guest's NSMs that have mapped its pool, by their parts of the RX half.</summary>
    public readonly NsmPort?[] Nsms = new NsmPort?[MaxOwn];

    /// <summary>The one of them for what no rule is about; null: it is away.</summary>
    public NsmPort? Nsm;

    /// <summary>Which of them for which connections; null: always the first there is. Told by the control thread.</summary>
    public FlowRules? Rules;

    /// <summary>Several NSMs may serve it: its RX half has parts.</summary>
    public bool HasParts;

    /// <summary>The shared-memory NSM, if the guest may use it and it has mapped the guest's pool.</summary>
    public NsmPort? Shared;

    /// <summary>Own addresses and what decides who may be reached by shared memory. Set before the loop knows the guest.</summary>
    public GuestAddress Address;

    /// <summary>Sockets are being made (again) at the NSMs where they belong: the next socket id to look at, and <see cref="ControlHeader.NsmEpoch"/> when one was routed to.</summary>
    public bool Replaying;
    public uint ReplayNext;
    public uint RoutedEpoch;

    /// <summary>Queue sets polled in every pass; their bits stay set in the bell's Pending, so that the guest need not set them.</summary>
    public ProcessMask Hot;

    /// <summary>Queue sets with staged completions or events in this pass, those of them worth a doorbell, and whether there are any.</summary>
    public ProcessMask TouchedCompletion;
    public ProcessMask TouchedReceive;
    public ProcessMask Loud;
    public bool IsTouched;

    /// <summary>Queue sets with sockets whose slot waits to be freed; links and ring positions by socket.</summary>
    public ProcessMask Deferred;
    public readonly uint* DeferredNext;
    public readonly uint* DeferredCompletion;
    public readonly uint* DeferredReceive;

    /// <summary>Queue sets with parked NQEs; made when first needed.</summary>
    public ProcessMask Parked;
    public ParkingLot? Lot;

    /// <summary>What it and its tenant's guests may use; whether any of that is a rate. Set before the loop knows the guest.</summary>
    public Allowance Own = new();
    public Allowance Tenants = new();
    public bool IsLimited;

    /// <summary>What it may still have done in this turn, below 0 a debt; the queue set that comes first in the next (<c>SwitchLoop.Fairness.cs</c>).</summary>
    public int Budget;
    public uint FirstSet;

    /// <summary>Cost of its requests since the window was moved, and of those of them that are no data; the NSMs that they went to; those of the window before, and where their rings stood at its end.</summary>
    public int Unseen;
    public int UnseenAsked;
    public ulong StagedNsms;
    public ulong MarkedNsms;
    public readonly uint[] JobMarks = new uint[SwitchLoop.MaxNsms];
    public readonly uint[] SendMarks = new uint[SwitchLoop.MaxNsms];

    /// <summary>Something of it waits for tokens.</summary>
    public bool Throttled;

    /// <summary>Queue sets that wait before a request that the guest may not ask for now, until when, and whether its bell is not heard meanwhile (<c>SwitchLoop.Pace.cs</c>).</summary>
    public ProcessMask Paced;
    public ulong PacedUntil;
    public bool Muted;

    /// <summary>Its bucket has been empty and is not full again.</summary>
    public bool Pressed;

    /// <summary>The request at hand costs nothing: it is between the guest and the only other one that is busy.</summary>
    public bool AsksFree;

    /// <summary>It has sent elements for no connection of its own since it was last held: what looks like data must have tokens, too.</summary>
    public bool Junk;

    /// <summary>How many other guests were busy lately, at the last look (2: or more), and the last of them; when to look again, and when to tell the control thread again.</summary>
    public uint BusyNeighbours;
    public uint BusyNeighbour;
    public ulong LookForNeighboursAt;
    public ulong TellPacedAt;

    /// <summary>Received bytes that are charged already.</summary>
    public ulong ReceivedSeen;

    /// <summary>Credits that wait because it has received too much (made when first needed), and when some may go next.</summary>
    public ulong ReleaseAfter;
    public CreditHold? Held;

    /// <summary>In the loop's list of polled regions; passes without news.</summary>
    public bool Active;
    public uint IdlePasses;

    /// <summary>Broke the rules: not looked at any more, waiting for the control thread to take it away.</summary>
    public bool Dead;

    /// <summary>Processes to take leave of: those still to start, the one under way (-1: none), and where the rings must have got to before it may.</summary>
    public ProcessMask ReapWanted;
    public int Reaping = -1;
    public ProcessKept? ReapKeeps;

    /// <summary>Sockets to close if nobody holds them; when there are more than fit, all are looked at.</summary>
    public readonly uint[] Unheld = new uint[64];
    public int UnheldCount;
    public readonly uint* ReapJobTails;
    public readonly uint* ReapSendTails;

    /// <summary>Of processes that have executed another program: what is not to be taken from them; by slot.</summary>
    public readonly ProcessKept?[] Kept = new ProcessKept?[ControlLayout.MaxQueueSets];

    /// <summary>Sockets that may be with somebody who is not among their holders. Written by the control thread.</summary>
    public int Exports;

    /// <summary>Told to the control thread: why, on which queue set, and a number that belongs to it.</summary>
    public uint ViolationCode;
    public uint ViolationQueueSet;
    public ulong ViolationDetail;

    /// <summary>Told to the control thread: processes taken leave of (it takes them by exchange).</summary>
    public ProcessMask Reaped;

    /// <summary>Told to the control thread: listeners and datagram sockets that could not be made again.</summary>
    public uint LostListeners;

    /// <summary>Told to the control thread: listeners that another NSM would not have, and that stay where they are.</summary>
    public uint UnmovedListeners;

    /// <summary>Told to the control thread: the guest has been held (<see cref="Paced"/>).</summary>
    public bool PacedNews;

    /// <summary>Told to the control thread: options of sockets made again that the next NSM does not have; the last of them (level, and name &lt;&lt; 32), and that NSM.</summary>
    public uint LostOptions;
    public ulong LostOption;
    public uint LostOptionNsm;

    /// <summary>A listener could not move because of a request under way.</summary>
    public bool MovesAgain;

    /// <summary>The part of one of its NSMs, or -1.</summary>
    public int PartOf(NsmPort nsm)
    {
        for (int part = 0; part < MaxOwn; part++)
        {
            if (Nsms[part] == nsm)
            {
                return part;
            }
        }

        return -1;
    }

    /// <summary>An NSM does not serve it any more.</summary>
    public void Lose(NsmPort nsm)
    {
        if (PartOf(nsm) is >= 0 and var part)
        {
            Nsms[part] = null;
        }
    }

    public SocketSlot* SlotOf(uint socket) => (SocketSlot*)(Region + Layout.SocketOf(socket));

    public ProcessSlot* ProcessOf(uint slot) => (ProcessSlot*)(Region + Layout.ProcessOf(slot));

    public SharedSet* SharedSetOf(uint set) => (SharedSet*)(Region + Layout.SharedSetOf(set));

    /// <summary>Wakes a process if it sleeps; whether it did.</summary>
    public bool Nudge(uint slot)
    {
        ProcessSlot* process = ProcessOf(slot);
        if (Volatile.Read(ref process->Asleep) != 1 || Interlocked.Exchange(ref process->Asleep, 0u) != 1)
        {
            return false;
        }

        int pipe = Volatile.Read(ref Pipes[slot]);
        if (pipe < 0)
        {
            return false;
        }

        byte one = 1;
        Volatile.Write(ref process->RungOn, Libc.CpuPlusOne());
        _ = Libc.WriteFast(pipe, &one, 1);
        return true;
    }

    public QueueSetHeader* QueueSetOf(uint queueSet) => (QueueSetHeader*)(Region + Layout.QueueSetOf(queueSet));

    /// <summary>Something happens on a queue set of the loop's.</summary>
    public void Use(uint q)
    {
        if (Mine.Has(q))
        {
            Used.Set(q);
        }
    }

    public RingHeader* RingOf(uint queueSet, RingKind kind) => (RingHeader*)(Region + Layout.RingOf(queueSet, kind));

    public uint* TxOwners => (uint*)(Region + Layout.TxOwners);

    public void Dispose()
    {
        NativeTable.Release(Sets, _setsBytes);
        NativeTable.Release(Map, _perSocketBytes);
        NativeTable.Release(DeferredNext, _perSocketBytes);
        NativeTable.Release(DeferredCompletion, _perSocketBytes);
        NativeTable.Release(DeferredReceive, _perSocketBytes);
        NativeTable.Release(ReapJobTails, QueueSets * sizeof(uint));
        NativeTable.Release(ReapSendTails, QueueSets * sizeof(uint));
        Lot?.Dispose();
        Held?.Dispose();
    }
}
