using System.Text;
using NetKernel.Channel.Host;

namespace NetKernel.Nsm.Kernel;

/// <summary>Which options a guest may set and read, by level and name. Everything else is ENOPROTOOPT.</summary>
internal sealed unsafe class SocketOptions
{
    private const int SO_DONTROUTE = 5, SO_INCOMING_CPU = 49, SO_MEMINFO = 55, SO_BUF_LOCK = 72, SO_TXREHASH = 74;
    private const int IP_TOS = 1, IP_TTL = 2, IP_OPTIONS = 4, IP_MINTTL = 21;
    private const int IPV6_UNICAST_HOPS = 16, IPV6_PATHMTU = 61, IPV6_TCLASS = 67, IPV6_AUTOFLOWLABEL = 70, IPV6_MINHOPCOUNT = 73;
    private const int TCP_NODELAY = 1, TCP_MAXSEG = 2, TCP_CORK = 3, TCP_KEEPIDLE = 4, TCP_KEEPINTVL = 5, TCP_KEEPCNT = 6, TCP_SYNCNT = 7, TCP_LINGER2 = 8,
        TCP_DEFER_ACCEPT = 9, TCP_WINDOW_CLAMP = 10, TCP_QUICKACK = 12, TCP_THIN_LINEAR_TIMEOUTS = 16, TCP_FASTOPEN = 23, TCP_TIMESTAMP = 24,
        TCP_NOTSENT_LOWAT = 25, TCP_CC_INFO = 26, TCP_SAVE_SYN = 27, TCP_SAVED_SYN = 28, TCP_FASTOPEN_CONNECT = 30;

    /// <summary>Priorities above this need privileges, which the NSM has and its guests have not.</summary>
    private const int MaxPriority = 6;

    private const int MostCongestions = 32;

