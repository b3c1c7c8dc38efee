using System.Runtime.InteropServices;
using NetKernel.Channel;
using NetKernel.Channel.Host;
using NetKernel.ServiceLib;

namespace NetKernel.Nsm.SharedMem;

/// <summary>
/// Options of one socket. Those that mean something here act (SO_LINGER, SO_RCVBUF, TCP_DEFER_ACCEPT, TCP_USER_TIMEOUT, TCP_SYNCNT); those that steer TCP's packets, timers and retransmissions are kept and given back,
/// because without packets what they ask for is kept anyway (TCP_NODELAY: nothing is ever held back; keep-alives: a peer that is gone is told at once). What would have an
/// effect that is missing here (congestion control by name, TCP_FASTOPEN, TCP_SAVE_SYN, SO_OOBINLINE) is refused.
/// </summary>
[StructLayout(LayoutKind.Sequential)]
internal unsafe struct SharedOptions
{
    public const int EADDRNOTAVAIL = 99, ENOPROTOOPT = 92, ENOENT = 2;
    public const int TcpInfo = 11, TcpMaxSegment = 2;

    private const int Tcp = 6, Ip = 0, Ip6 = 41, SO_LINGER = 13, SO_ERROR = 4, SO_RCVBUF = 8, SO_SNDBUF = 7, SO_INCOMING_CPU = 49, TCP_CONGESTION = 13, TCP_DEFER_ACCEPT = 9, TCP_SYNCNT = 7, TCP_USER_TIMEOUT = 18;
    private const int Count = 28;

    private ulong _set;

    // The name that TCP_CONGESTION was set to; 0: none.
    private ulong _congestion;
    private fixed int _values[Count];
    private uint _userTimeout; // asked for with every stall

    /// <summary>SO_LINGER.</summary>
    public int LingerOn, LingerSeconds;

    /// <summary>TCP_DEFER_ACCEPT, in seconds; 0: not set.</summary>
    public readonly int DeferAccept => ValueOf(TCP_DEFER_ACCEPT);

    /// <summary>TCP_SYNCNT.</summary>
    public readonly int SynRetries => ValueOf(TCP_SYNCNT);

    /// <summary>TCP_USER_TIMEOUT, in milliseconds; 0: none.</summary>
    public readonly uint UserTimeout => _userTimeout;

    /// <summary>Level, name, value of a fresh socket, least, most.</summary>
    private static ReadOnlySpan<int> Rules =>
    [
        1, 7, 16384, 0, int.MaxValue, // SO_SNDBUF
        1, 8, 131072, 0, int.MaxValue, // SO_RCVBUF
        1, 9, 0, int.MinValue, int.MaxValue, // SO_KEEPALIVE
        1, 12, 0, 0, 6, // SO_PRIORITY
        1, 18, 1, int.MinValue, int.MaxValue, // SO_RCVLOWAT: the guest waits for its low-water mark by itself
        1, 47, -1, int.MinValue, int.MaxValue, // SO_MAX_PACING_RATE
        1, 5, 0, int.MinValue, int.MaxValue, // SO_DONTROUTE
        1, 72, 0, 0, 3, // SO_BUF_LOCK
        1, 74, 1, -1, 1, // SO_TXREHASH
        Tcp, 1, 0, int.MinValue, int.MaxValue, // TCP_NODELAY
        Tcp, TcpMaxSegment, 65483, 0, 65535, // TCP_MAXSEG
        Tcp, 3, 0, int.MinValue, int.MaxValue, // TCP_CORK
        Tcp, 4, 7200, 1, 32767, // TCP_KEEPIDLE
        Tcp, 5, 75, 1, 32767, // TCP_KEEPINTVL
        Tcp, 6, 9, 1, 127, // TCP_KEEPCNT
        Tcp, TCP_SYNCNT, 6, 1, 127, // TCP_SYNCNT
        Tcp, 8, 60, int.MinValue, int.MaxValue, // TCP_LINGER2
        Tcp, TCP_DEFER_ACCEPT, 0, int.MinValue, int.MaxValue, // TCP_DEFER_ACCEPT
        Tcp, 10, 0, int.MinValue, int.MaxValue, // TCP_WINDOW_CLAMP
        Tcp, 12, 1, int.MinValue, int.MaxValue, // TCP_QUICKACK
        Tcp, TCP_USER_TIMEOUT, 0, 0, int.MaxValue, // TCP_USER_TIMEOUT
        Tcp, 25, 0, int.MinValue, int.MaxValue, // TCP_NOTSENT_LOWAT
        Ip, 1, 0, 0, 255, // IP_TOS
        Ip, 2, 64, -1, 255, // IP_TTL
        Ip, 24, 0, int.MinValue, int.MaxValue, // IP_BIND_ADDRESS_NO_PORT
        Ip6, 16, 64, -1, 255, // IPV6_UNICAST_HOPS
        Ip6, 67, 0, -1, 255, // IPV6_TCLASS
        Ip6, 70, 1, 0, 1, // IPV6_AUTOFLOWLABEL
    ];

