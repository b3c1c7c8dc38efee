using NetKernel.Channel;
using NetKernel.Channel.Host;
using NetKernel.ServiceLib;

namespace NetKernel.Nsm.SharedMem;

/// <summary>Options of a datagram socket that matter between guests. Their values were checked by the NSM that has the socket, too (ip(7), ipv6(7)).</summary>
internal unsafe struct DatagramOptions
{
    private const int Ip = 0, Ip6 = 41, SO_RCVBUF = 8, SO_TIMESTAMPNS = 35, IP_TOS = 1, IP_TTL = 2, IP_MTU_DISCOVER = 10, IPV6_UNICAST_HOPS = 16, IPV6_MTU_DISCOVER = 23, IPV6_DONTFRAG = 62,
        IPV6_TCLASS = 67;

    private const byte UsualTtl = 64;

    // 0: nothing was said.
    private byte _ttl, _hops, _discover4, _discover6;
    private bool _unfragmented6;

    /// <summary>IP_TOS and IPV6_TCLASS.</summary>
    public byte Tos, Class;

    /// <summary>SO_TIMESTAMP(NS): the time of arrival is wanted.</summary>
    public bool WantsTime;

    /// <summary>SO_RCVBUF, doubled as the kernel does; 0: not set.</summary>
    public uint ReceiveBytes;

    /// <summary>What a datagram is sent with that says nothing itself.</summary>
    public readonly byte TtlFor(bool v4) => v4 ? (_ttl == 0 ? UsualTtl : _ttl) : _hops == 0 ? UsualTtl : _hops;

    /// <summary>Whether a datagram larger than the path's MTU is to be refused (IP_PMTUDISC_DO, _PROBE and _INTERFACE; IPV6_DONTFRAG).</summary>
    public readonly bool KeepsWhole(bool v4)
    {
        const byte DO = 2, INTERFACE = 4;
        return v4 ? _discover4 is >= DO and <= INTERFACE : _unfragmented6 || _discover6 is >= DO and <= INTERFACE;
    }

    /// <summary>Takes note of an option.</summary>
    public void Set(Connection* c, int level, int name, ulong value, uint length)
    {
        const uint Least = 2304; // SOCK_MIN_RCVBUF, socket(7)
        int number = length >= sizeof(int) ? (int)(uint)value : (byte)value;
        switch (level, name)
        {
            case (Libc.SOL_SOCKET, SO_RCVBUF):
                ReceiveBytes = Math.Clamp((uint)number, Least / 2, 1u << 30) * 2;
                StackHost.LimitReceive(c, ReceiveBytes);
                break;
            case (Libc.SOL_SOCKET, SO_TIMESTAMPNS):
                WantsTime = number != 0;
                break;
            case (Ip, IP_TOS):
                Tos = (byte)number;
                break;
            case (Ip, IP_TTL):
                _ttl = number > 0 ? (byte)number : (byte)0;
                break;
            case (Ip, IP_MTU_DISCOVER):
                _discover4 = (byte)number;
                break;
            case (Ip6, IPV6_UNICAST_HOPS):
                _hops = number > 0 ? (byte)number : (byte)0;
                break;
            case (Ip6, IPV6_MTU_DISCOVER):
                _discover6 = (byte)number;
                break;
            case (Ip6, IPV6_DONTFRAG):
                _unfragmented6 = number != 0;
                break;
            case (Ip6, IPV6_TCLASS):
                Class = number > 0 ? (byte)number : (byte)0;
                break;
            default:
                break; // of no meaning without a network
        }
    }
}