    private readonly Rule[] _rules =
    [
        new(Libc.SOL_SOCKET, Sys.SO_SNDBUF, Access.Both),
        new(Libc.SOL_SOCKET, Sys.SO_RCVBUF, Access.Both),
        new(Libc.SOL_SOCKET, Sys.SO_KEEPALIVE, Access.Both),
        new(Libc.SOL_SOCKET, Sys.SO_OOBINLINE, Access.Both),
        new(Libc.SOL_SOCKET, Sys.SO_PRIORITY, Access.Both),
        new(Libc.SOL_SOCKET, Sys.SO_LINGER, Access.Both),
        new(Libc.SOL_SOCKET, Sys.SO_RCVLOWAT, Access.Both),
        new(Libc.SOL_SOCKET, Sys.SO_MAX_PACING_RATE, Access.Both),
        new(Sys.IPPROTO_TCP, TCP_NODELAY, Access.Both),
        new(Sys.IPPROTO_TCP, TCP_MAXSEG, Access.Both),
        new(Sys.IPPROTO_TCP, TCP_CORK, Access.Both),
        new(Sys.IPPROTO_TCP, TCP_KEEPIDLE, Access.Both),
        new(Sys.IPPROTO_TCP, TCP_KEEPINTVL, Access.Both),
        new(Sys.IPPROTO_TCP, TCP_KEEPCNT, Access.Both),
        new(Sys.IPPROTO_TCP, TCP_SYNCNT, Access.Both),
        new(Sys.IPPROTO_TCP, TCP_LINGER2, Access.Both),
        new(Sys.IPPROTO_TCP, TCP_DEFER_ACCEPT, Access.Both),
        new(Sys.IPPROTO_TCP, TCP_WINDOW_CLAMP, Access.Both),
        new(Sys.IPPROTO_TCP, TCP_QUICKACK, Access.Both),
        new(Sys.IPPROTO_TCP, Sys.TCP_CONGESTION, Access.Both),
        new(Sys.IPPROTO_TCP, Sys.TCP_USER_TIMEOUT, Access.Both),
        new(Sys.IPPROTO_TCP, TCP_FASTOPEN, Access.Both),
        new(Sys.IPPROTO_TCP, TCP_NOTSENT_LOWAT, Access.Both),
        new(Sys.IPPROTO_IP, IP_TOS, Access.Both),
        new(Sys.IPPROTO_IP, IP_TTL, Access.Both),
        new(Sys.IPPROTO_IPV6, IPV6_UNICAST_HOPS, Access.Both),
        new(Sys.IPPROTO_IPV6, IPV6_TCLASS, Access.Both),
        new(Libc.SOL_SOCKET, Sys.SO_BROADCAST, Access.Both),
        new(Libc.SOL_SOCKET, Sys.SO_NO_CHECK, Access.Both),
        new(Libc.SOL_SOCKET, Sys.SO_TIMESTAMPNS, Access.Both),
        new(Sys.IPPROTO_IP, Sys.IP_PKTINFO, Access.Both),
        new(Sys.IPPROTO_IP, Sys.IP_MTU_DISCOVER, Access.Both),
        new(Sys.IPPROTO_IP, Sys.IP_RECVERR, Access.Both),
        new(Sys.IPPROTO_IP, Sys.IP_RECVTTL, Access.Both),
        new(Sys.IPPROTO_IP, Sys.IP_RECVTOS, Access.Both),
        new(Sys.IPPROTO_IP, Sys.IP_MULTICAST_TTL, Access.Both),
        new(Sys.IPPROTO_IP, Sys.IP_MULTICAST_LOOP, Access.Both),
        new(Sys.IPPROTO_IPV6, Sys.IPV6_MULTICAST_HOPS, Access.Both),
        new(Sys.IPPROTO_IPV6, Sys.IPV6_MULTICAST_LOOP, Access.Both),
        new(Sys.IPPROTO_IPV6, Sys.IPV6_MTU_DISCOVER, Access.Both),
        new(Sys.IPPROTO_IPV6, Sys.IPV6_RECVERR, Access.Both),
        new(Sys.IPPROTO_IPV6, Sys.IPV6_RECVPKTINFO, Access.Both),
        new(Sys.IPPROTO_IPV6, Sys.IPV6_RECVHOPLIMIT, Access.Both),
        new(Sys.IPPROTO_IPV6, Sys.IPV6_RECVTCLASS, Access.Both),
        new(Sys.IPPROTO_IPV6, Sys.IPV6_DONTFRAG, Access.Both),
        new(Libc.SOL_SOCKET, SO_DONTROUTE, Access.Both),
        new(Libc.SOL_SOCKET, SO_BUF_LOCK, Access.Both),
        new(Libc.SOL_SOCKET, SO_TXREHASH, Access.Both),
        new(Sys.IPPROTO_TCP, TCP_THIN_LINEAR_TIMEOUTS, Access.Both),
        new(Sys.IPPROTO_TCP, TCP_SAVE_SYN, Access.Both),
        new(Sys.IPPROTO_TCP, TCP_FASTOPEN_CONNECT, Access.Both),
        new(Sys.IPPROTO_IP, IP_MINTTL, Access.Both),
        new(Sys.IPPROTO_IP, Sys.IP_BIND_ADDRESS_NO_PORT, Access.Both),
        new(Sys.IPPROTO_IPV6, IPV6_AUTOFLOWLABEL, Access.Both),
        new(Sys.IPPROTO_IPV6, IPV6_MINHOPCOUNT, Access.Both),

        // Those that can only be read come last: the others are bits of KernelSocket.OptionsSet.
        new(Libc.SOL_SOCKET, Sys.SO_ERROR, Access.Get),
        new(Libc.SOL_SOCKET, SO_INCOMING_CPU, Access.Get),
        new(Libc.SOL_SOCKET, SO_MEMINFO, Access.Get),
        new(Sys.IPPROTO_TCP, Sys.TCP_INFO, Access.Get),
        new(Sys.IPPROTO_TCP, TCP_TIMESTAMP, Access.Get),
        new(Sys.IPPROTO_TCP, TCP_CC_INFO, Access.Get),
        new(Sys.IPPROTO_TCP, TCP_SAVED_SYN, Access.Get),
        new(Sys.IPPROTO_IP, IP_OPTIONS, Access.Get),
        new(Sys.IPPROTO_IP, Sys.IP_MTU, Access.Get),
        new(Sys.IPPROTO_IPV6, Sys.IPV6_MTU, Access.Get),
        new(Sys.IPPROTO_IPV6, IPV6_PATHMTU, Access.Get),
    ];

