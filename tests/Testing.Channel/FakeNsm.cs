using NetKernel.Channel;
using NetKernel.Channel.Host;

namespace NetKernel.Testing;

/// <summary>An NSM: attaches over the real socket, answers GuestAdded and GuestRemoved on a thread of its own, and lets a test speak for the stack.</summary>
public sealed unsafe class FakeNsm : IDisposable
{
    private readonly int _connection;
    private int _disposed;
    private readonly int[] _nsmBells;
    private readonly int[] _bells;
    private readonly Thread _thread;
    private readonly QueueSet[] _sets;
    private int _guestsAdded;
    private int _guestsRemoved;

    private struct QueueSet
    {
        public RingConsumer Job;
        public RingConsumer Send;
        public RingProducer Completion;
        public RingProducer Receive;
    }

    public FakeNsm(string engineSocket, uint id)
    {
        _connection = SeqPacket.Connect(engineSocket);
        _ = SeqPacket.Send(_connection, FakeControlPlane.Message(AttachOp.NsmHello, nsm: id), []);
        Span<int> fds = stackalloc int[SeqPacket.MaxFds];
        int got = SeqPacket.Receive(_connection, out AttachMessage answer, fds, out _, wait: true);
        if (got < 3 || answer.Error != 0)
        {
            _ = Libc.Close(_connection);
            throw new AttachException(answer.Error, FakeControlPlane.TextOf(answer));
        }

        Region = SharedRegion.Open(fds[0], FakeGuest.ReadLength(fds[0]));
        Header = (ControlHeader*)Region.Start;
        Layout = new ControlLayout(Header->Counts);
        int loops = (int)Header->Counts.Loops;
        _nsmBells = fds[1..(1 + loops)].ToArray();
        _bells = fds[(1 + loops)..got].ToArray();
        _sets = new QueueSet[Header->Counts.QueueSets];
        for (uint q = 0; q < _sets.Length; q++)
        {
            uint slots = Header->Counts.RingSlots;
            _sets[q].Job = new RingConsumer(Region.Start + Layout.RingOf(q, RingKind.Job), slots);
            _sets[q].Send = new RingConsumer(Region.Start + Layout.RingOf(q, RingKind.Send), slots);
            _sets[q].Completion = new RingProducer(Region.Start + Layout.RingOf(q, RingKind.Completion), slots);
            _sets[q].Receive = new RingProducer(Region.Start + Layout.RingOf(q, RingKind.Receive), slots);
        }

        _thread = new Thread(Converse) { IsBackground = true, Name = "fake-nsm" };
        _thread.Start();
    }

    public SharedRegion Region { get; }

    public ControlHeader* Header { get; }

    public ControlLayout Layout { get; }

    public int GuestsAdded => Volatile.Read(ref _guestsAdded);

    public int GuestsRemoved => Volatile.Read(ref _guestsRemoved);

    /// <summary>Called for each GuestChanged with the congestion control, before it is answered; what of it is not in force.</summary>
    public Func<string, string>? Changing { get; set; }

    /// <summary>Called for each GuestAdded, with the pool's memfd, before it is answered; the errno of the answer.</summary>
    public Func<uint, int, int>? Adding { get; set; }

    public ProcessSlot* ProcessOf(uint loop) => (ProcessSlot*)(Region.Start + Layout.ProcessOf(loop));

    public RingHeader* RingOf(uint q, RingKind kind) => (RingHeader*)(Region.Start + Layout.RingOf(q, kind));

    public uint TryTake(RingKind ring, Span<Nqe> elements, uint loop = 0)
    {
        fixed (Nqe* first = elements)
        {
            return ring == RingKind.Job
                ? _sets[loop].Job.Dequeue(first, (uint)elements.Length)
                : _sets[loop].Send.Dequeue(first, (uint)elements.Length);
        }
    }

