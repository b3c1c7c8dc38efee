using NetKernel.Channel;
using NetKernel.Channel.Host;

namespace NetKernel.Testing;

/// <summary>The control plane's side of engine.sock.</summary>
public sealed unsafe class FakeControlPlane : IDisposable
{
    private readonly int _fd;
    private int _disposed;
    private readonly Queue<AttachMessage> _news = new();

    public FakeControlPlane(string engineSocket)
    {
        _fd = SeqPacket.Connect(engineSocket);
        if (_fd < 0)
        {
            throw new IOException($"{engineSocket}: {Libc.Describe(-_fd)}");
        }

        _ = Ask(Message(AttachOp.ControlHello));
    }

    public static AttachMessage Message(AttachOp op, uint guest = 0, uint nsm = 0, string name = "")
    {
        AttachMessage message = default;
        message.Op = op;
        message.Guest = guest;
        message.Nsm = nsm;
        SeqPacket.Put(new Span<byte>(message.Name, 40), name);
        return message;
    }

    public static string TextOf(in AttachMessage message)
    {
        fixed (byte* text = message.Text)
        {
            return SeqPacket.Get(new ReadOnlySpan<byte>(text, 128));
        }
    }

    /// <summary>Sends a request and waits for its answer; what is told unasked meanwhile is kept for <see cref="News"/>.</summary>
    public AttachMessage Ask(in AttachMessage request)
    {
        if (SeqPacket.Send(_fd, request, []) < 0)
        {
            throw new IOException("CoreEngine is gone");
        }

        while (true)
        {
            AttachMessage message = Next();
            if (message.Op == request.Op)
            {
                return message;
            }

            _news.Enqueue(message);
        }
    }

    public void AddNsm(uint nsm) => Check(Ask(Message(AttachOp.AddNsm, nsm: nsm, name: $"nsm{nsm}")));

    public void AddGuest(uint guest, uint nsm, PoolLayout pool = default)
    {
        AttachMessage message = Message(AttachOp.AddGuest, guest, nsm, $"g{guest}");
        message.Pool = pool;
        Check(Ask(message));
    }

    public void RemoveGuest(uint guest) => Check(Ask(Message(AttachOp.RemoveGuest, guest)));

    /// <summary>Waits for the next message of a kind that was not asked for; others are kept.</summary>
    public AttachMessage News(AttachOp op)
    {
        for (int i = _news.Count; i > 0; i--)
        {
            AttachMessage kept = _news.Dequeue();
            if (kept.Op == op)
            {
                return kept;
            }

            _news.Enqueue(kept);
        }

        while (true)
        {
            AttachMessage message = Next();
            if (message.Op == op)
            {
                return message;
            }

            _news.Enqueue(message);
        }
    }

    /// <summary>Waits for the next message that was not asked for, of whatever kind.</summary>
    public AttachMessage News() => _news.Count > 0 ? _news.Dequeue() : Next();

    /// <summary>Whether something lies there unread.</summary>
    public bool HasNews => _news.Count > 0 || Waiting.Readable(_fd, 0);

    public void Dispose()
    {
        // Twice would close somebody else's descriptors: tests run side by side in one process.
        if (Interlocked.Exchange(ref _disposed, 1) != 0)
        {
            return;
        }

        _ = Libc.Close(_fd);
    }

    private static void Check(in AttachMessage answer)
    {
        if (answer.Error != 0)
        {
            throw new IOException($"{answer.Op}: {Libc.Describe(answer.Error)}: {TextOf(answer)}");
        }
    }

    private AttachMessage Next()
    {
        if (!Waiting.Readable(_fd, (int)Waiting.Deadline.TotalMilliseconds))
        {
            throw new TimeoutException("no word from CoreEngine");
        }

        int got = SeqPacket.Receive(_fd, out AttachMessage message, default, out _, wait: true);
        return got >= 0 ? message : throw new IOException($"engine.sock: {Libc.Describe(-got)}");
    }
}