    private readonly Settings _settings;

    /// <summary>Names of congestion controls that guests have, by their number less one.</summary>
    private readonly byte[][] _congestions = new byte[MostCongestions][];
    private int _congestionCount;
    private readonly byte[] _systems;
    private readonly int _congestionRule;

    public SocketOptions(Settings settings)
    {
        _settings = settings;
        _systems = Encoding.ASCII.GetBytes(Settings.SystemsCongestion());
        _congestionRule = Find(Sys.IPPROTO_TCP, Sys.TCP_CONGESTION);
    }

    private enum Access
    {
        Get,
        Both,
    }

    /// <summary>What the operator wants of every socket of this NSM.</summary>
    public void ApplyDefaults(int fd)
    {
        fixed (byte* name = _settings.CongestionName)
        {
            if (_settings.CongestionName.Length > 0)
            {
                _ = Sys.SetSockOpt(fd, Sys.IPPROTO_TCP, Sys.TCP_CONGESTION, name, (uint)_settings.CongestionName.Length);
            }
        }

        ApplyBuffer(fd, Sys.SO_SNDBUFFORCE, Sys.SO_SNDBUF, _settings.SendBuffer);
        ApplyBuffer(fd, Sys.SO_RCVBUFFORCE, Sys.SO_RCVBUF, _settings.ReceiveBuffer);
    }

    /// <summary>The number, above 0, of a congestion control that this kernel lets the NSM choose, found out by choosing it; or an errno below 0.</summary>
    public int FindCongestion(string name)
    {
        byte[] bytes = Encoding.ASCII.GetBytes(name);
        for (int i = 0; i < _congestionCount; i++)
        {
            if (_congestions[i].AsSpan().SequenceEqual(bytes))
            {
                return i + 1;
            }
        }

        if (_congestionCount == MostCongestions)
        {
            return -Libc.ENOBUFS;
        }

        int fd = Sys.Socket(Libc.AF_INET, Libc.SOCK_STREAM | Libc.SOCK_CLOEXEC, 0);
        if (fd < 0)
        {
            return fd;
        }

        int error = SetCongestion(fd, bytes);
        _ = Libc.Close(fd);
        if (error != 0)
        {
            return error;
        }

        _congestions[_congestionCount++] = bytes;
        return _congestionCount;
    }

    /// <summary>Gives a socket the congestion control of that number; 0: the NSM's, or the system's.</summary>
    public void SetCongestion(KernelSocket* s, int which)
    {
        byte[] name = which > 0 ? _congestions[which - 1] : _settings.CongestionName.Length > 0 ? _settings.CongestionName : _systems;
        if (name.Length > 0)
        {
            _ = SetCongestion(s->Fd, name);
            if (s->Fd4 >= 0)
            {
                _ = SetCongestion(s->Fd4, name);
            }

            s->OptionsSet |= 1ul << _congestionRule; // a second socket gets it, too
        }
    }

    private static int SetCongestion(int fd, byte[] name)
    {
        fixed (byte* bytes = name)
        {
            return Sys.SetSockOpt(fd, Sys.IPPROTO_TCP, Sys.TCP_CONGESTION, bytes, (uint)name.Length);
        }
    }

    public int Get(KernelSocket* s, int level, int name, byte* value, uint room, out uint length)
    {
        length = 0;
        if (Find(level, name) < 0)
        {
            return Sys.ENOPROTOOPT;
        }

        if (level == Libc.SOL_SOCKET && name == Sys.SO_LINGER)
        {
            return PutInts(value, room, s->LingerOn, s->LingerSeconds, 2, out length);
        }

        if (level == Libc.SOL_SOCKET && name == Sys.SO_ERROR)
        {
            // The kernel's pending error is told by Reset; reading it here would take it away from the one who does that.
            return PutInts(value, room, 0, 0, 1, out length);
        }

        uint got = room;
        int error = -Sys.GetSockOpt(s->Fd, level, name, value, &got);
        length = error == 0 ? (got < room ? got : room) : 0;
        return error;
    }

