using NetKernel.Channel;
using NetKernel.Channel.Host;

namespace NetKernel.Testing;

/// <summary>A guest's process: attaches over the real socket, and lets a test put whatever it likes into the rings.</summary>
public sealed unsafe class FakeGuest : IDisposable
{
    private readonly int[] _bells;
    private int _pipe;
    private int _disposed;
    private readonly QueueSet[] _sets;

    /// <summary>The four rings of a queue set, from the guest's side.</summary>
    private struct QueueSet
    {
        public RingProducer Job;
        public RingProducer Send;
        public RingConsumer Completion;
        public RingConsumer Receive;
    }

    public FakeGuest(string socket, bool mapPool = true)
    {
        Connection = SeqPacket.Connect(socket);
        if (Connection < 0)
        {
            throw new IOException($"{socket}: {Libc.Describe(-Connection)}");
        }

        int* pipe = stackalloc int[2];
        _ = Libc.Pipe2(pipe, Libc.O_CLOEXEC | Libc.O_NONBLOCK);
        _pipe = pipe[0];
        AttachMessage hello = FakeControlPlane.Message(AttachOp.Attach, name: "fake");
        int sent = SeqPacket.Send(Connection, hello, [pipe[1]]);
        _ = Libc.Close(pipe[1]);
        Span<int> fds = stackalloc int[SeqPacket.MaxFds];
        int got = sent < 0 ? sent : SeqPacket.Receive(Connection, out Answer, fds, out _, wait: true);
        if (got < 0 || Answer.Error != 0)
        {
            _ = Libc.Close(Connection);
            _ = Libc.Close(_pipe);
            throw new AttachException(got < 0 ? -got : Answer.Error, FakeControlPlane.TextOf(Answer));
        }

        Slot = Answer.Slot;
        ulong length = ReadLength(fds[0]);
        Control = SharedRegion.Open(fds[0], length);
        Header = (ControlHeader*)Control.Start;
        Layout = new ControlLayout(Header->Counts);
        PoolLayout = Header->Pool;
        if (mapPool)
        {
            Pool = SharedRegion.Open(fds[1], PoolLayout.Length);
        }
        else
        {
            _ = Libc.Close(fds[1]);
        }

        _bells = fds[2..got].ToArray();
        _sets = new QueueSet[Header->Counts.QueueSets];
        for (uint q = 0; q < _sets.Length; q++)
        {
            uint slots = Header->Counts.RingSlots;
            _sets[q].Job = new RingProducer(Control.Start + Layout.RingOf(q, RingKind.Job), slots);
            _sets[q].Send = new RingProducer(Control.Start + Layout.RingOf(q, RingKind.Send), slots);
            _sets[q].Completion = new RingConsumer(Control.Start + Layout.RingOf(q, RingKind.Completion), slots);
            _sets[q].Receive = new RingConsumer(Control.Start + Layout.RingOf(q, RingKind.Receive), slots);
        }

        Subscribe(Slot);
    }

    /// <summary>CoreEngine's answer to Attach.</summary>
    public readonly AttachMessage Answer;

    public int Connection { get; }

    public uint Slot { get; }

    public SharedRegion Control { get; }

    public SharedRegion? Pool { get; }

    public ControlHeader* Header { get; }

    public ControlLayout Layout { get; }

    public PoolLayout PoolLayout { get; }

    public SocketSlot* SlotOf(uint socket) => (SocketSlot*)(Control.Start + Layout.SocketOf(socket));

    public ProcessSlot* ProcessOf(uint slot) => (ProcessSlot*)(Control.Start + Layout.ProcessOf(slot));

    public QueueSetHeader* HeaderOf(uint q) => (QueueSetHeader*)(Control.Start + Layout.QueueSetOf(q));

    public RingHeader* RingOf(uint q, RingKind kind) => (RingHeader*)(Control.Start + Layout.RingOf(q, kind));

    public uint* TxOwners => (uint*)(Control.Start + Layout.TxOwners);

    public LoopBell* BellOf(uint loop) => (LoopBell*)(Control.Start + ControlLayout.LoopBellOf(loop));

    /// <summary>Makes this process one that is woken for a queue set.</summary>
    public void Subscribe(uint q) => HeaderOf(q)->Subscribers.Share(Slot);

    /// <summary>Claims a socket slot as the guest library does.</summary>
    public void Claim(uint socket, uint q)
    {
        SocketSlot* s = SlotOf(socket);
        s->State = SocketState.Open;
        s->QueueSet = q;
        s->Holders = ProcessMask.Of(Slot);
        Header->SocketHigh = Math.Max(Header->SocketHigh, socket + 1);
    }

    /// <summary>Publishes one NQE and rings.</summary>
    public void Post(uint q, RingKind ring, Nqe element)
    {
        Waiting.Until(() => TryPost(q, ring, [element]) == 1, $"room in the {ring} ring");
        Ring(q);
    }

