using System.Runtime.InteropServices;

namespace NetKernel.Channel.Host;

/// <summary>
/// The libc calls that the parts with a runtime share; see the man page of each. Those without a GC transition return at once
/// (they never block), so that a loop pays a plain call.
/// </summary>
public static unsafe partial class Libc
{
    /// <summary>errno values used by name.</summary>
    public const int EPERM = 1, ENOENT = 2, EINTR = 4, EIO = 5, EBADF = 9, EAGAIN = 11, ENOMEM = 12, EACCES = 13, EBUSY = 16, EEXIST = 17, ENOSYS = 38,
        EINVAL = 22, EMFILE = 24, EPIPE = 32, EPROTO = 71, EOPNOTSUPP = 95, EADDRINUSE = 98, EADDRNOTAVAIL = 99, ENETDOWN = 100, ENETUNREACH = 101,
        ECONNABORTED = 103, ECONNRESET = 104, ENOBUFS = 105, ENOTCONN = 107, ETIMEDOUT = 110, ECONNREFUSED = 111, EINPROGRESS = 115;

    /// <summary>mmap(2).</summary>
    public const int PROT_READ = 1, PROT_WRITE = 2, MAP_SHARED = 1, MAP_PRIVATE = 2, MAP_ANONYMOUS = 0x20, MAP_NORESERVE = 0x4000;

    /// <summary>memfd_create(2), fcntl(2).</summary>
    public const int MFD_CLOEXEC = 1, MFD_ALLOW_SEALING = 2, MFD_HUGETLB = 4, F_ADD_SEALS = 1033, F_SEAL_SEAL = 1, F_SEAL_SHRINK = 2, F_SEAL_GROW = 4;

    /// <summary>eventfd(2), open(2), and flags of the socket calls.</summary>
    public const int EFD_CLOEXEC = 0x80000, EFD_NONBLOCK = 0x800, O_CLOEXEC = 0x80000, O_NONBLOCK = 0x800;

    /// <summary>socket(2), unix(7).</summary>
    public const int AF_UNIX = 1, AF_INET = 2, AF_INET6 = 10, SOCK_STREAM = 1, SOCK_DGRAM = 2, SOCK_SEQPACKET = 5, SOCK_CLOEXEC = 0x80000,
        SOCK_NONBLOCK = 0x800, SOL_SOCKET = 1, SO_PASSCRED = 16, SO_PEERCRED = 17, SCM_RIGHTS = 1, SCM_CREDENTIALS = 2, MSG_DONTWAIT = 0x40,
        MSG_NOSIGNAL = 0x4000, MSG_CMSG_CLOEXEC = 0x40000000;

    /// <summary>epoll_ctl(2).</summary>
    public const int EPOLL_CTL_ADD = 1, EPOLL_CTL_DEL = 2, EPOLL_CTL_MOD = 3, EPOLL_CLOEXEC = 0x80000;

    /// <summary>Events of epoll_ctl(2).</summary>
    public const uint EPOLLIN = 1, EPOLLOUT = 4, EPOLLERR = 8, EPOLLHUP = 16, EPOLLRDHUP = 0x2000, EPOLLET = 1u << 31;

    /// <summary>struct epoll_event on x86-64 (packed).</summary>
    [StructLayout(LayoutKind.Sequential, Pack = 1)]
    public struct EpollEvent
    {
        /// <summary>Events.</summary>
        public uint Events;

        /// <summary>What the caller attached to the fd.</summary>
        public ulong Data;
    }

    /// <summary>struct iovec.</summary>
    [StructLayout(LayoutKind.Sequential)]
    public struct IoVec
    {
        /// <summary>Start.</summary>
        public void* Base;

        /// <summary>Bytes.</summary>
        public nuint Length;
    }

    /// <summary>struct msghdr.</summary>
    [StructLayout(LayoutKind.Sequential)]
    public struct MsgHdr
    {
        /// <summary>Address.</summary>
        public void* Name;

        /// <summary>Its length.</summary>
        public uint NameLength;

        /// <summary>Buffers.</summary>
        public IoVec* Iov;

        /// <summary>Their number.</summary>
        public nuint IovLength;

        /// <summary>Ancillary data.</summary>
        public void* Control;

        /// <summary>Its length.</summary>
        public nuint ControlLength;

        /// <summary>Flags on receipt.</summary>
        public int Flags;
    }

    /// <summary>The last error of a call that sets it.</summary>
    public static int Errno => Marshal.GetLastPInvokeError();

    /// <summary>mmap(2); -1 on failure.</summary>
    [DllImport("libc", EntryPoint = "mmap", SetLastError = true)]
    public static extern nint Map(nint address, nuint length, int protection, int flags, int fd, long offset);

    /// <summary>munmap(2).</summary>
    [DllImport("libc", EntryPoint = "munmap", SetLastError = true)]
    public static extern int Unmap(nint address, nuint length);

    /// <summary>memfd_create(2).</summary>
    [DllImport("libc", EntryPoint = "memfd_create", SetLastError = true)]
    public static extern int MemfdCreate(byte* name, uint flags);

    /// <summary>ftruncate(2).</summary>
    [DllImport("libc", EntryPoint = "ftruncate", SetLastError = true)]
    public static extern int Truncate(int fd, long length);

    /// <summary>fcntl(2) with an integer argument.</summary>
    [DllImport("libc", EntryPoint = "fcntl", SetLastError = true)]
    public static extern int Fcntl(int fd, int command, nint argument);