    public int Set(KernelSocket* s, int level, int name, void* value, uint length)
    {
        int rule = Find(level, name);
        if (rule < 0 || _rules[rule].Access != Access.Both)
        {
            return Sys.ENOPROTOOPT;
        }

        if (level == Libc.SOL_SOCKET)
        {
            int* ints = (int*)value;
            switch (name)
            {
                case Sys.SO_LINGER:
                    if (length < 2 * sizeof(int))
                    {
                        return Libc.EINVAL;
                    }

                    s->LingerOn = ints[0] != 0 ? 1 : 0;
                    s->LingerSeconds = ints[1];
                    return 0;
                case Sys.SO_RCVLOWAT:
                    // The guest waits for its low-water mark by itself; with one in the kernel, data that the NSM has already moved would not count.
                    return length < sizeof(int) ? Libc.EINVAL : 0;
                case Sys.SO_PRIORITY when length >= sizeof(int) && ints[0] is < 0 or > MaxPriority:
                    return Libc.EPERM;
                default:
                    break;
            }
        }
        else if (level == Sys.IPPROTO_TCP && name == Sys.TCP_CONGESTION && !_settings.AllowsCongestion((byte*)value, length))
        {
            return Libc.ENOENT; // As the kernel says of one it does not have.
        }

        else if (level == Sys.IPPROTO_IPV6 && s->Family == Libc.AF_INET && s->Domain == Libc.AF_INET6)
        {
            return 0; // An IPv6 socket that speaks IPv4 takes them, and nothing changes.
        }

        int error = -Sys.SetSockOpt(s->Fd, level, name, value, length);
        if (error == 0)
        {
            s->OptionsSet |= 1ul << rule;
            if (s->Fd4 >= 0 && level != Sys.IPPROTO_IPV6)
            {
                _ = Sys.SetSockOpt(s->Fd4, level, name, value, length);
            }
        }

        return error;
    }

    /// <summary>Gives a second socket what was set on the first; options of IPv6 only to one of that family.</summary>
    public void Copy(KernelSocket* s, int fd, bool v6 = false)
    {
        ulong* value = stackalloc ulong[4];
        for (int i = 0; i < _rules.Length; i++)
        {
            Rule rule = _rules[i];
            if (rule.Access != Access.Both || (s->OptionsSet & (1ul << i)) == 0 || (rule.Level == Sys.IPPROTO_IPV6 && !v6))
            {
                continue;
            }

            uint length = 4 * sizeof(ulong);
            if (Sys.GetSockOpt(s->Fd, rule.Level, rule.Name, value, &length) != 0)
            {
                continue;
            }

            if (rule.Level == Libc.SOL_SOCKET && rule.Name is Sys.SO_SNDBUF or Sys.SO_RCVBUF)
            {
                *(int*)value /= 2; // The kernel answers with twice what it was told.
            }

            _ = Sys.SetSockOpt(fd, rule.Level, rule.Name, value, length);
        }
    }

    private static void ApplyBuffer(int fd, int force, int ordinary, int bytes)
    {
        if (bytes != 0 && Sys.SetInt(fd, Libc.SOL_SOCKET, force, bytes) < 0)
        {
            _ = Sys.SetInt(fd, Libc.SOL_SOCKET, ordinary, bytes); // Without privileges: up to the system's limit.
        }
    }

    private static int PutInts(byte* value, uint room, int first, int second, uint count, out uint length)
    {
        int* pair = stackalloc int[2];
        pair[0] = first;
        pair[1] = second;
        length = count * sizeof(int);
        length = length < room ? length : room;
        Buffer.MemoryCopy(pair, value, room, length);
        return 0;
    }

    private int Find(int level, int name)
    {
        for (int i = 0; i < _rules.Length; i++)
        {
            if (_rules[i].Level == level && _rules[i].Name == name)
            {
                return i;
            }
        }

        return -1;
    }

    private readonly struct Rule(int level, int name, Access access)
    {
        public int Level { get; } = level;

        public int Name { get; } = name;

        public Access Access { get; } = access;
    }
}
