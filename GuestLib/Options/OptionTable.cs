namespace NetKernel.GuestLib;

/// <summary>What is done when a program sets an option of a stream socket.</summary>
internal enum OptionSet : byte
{
    /// <summary>Kept by the kernel socket and told to the NSM, which once said that it takes this one.</summary>
    Wire = 1,

    /// <summary>As <see cref="Wire"/>, but the NSM is asked each time: it may refuse single values.</summary>
    Verified = 2,

    /// <summary>Kept by the kernel socket; the library acts on it.</summary>
    Local = 3,

    /// <summary>Kept by the kernel socket alone, because it changes nothing about TCP in the kernel either. The kernel's refusals are ours.</summary>
    Stored = 4,

    /// <summary>Refused, with the errno of the row.</summary>
    Refused = 5,

    /// <summary>Refused, unless the value is 0, which changes nothing.</summary>
    OnlyZero = 6,

    /// <summary>A case of its own.</summary>
    Special = 7,
}

/// <summary>Where the answer comes from when a program reads an option of a stream socket.</summary>
internal enum OptionGet : byte
{
    /// <summary>From the kernel socket.</summary>
    Kernel = 1,

    /// <summary>From the NSM's socket, if there is one and the option was not set here: an accepted socket has what its listener had.</summary>
    Inherited = 2,

    /// <summary>From the NSM's socket, if there is one.</summary>
    Nsm = 3,

    /// <summary>Refused with ENOPROTOOPT.</summary>
    Refused = 4,

    /// <summary>A case of its own.</summary>
    Special = 5,
}

/// <summary>
/// Every option that the kernel has for stream sockets (socket(7), tcp(7), ip(7), ipv6(7), and the headers where those are silent). What is not here is ENOPROTOOPT.
/// The number of a row among the first <see cref="Marked"/> is its bit in <see cref="Channel.SocketSlot.OptionMask"/>.
/// </summary>
internal static class OptionTable
{
    /// <summary>Rows that are told to the NSM.</summary>
    internal const int Told = 36;

    /// <summary>Rows that have a bit.</summary>
    internal const int Marked = Told + 10;

    /// <summary>The rows of IPv6 among the first; the NSM does not have them on a connection that came by IPv4.</summary>
    internal const ulong Six = 0x1Ful << (Told - 5);

    internal const int KeepAlive = 0, SendBuffer = 1, ReceiveBuffer = 2, Linger = 3, NotSentLowWater = 4, DeferAccept = 13, FastOpenConnect = 20, ReuseAddress = Told, ReusePort = Told + 1,
        ReceiveLowWater = Told + 2, ReceiveTimeout = Told + 3, SendTimeout = Told + 4, ReceiveTimeoutNew = Told + 5, SendTimeoutNew = Told + 6, V6Only = Told + 7, BindNoPort = Told + 8, InQueue = Told + 9;

    /// <summary>Bit of a socket that has an option set without effect on TCP.</summary>
    internal const int HasStored = 63;

    private const int RowBytes = 5;

    private const byte Sock = 0, Tcp = 1, Ip = 2, Ip6 = 3;
    private const byte W = (byte)OptionSet.Wire, V = (byte)OptionSet.Verified, L = (byte)OptionSet.Local, S = (byte)OptionSet.Stored, R = (byte)OptionSet.Refused,
        Z = (byte)OptionSet.OnlyZero, X = (byte)OptionSet.Special;

    private const byte K = (byte)OptionGet.Kernel, I = (byte)OptionGet.Inherited, N = (byte)OptionGet.Nsm, No = (byte)OptionGet.Refused, Y = (byte)OptionGet.Special;
    private const byte EPERM = 1, ENOENT = 2, NOOPT = 92, EOPNOTSUPP = 95;

