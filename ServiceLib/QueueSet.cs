using System.Threading;
using NetKernel.Channel;
using NetKernel.Channel.Host;

namespace NetKernel.ServiceLib;

/// <summary>The four rings that the NSM shares with one loop of CoreEngine, and the bell by which it wakes that loop.</summary>
public unsafe struct QueueSet
{
    /// <summary>Elements staged before they are published in the middle of a turn, so that CoreEngine works while the NSM does.</summary>
    private const uint PublishEvery = 16;

    /// <summary>Control requests.</summary>
    public RingConsumer Job;

    /// <summary>Data and what is ordered with it.</summary>
    public RingConsumer Send;

    private readonly LoopBell* _bell;
    private readonly uint _number;
    private readonly int _bellFd;
    private RingProducer _completion;
    private RingProducer _receive;
    private uint _stagedCompletions;
    private uint _stagedEvents;

    /// <summary>The queue set of that number in an NSM's region.</summary>
    public QueueSet(byte* region, ControlLayout layout, uint number, int bellFd)
    {
        uint slots = layout.Counts.RingSlots;
        Job = new RingConsumer(region + layout.RingOf(number, RingKind.Job), slots);
        Send = new RingConsumer(region + layout.RingOf(number, RingKind.Send), slots);
        _completion = new RingProducer(region + layout.RingOf(number, RingKind.Completion), slots);
        _receive = new RingProducer(region + layout.RingOf(number, RingKind.Receive), slots);
        _bell = (LoopBell*)(region + ControlLayout.LoopBellOf(number % layout.Counts.Loops));
        _number = number;
        _bellFd = bellFd;

        // CoreEngine rings only processes that subscribed; the NSM is process 0 of its region.
        ((QueueSetHeader*)(region + layout.QueueSetOf(number)))->Subscribers = ProcessMask.Of(0);
    }

    /// <summary>One of the rings has impossible indices.</summary>
    public readonly bool IsBroken => Job.IsBroken || Send.IsBroken || _completion.IsBroken || _receive.IsBroken;

    /// <summary>Whether both event rings have room for that many elements.</summary>
    public bool HasRoom(uint completions, uint events) => _completion.Free(completions) >= completions && _receive.Free(events) >= events;

    /// <summary>How many requests may be taken so that each can be answered on both rings, at most <paramref name="wanted"/>.</summary>
    public uint RequestRoom(uint wanted)
    {
        uint completions = _completion.Free(wanted);
        uint events = _receive.Free(wanted);
        uint room = completions < events ? completions : events;
        return room < wanted ? room : wanted;
    }

    /// <summary>The position behind the last event staged in the receive ring.</summary>
    public readonly uint EventPosition => _receive.Position;

    /// <summary>Whether CoreEngine has taken every event before that position.</summary>
    public readonly bool HasTaken(uint position) => _receive.HasConsumed(position);

    /// <summary>The next slot of the completion ring, zeroed; null when it is full.</summary>
    public Nqe* StageCompletion()
    {
        if (_stagedCompletions >= PublishEvery)
        {
            Publish();
        }

        Nqe* e = _completion.TryStage();
        if (e != null)
        {
            *e = default;
            _stagedCompletions++;
        }

        return e;
    }

    /// <summary>The next slot of the receive ring, zeroed; null when it is full.</summary>
    public Nqe* StageEvent()
    {
        if (_stagedEvents >= PublishEvery)
        {
            Publish();
        }

        Nqe* e = _receive.TryStage();
        if (e != null)
        {
            *e = default;
            _stagedEvents++;
        }

        return e;
    }

    /// <summary>Makes what was staged visible and wakes CoreEngine's loop if it sleeps.</summary>
    public void Publish()
    {
        if ((_stagedCompletions | _stagedEvents) == 0)
        {
            return;
        }

        if (_stagedCompletions != 0)
        {
            _completion.Publish();
        }

        if (_stagedEvents != 0)
        {
            _receive.Publish();
        }

        _stagedCompletions = 0;
        _stagedEvents = 0;

        // The fence orders the tails before the look at Pending and Asleep; it pairs with the loop's between "asleep" and its last look.
        Interlocked.MemoryBarrier();
        if (!_bell->Pending.Has(_number))
        {
            _bell->Pending.Share(_number);
        }

        if (Volatile.Read(ref _bell->Asleep) == 1 && Interlocked.Exchange(ref _bell->Asleep, 0) == 1)
        {
            ulong one = 1;
            Volatile.Write(ref _bell->RungOn, Libc.CpuPlusOne());
            _ = Libc.WriteFast(_bellFd, &one, sizeof(ulong));
        }
    }
}
