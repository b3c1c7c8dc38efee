using NetKernel.Channel;
using NetKernel.Channel.Host;
using NetKernel.ServiceLib;
using NetKernel.Stack;

namespace NetKernel.Nsm.Mtcp;

/// <content>Options of datagram sockets, by level and name. Everything else is ENOPROTOOPT.</content>
internal sealed unsafe partial class MtcpStack
{
    private const int SO_BROADCAST = 6, SO_TIMESTAMPNS = 35, IP_PKTINFO = 8, IP_MTU_DISCOVER = 10, IP_RECVERR = 11, IP_RECVTTL = 12, IP_RECVTOS = 13;
    private const int IPV6_MTU_DISCOVER = 23, IPV6_RECVERR = 25, IPV6_RECVPKTINFO = 49, IPV6_RECVHOPLIMIT = 51, IPV6_DONTFRAG = 62, IPV6_RECVTCLASS = 66;

    private const int IP_MTU = 14, IPV6_MTU = 24, ENOTCONN = 107;

    /// <summary>Values of IP_MTU_DISCOVER (ip(7)). "Don't", "want" and "omit" are one here: datagrams are cut to the path's MTU, and marked "don't fragment" only on demand.</summary>
    private const int PmtuDont = 0, PmtuWant = 1, PmtuDo = 2, PmtuProbe = 3, PmtuOmit = 5;

    private int SetDatagramOption(MtcpSocket* s, int level, int name, ulong value, uint length)
    {
        if (level == IPPROTO_IPV6 && s->U6 == null)
        {
            return ENOPROTOOPT;
        }

        // ip(7): a single byte will do, except at SOL_SOCKET.
        if (length < sizeof(int) && (level == Libc.SOL_SOCKET || length == 0))
        {
            return Libc.EINVAL;
        }

        int number = length >= sizeof(int) ? (int)(uint)value : (byte)value;
        UdpSocket* u = level == IPPROTO_IPV6 ? s->U6 : s->U4;
        switch (level, name)
        {
            case (Libc.SOL_SOCKET, SO_SNDBUF):
                s->SendBuffer = number < 2304 ? 4608 : number > 1 << 29 ? 1 << 30 : 2 * number; // socket(7): doubled
                return 0;
            case (Libc.SOL_SOCKET, SO_RCVBUF):
                s->ReceiveBytes = 2 * (uint)Math.Clamp(number, 1152, 4 << 20); // socket(7): doubled, at least 2,304
                s->U4->ReceiveLimit = s->ReceiveBytes;
                if (s->U6 != null)
                {
                    s->U6->ReceiveLimit = s->ReceiveBytes;
                }

                return 0;
            case (Libc.SOL_SOCKET, SO_BROADCAST):
                s->Flags = number != 0 ? s->Flags | MtcpFlags.Broadcasts : s->Flags & ~MtcpFlags.Broadcasts;
                return 0;
            case (Libc.SOL_SOCKET, SO_TIMESTAMPNS):
                s->U4->Timestamps = number != 0;
                if (s->U6 != null)
                {
                    s->U6->Timestamps = number != 0;
                }

                return 0;
            case (IPPROTO_IP, IP_TOS) or (IPPROTO_IPV6, IPV6_TCLASS):
                if (number is < -1 or > 255)
                {
                    return Libc.EINVAL;
                }

                u->Tos = number == -1 ? (byte)0 : (byte)number;
                return 0;
            case (IPPROTO_IP, IP_TTL) or (IPPROTO_IPV6, IPV6_UNICAST_HOPS):
                if (number is not (-1 or (>= 1 and <= 255)))
                {
                    return Libc.EINVAL;
                }

                u->Ttl = number == -1 ? (byte)64 : (byte)number;
                return 0;
            case (IPPROTO_IP, IP_RECVERR) or (IPPROTO_IPV6, IPV6_RECVERR):
                u->RecordsErrors = number != 0;
                while (!u->RecordsErrors && u->OldestError != null)
                {
                    UdpLayer.PopError(u); // ip(7): what is queued goes.
                }

                return 0;
            case (IPPROTO_IP, IP_MTU_DISCOVER) or (IPPROTO_IPV6, IPV6_MTU_DISCOVER):
                if (number is < PmtuDont or > PmtuOmit)
                {
                    return Libc.EINVAL;
                }

                if (level == IPPROTO_IP)
                {
                    u->DontFragment = number is PmtuDo or PmtuProbe;
                    return 0;
                }

                s->Flags = number is PmtuDo or PmtuProbe ? s->Flags | MtcpFlags.DiscoversMtu6 : s->Flags & ~MtcpFlags.DiscoversMtu6;
                u->DontFragment = s->Has(MtcpFlags.DiscoversMtu6 | MtcpFlags.DontFragment6);
                return 0;
            case (IPPROTO_IPV6, IPV6_DONTFRAG): // RFC 3542, 11.2: EMSGSIZE in place of fragments
                s->Flags = number != 0 ? s->Flags | MtcpFlags.DontFragment6 : s->Flags & ~MtcpFlags.DontFragment6;
                u->DontFragment = s->Has(MtcpFlags.DiscoversMtu6 | MtcpFlags.DontFragment6);
                return 0;
            case (IPPROTO_IP, IP_PKTINFO or IP_RECVTOS or IP_RECVTTL) or (IPPROTO_IPV6, IPV6_RECVPKTINFO or IPV6_RECVTCLASS or IPV6_RECVHOPLIMIT):
                return 0; // Always told: the guest picks what its program wants.
            default:
                return ENOPROTOOPT;
        }
    }