    /// <summary>Level, name, <see cref="OptionSet"/>, <see cref="OptionGet"/>, errno when refused.</summary>
    private static ReadOnlySpan<byte> Rows => new byte[]
    {
        // Told to the NSM; the places of some and the number of rows are named above.
        Sock, 9, W, I, 0, // SO_KEEPALIVE
        Sock, 7, W, I, 0, // SO_SNDBUF
        Sock, 8, W, I, 0, // SO_RCVBUF
        Sock, 13, W, I, 0, // SO_LINGER
        Tcp, 25, W, I, 0, // TCP_NOTSENT_LOWAT
        Tcp, 1, W, I, 0, // TCP_NODELAY
        Tcp, 2, W, N, 0, // TCP_MAXSEG
        Tcp, 3, W, I, 0, // TCP_CORK
        Tcp, 4, W, I, 0, // TCP_KEEPIDLE
        Tcp, 5, W, I, 0, // TCP_KEEPINTVL
        Tcp, 6, W, I, 0, // TCP_KEEPCNT
        Tcp, 7, W, I, 0, // TCP_SYNCNT
        Tcp, 8, W, I, 0, // TCP_LINGER2
        Tcp, 9, W, I, 0, // TCP_DEFER_ACCEPT
        Tcp, 10, V, N, 0, // TCP_WINDOW_CLAMP
        Tcp, 12, W, N, 0, // TCP_QUICKACK
        Tcp, 16, W, I, 0, // TCP_THIN_LINEAR_TIMEOUTS
        Tcp, 18, W, I, 0, // TCP_USER_TIMEOUT
        Tcp, 23, V, I, 0, // TCP_FASTOPEN
        Tcp, 27, V, I, 0, // TCP_SAVE_SYN
        Tcp, 30, V, K, 0, // TCP_FASTOPEN_CONNECT
        Sock, 5, W, I, 0, // SO_DONTROUTE
        Sock, 10, W, I, 0, // SO_OOBINLINE
        Sock, 12, V, I, 0, // SO_PRIORITY
        Sock, 47, W, I, 0, // SO_MAX_PACING_RATE
        Sock, 72, V, I, 0, // SO_BUF_LOCK
        Sock, 74, V, I, 0, // SO_TXREHASH
        Ip, 1, W, I, 0, // IP_TOS
        Ip, 2, W, I, 0, // IP_TTL
        Ip, 10, V, I, 0, // IP_MTU_DISCOVER
        Ip, 21, V, I, 0, // IP_MINTTL
        Ip6, 16, W, I, 0, // IPV6_UNICAST_HOPS
        Ip6, 23, V, I, 0, // IPV6_MTU_DISCOVER
        Ip6, 67, W, I, 0, // IPV6_TCLASS
        Ip6, 70, V, I, 0, // IPV6_AUTOFLOWLABEL
        Ip6, 73, V, I, 0, // IPV6_MINHOPCOUNT

        // The library's own.
        Sock, 2, L, Y, 0, // SO_REUSEADDR
        Sock, 15, L, Y, 0, // SO_REUSEPORT
        Sock, 18, L, K, 0, // SO_RCVLOWAT
        Sock, 20, L, K, 0, // SO_RCVTIMEO
        Sock, 21, L, K, 0, // SO_SNDTIMEO
        Sock, 66, L, K, 0, // SO_RCVTIMEO_NEW
        Sock, 67, L, K, 0, // SO_SNDTIMEO_NEW
        Ip6, 26, L, K, 0, // IPV6_V6ONLY
        Ip, 24, L, Y, 0, // IP_BIND_ADDRESS_NO_PORT
        Tcp, 36, L, K, 0, // TCP_INQ

        // What a socket is, and what it tells.
        Sock, 3, R, K, NOOPT, // SO_TYPE
        Sock, 4, R, Y, NOOPT, // SO_ERROR
        Sock, 30, R, Y, NOOPT, // SO_ACCEPTCONN
        Sock, 28, R, Y, NOOPT, // SO_PEERNAME
        Sock, 38, R, K, NOOPT, // SO_PROTOCOL
        Sock, 39, R, K, NOOPT, // SO_DOMAIN
        Sock, 17, R, K, NOOPT, // SO_PEERCRED
        Sock, 19, R, K, NOOPT, // SO_SNDLOWAT
        Sock, 31, R, K, NOOPT, // SO_PEERSEC
        Sock, 48, R, K, NOOPT, // SO_BPF_EXTENSIONS
        Sock, 49, R, N, NOOPT, // SO_INCOMING_CPU
        Sock, 55, R, N, NOOPT, // SO_MEMINFO
        Sock, 56, R, K, NOOPT, // SO_INCOMING_NAPI_ID
        Sock, 57, R, K, NOOPT, // SO_COOKIE
        Sock, 59, R, K, NOOPT, // SO_PEERGROUPS
        Sock, 71, R, K, NOOPT, // SO_NETNS_COOKIE
        Sock, 77, R, K, NOOPT, // SO_PEERPIDFD
        Tcp, 11, R, Y, NOOPT, // TCP_INFO
        Tcp, 13, X, Y, 0, // TCP_CONGESTION
        Tcp, 26, R, N, NOOPT, // TCP_CC_INFO
        Tcp, 28, R, N, NOOPT, // TCP_SAVED_SYN
        Tcp, 43, R, K, NOOPT, // TCP_IS_MPTCP
        Ip, 14, R, N, NOOPT, // IP_MTU
        Ip, 4, R, N, NOOPT, // IP_OPTIONS
        Ip6, 24, S, N, 0, // IPV6_MTU
        Ip6, 61, R, N, NOOPT, // IPV6_PATHMTU

        // No effect on TCP, in the kernel neither.
        Sock, 1, S, K, 0, // SO_DEBUG
        Sock, 6, S, K, 0, // SO_BROADCAST
        Sock, 11, S, K, 0, // SO_NO_CHECK
        Sock, 14, S, K, 0, // SO_BSDCOMPAT
        Sock, 16, S, K, 0, // SO_PASSCRED
        Sock, 27, S, No, 0, // SO_DETACH_FILTER: there is none
        Sock, 34, S, K, 0, // SO_PASSSEC
        Sock, 40, S, K, 0, // SO_RXQ_OVFL
        Sock, 41, S, K, 0, // SO_WIFI_STATUS
        Sock, 43, S, K, 0, // SO_NOFCS
        Sock, 45, S, K, 0, // SO_SELECT_ERR_QUEUE
        Sock, 68, S, No, 0, // SO_DETACH_REUSEPORT_BPF: there is none
        Sock, 75, S, K, 0, // SO_RCVMARK
        Sock, 76, S, K, 0, // SO_PASSPIDFD
        Sock, 82, S, K, 0, // SO_RCVPRIORITY
        Sock, 83, S, K, 0, // SO_PASSRIGHTS
        Tcp, 17, S, K, 0, // TCP_THIN_DUPACK
        Tcp, 22, S, No, 0, // TCP_REPAIR_OPTIONS: refused by the kernel while not in repair
        Ip, 3, S, K, 0, // IP_HDRINCL
        Ip, 6, S, K, 0, // IP_RECVOPTS
        Ip, 7, S, K, 0, // IP_RETOPTS
        Ip, 8, S, K, 0, // IP_PKTINFO
        Ip, 12, S, K, 0, // IP_RECVTTL
        Ip, 13, S, K, 0, // IP_RECVTOS
        Ip, 18, S, K, 0, // IP_PASSSEC
        Ip, 20, S, K, 0, // IP_RECVORIGDSTADDR
        Ip, 22, S, K, 0, // IP_NODEFRAG
        Ip, 23, S, K, 0, // IP_CHECKSUM
        Ip, 25, S, K, 0, // IP_RECVFRAGSIZE
        Ip, 32, S, K, 0, // IP_MULTICAST_IF
        Ip, 33, S, K, 0, // IP_MULTICAST_TTL
        Ip, 34, S, K, 0, // IP_MULTICAST_LOOP
        Ip, 35, S, No, 0, // IP_ADD_MEMBERSHIP: refused by the kernel on streams, as the next ones
        Ip, 36, S, No, 0, // IP_DROP_MEMBERSHIP
        Ip, 37, S, No, 0, // IP_UNBLOCK_SOURCE
        Ip, 38, S, No, 0, // IP_BLOCK_SOURCE
        Ip, 39, S, No, 0, // IP_ADD_SOURCE_MEMBERSHIP
        Ip, 40, S, No, 0, // IP_DROP_SOURCE_MEMBERSHIP
        Ip, 41, S, K, 0, // IP_MSFILTER
        Ip, 42, S, No, 0, // MCAST_JOIN_GROUP
        Ip, 45, S, No, 0, // MCAST_LEAVE_GROUP
        Ip, 46, S, No, 0, // MCAST_JOIN_SOURCE_GROUP
        Ip, 47, S, No, 0, // MCAST_LEAVE_SOURCE_GROUP
        Ip, 48, S, K, 0, // MCAST_MSFILTER
        Ip, 49, S, K, 0, // IP_MULTICAST_ALL
        Ip, 50, S, K, 0, // IP_UNICAST_IF: the guest has no interface that it could name
        Ip6, 2, S, K, 0, // IPV6_2292PKTINFO
        Ip6, 3, S, K, 0, // IPV6_2292HOPOPTS
        Ip6, 4, S, K, 0, // IPV6_2292DSTOPTS
        Ip6, 5, S, K, 0, // IPV6_2292RTHDR
        Ip6, 7, S, K, 0, // IPV6_CHECKSUM
        Ip6, 8, S, K, 0, // IPV6_2292HOPLIMIT
        Ip6, 11, S, K, 0, // IPV6_FLOWINFO
        Ip6, 17, S, K, 0, // IPV6_MULTICAST_IF
        Ip6, 18, S, K, 0, // IPV6_MULTICAST_HOPS
        Ip6, 19, S, K, 0, // IPV6_MULTICAST_LOOP
        Ip6, 20, S, No, 0, // IPV6_ADD_MEMBERSHIP
        Ip6, 21, S, No, 0, // IPV6_DROP_MEMBERSHIP
        Ip6, 27, S, No, 0, // IPV6_JOIN_ANYCAST
        Ip6, 28, S, No, 0, // IPV6_LEAVE_ANYCAST
        Ip6, 29, S, K, 0, // IPV6_MULTICAST_ALL
        Ip6, 36, S, K, 0, // IPV6_HDRINCL
        Ip6, 49, S, K, 0, // IPV6_RECVPKTINFO
        Ip6, 51, S, K, 0, // IPV6_RECVHOPLIMIT
        Ip6, 53, S, K, 0, // IPV6_RECVHOPOPTS
        Ip6, 56, S, K, 0, // IPV6_RECVRTHDR
        Ip6, 58, S, K, 0, // IPV6_RECVDSTOPTS
        Ip6, 60, S, K, 0, // IPV6_RECVPATHMTU
        Ip6, 62, S, K, 0, // IPV6_DONTFRAG
        Ip6, 66, S, K, 0, // IPV6_RECVTCLASS
        Ip6, 72, S, K, 0, // IPV6_ADDR_PREFERENCES: the guest has one address
        Ip6, 74, S, K, 0, // IPV6_RECVORIGDSTADDR
        Ip6, 76, S, K, 0, // IPV6_UNICAST_IF
        Ip6, 77, S, K, 0, // IPV6_RECVFRAGSIZE

        // The way to the kernel's own loopback, or nowhere.
        Sock, 25, X, K, 0, // SO_BINDTODEVICE
        Sock, 62, X, K, 0, // SO_BINDTOIFINDEX

        // Rights over the NSM's network that a guest does not have, whoever asks in it.
        Sock, 32, R, No, EPERM, // SO_SNDBUFFORCE
        Sock, 33, R, No, EPERM, // SO_RCVBUFFORCE
        Sock, 36, Z, K, EPERM, // SO_MARK
        Sock, 46, Z, K, EPERM, // SO_BUSY_POLL
        Sock, 69, Z, K, EPERM, // SO_PREFER_BUSY_POLL
        Sock, 70, Z, K, EPERM, // SO_BUSY_POLL_BUDGET
        Tcp, 19, R, K, EPERM, // TCP_REPAIR
        Tcp, 20, R, K, EPERM, // TCP_REPAIR_QUEUE
        Tcp, 21, R, K, EPERM, // TCP_QUEUE_SEQ
        Tcp, 24, R, N, EPERM, // TCP_TIMESTAMP
        Tcp, 29, R, K, EPERM, // TCP_REPAIR_WINDOW
        Tcp, 42, R, K, EPERM, // TCP_AO_REPAIR
        Ip, 16, R, No, EPERM, // IP_IPSEC_POLICY
        Ip, 17, R, No, EPERM, // IP_XFRM_POLICY
        Ip, 19, Z, K, EPERM, // IP_TRANSPARENT
        Ip6, 34, R, No, EPERM, // IPV6_IPSEC_POLICY
        Ip6, 35, R, No, EPERM, // IPV6_XFRM_POLICY
        Ip6, 75, Z, K, EPERM, // IPV6_TRANSPARENT

        // Not there: with the errno that a kernel without them gives.
        Sock, 26, R, K, NOOPT, // SO_ATTACH_FILTER
        Sock, 29, Z, K, NOOPT, // SO_TIMESTAMP
        Sock, 35, Z, K, NOOPT, // SO_TIMESTAMPNS
        Sock, 37, Z, K, NOOPT, // SO_TIMESTAMPING
        Sock, 63, Z, K, NOOPT, // SO_TIMESTAMP_NEW
        Sock, 64, Z, K, NOOPT, // SO_TIMESTAMPNS_NEW
        Sock, 65, Z, K, NOOPT, // SO_TIMESTAMPING_NEW
        Sock, 42, R, No, EOPNOTSUPP, // SO_PEEK_OFF
        Sock, 44, Z, K, NOOPT, // SO_LOCK_FILTER
        Sock, 50, R, No, NOOPT, // SO_ATTACH_BPF
        Sock, 51, R, No, NOOPT, // SO_ATTACH_REUSEPORT_CBPF
        Sock, 52, R, No, NOOPT, // SO_ATTACH_REUSEPORT_EBPF
        Sock, 53, R, No, NOOPT, // SO_CNX_ADVICE
        Sock, 60, Z, K, EOPNOTSUPP, // SO_ZEROCOPY
        Sock, 61, R, No, NOOPT, // SO_TXTIME
        Sock, 73, Z, K, NOOPT, // SO_RESERVE_MEM
        Tcp, 14, R, No, NOOPT, // TCP_MD5SIG
        Tcp, 31, R, K, ENOENT, // TCP_ULP: no such protocol (kTLS); OpenSSL encrypts by itself then
        Tcp, 32, R, No, NOOPT, // TCP_MD5SIG_EXT
        Tcp, 33, R, No, NOOPT, // TCP_FASTOPEN_KEY
        Tcp, 34, Z, K, NOOPT, // TCP_FASTOPEN_NO_COOKIE
        Tcp, 35, R, No, NOOPT, // TCP_ZEROCOPY_RECEIVE
        Tcp, 37, Z, K, NOOPT, // TCP_TX_DELAY
        Ip, 5, R, No, NOOPT, // IP_ROUTER_ALERT
        Ip, 9, R, No, NOOPT, // IP_PKTOPTIONS
        Ip, 11, Z, K, NOOPT, // IP_RECVERR
        Ip, 15, Z, K, NOOPT, // IP_FREEBIND
        Ip, 26, Z, K, NOOPT, // IP_RECVERR_RFC4884
        Ip, 51, Z, K, NOOPT, // IP_LOCAL_PORT_RANGE
        Ip, 80, R, No, NOOPT, // SO_ORIGINAL_DST
        Ip6, 1, R, K, NOOPT, // IPV6_ADDRFORM
        Ip6, 22, R, No, NOOPT, // IPV6_ROUTER_ALERT
        Ip6, 25, Z, K, NOOPT, // IPV6_RECVERR
        Ip6, 31, Z, K, NOOPT, // IPV6_RECVERR_RFC4884
        Ip6, 32, R, No, NOOPT, // IPV6_FLOWLABEL_MGR
        Ip6, 33, Z, K, NOOPT, // IPV6_FLOWINFO_SEND
        Ip6, 50, R, No, NOOPT, // IPV6_PKTINFO
        Ip6, 54, R, No, NOOPT, // IPV6_HOPOPTS
        Ip6, 55, R, No, NOOPT, // IPV6_RTHDRDSTOPTS
        Ip6, 57, R, No, NOOPT, // IPV6_RTHDR
        Ip6, 59, R, No, NOOPT, // IPV6_DSTOPTS
        Ip6, 78, Z, K, NOOPT, // IPV6_FREEBIND
    };

