using NetKernel.Channel;
using NetKernel.Channel.Host;

namespace NetKernel.ServiceLib.Testing;

/// <summary>
/// Plays CoreEngine towards one NSM: makes the region, passes the fds, speaks both sides of the doorbells, and stands for the guests' side too, so that
/// any stack can be tested alone. One thread uses it.
/// </summary>
public sealed unsafe class FakeEngine : IDisposable
{
    private readonly int _listener;
    private readonly SharedRegion _region;
    private readonly ControlLayout _layout;
    private readonly int[] _nsmBells;
    private readonly int[] _bells;
    private readonly Queues[] _queues;
    private readonly Nqe* _batch = (Nqe*)System.Runtime.InteropServices.NativeMemory.Alloc(64 * Nqe.Length);
    private readonly Dictionary<ulong, FakeSocket> _sockets = [];
    private uint _nextId;
    private int _nsm = -1;

    /// <summary>A CoreEngine in a run directory of its own, with that many loops.</summary>
    public FakeEngine(uint loops = 1, uint ringSlots = 4096)
    {
        RunDirectory = Directory.CreateTempSubdirectory("nk-fake-").FullName;
        _listener = Check(SeqPacket.Listen(Path.Combine(RunDirectory, "engine.sock")));
        ControlCounts counts = ControlLayout.NsmDefault(loops);
        counts.RingSlots = ringSlots;
        _layout = new ControlLayout(counts);
        _region = SharedRegion.Create("nk-fake-nsm", _layout.Length);
        ControlHeader* header = (ControlHeader*)_region.Start;
        header->Magic = ControlHeader.NsmMagic;
        header->LayoutVersion = ControlHeader.Version;
        header->HeaderLength = ControlHeader.Length;
        header->TotalLength = _layout.Length;
        header->Counts = counts;
        header->State = RegionState.Running;
        _nsmBells = new int[loops];
        _bells = new int[loops];
        _queues = new Queues[loops];
        for (uint q = 0; q < loops; q++)
        {
            _nsmBells[q] = Check(Libc.EventFd(0, Libc.EFD_CLOEXEC | Libc.EFD_NONBLOCK));
            _bells[q] = Check(Libc.EventFd(0, Libc.EFD_CLOEXEC | Libc.EFD_NONBLOCK));
            _queues[q] = new Queues(_region.Start, _layout, q);
        }
    }

    /// <summary>Where engine.sock is.</summary>
    public string RunDirectory { get; }

    /// <summary>How long anything may take before a test fails.</summary>
    public TimeSpan Patience { get; set; } = TimeSpan.FromSeconds(30);

    /// <summary>Events that named no socket of the peer.</summary>
    public int Strays { get; private set; }

    /// <summary>Times the NSM had to be woken.</summary>
    public int Rung { get; private set; }

    /// <summary>Whether the NSM has announced that it sleeps.</summary>
    public bool NsmSleeps => NsmSleepsAt(0);

    /// <summary>Whether whoever serves a queue set has announced that it sleeps.</summary>
    public bool NsmSleepsAt(uint queueSet) => Volatile.Read(ref ((ProcessSlot*)(_region.Start + _layout.ProcessOf(queueSet)))->Asleep) == 1;

    /// <summary>The header of the region, for tests that spoil it.</summary>
    public byte* Region => _region.Start;

    /// <summary>Where everything lies in the region.</summary>
    public ControlLayout Layout => _layout;

    /// <summary>Takes the NSM's connection, its hello, and answers it.</summary>
    public void TakeNsm(int error = 0, string text = "")
    {
        _nsm = WaitFor(() => SeqPacket.Accept(_listener));
        AttachMessage hello = default;
        _ = WaitFor(() => SeqPacket.Receive(_nsm, out hello, [], out _));
        if (hello.Op != AttachOp.NsmHello)
        {
            throw new InvalidOperationException($"the NSM said {hello.Op}");
        }

        AttachMessage answer = new() { Op = AttachOp.NsmHello, Error = error, Nsm = hello.Nsm };
        SeqPacket.Put(new Span<byte>(answer.Text, 128), text);
        _ = Check(SeqPacket.Send(_nsm, in answer, error != 0 ? [] : [_region.Fd, .. _nsmBells, .. _bells]));
    }

