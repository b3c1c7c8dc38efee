using System.Runtime.InteropServices;

namespace NetKernel.GuestLib;

/// <summary>Constants of the kernel's ABI on x86-64, under their own names.</summary>
internal static class Abi
{
    internal const int EPERM = 1, EINTR = 4, EIO = 5, EBADF = 9, EAGAIN = 11, ENOMEM = 12, EACCES = 13, EFAULT = 14, EINVAL = 22, EMFILE = 24, ESPIPE = 29, EPIPE = 32,
        ENODEV = 19, EMSGSIZE = 90, ENOPROTOOPT = 92, EOPNOTSUPP = 95, EAFNOSUPPORT = 97, EADDRINUSE = 98, EADDRNOTAVAIL = 99, ENETDOWN = 100, ENETUNREACH = 101,
        ECONNABORTED = 103, ECONNRESET = 104, ENOBUFS = 105,
        EISCONN = 106, ENOTCONN = 107, ETIMEDOUT = 110, EALREADY = 114, EINPROGRESS = 115, ENOTSOCK = 88, EDESTADDRREQ = 89;

    internal const int AF_UNSPEC = 0, AF_UNIX = 1, AF_INET = 2, AF_INET6 = 10;
    internal const int SOCK_STREAM = 1, SOCK_DGRAM = 2, SOCK_SEQPACKET = 5, SOCK_TYPE_MASK = 0xF, SOCK_NONBLOCK = 0x800, SOCK_CLOEXEC = 0x80000;
    internal const int O_NONBLOCK = 0x800, O_CLOEXEC = 0x80000;
    internal const int IPPROTO_IP = 0, IPPROTO_TCP = 6, IPPROTO_UDP = 17, IPPROTO_IPV6 = 41, IPPROTO_MPTCP = 262;
    internal const int SOL_SOCKET = 1, SCM_RIGHTS = 1;

    internal const int SO_REUSEADDR = 2, SO_TYPE = 3, SO_ERROR = 4, SO_SNDBUF = 7, SO_RCVBUF = 8, SO_KEEPALIVE = 9, SO_OOBINLINE = 10, SO_PRIORITY = 12, SO_LINGER = 13,
        SO_REUSEPORT = 15, SO_RCVLOWAT = 18, SO_RCVTIMEO = 20, SO_SNDTIMEO = 21, SO_ACCEPTCONN = 30, SO_PROTOCOL = 38, SO_DOMAIN = 39,
        SO_MAX_PACING_RATE = 47, SO_BROADCAST = 6, SO_NO_CHECK = 11, SO_TIMESTAMP = 29, SO_TIMESTAMPNS = 35, SO_BINDTODEVICE = 25, SO_PEERNAME = 28;

    internal const int TCP_NODELAY = 1, TCP_MAXSEG = 2, TCP_CORK = 3, TCP_KEEPIDLE = 4, TCP_KEEPINTVL = 5, TCP_KEEPCNT = 6, TCP_SYNCNT = 7, TCP_LINGER2 = 8,
        TCP_DEFER_ACCEPT = 9, TCP_WINDOW_CLAMP = 10, TCP_INFO = 11, TCP_QUICKACK = 12, TCP_CONGESTION = 13, TCP_USER_TIMEOUT = 18, TCP_ULP = 31, TCP_FASTOPEN = 23,
        TCP_NOTSENT_LOWAT = 25, TCP_FASTOPEN_CONNECT = 30, TCP_INQ = 36;

    internal const int IP_TOS = 1, IP_TTL = 2, IPV6_UNICAST_HOPS = 16, IPV6_V6ONLY = 26, IPV6_TCLASS = 67;

    internal const int IP_PKTINFO = 8, IP_MTU_DISCOVER = 10, IP_RECVERR = 11, IP_RECVTTL = 12, IP_RECVTOS = 13, IP_MTU = 14, IP_MULTICAST_TTL = 33,
        IP_MULTICAST_LOOP = 34, IPV6_MULTICAST_HOPS = 18, IPV6_MTU_DISCOVER = 23, IPV6_MTU = 24, IPV6_RECVERR = 25, IPV6_RECVPKTINFO = 49, IPV6_PKTINFO = 50,
        IPV6_RECVHOPLIMIT = 51, IPV6_HOPLIMIT = 52, IPV6_DONTFRAG = 62, IPV6_RECVTCLASS = 66;