    /// <summary>close(2).</summary>
    [DllImport("libc", EntryPoint = "close", SetLastError = true)]
    public static extern int Close(int fd);

    /// <summary>eventfd(2).</summary>
    [DllImport("libc", EntryPoint = "eventfd", SetLastError = true)]
    public static extern int EventFd(uint value, int flags);

    /// <summary>pipe2(2).</summary>
    [DllImport("libc", EntryPoint = "pipe2", SetLastError = true)]
    public static extern int Pipe2(int* fds, int flags);

    /// <summary>write(2), for doorbells: non-blocking, no transition, no errno.</summary>
    [DllImport("libc", EntryPoint = "write"), SuppressGCTransition]
    public static extern nint WriteFast(int fd, void* data, nuint length);

    /// <summary>read(2), for doorbells: non-blocking, no transition, no errno.</summary>
    [DllImport("libc", EntryPoint = "read"), SuppressGCTransition]
    public static extern nint ReadFast(int fd, void* data, nuint length);

    /// <summary>sched_yield(2).</summary>
    [DllImport("libc", EntryPoint = "sched_yield"), SuppressGCTransition]
    public static extern int Yield();

    /// <summary>The CPU that the caller runs on, plus 1: sched_getcpu(3), which makes no system call.</summary>
    public static uint CpuPlusOne() => (uint)(SchedGetCpu() + 1);

    [DllImport("libc", EntryPoint = "sched_getcpu"), SuppressGCTransition]
    private static extern int SchedGetCpu();

    /// <summary>epoll_create1(2).</summary>
    [DllImport("libc", EntryPoint = "epoll_create1", SetLastError = true)]
    public static extern int EpollCreate(int flags);

    /// <summary>epoll_ctl(2).</summary>
    [DllImport("libc", EntryPoint = "epoll_ctl", SetLastError = true)]
    public static extern int EpollControl(int epoll, int operation, int fd, EpollEvent* e);

    /// <summary>epoll_wait(2).</summary>
    [DllImport("libc", EntryPoint = "epoll_wait", SetLastError = true)]
    public static extern int EpollWait(int epoll, EpollEvent* events, int count, int timeoutMs);

    /// <summary>epoll_wait(2) with timeout 0: no transition, no errno.</summary>
    [DllImport("libc", EntryPoint = "epoll_wait"), SuppressGCTransition]
    public static extern int EpollPollFast(int epoll, EpollEvent* events, int count, int timeoutMs);

    /// <summary>sendmsg(2).</summary>
    [DllImport("libc", EntryPoint = "sendmsg", SetLastError = true)]
    public static extern nint SendMsg(int fd, MsgHdr* message, int flags);

    /// <summary>recvmsg(2).</summary>
    [DllImport("libc", EntryPoint = "recvmsg", SetLastError = true)]
    public static extern nint RecvMsg(int fd, MsgHdr* message, int flags);

    /// <summary>socket(2).</summary>
    [DllImport("libc", EntryPoint = "socket", SetLastError = true)]
    public static extern int Socket(int domain, int type, int protocol);

    /// <summary>bind(2).</summary>
    [DllImport("libc", EntryPoint = "bind", SetLastError = true)]
    public static extern int Bind(int fd, void* address, uint length);

    /// <summary>listen(2).</summary>
    [DllImport("libc", EntryPoint = "listen", SetLastError = true)]
    public static extern int Listen(int fd, int backlog);

    /// <summary>connect(2).</summary>
    [DllImport("libc", EntryPoint = "connect", SetLastError = true)]
    public static extern int Connect(int fd, void* address, uint length);

    /// <summary>accept4(2).</summary>
    [DllImport("libc", EntryPoint = "accept4", SetLastError = true)]
    public static extern int Accept4(int fd, void* address, uint* length, int flags);

    /// <summary>setsockopt(2).</summary>
    [DllImport("libc", EntryPoint = "setsockopt", SetLastError = true)]
    public static extern int SetSockOpt(int fd, int level, int name, void* value, uint length);

    /// <summary>getsockopt(2).</summary>
    [DllImport("libc", EntryPoint = "getsockopt", SetLastError = true)]
    public static extern int GetSockOpt(int fd, int level, int name, void* value, uint* length);

    /// <summary>getsockname(2).</summary>
    [DllImport("libc", EntryPoint = "getsockname", SetLastError = true)]
    public static extern int GetSockName(int fd, void* address, uint* length);

    /// <summary>shutdown(2).</summary>
    [DllImport("libc", EntryPoint = "shutdown", SetLastError = true)]
    public static extern int Shutdown(int fd, int how);

    /// <summary>syscall(2), for what libc has no name for (pidfd_open ...).</summary>
    [DllImport("libc", EntryPoint = "syscall", SetLastError = true)]
    public static extern nint Syscall(nint number, nint a, nint b, nint c, nint d, nint e, nint f);

    /// <summary>strerror(3) as a string, for messages to people.</summary>
    public static string Describe(int errno) => Marshal.GetPInvokeErrorMessage(errno);

    /// <summary>Monotonic clock in nanoseconds.</summary>
    public static ulong Now => (ulong)((Int128)System.Diagnostics.Stopwatch.GetTimestamp() * 1_000_000_000 / System.Diagnostics.Stopwatch.Frequency);
}
