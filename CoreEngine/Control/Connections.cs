using System.Collections.Generic;
using NetKernel.Channel.Host;

namespace NetKernel.CoreEngine.Control;

/// <summary>A SOCK_SEQPACKET connection. What does not fit into the socket now is sent when it does.</summary>
internal abstract class MessageSource(SourceSet sources) : Source
{
    private const int MaxQueued = 4096;
    private readonly Queue<(AttachMessage Message, int[] Fds)> _queue = new();

    /// <summary>Reads and handles what has arrived; closes on end of file or a malformed message.</summary>
    public override void Ready(uint events)
    {
        if ((events & Libc.EPOLLOUT) != 0)
        {
            Flush();
        }

        Drain();
    }

    public void Drain()
    {
        Span<int> fds = stackalloc int[SeqPacket.MaxFds];
        while (Fd >= 0)
        {
            int got = SeqPacket.Receive(Fd, out AttachMessage message, fds, out int pid);
            if (got == -Libc.EAGAIN)
            {
                return;
            }

            if (got < 0)
            {
                Ended(got == -Libc.EPIPE || got == -Libc.ECONNRESET ? "closed" : $"malformed message ({Libc.Describe(-got)})");
                return;
            }

            Handle(ref message, fds[..got], pid);
        }
    }

    /// <summary>Sends; the fds stay the caller's. A peer that lets thousands of messages pile up is given up.</summary>
    public void Send(in AttachMessage message, params ReadOnlySpan<int> fds)
    {
        if (Fd < 0)
        {
            return;
        }

        int result = _queue.Count == 0 ? SeqPacket.Send(Fd, message, fds) : -Libc.EAGAIN;
        if (result != -Libc.EAGAIN || _queue.Count >= MaxQueued)
        {
            return; // a dead peer shows as end of file
        }

        // The fds must outlive whatever the caller does to them meanwhile.
        int[] copies = new int[fds.Length];
        for (int i = 0; i < fds.Length; i++)
        {
            copies[i] = Libc.Fcntl(fds[i], 1030, 0); // F_DUPFD_CLOEXEC
        }

        _queue.Enqueue((message, copies));
        sources.Change(this, Libc.EPOLLIN | Libc.EPOLLOUT);
    }

    protected abstract void Handle(ref AttachMessage message, ReadOnlySpan<int> fds, int pid);

    /// <summary>The peer is gone or not worth listening to.</summary>
    protected abstract void Ended(string why);

    public void Close()
    {
        while (_queue.TryDequeue(out (AttachMessage Message, int[] Fds) waiting))
        {
            SeqPacket.CloseAll(waiting.Fds);
        }

        sources.Remove(this);
    }

    private void Flush()
    {
        while (_queue.TryPeek(out (AttachMessage Message, int[] Fds) waiting))
        {
            if (SeqPacket.Send(Fd, waiting.Message, waiting.Fds) == -Libc.EAGAIN)
            {
                return;
            }

            SeqPacket.CloseAll(waiting.Fds);
            _ = _queue.Dequeue();
        }

        sources.Change(this, Libc.EPOLLIN);
    }
}

/// <summary>A connection to engine.sock: the control plane's or an NSM's, by what it says first.</summary>
internal sealed class EnginePeer(Engine engine, SourceSet sources) : MessageSource(sources)
{
    public bool IsControlPlane { get; set; }

    public Nsm? Nsm { get; set; }

    protected override void Handle(ref AttachMessage message, ReadOnlySpan<int> fds, int pid)
    {
        SeqPacket.CloseAll(fds);
        engine.FromPeer(this, ref message);
    }

    protected override void Ended(string why) => engine.PeerEnded(this, why);
}

/// <summary>A connection to a guest's socket. Forked processes share it.</summary>
internal sealed class GuestConnection(Engine engine, Guest guest, SourceSet sources) : MessageSource(sources)
{
    public Guest Guest { get; } = guest;

    protected override void Handle(ref AttachMessage message, ReadOnlySpan<int> fds, int pid) => engine.FromGuest(this, ref message, fds, pid);

    protected override void Ended(string why) => engine.GuestConnectionEnded(this, why);
}
