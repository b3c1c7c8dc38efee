using NetKernel.Channel;
using NetKernel.Channel.Host;
using NetKernel.ServiceLib;
using NetKernel.Stack;

namespace NetKernel.Nsm.Mtcp;

/// <content>Which options a guest may set and read, by level and name. Everything else is ENOPROTOOPT.</content>
internal sealed unsafe partial class MtcpStack
{
    private const int SO_ERROR = 4, SO_SNDBUF = 7, SO_RCVBUF = 8, SO_KEEPALIVE = 9, SO_OOBINLINE = 10, SO_LINGER = 13, SO_RCVLOWAT = 18, SO_MAX_PACING_RATE = 47;
    private const int TCP_NODELAY = 1, TCP_MAXSEG = 2, TCP_CORK = 3, TCP_KEEPIDLE = 4, TCP_KEEPINTVL = 5, TCP_KEEPCNT = 6, TCP_SYNCNT = 7, TCP_DEFER_ACCEPT = 9, TCP_INFO = 11,
        TCP_QUICKACK = 12, TCP_CONGESTION = 13, TCP_USER_TIMEOUT = 18, TCP_FASTOPEN = 23, TCP_NOTSENT_LOWAT = 25;
    private const int IPPROTO_IP = 0, IPPROTO_IPV6 = 41, IP_TOS = 1, IP_TTL = 2, IPV6_UNICAST_HOPS = 16, IPV6_TCLASS = 67;
    private const int ENOPROTOOPT = 92, CongestionBytes = 16;

    public int SetOption(Connection* c, int level, int name, ulong value, uint length)
    {
        MtcpSocket* s = (MtcpSocket*)c->State;
        if (s->Has(MtcpFlags.Datagram))
        {
            return SetDatagramOption(s, level, name, value, length);
        }

        int error = Set(c, s, s->T, level, name, value, length);
        if (error == 0 && s->Phase == Phase.Accepting)
        {
            return KeepEarlyOption(s, level, name, value, length);
        }

        return error == 0 && s->T4 != null ? Set(c, s, s->T4, level, name, value, length) : error;
    }

    public int GetOption(Connection* c, int level, int name, byte* value, uint room, out uint length)
    {
        MtcpSocket* s = (MtcpSocket*)c->State;
        Tcb* t = s->T;
        if (s->Has(MtcpFlags.Datagram))
        {
            return GetDatagramOption(s, level, name, value, room, out length);
        }

        length = 0;
        var (noDelay, cork, keepAlive, quickAck) = TcpLayer.OptionsOf(t);
        if (level == IPPROTO_TCP && name == TCP_INFO)
        {
            TcpInfo info = _tcp.Info(t);
            length = room < TcpInfo.Length ? room : TcpInfo.Length;
            Buffer.MemoryCopy(&info, value, room, length);
            return 0;
        }

        if (level == IPPROTO_TCP && name == TCP_CONGESTION)
        {
            string congestion = CongestionControl.Of(t).Name;
            length = room < CongestionBytes ? room : CongestionBytes;
            for (int i = 0; i < length; i++)
            {
                value[i] = i < congestion.Length ? (byte)congestion[i] : (byte)0;
            }

            return 0;
        }

        long? number = (level, name) switch
        {
            (Libc.SOL_SOCKET, SO_ERROR) => 0, // The pending error is told by Reset.
            (Libc.SOL_SOCKET, SO_SNDBUF) => s->SendBuffer != 0 ? s->SendBuffer : 1 << 20,
            (Libc.SOL_SOCKET, SO_RCVBUF) => _tcp.ReceiveBufferOf(t),
            (Libc.SOL_SOCKET, SO_KEEPALIVE) => keepAlive ? 1 : 0,
            (Libc.SOL_SOCKET, SO_OOBINLINE) => s->Has(MtcpFlags.UrgentInLine) ? 1 : 0,
            (Libc.SOL_SOCKET, SO_LINGER) => (uint)s->LingerOn | ((long)s->LingerSeconds << 32),
            (Libc.SOL_SOCKET, SO_RCVLOWAT) => 1,
            (Libc.SOL_SOCKET, SO_MAX_PACING_RATE) => t->MaxPacingRate == 0 ? uint.MaxValue : (long)t->MaxPacingRate,
            (IPPROTO_TCP, TCP_NODELAY) => noDelay ? 1 : 0,
            (IPPROTO_TCP, TCP_CORK) => cork ? 1 : 0,
            (IPPROTO_TCP, TCP_QUICKACK) => quickAck ? 1 : 0,
            (IPPROTO_TCP, TCP_MAXSEG) => TcpLayer.MssOf(t),
            (IPPROTO_TCP, TCP_KEEPIDLE) => t->KeepIdle,
            (IPPROTO_TCP, TCP_KEEPINTVL) => t->KeepInterval,
            (IPPROTO_TCP, TCP_KEEPCNT) => t->KeepCount,
            (IPPROTO_TCP, TCP_SYNCNT) => t->SynCount,
            (IPPROTO_TCP, TCP_USER_TIMEOUT) => t->UserTimeout,
            (IPPROTO_TCP, TCP_DEFER_ACCEPT) => TcpLayer.DeferAcceptOf(t),
            (IPPROTO_TCP, TCP_NOTSENT_LOWAT) => s->NotSentLow,
            (IPPROTO_TCP, TCP_FASTOPEN) => t->FastOpenMost,
            (IPPROTO_IP, IP_TOS) or (IPPROTO_IPV6, IPV6_TCLASS) => t->Tos,
            (IPPROTO_IP, IP_TTL) or (IPPROTO_IPV6, IPV6_UNICAST_HOPS) => t->Ttl,
            _ => null,
        };
        if (number is not { } found)
        {
            return ENOPROTOOPT;
        }

        uint size = level == Libc.SOL_SOCKET && name == SO_LINGER ? 8u : 4;
        length = room < size ? room : size;
        Buffer.MemoryCopy(&found, value, room, length);
        return 0;
    }

