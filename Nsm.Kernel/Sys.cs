using System.Runtime.InteropServices;
using NetKernel.Channel.Host;

namespace NetKernel.Nsm.Kernel;

/// <summary>
/// Socket calls of the loop: none of them blocks, so none pays for a GC transition. Each returns a negative errno on failure, as the system
/// call itself does.
/// </summary>
internal static unsafe class Sys
{
    public const int EAFNOSUPPORT = 97, EPROTONOSUPPORT = 93, ESOCKTNOSUPPORT = 94, ENOPROTOOPT = 92, EISCONN = 106, EALREADY = 114, ENFILE = 23, EDESTADDRREQ = 89;

    public const int SHUT_RD = 0, SHUT_WR = 1, SHUT_RDWR = 2, MSG_MORE = 0x8000, MSG_ERRQUEUE = 0x2000, MSG_TRUNC = 0x20;

    public const int IPPROTO_IP = 0, IPPROTO_TCP = 6, IPPROTO_UDP = 17, IPPROTO_IPV6 = 41;

    public const int SO_REUSEADDR = 2, SO_ERROR = 4, SO_SNDBUF = 7, SO_RCVBUF = 8, SO_KEEPALIVE = 9, SO_OOBINLINE = 10, SO_PRIORITY = 12, SO_LINGER = 13, SO_REUSEPORT = 15,
        SO_RCVLOWAT = 18, SO_SNDBUFFORCE = 32, SO_RCVBUFFORCE = 33, SO_MAX_PACING_RATE = 47, TCP_USER_TIMEOUT = 18, TCP_CONGESTION = 13, TCP_INFO = 11,
        IPV6_V6ONLY = 26, IP_BIND_ADDRESS_NO_PORT = 24, MSG_PEEK = 2;

    public const int SO_BROADCAST = 6, SO_NO_CHECK = 11, SO_TIMESTAMPNS = 35, IP_TOS = 1, IP_TTL = 2, IP_PKTINFO = 8, IP_MTU_DISCOVER = 10, IP_RECVERR = 11, IP_RECVTTL = 12,
        IP_RECVTOS = 13, IP_MTU = 14, IP_MULTICAST_TTL = 33, IP_MULTICAST_LOOP = 34, IPV6_UNICAST_HOPS = 16, IPV6_MULTICAST_HOPS = 18,
        IPV6_MULTICAST_LOOP = 19, IPV6_MTU_DISCOVER = 23, IPV6_MTU = 24, IPV6_RECVERR = 25, IPV6_RECVPKTINFO = 49, IPV6_PKTINFO = 50,
        IPV6_RECVHOPLIMIT = 51, IPV6_HOPLIMIT = 52, IPV6_DONTFRAG = 62, IPV6_RECVTCLASS = 66, IPV6_TCLASS = 67;

    public const uint EPOLLPRI = 2;

    public static int Socket(int domain, int type, int protocol) => Result(RawSocket(domain, type, protocol));

    public static int Close(int fd) => Result(RawClose(fd));

    public static int Bind(int fd, void* address, uint length) => Result(RawBind(fd, address, length));

    public static int Listen(int fd, int backlog) => Result(RawListen(fd, backlog));

    public static int Connect(int fd, void* address, uint length) => Result(RawConnect(fd, address, length));

    public static int Accept4(int fd, void* address, uint* length, int flags) => Result(RawAccept4(fd, address, length, flags));

    public static int Shutdown(int fd, int how) => Result(RawShutdown(fd, how));

    public static int SetSockOpt(int fd, int level, int name, void* value, uint length) => Result(RawSetSockOpt(fd, level, name, value, length));

    public static int SetInt(int fd, int level, int name, int value) => SetSockOpt(fd, level, name, &value, sizeof(int));

    public static int GetSockOpt(int fd, int level, int name, void* value, uint* length) => Result(RawGetSockOpt(fd, level, name, value, length));

    public static int GetSockName(int fd, void* address, uint* length) => Result(RawGetSockName(fd, address, length));

    public static int GetPeerName(int fd, void* address, uint* length) => Result(RawGetPeerName(fd, address, length));

    public static int EpollControl(int epoll, int operation, int fd, Libc.EpollEvent* e) => Result(RawEpollControl(epoll, operation, fd, e));

    public static nint Receive(int fd, void* buffer, nuint length, int flags)
    {
        nint n = RawReceive(fd, buffer, length, flags);
        return n < 0 ? -*ErrnoLocation() : n;
    }

    public static nint Send(int fd, void* buffer, nuint length, int flags)
    {
        nint n = RawSend(fd, buffer, length, flags);
        return n < 0 ? -*ErrnoLocation() : n;
    }

    public static nint SendMsg(int fd, Libc.MsgHdr* message, int flags)
    {
        nint n = RawSendMsg(fd, message, flags);
        return n < 0 ? -*ErrnoLocation() : n;
    }

    /// <summary>Messages sent (at least 1), or a negative errno.</summary>
    public static int SendMMsg(int fd, MMsgHdr* messages, uint count, int flags) => Result(RawSendMMsg(fd, messages, count, flags));

    /// <summary>Messages received (at least 1), or a negative errno. Never waits.</summary>
    public static int ReceiveMMsg(int fd, MMsgHdr* messages, uint count, int flags) => Result(RawReceiveMMsg(fd, messages, count, flags | Libc.MSG_DONTWAIT, null));