    /// <summary>Gives the NSM a guest.</summary>
    public FakeGuest AddGuest(uint id, string address4 = "", string address6 = "", PoolLayout? pool = null)
    {
        FakeGuest guest = new(this, id, address4, address6, pool ?? SmallPool);
        AttachMessage message = guest.Describe();
        _ = Check(SeqPacket.Send(_nsm, in message, [guest.Pool.Fd]));
        Check(-HearNsm(AttachOp.GuestAdded).Error);
        return guest;
    }

    /// <summary>Takes a guest away.</summary>
    public void RemoveGuest(FakeGuest guest)
    {
        AttachMessage message = new() { Op = AttachOp.GuestRemoved, Guest = guest.Id };
        _ = Check(SeqPacket.Send(_nsm, in message, []));
        Check(-HearNsm(AttachOp.GuestRemoved).Error);
        foreach (FakeSocket socket in _sockets.Values.Where(s => s.Guest == guest).ToList())
        {
            _ = _sockets.Remove(socket.Key);
        }
    }

    /// <summary>Gives a guest a congestion control; what of it is not in force.</summary>
    public string SetCongestion(uint guest, string name)
    {
        AttachMessage message = new() { Op = AttachOp.GuestChanged, Guest = guest };
        SeqPacket.Put(new Span<byte>(message.Congestion, AttachMessage.CongestionBytes), name);
        AttachMessage answer = Ask(in message);
        Check(-answer.Error);
        return SeqPacket.Get(new ReadOnlySpan<byte>(answer.Text, 128));
    }

    /// <summary>Sends the NSM a message and returns its answer.</summary>
    public AttachMessage Ask(in AttachMessage message, params int[] fds)
    {
        _ = Check(SeqPacket.Send(_nsm, in message, fds));
        return HearNsm(message.Op);
    }

    /// <summary>Puts one request into a ring and rings the NSM's bell.</summary>
    public void Publish(uint queueSet, RingKind ring, Nqe e)
    {
        ref Queues queues = ref _queues[queueSet];
        DateTime deadline = DateTime.UtcNow + Patience;
        while (!(ring == RingKind.Job ? queues.Job.TryEnqueue(&e) : queues.Send.TryEnqueue(&e)))
        {
            Expire(deadline, "room in a ring");
            _ = Pump();
            _ = Libc.Yield();
        }

        Interlocked.MemoryBarrier();
        ProcessSlot* slot = (ProcessSlot*)(_region.Start + _layout.ProcessOf(queueSet));
        if (queues.Header->Subscribers.Has(0) && Volatile.Read(ref slot->Asleep) == 1 && Interlocked.Exchange(ref slot->Asleep, 0) == 1)
        {
            ulong one = 1;
            _ = Libc.WriteFast(_nsmBells[queueSet], &one, 8);
            Rung++;
        }
    }

    /// <summary>Takes events from all rings and hands them to their sockets; true when there were some.</summary>
    public bool Pump()
    {
        bool any = false;
        for (uint q = 0; q < _queues.Length; q++)
        {
            _ = Interlocked.Exchange(ref BellOf(q)->Pending.Word(0), 0);
            any |= Take(q, ref _queues[q].Completion) | Take(q, ref _queues[q].Receive);
        }

        return any;
    }

    /// <summary>Pumps until the condition holds; sleeps on the bells as CoreEngine does.</summary>
    public void Until(Func<bool> condition, string what)
    {
        DateTime deadline = DateTime.UtcNow + Patience;
        int idle = 0;
        while (!condition())
        {
            if (Pump())
            {
                idle = 0;
            }
            else if (++idle < 100)
            {
                _ = Libc.Yield();
            }
            else
            {
                Expire(deadline, what);
                Sleep();
                idle = 0;
            }
        }
    }

    /// <summary>A socket id that is free, known to the peer from now on.</summary>
    public FakeSocket NewSocket(FakeGuest guest, uint queueSet = 0)
    {
        FakeSocket socket = new(this, guest, queueSet, _nextId++);
        _sockets[socket.Key] = socket;
        return socket;
    }

    /// <summary>Closes the connection to the NSM, as a CoreEngine that dies does.</summary>
    public void Die()
    {
        if (_nsm >= 0)
        {
            _ = Libc.Close(_nsm);
            _nsm = -1;
        }
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        Die();
        _ = Libc.Close(_listener);
        SeqPacket.CloseAll(_nsmBells);
        SeqPacket.CloseAll(_bells);
        _region.Dispose();
        System.Runtime.InteropServices.NativeMemory.Free(_batch);
        Directory.Delete(RunDirectory, recursive: true);
    }

