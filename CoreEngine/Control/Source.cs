using System.Collections.Generic;
using NetKernel.Channel.Host;

namespace NetKernel.CoreEngine.Control;

/// <summary>Something that the control thread waits for.</summary>
internal abstract class Source
{
    /// <summary>Its fd, or -1 when closed.</summary>
    public int Fd { get; set; } = -1;

    /// <summary>The fd is somebody else's to close.</summary>
    public virtual bool IsBorrowed => false;

    /// <summary>Its name in the epoll set: never used twice, unlike fds.</summary>
    public ulong Token { get; set; }

    public abstract void Ready(uint events);
}

/// <summary>A source that calls a method.</summary>
internal sealed class CallSource(Action action) : Source
{
    public override void Ready(uint events) => action();
}

/// <summary>The write end of a process's pipe, only to be told when nobody reads it any more.</summary>
internal sealed class PipeEnd(Action broken) : Source
{
    public override bool IsBorrowed => true;

    public override void Ready(uint events) => broken();
}

/// <summary>The control thread's epoll set.</summary>
internal sealed unsafe class SourceSet : IDisposable
{
    private readonly Dictionary<ulong, Source> _sources = [];
    private readonly int _epoll = Libc.EpollCreate(Libc.EPOLL_CLOEXEC);
    private ulong _next = 1;

    public void Add(Source source, int fd, uint events = Libc.EPOLLIN)
    {
        source.Fd = fd;
        source.Token = _next++;
        _sources.Add(source.Token, source);
        Libc.EpollEvent e = new() { Events = events, Data = source.Token };
        _ = Libc.EpollControl(_epoll, Libc.EPOLL_CTL_ADD, fd, &e);
    }

    public void Change(Source source, uint events)
    {
        Libc.EpollEvent e = new() { Events = events, Data = source.Token };
        _ = Libc.EpollControl(_epoll, Libc.EPOLL_CTL_MOD, source.Fd, &e);
    }

    /// <summary>Takes a source out and closes its fd; does nothing when that has happened already.</summary>
    public void Remove(Source source)
    {
        if (source.Fd < 0)
        {
            return;
        }

        _ = _sources.Remove(source.Token);
        _ = Libc.EpollControl(_epoll, Libc.EPOLL_CTL_DEL, source.Fd, null);
        Close(source);
        source.Fd = -1;
    }

    /// <summary>Waits for events (at most so many milliseconds; -1: for ever) and lets their sources deal with them.</summary>
    public void Wait(int timeoutMs = -1)
    {
        const int Max = 64;
        Libc.EpollEvent* events = stackalloc Libc.EpollEvent[Max];
        int n = Libc.EpollWait(_epoll, events, Max, timeoutMs);
        for (int i = 0; i < n; i++)
        {
            if (_sources.TryGetValue(events[i].Data, out Source? source))
            {
                source.Ready(events[i].Events);
            }
        }
    }

    public void Dispose()
    {
        foreach (Source source in _sources.Values)
        {
            Close(source);
        }

        _ = Libc.Close(_epoll);
    }

    private static void Close(Source source)
    {
        if (!source.IsBorrowed)
        {
            _ = Libc.Close(source.Fd);
        }
    }
}