    /// <summary>Takes one NQE, sleeping on the bell.</summary>
    public Nqe Take(RingKind ring, uint loop = 0)
    {
        Span<Nqe> one = stackalloc Nqe[1];
        while (TryTake(ring, one, loop) == 0)
        {
            Volatile.Write(ref ProcessOf(loop)->Asleep, 1u);
            Interlocked.MemoryBarrier();
            if (TryTake(ring, one, loop) != 0)
            {
                Volatile.Write(ref ProcessOf(loop)->Asleep, 0u);
                break;
            }

            if (!Waiting.Readable(_nsmBells[loop], (int)Waiting.Deadline.TotalMilliseconds))
            {
                throw new TimeoutException($"nothing in the NSM's {ring} ring");
            }

            ulong count;
            _ = Libc.ReadFast(_nsmBells[loop], &count, 8);
        }

        return one[0];
    }

    /// <summary>Takes one NQE that must be of a kind.</summary>
    public Nqe Expect(Op op, RingKind ring, uint loop = 0)
    {
        Nqe element = Take(ring, loop);
        return element.Op == op ? element : throw new InvalidOperationException($"expected {op}, got {element.Op}");
    }

    public void Post(RingKind ring, Nqe element, uint loop = 0)
    {
        Waiting.Until(() => TryPost(ring, [element], loop) == 1, $"room in the NSM's {ring} ring");
        Ring(loop);
    }

    public uint TryPost(RingKind ring, ReadOnlySpan<Nqe> elements, uint loop = 0)
    {
        fixed (Nqe* first = elements)
        {
            return ring == RingKind.Completion
                ? _sets[loop].Completion.Enqueue(first, (uint)elements.Length)
                : _sets[loop].Receive.Enqueue(first, (uint)elements.Length);
        }
    }

    public void Ring(uint loop = 0)
    {
        LoopBell* bell = (LoopBell*)(Region.Start + ControlLayout.LoopBellOf(loop));
        Interlocked.MemoryBarrier();
        if (!bell->Pending.Has(loop))
        {
            bell->Pending.Share(loop);
        }

        if (Volatile.Read(ref bell->Asleep) == 1 && Interlocked.Exchange(ref bell->Asleep, 0u) == 1)
        {
            ulong one = 1;
            _ = Libc.WriteFast(_bells[loop], &one, 8);
        }
    }

    /// <summary>Ends the connection and stays otherwise as it is.</summary>
    public void Hang() => _ = Libc.Shutdown(_connection, 2);

    /// <summary>Ends the connection, as a killed NSM's would end.</summary>
    public void Dispose()
    {
        // Twice would close somebody else's descriptors: tests run side by side in one process.
        if (Interlocked.Exchange(ref _disposed, 1) != 0)
        {
            return;
        }

        _ = Libc.Shutdown(_connection, 2);
        _thread.Join();
        _ = Libc.Close(_connection);
        SeqPacket.CloseAll(_nsmBells);
        SeqPacket.CloseAll(_bells);
        Region.Dispose();
    }

    /// <summary>The congestion control that the last guest came with.</summary>
    public string LastCongestion { get; private set; } = "";

    private void Converse()
    {
        Span<int> fds = stackalloc int[SeqPacket.MaxFds];
        while (true)
        {
            int got = SeqPacket.Receive(_connection, out AttachMessage message, fds, out _, wait: true);
            if (got < 0)
            {
                return;
            }

            if (message.Op == AttachOp.GuestAdded)
            {
                LastCongestion = SeqPacket.Get(new ReadOnlySpan<byte>(message.Congestion, AttachMessage.CongestionBytes));
                message.Error = got == 1 ? Adding?.Invoke(message.Guest, fds[0]) ?? 0 : Libc.EINVAL;
                _ = SeqPacket.Send(_connection, message, []);
                _ = Interlocked.Increment(ref _guestsAdded);
            }
            else if (message.Op == AttachOp.GuestChanged)
            {
                string problem = Changing?.Invoke(SeqPacket.Get(new ReadOnlySpan<byte>(message.Congestion, AttachMessage.CongestionBytes))) ?? "";
                SeqPacket.Put(new Span<byte>(message.Text, 128), problem);
                _ = SeqPacket.Send(_connection, message, []);
            }
            else if (message.Op == AttachOp.GuestRemoved)
            {
                _ = SeqPacket.Send(_connection, message, []);
                _ = Interlocked.Increment(ref _guestsRemoved);
            }

            SeqPacket.CloseAll(fds[..got]);
        }
    }
}