    /// <summary>The row of an option; -1: none.</summary>
    internal static int Find(int level, int name)
    {
        byte short_ = level switch
        {
            Abi.SOL_SOCKET => Sock,
            Abi.IPPROTO_TCP => Tcp,
            Abi.IPPROTO_IP => Ip,
            Abi.IPPROTO_IPV6 => Ip6,
            _ => byte.MaxValue,
        };
        ReadOnlySpan<byte> rows = Rows;
        for (int i = 0; i < rows.Length; i += RowBytes)
        {
            if (rows[i] == short_ && rows[i + 1] == name)
            {
                return i / RowBytes;
            }
        }

        return -1;
    }

    /// <summary>Rows of the table.</summary>
    internal static int Count => Rows.Length / RowBytes;

    internal static int LevelOf(int row) => Rows[row * RowBytes] switch
    {
        Sock => Abi.SOL_SOCKET,
        Tcp => Abi.IPPROTO_TCP,
        Ip => Abi.IPPROTO_IP,
        _ => Abi.IPPROTO_IPV6,
    };

    internal static int NameOf(int row) => Rows[(row * RowBytes) + 1];

    internal static OptionSet SetOf(int row) => (OptionSet)Rows[(row * RowBytes) + 2];

    internal static OptionGet GetOf(int row) => (OptionGet)Rows[(row * RowBytes) + 3];

    internal static int ErrnoOf(int row) => Rows[(row * RowBytes) + 4];
}