    /// <summary>What TCP_CONGESTION says.</summary>
    private static ReadOnlySpan<byte> Name => "sharedmem\0\0\0\0\0\0\0"u8;

    /// <summary>Sets an option. Returns an errno.</summary>
    public int Set(Connection* c, int level, int name, ulong value, uint length)
    {
        int first = (int)(uint)value;
        if (level == Libc.SOL_SOCKET && name == SO_LINGER)
        {
            if (length < 2 * sizeof(int))
            {
                return Libc.EINVAL;
            }

            LingerOn = first != 0 ? 1 : 0;
            LingerSeconds = (int)(value >> 32);
            return 0;
        }

        if (level == Tcp && name == TCP_CONGESTION)
        {
            // There is none to choose here. What the kernel's stack would take is kept and given back, like all that steers packets only.
            if (!IsCongestionControl(value, length))
            {
                return ENOENT;
            }

            _congestion = value;
            return 0;
        }

        int rule = Find(level, name);
        if (rule < 0)
        {
            return ENOPROTOOPT;
        }

        if (length < sizeof(int))
        {
            first &= (1 << (int)(8 * length)) - 1; // ip(7): a single byte will do for some
        }

        if (first < Rules[(5 * rule) + 3] || first > Rules[(5 * rule) + 4])
        {
            return Libc.EINVAL;
        }

        _values[rule] = first;
        _set |= 1ul << rule;
        if (level == Tcp && name == TCP_USER_TIMEOUT)
        {
            _userTimeout = (uint)first;
        }

        if (level == Libc.SOL_SOCKET && name is SO_RCVBUF or SO_SNDBUF)
        {
            _values[rule] = first > int.MaxValue / 2 ? int.MaxValue : first * 2; // socket(7): the kernel doubles what is set
            if (name == SO_RCVBUF)
            {
                StackHost.LimitReceive(c, (uint)first);
            }
        }

        return 0;
    }

    /// <summary>Reads an option. Returns an errno.</summary>
    public readonly int Get(SharedSocket* s, int level, int name, byte* value, uint room, out uint length)
    {
        length = 0;
        int* ints = stackalloc int[2];
        uint have = sizeof(int);
        int rule = Find(level, name);
        if (rule >= 0)
        {
            ints[0] = (_set & (1ul << rule)) != 0 && !(level == Tcp && name == TcpMaxSegment && s->Phase == Phase.Connected)
                ? _values[rule] : Rules[(5 * rule) + 2];
        }
        else if (level == Libc.SOL_SOCKET && name == SO_LINGER)
        {
            ints[0] = LingerOn;
            ints[1] = LingerSeconds;
            have = 2 * sizeof(int);
        }
        else if (level == Libc.SOL_SOCKET && name is SO_ERROR or SO_INCOMING_CPU)
        {
            ints[0] = name == SO_ERROR ? 0 : -1; // errors are told by Reset
        }
        else if (level == Tcp && name == TCP_CONGESTION)
        {
            length = room < 16 ? room : 16;
            ulong* said = stackalloc ulong[2];
            said[0] = _congestion;
            said[1] = 0;
            ReadOnlySpan<byte> text = _congestion == 0 ? Name : new ReadOnlySpan<byte>(said, 16);
            text[..(int)length].CopyTo(new Span<byte>(value, (int)length));
            return 0;
        }
        else if (level == Tcp && name == TcpInfo)
        {
            length = ConnectionInfo.Write(s, value, room);
            return 0;
        }
        else
        {
            return ENOPROTOOPT;
        }

        length = have < room ? have : room;
        Buffer.MemoryCopy(ints, value, room, length);
        return 0;
    }

    // tcp(7), TCP_CONGESTION: a name with or without its 0. Longer names than these do not fit a request.
    private static bool IsCongestionControl(ulong name, uint length)
    {
        ReadOnlySpan<byte> text = new(&name, (int)(length < sizeof(ulong) ? length : sizeof(ulong)));
        int end = text.IndexOf((byte)0);
        text = end < 0 ? text : text[..end];
        return text.SequenceEqual("cubic"u8) || text.SequenceEqual("reno"u8) || text.SequenceEqual("bbr"u8) || text.SequenceEqual("dctcp"u8);
    }

    private readonly int ValueOf(int tcpOption)
    {
        int rule = Find(Tcp, tcpOption);
        return (_set & (1ul << rule)) != 0 ? _values[rule] : Rules[(5 * rule) + 2];
    }

    private static int Find(int level, int name)
    {
        ReadOnlySpan<int> rules = Rules;
        for (int i = 0; i < Count; i++)
        {
            if (rules[5 * i] == level && rules[(5 * i) + 1] == name)
            {
                return i;
            }
        }

        return -1;
    }
}