    /// <summary>Publishes as many as fit, without ringing.</summary>
    public uint TryPost(uint q, RingKind ring, ReadOnlySpan<Nqe> elements)
    {
        fixed (Nqe* first = elements)
        {
            return ring == RingKind.Job
                ? _sets[q].Job.Enqueue(first, (uint)elements.Length)
                : _sets[q].Send.Enqueue(first, (uint)elements.Length);
        }
    }

    /// <summary>Tells CoreEngine that a queue set has news.</summary>
    public void Ring(uint q)
    {
        uint loop = q % Layout.Counts.Loops;
        LoopBell* bell = BellOf(loop);
        Interlocked.MemoryBarrier();
        if (!bell->Pending.Has(q))
        {
            bell->Pending.Share(q);
        }

        if (Volatile.Read(ref bell->Asleep) == 1 && Interlocked.Exchange(ref bell->Asleep, 0u) == 1)
        {
            ulong one = 1;
            _ = Libc.WriteFast(_bells[loop], &one, 8);
        }
    }

    /// <summary>Takes what is there now.</summary>
    public uint TryTake(uint q, RingKind ring, Span<Nqe> elements)
    {
        fixed (Nqe* first = elements)
        {
            return ring == RingKind.Completion
                ? _sets[q].Completion.Dequeue(first, (uint)elements.Length)
                : _sets[q].Receive.Dequeue(first, (uint)elements.Length);
        }
    }

    /// <summary>Takes one NQE, sleeping on the doorbell as the guest library does. Waits for space too, so that quiet ones wake it.</summary>
    public Nqe Take(uint q, RingKind ring)
    {
        Span<Nqe> one = stackalloc Nqe[1];
        while (TryTake(q, ring, one) == 0)
        {
            HeaderOf(q)->WantsSpace = 1;
            Volatile.Write(ref ProcessOf(Slot)->Asleep, 1u);
            Interlocked.MemoryBarrier();
            if (TryTake(q, ring, one) != 0)
            {
                Volatile.Write(ref ProcessOf(Slot)->Asleep, 0u);
                break;
            }

            if (!Waiting.Readable(_pipe, (int)Waiting.Deadline.TotalMilliseconds))
            {
                throw new TimeoutException($"nothing in the {ring} ring of queue set {q}");
            }

            if (DrainPipe() == 0)
            {
                throw new IOException("CoreEngine has closed the pipe");
            }
        }

        HeaderOf(q)->WantsSpace = 0;
        return one[0];
    }

    /// <summary>Tells CoreEngine something, with an fd (which stays the caller's) or without (-1).</summary>
    public void Tell(AttachOp op, uint slot, int fd = -1)
    {
        AttachMessage message = FakeControlPlane.Message(op);
        message.Slot = slot;
        int sent = fd < 0 ? SeqPacket.Send(Connection, message, []) : SeqPacket.Send(Connection, message, [fd]);
        if (sent < 0)
        {
            throw new IOException($"{op}: {Libc.Describe(-sent)}");
        }
    }

    /// <summary>Closes the read end of the pipe, as an exec does.</summary>
    public void BreakPipe()
    {
        _ = Libc.Close(_pipe);
        _pipe = -1;
    }

    /// <summary>Whether CoreEngine has closed this process's pipe.</summary>
    public bool IsCutOff => Waiting.Readable(_pipe, 0) && DrainPipe() == 0;

    /// <summary>Doorbells that have rung since the last look.</summary>
    public int DoorbellsRung() => Waiting.Readable(_pipe, 0) ? (int)DrainPipe() : 0;

    private nint DrainPipe()
    {
        byte* bytes = stackalloc byte[64];
        return Libc.ReadFast(_pipe, bytes, 64);
    }

    public void Dispose()
    {
        // Twice would close somebody else's descriptors: tests run side by side in one process.
        if (Interlocked.Exchange(ref _disposed, 1) != 0)
        {
            return;
        }

        _ = Libc.Close(Connection);
        if (_pipe >= 0)
        {
            _ = Libc.Close(_pipe);
        }

        SeqPacket.CloseAll(_bells);
        Control.Dispose();
        Pool?.Dispose();
    }

    internal static ulong ReadLength(int fd)
    {
        nint page = Libc.Map(0, 4096, Libc.PROT_READ, Libc.MAP_SHARED, fd, 0);
        ulong length = ((ControlHeader*)page)->TotalLength;
        _ = Libc.Unmap(page, 4096);
        return length;
    }
}

/// <summary>CoreEngine refused.</summary>
public sealed class AttachException(int errno, string text) : Exception($"errno {errno}: {text}")
{
    public int Errno { get; } = errno;

    public string Text { get; } = text;
}
