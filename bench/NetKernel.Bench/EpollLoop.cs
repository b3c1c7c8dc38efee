using System.Runtime.InteropServices;
using NetKernel.Channel.Host;

namespace NetKernel.Bench;

/// <summary>What Nsm.Kernel does: edge-triggered epoll, recv until short, send at once.</summary>
internal sealed unsafe class EpollLoop(bool echo) : ISocketLoop
{
    private const int BufferBytes = 65536, Events = 128;

    private readonly int _epoll = Libc.EpollCreate(Libc.EPOLL_CLOEXEC);
    private readonly byte* _buffer = (byte*)NativeMemory.Alloc(BufferBytes);
    private int _open;
    private long _done;

    public long Done => Volatile.Read(ref _done);

    public void Add(int fd)
    {
        Libc.EpollEvent e = new() { Events = Libc.EPOLLIN | Libc.EPOLLRDHUP | Libc.EPOLLET, Data = (ulong)fd };
        _ = Libc.EpollControl(_epoll, Libc.EPOLL_CTL_ADD, fd, &e);
        _open++;
    }

    public void Run()
    {
        Libc.EpollEvent* events = stackalloc Libc.EpollEvent[Events];
        int idle = 0;
        while (_open > 0)
        {
            int n = idle < 20 ? Libc.EpollPollFast(_epoll, events, Events, 0) : Libc.EpollWait(_epoll, events, Events, -1);
            if (n == 0)
            {
                idle++;
                _ = Libc.Yield();
                continue;
            }

            idle = 0;
            for (int i = 0; i < n; i++)
            {
                Serve((int)events[i].Data, (events[i].Events & Libc.EPOLLRDHUP) != 0);
            }
        }
    }

    public void Dispose()
    {
        _ = Libc.Close(_epoll);
        NativeMemory.Free(_buffer);
    }

    private void Serve(int fd, bool end)
    {
        for (; ; )
        {
            nint got = Receive(fd, _buffer, BufferBytes, Libc.MSG_DONTWAIT);
            if (got <= 0)
            {
                _open -= end ? 1 : 0;
                return;
            }

            if (echo)
            {
                _ = Send(fd, _buffer, (nuint)got, Libc.MSG_DONTWAIT | Libc.MSG_NOSIGNAL);
            }

            Volatile.Write(ref _done, _done + got);
            if (got < BufferBytes && !end)
            {
                return;
            }
        }
    }

    [DllImport("libc", EntryPoint = "recv"), SuppressGCTransition]
    private static extern nint Receive(int fd, void* buffer, nuint length, int flags);

    [DllImport("libc", EntryPoint = "send"), SuppressGCTransition]
    private static extern nint Send(int fd, void* buffer, nuint length, int flags);
}