    private int Set(Connection* c, MtcpSocket* s, Tcb* t, int level, int name, ulong value, uint length)
    {
        if (level == IPPROTO_TCP && name == TCP_CONGESTION)
        {
            return SetCongestion(t, (byte*)&value, length);
        }

        if (length < sizeof(int))
        {
            return Libc.EINVAL;
        }

        int number = (int)(uint)value;
        if (level == IPPROTO_TCP && !IsInRange(name, number))
        {
            return Libc.EINVAL;
        }

        switch (level, name)
        {
            case (Libc.SOL_SOCKET, SO_LINGER):
                if (length < 8)
                {
                    return Libc.EINVAL;
                }

                s->LingerOn = (byte)(number != 0 ? 1 : 0);
                s->LingerSeconds = (int)(value >> 32);
                return 0;
            case (Libc.SOL_SOCKET, SO_OOBINLINE):
                s->Flags = number != 0 ? s->Flags | MtcpFlags.UrgentInLine : s->Flags & ~MtcpFlags.UrgentInLine; // It is in line in any case.
                return 0;
            case (Libc.SOL_SOCKET, SO_SNDBUF):
                s->SendBuffer = number < 2304 ? 4608 : number > 1 << 29 ? 1 << 30 : 2 * number; // socket(7): doubled
                return 0;
            case (Libc.SOL_SOCKET, SO_RCVBUF):
                TcpLayer.SetReceiveBuffer(t, (uint)Math.Clamp(number, 2048, 1 << 28));
                StackHost.LimitReceive(c, (uint)Math.Max(number, 0));
                return 0;
            case (Libc.SOL_SOCKET, SO_KEEPALIVE):
                _tcp.SetKeepAlive(t, number != 0);
                return 0;
            case (Libc.SOL_SOCKET, SO_RCVLOWAT):
                return 0; // The guest waits for its low-water mark by itself.
            case (Libc.SOL_SOCKET, SO_MAX_PACING_RATE):
                t->MaxPacingRate = length >= 8 ? value : (uint)number;
                t->MaxPacingRate = t->MaxPacingRate is uint.MaxValue or ulong.MaxValue ? 0 : t->MaxPacingRate;
                return 0;
            case (IPPROTO_TCP, TCP_NODELAY):
                _tcp.SetNoDelay(t, number != 0);
                return 0;
            case (IPPROTO_TCP, TCP_CORK):
                _tcp.SetCork(t, number != 0);
                return 0;
            case (IPPROTO_TCP, TCP_QUICKACK):
                _tcp.SetQuickAck(t, number != 0);
                return 0;
            case (IPPROTO_TCP, TCP_MAXSEG):
                t->UserMss = (ushort)number;
                return 0;
            case (IPPROTO_TCP, TCP_KEEPIDLE):
                _tcp.SetKeepIdle(t, (uint)number);
                return 0;
            case (IPPROTO_TCP, TCP_KEEPINTVL):
                t->KeepInterval = (uint)number;
                return 0;
            case (IPPROTO_TCP, TCP_KEEPCNT):
                t->KeepCount = (byte)number;
                return 0;
            case (IPPROTO_TCP, TCP_SYNCNT):
                t->SynCount = (byte)number;
                return 0;
            case (IPPROTO_TCP, TCP_USER_TIMEOUT):
                t->UserTimeout = (uint)number;
                return 0;
            case (IPPROTO_TCP, TCP_DEFER_ACCEPT):
                TcpLayer.SetDeferAccept(t, number);
                return 0;
            case (IPPROTO_TCP, TCP_NOTSENT_LOWAT):
                s->NotSentLow = (uint)number; // The guest library obeys it: it keeps back what goes beyond.
                return 0;
            case (IPPROTO_TCP, TCP_FASTOPEN):
                t->FastOpenMost = (ushort)Math.Min(number, ushort.MaxValue);
                return 0;
            case (IPPROTO_IP, IP_TOS) or (IPPROTO_IPV6, IPV6_TCLASS):
                t->Tos = (byte)(number & 0xFC);
                return 0;
            case (IPPROTO_IP, IP_TTL) or (IPPROTO_IPV6, IPV6_UNICAST_HOPS):
                if (number is not (-1 or (>= 1 and <= 255)))
                {
                    return Libc.EINVAL;
                }

                t->Ttl = number == -1 ? (byte)64 : (byte)number;
                return 0;
            default:
                return ENOPROTOOPT;
        }
    }

