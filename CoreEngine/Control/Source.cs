using System.Collections.Generic;
using NetKernel.Channel.Host;

namespace NetKernel.CoreEngine.Control;

/// <summary>Something that the control thread waits for.</summary>
internal abstract class Source
{
    /// <summary>Its fd, or -1 when closed.</summary>
    public int Fd { get; set; } = -1;

    /// <summary>Its name in the epoll set: never used twice, unlike fds.</summary>
    public ulong Token { get; set; }

    public abstract void Ready(uint events);
}

/// <summary>A source that calls a method.</summary>
internal sealed class CallSource(Action action) : Source
{
    public override void Ready(uint events) => action();
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
        _ = Libc.Close(source.Fd);
        source.Fd = -1;
    }

    /// <summary>Waits for events and lets their sources deal with them.</summary>
    public void Wait()
    {
        const int Max = 64;
        Libc.EpollEvent* events = stackalloc Libc.EpollEvent[Max];
        int n = Libc.EpollWait(_epoll, events, Max, -1);
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
            _ = Libc.Close(source.Fd);
        }

        _ = Libc.Close(_epoll);
    }
}