    private int GetDatagramOption(MtcpSocket* s, int level, int name, byte* value, uint room, out uint length)
    {
        length = 0;
        if (level == StackOption.Level && name == StackOption.ErrorQueue)
        {
            return TakeError(s, value, room, out length);
        }

        if (level == IPPROTO_IPV6 && s->U6 == null)
        {
            return ENOPROTOOPT;
        }

        UdpSocket* u = level == IPPROTO_IPV6 ? s->U6 : s->U4;
        bool asksMtu = (level, name) is (IPPROTO_IP, IP_MTU) or (IPPROTO_IPV6, IPV6_MTU);
        if (asksMtu && s->Peer != u)
        {
            return ENOTCONN;
        }

        int? number = (level, name) switch
        {
            (Libc.SOL_SOCKET, SO_ERROR) => 0, // The pending error is told by Error.
            (Libc.SOL_SOCKET, SO_SNDBUF) => s->SendBuffer != 0 ? s->SendBuffer : (int)UdpLayer.DefaultReceiveLimit,
            (Libc.SOL_SOCKET, SO_RCVBUF) => (int)s->U4->ReceiveLimit,
            (Libc.SOL_SOCKET, SO_BROADCAST) => s->Has(MtcpFlags.Broadcasts) ? 1 : 0,
            (Libc.SOL_SOCKET, SO_TIMESTAMPNS) => s->U4->Timestamps ? 1 : 0,
            (IPPROTO_IP, IP_TOS) or (IPPROTO_IPV6, IPV6_TCLASS) => u->Tos,
            (IPPROTO_IP, IP_TTL) or (IPPROTO_IPV6, IPV6_UNICAST_HOPS) => u->Ttl,
            (IPPROTO_IP, IP_RECVERR) or (IPPROTO_IPV6, IPV6_RECVERR) => u->RecordsErrors ? 1 : 0,
            (IPPROTO_IP, IP_MTU_DISCOVER) => u->DontFragment ? PmtuDo : PmtuWant,
            (IPPROTO_IPV6, IPV6_MTU_DISCOVER) => s->Has(MtcpFlags.DiscoversMtu6) ? PmtuDo : PmtuWant,
            (IPPROTO_IPV6, IPV6_DONTFRAG) => s->Has(MtcpFlags.DontFragment6) ? 1 : 0,
            _ => asksMtu ? (int)_udp.MtuOf(u) : null,
        };
        if (number is not { } found)
        {
            return ENOPROTOOPT;
        }

        length = Math.Min(room, sizeof(int));
        Buffer.MemoryCopy(&found, value, room, length);
        return 0;
    }

    /// <summary>Takes the oldest record of the error queue: IP_RECVERR in ip(7).</summary>
    private static int TakeError(MtcpSocket* s, byte* value, uint room, out uint length)
    {
        const byte OriginIcmp = 2, OriginIcmp6 = 3; // linux/errqueue.h
        length = 0;
        UdpSocket* u = s->U6 != null && s->U6->OldestError != null ? s->U6 : s->U4;
        UdpItem* item = u->OldestError;
        if (room < ErrorRecord.Bytes)
        {
            return ENOPROTOOPT;
        }

        if (item == null)
        {
            return Libc.EAGAIN;
        }

        ErrorRecord record = default;
        record.Datagram.PeerLow = item->Peer.Low;
        record.Datagram.PeerHigh = item->Peer.High;
        record.Datagram.PeerPort = item->PeerPort;
        record.Datagram.LocalLow = item->Offender.Low;
        record.Datagram.LocalHigh = item->Offender.High;
        record.Datagram.Length = item->Length;
        record.Datagram.Fields = DatagramFields.Peer | DatagramFields.Local;
        record.Error.Errno = (uint)item->Error;
        record.Error.Origin = item->Peer.IsV4 ? OriginIcmp : OriginIcmp6;
        record.Error.Type = item->Type;
        record.Error.Code = item->Code;
        record.Error.Info = item->Info;
        uint payload = Math.Min(item->Length, room - ErrorRecord.Bytes);
        Buffer.MemoryCopy(UdpItem.PayloadOf(item), value + ErrorRecord.Bytes, payload, payload);
        length = ErrorRecord.Bytes + payload;
        UdpLayer.PopError(u);
        if (s->U4->OldestError != null || (s->U6 != null && s->U6->OldestError != null))
        {
            record.Datagram.Fields |= DatagramFields.MoreErrors;
        }

        *(ErrorRecord*)value = record;
        return 0;
    }
}