    public static nint ReceiveMsg(int fd, Libc.MsgHdr* message, int flags)
    {
        nint n = RawReceiveMsg(fd, message, flags);
        return n < 0 ? -*ErrnoLocation() : n;
    }

    /// <summary>Whether poll(2) reports POLLERR.</summary>
    public static bool HasError(int fd)
    {
        const ulong PollError = 8;
        ulong poll = (uint)fd; // struct pollfd: fd, events, revents
        return RawPoll(&poll, 1, 0) > 0 && (poll >> 48 & PollError) != 0;
    }

    /// <summary>An option of 4 bytes; 0 when it cannot be had.</summary>
    public static int GetInt(int fd, int level, int name)
    {
        int value = 0;
        uint length = sizeof(int);
        return GetSockOpt(fd, level, name, &value, &length) == 0 ? value : 0;
    }

    /// <summary>The pending error of a socket (SO_ERROR), which this clears.</summary>
    public static int PendingError(int fd)
    {
        int error = 0;
        uint length = sizeof(int);
        int result = GetSockOpt(fd, Libc.SOL_SOCKET, SO_ERROR, &error, &length);
        return result < 0 ? -result : error;
    }

    /// <summary>Raises the limit on open files to what the system allows.</summary>
    public static void RaiseFileLimit()
    {
        const int Nofile = 7;
        ulong* limit = stackalloc ulong[2];
        if (GetLimit(Nofile, limit) == 0 && limit[0] < limit[1])
        {
            limit[0] = limit[1];
            _ = SetLimit(Nofile, limit);
        }
    }

    private static int Result(int value) => value < 0 ? -*ErrnoLocation() : value;

    [DllImport("libc", EntryPoint = "__errno_location"), SuppressGCTransition]
    private static extern int* ErrnoLocation();

    [DllImport("libc", EntryPoint = "socket"), SuppressGCTransition]
    private static extern int RawSocket(int domain, int type, int protocol);

    [DllImport("libc", EntryPoint = "close"), SuppressGCTransition]
    private static extern int RawClose(int fd);

    [DllImport("libc", EntryPoint = "bind"), SuppressGCTransition]
    private static extern int RawBind(int fd, void* address, uint length);

    [DllImport("libc", EntryPoint = "listen"), SuppressGCTransition]
    private static extern int RawListen(int fd, int backlog);

    [DllImport("libc", EntryPoint = "connect"), SuppressGCTransition]
    private static extern int RawConnect(int fd, void* address, uint length);

    [DllImport("libc", EntryPoint = "accept4"), SuppressGCTransition]
    private static extern int RawAccept4(int fd, void* address, uint* length, int flags);

    [DllImport("libc", EntryPoint = "shutdown"), SuppressGCTransition]
    private static extern int RawShutdown(int fd, int how);

    [DllImport("libc", EntryPoint = "setsockopt"), SuppressGCTransition]
    private static extern int RawSetSockOpt(int fd, int level, int name, void* value, uint length);

    [DllImport("libc", EntryPoint = "getsockopt"), SuppressGCTransition]
    private static extern int RawGetSockOpt(int fd, int level, int name, void* value, uint* length);

    [DllImport("libc", EntryPoint = "getsockname"), SuppressGCTransition]
    private static extern int RawGetSockName(int fd, void* address, uint* length);

    [DllImport("libc", EntryPoint = "getpeername"), SuppressGCTransition]
    private static extern int RawGetPeerName(int fd, void* address, uint* length);

    [DllImport("libc", EntryPoint = "epoll_ctl"), SuppressGCTransition]
    private static extern int RawEpollControl(int epoll, int operation, int fd, Libc.EpollEvent* e);

    [DllImport("libc", EntryPoint = "recv"), SuppressGCTransition]
    private static extern nint RawReceive(int fd, void* buffer, nuint length, int flags);

    [DllImport("libc", EntryPoint = "send"), SuppressGCTransition]
    private static extern nint RawSend(int fd, void* buffer, nuint length, int flags);

    [DllImport("libc", EntryPoint = "sendmsg"), SuppressGCTransition]
    private static extern nint RawSendMsg(int fd, Libc.MsgHdr* message, int flags);

    [DllImport("libc", EntryPoint = "sendmmsg"), SuppressGCTransition]
    private static extern int RawSendMMsg(int fd, MMsgHdr* messages, uint count, int flags);

    [DllImport("libc", EntryPoint = "recvmmsg"), SuppressGCTransition]
    private static extern int RawReceiveMMsg(int fd, MMsgHdr* messages, uint count, int flags, void* timeout);

    [DllImport("libc", EntryPoint = "recvmsg"), SuppressGCTransition]
    private static extern nint RawReceiveMsg(int fd, Libc.MsgHdr* message, int flags);

    [DllImport("libc", EntryPoint = "poll"), SuppressGCTransition]
    private static extern int RawPoll(void* fds, ulong count, int timeoutMs);

    [DllImport("libc", EntryPoint = "getrlimit")]
    private static extern int GetLimit(int resource, ulong* limit);

    [DllImport("libc", EntryPoint = "setrlimit")]
    private static extern int SetLimit(int resource, ulong* limit);
}

/// <summary>struct mmsghdr.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct MMsgHdr
{
    public Libc.MsgHdr Header;
    public uint Length;
}
