using NetKernel.Channel.Host;

namespace NetKernel.Testing;

/// <summary>Waiting with a deadline: for things that happen, not for time that passes.</summary>
public static unsafe class Waiting
{
    /// <summary>How long anything may take before a test fails.</summary>
    public static readonly TimeSpan Deadline = TimeSpan.FromSeconds(80);

    /// <summary>Waits until a condition holds that no doorbell announces.</summary>
    public static void Until(Func<bool> condition, string what)
    {
        long end = Environment.TickCount64 + (long)Deadline.TotalMilliseconds;
        var spin = default(SpinWait);
        while (!condition())
        {
            if (Environment.TickCount64 > end)
            {
                throw new TimeoutException($"did not happen: {what}");
            }

            spin.SpinOnce(sleep1Threshold: 50);
        }
    }

    /// <summary>Whether an fd becomes readable in time.</summary>
    public static bool Readable(int fd, int milliseconds)
    {
        int epoll = Libc.EpollCreate(Libc.EPOLL_CLOEXEC);
        Libc.EpollEvent e = new() { Events = Libc.EPOLLIN };
        _ = Libc.EpollControl(epoll, Libc.EPOLL_CTL_ADD, fd, &e);
        int n;
        do
        {
            n = Libc.EpollWait(epoll, &e, 1, milliseconds);
        }
        while (n < 0 && Libc.Errno == Libc.EINTR);
        _ = Libc.Close(epoll);
        return n == 1;
    }
}