    /// <summary>A pool that costs little.</summary>
    public static PoolLayout SmallPool
    {
        get
        {
            PoolLayout layout = default;
            layout.Tx.Small = layout.Rx.Small = 512;
            layout.Tx.Medium = layout.Rx.Medium = 64;
            layout.Tx.Large = layout.Rx.Large = 64;
            return layout;
        }
    }

    internal void Forget(FakeSocket socket) => _ = _sockets.Remove(socket.Key);

    internal static int Check(int result) =>
        result >= 0 ? result : throw new InvalidOperationException($"{Libc.Describe(-result)} ({-result})");

    private static void Expire(DateTime deadline, string what)
    {
        if (DateTime.UtcNow > deadline)
        {
            throw new TimeoutException($"waited in vain for {what}");
        }
    }

    private LoopBell* BellOf(uint loop) => (LoopBell*)(_region.Start + ControlLayout.LoopBellOf(loop));

    private bool Take(uint q, ref RingConsumer ring)
    {
        uint n = ring.Dequeue(_batch, 64);
        for (uint i = 0; i < n; i++)
        {
            Nqe e = _batch[i];
            if (_sockets.TryGetValue(FakeSocket.KeyOf(q, e.Socket), out FakeSocket? socket))
            {
                socket.Hear(in e);
            }
            else
            {
                Strays++;
            }
        }

        if (ring.IsBroken)
        {
            throw new InvalidOperationException("the NSM broke a ring");
        }

        return n != 0;
    }

    private void Sleep()
    {
        ulong pending = 0;
        for (uint q = 0; q < _queues.Length; q++)
        {
            Volatile.Write(ref BellOf(q)->Asleep, 1);
        }

        Interlocked.MemoryBarrier();
        PollFd* fds = stackalloc PollFd[_bells.Length];
        for (uint q = 0; q < _queues.Length; q++)
        {
            pending |= Volatile.Read(ref BellOf(q)->Pending.Word(0));
            fds[q] = new PollFd { Fd = _bells[q], Events = 1 };
        }

        if (pending == 0)
        {
            _ = Libc.Syscall(7, (nint)fds, _bells.Length, 200, 0, 0, 0); // poll(2); bounded, so that a condition outside the rings is seen too.
        }

        for (uint q = 0; q < _queues.Length; q++)
        {
            ulong rung;
            Volatile.Write(ref BellOf(q)->Asleep, 0);
            _ = Libc.ReadFast(_bells[q], &rung, 8);
        }
    }

    private AttachMessage HearNsm(AttachOp op)
    {
        AttachMessage answer = default;
        _ = WaitFor(() => SeqPacket.Receive(_nsm, out answer, [], out _));
        return answer.Op == op ? answer : throw new InvalidOperationException($"the NSM answered {answer.Op} to {op}");
    }

    private int WaitFor(Func<int> call)
    {
        DateTime deadline = DateTime.UtcNow + Patience;
        for (; ; )
        {
            int result = call();
            if (result != -Libc.EAGAIN)
            {
                return Check(result);
            }

            Expire(deadline, "the NSM's message");
            _ = Pump();
            _ = Libc.Yield();
        }
    }

    private struct PollFd
    {
        public int Fd;
        public short Events;
#pragma warning disable CS0649 // The kernel writes it.
        public short Returned;
#pragma warning restore CS0649
    }

    private struct Queues
    {
        public RingProducer Job;
        public RingProducer Send;
        public RingConsumer Completion;
        public RingConsumer Receive;
        public QueueSetHeader* Header;

        public Queues(byte* region, ControlLayout layout, uint q)
        {
            uint slots = layout.Counts.RingSlots;
            Job = new RingProducer(region + layout.RingOf(q, RingKind.Job), slots);
            Send = new RingProducer(region + layout.RingOf(q, RingKind.Send), slots);
            Completion = new RingConsumer(region + layout.RingOf(q, RingKind.Completion), slots);
            Receive = new RingConsumer(region + layout.RingOf(q, RingKind.Receive), slots);
            Header = (QueueSetHeader*)(region + layout.QueueSetOf(q));
        }
    }
}
