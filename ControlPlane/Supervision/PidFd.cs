using System.Runtime.InteropServices;
using NetKernel.Channel.Host;

namespace NetKernel.ControlPlane.Supervision;

/// <summary>
/// A process that is not a child of nkd's: one that an nkd before this has started. A pidfd stands for the process itself and not for its number, and becomes readable
/// at its end (pidfd_open(2)).
/// </summary>
internal sealed unsafe class PidFd : IDisposable
{
    private const long SysPidfdOpen = 434, SysPidfdSendSignal = 424;

    private int _fd;

    private PidFd(int fd, int pid)
    {
        _fd = fd;
        Pid = pid;
    }

    public int Pid { get; }

    /// <summary>Null when there is no such process.</summary>
    public static PidFd? TryOpen(int pid)
    {
        int fd = (int)SysCall(SysPidfdOpen, pid, 0, 0, 0);
        return fd < 0 ? null : new PidFd(fd, pid);
    }

    /// <summary>Completes when the process has ended.</summary>
    public Task WaitAsync()
    {
        int fd = _fd;
        return Task.Factory.StartNew(
            () =>
            {
                PollFd entry = new() { Fd = fd, Events = 1 /* POLLIN */ };
                while (Poll(&entry, 1, -1) != 1)
                {
                }
            },
            CancellationToken.None, TaskCreationOptions.LongRunning, TaskScheduler.Default);
    }

    public void Signal(int signal) => _ = SysCall(SysPidfdSendSignal, _fd, signal, 0, 0);

    public void Dispose()
    {
        int fd = Interlocked.Exchange(ref _fd, -1);
        if (fd >= 0)
        {
            _ = Libc.Close(fd);
        }
    }

    [StructLayout(LayoutKind.Sequential)]
    private struct PollFd
    {
        public int Fd;
        public short Events;
        public short Returned;
    }

    [DllImport("libc", EntryPoint = "syscall", SetLastError = true)]
    private static extern long SysCall(long number, long a, long b, long c, long d);

    [DllImport("libc", EntryPoint = "poll", SetLastError = true)]
    private static extern int Poll(PollFd* entries, ulong count, int timeout);
}