    // tcp(7): as Linux bounds them. Asked before anything is stored, so that a refused value leaves the old one in force.
    private static bool IsInRange(int name, int number) => name switch
    {
        TCP_MAXSEG => number is 0 or (>= 88 and <= 32767), // 0: as if it had never been set
        TCP_KEEPIDLE or TCP_KEEPINTVL => number is >= 1 and <= 32767,
        TCP_KEEPCNT or TCP_SYNCNT => number is >= 1 and <= 127,
        TCP_USER_TIMEOUT or TCP_FASTOPEN => number >= 0,
        _ => true,
    };

    /// <inheritdoc/>
    public int FindCongestion(string name) => CongestionControl.Find(name) is { } found ? found.Number : -Libc.ENOENT;

    /// <inheritdoc/>
    public void SetCongestion(Connection* c, int which)
    {
        MtcpSocket* s = (MtcpSocket*)c->State;
        if (s->Has(MtcpFlags.Datagram))
        {
            return;
        }

        CongestionControl control = which == 0 ? _congestion : CongestionControl.Numbered(which);
        TcpLayer.SetCongestion(s->T, control);
        if (s->T4 != null)
        {
            TcpLayer.SetCongestion(s->T4, control);
        }
    }

    private static int SetCongestion(Tcb* t, byte* name, uint length)
    {
        const int Longest = 8;
        Span<char> text = stackalloc char[Longest];
        int n = 0;
        while (n < length && n < Longest && name[n] != 0)
        {
            text[n] = (char)name[n];
            n++;
        }

        CongestionControl? control = CongestionControl.Find(text[..n]);
        if (control == null)
        {
            return Libc.ENOENT;
        }

        TcpLayer.SetCongestion(t, control);
        return 0;
    }
}