    internal const int MSG_OOB = 1, MSG_PEEK = 2, MSG_CTRUNC = 8, MSG_TRUNC = 0x20, MSG_DONTWAIT = 0x40, MSG_WAITALL = 0x100, MSG_NOSIGNAL = 0x4000, MSG_MORE = 0x8000,
        MSG_ERRQUEUE = 0x2000, MSG_WAITFORONE = 0x10000, MSG_ZEROCOPY = 0x4000000, MSG_FASTOPEN = 0x20000000, MSG_CMSG_CLOEXEC = 0x40000000;

    internal const int SHUT_RD = 0, SHUT_WR = 1, SHUT_RDWR = 2;

    internal const short POLLIN = 1, POLLPRI = 2, POLLOUT = 4, POLLERR = 8, POLLHUP = 16, POLLNVAL = 32, POLLRDNORM = 0x40, POLLRDBAND = 0x80,
        POLLWRNORM = 0x100, POLLWRBAND = 0x200, POLLRDHUP = 0x2000;

    internal const uint EPOLLIN = 1, EPOLLOUT = 4, EPOLLERR = 8, EPOLLHUP = 16, EPOLLRDNORM = 0x40, EPOLLWRNORM = 0x100, EPOLLRDHUP = 0x2000,
        EPOLLRDBAND = 0x80, EPOLLPRI = 2, EPOLLWRBAND = 0x200, EPOLLEXCLUSIVE = 1u << 28, EPOLLWAKEUP = 1u << 29, EPOLLONESHOT = 1u << 30, EPOLLET = 1u << 31;

    internal const int EPOLL_CTL_ADD = 1, EPOLL_CTL_DEL = 2, EPOLL_CTL_MOD = 3;

    internal const int F_DUPFD = 0, F_GETFL = 3, F_SETFL = 4, F_DUPFD_CLOEXEC = 1030;
    internal const nuint FIONREAD = 0x541B, FIONBIO = 0x5421, SIOCOUTQ = 0x5411;

    internal const int PROT_READ = 1, PROT_WRITE = 2, MAP_SHARED = 1, MAP_PRIVATE = 2, MAP_ANONYMOUS = 0x20, MAP_NORESERVE = 0x4000;
    internal const int SIGPIPE = 13;
}

[StructLayout(LayoutKind.Sequential)]
internal unsafe struct IoVec
{
    internal byte* Base;
    internal nuint Length;
}

[StructLayout(LayoutKind.Sequential)]
internal unsafe struct MsgHdr
{
    internal void* Name;
    internal uint NameLength;
    internal IoVec* Iov;
    internal nuint IovLength;
    internal void* Control;
    internal nuint ControlLength;
    internal int Flags;
}

[StructLayout(LayoutKind.Sequential)]
internal struct MMsgHdr
{
    internal MsgHdr Header;
    internal uint Length;
}

[StructLayout(LayoutKind.Sequential)]
internal struct PollFd
{
    internal int Fd;
    internal short Events;
    internal short Revents;
}

[StructLayout(LayoutKind.Sequential)]
internal struct TimeSpec
{
    internal long Seconds;
    internal long Nanoseconds;
}

/// <summary>sem_t.</summary>
[StructLayout(LayoutKind.Sequential, Size = 32)]
internal struct Semaphore
{
    private ulong _value;
}

[StructLayout(LayoutKind.Sequential)]
internal struct TimeVal
{
    internal long Seconds;
    internal long Microseconds;
}

[StructLayout(LayoutKind.Explicit, Size = 12, Pack = 1)]
internal struct EpollEvent
{
    [FieldOffset(0)] internal uint Events;
    [FieldOffset(4)] internal ulong Data;
}

[StructLayout(LayoutKind.Explicit, Size = 144)]
internal struct Stat
{
    [FieldOffset(8)] internal ulong Inode;
    [FieldOffset(24)] internal uint Mode;

    internal readonly bool IsSocket => (Mode & 0xF000) == 0xC000;

    /// <summary>An epoll set, or another file of the kernel's own.</summary>
    internal readonly bool IsAnonymous => (Mode & 0xF000) == 0;
}

/// <summary>struct addrinfo of netdb.h, as getaddrinfo(3) reads it in hints and makes it.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct AddressHints
{
    internal int Flags;
    internal int Family;
    internal int Type;
    internal int Protocol;
    internal uint Length;
    internal nint Address;
    internal nint CanonicalName;
    internal nint Next;
}
