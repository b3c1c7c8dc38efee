namespace NetKernel.Stack;

/// <summary>Types of ICMP (RFC 792).</summary>
internal static class IcmpType
{
    public const byte EchoReply = 0, Unreachable = 3, Echo = 8, TimeExceeded = 11, ParameterProblem = 12;
}

/// <summary>Codes of <see cref="IcmpType.Unreachable"/>.</summary>
internal static class IcmpCode
{
    public const byte Net = 0, Host = 1, Protocol = 2, Port = 3, FragmentationNeeded = 4;
}

/// <summary>Types of ICMPv6 (RFC 4443, RFC 4861).</summary>
internal static class Icmpv6Type
{
    public const byte Unreachable = 1, TooBig = 2, TimeExceeded = 3, ParameterProblem = 4, Echo = 128, EchoReply = 129;

    /// <summary>RFC 2710, RFC 3810.</summary>
    public const byte Query = 130, ReportV1 = 131, ReportV2 = 143;

    /// <summary>RFC 4861.</summary>
    public const byte RouterAdvertisement = 134, Solicitation = 135, Advertisement = 136, Redirect = 137;
}

/// <summary>Codes of ICMPv6.</summary>
internal static class Icmpv6Code
{
    public const byte NoRoute = 0, Prohibited = 1, Address = 3, Port = 4, UnknownHeader = 1;
}

/// <content>ICMP and ICMPv6: echo, errors from and to the network, neighbour discovery.</content>
public sealed unsafe partial class NetworkStack
{
    /// <summary>Errors sent per second at most (RFC 4443, 2.4 (f); RFC 1812, 4.3.2.8).</summary>
    private const int ErrorsPerSecond = 1000;
    private long _errorWindow;
    private int _errorsSent;

    internal void SendIcmpError(in Packet packet, byte type, byte code, uint parameter)
    {
        if (Now - _errorWindow > 1_000_000)
        {
            _errorWindow = Now;
            _errorsSent = 0;
        }

        // Never about multicasts (RFC 1122, 3.2.2; RFC 4443, 2.4 (e)), and not without bound.
        if (packet.Destination.IsMulticast || !_addresses.Contains(packet.Destination) || packet.Source.IsNone || _errorsSent >= ErrorsPerSecond)
        {
            return;
        }

        _errorsSent++;
        bool v6 = !packet.Source.IsV4;
        uint most = v6 ? 1280u - 48 : 576u - 28; // RFC 4443, 2.4 (c); RFC 1812, 4.3.2.3
        Extent quote = new() { Start = packet.Ip, Length = packet.IpLength < most ? packet.IpLength : most };
        byte* p = TransportHeader;
        p[0] = type;
        p[1] = code;
        Wire.U32(p + 4, parameter);
        SendIcmp(packet.Destination, packet.Source, p, &quote, 64);
    }

    private void SendIcmp(in Address source, in Address destination, byte* header, Extent* payload, byte ttl)
    {
        OutFrame frame = default;
        frame.Header = header;
        frame.HeaderLength = 8;
        frame.Payload = payload;
        frame.PayloadCount = 1;
        frame.PayloadLength = (uint)payload->Length;
        if (destination.IsV4)
        {
            *(ushort*)(header + 2) = 0;
            *(ushort*)(header + 2) = Checksum.Finish(SumOf(frame, 0));
            _ = SendIp(source, destination, Protocol.Icmp, 0, ttl, mayFragment: true, -1, ref frame);
        }
        else
        {
            _ = SendIp(source, destination, Protocol.Icmpv6, 0, ttl, mayFragment: true, 2, ref frame);
        }
    }

    private void ReceiveIcmp(byte* p, uint size, in Packet packet)
    {
        if (size < 8)
        {
            Counters.Drop(DropReason.IcmpMalformed);
            return;
        }

        if (Checksum.Sum(p, size) != 0xFFFF)
        {
            Counters.Drop(DropReason.IcmpChecksum);
            return;
        }

        switch (p[0])
        {
            case IcmpType.Echo:
                Echo(p, size, in packet, IcmpType.EchoReply);
                break;
            case IcmpType.Unreachable:
                uint mtu = p[1] == IcmpCode.FragmentationNeeded ? (uint)Wire.U16(p + 6) : 0;
                int errno = p[1] switch
                {
                    IcmpCode.Net or 6 or 9 or 11 => Errno.NetworkUnreachable,
                    IcmpCode.Protocol => Errno.ProtocolNotAvailable,
                    IcmpCode.Port => Errno.ConnectionRefused,
                    IcmpCode.FragmentationNeeded => Errno.MessageSize,
                    _ => Errno.HostUnreachable,
                };
                if (p[1] == IcmpCode.FragmentationNeeded && mtu == 0)
                {
                    mtu = PathMtuCache.MinV4; // A router before RFC 1191.
                }

                ReceiveError(p + 8, size - 8, errno, mtu, in packet);
                break;
            case IcmpType.TimeExceeded:
                ReceiveError(p + 8, size - 8, Errno.HostUnreachable, 0, in packet);
                break;
            default:
                break;
        }
    }

    private void ReceiveIcmpv6(byte* p, uint size, in Packet packet)
    {
        if (size < 8)
        {
            Counters.Drop(DropReason.IcmpMalformed);
            return;
        }

        if (!packet.ChecksumGood && !HasGoodChecksum(Protocol.Icmpv6, p, size, in packet))
        {
            Counters.Drop(DropReason.IcmpChecksum);
            return;
        }

        switch (p[0])
        {
            case Icmpv6Type.Echo when !packet.Destination.IsMulticast:
                Echo(p, size, in packet, Icmpv6Type.EchoReply);
                break;
            case Icmpv6Type.Unreachable:
                int errno = p[1] switch
                {
                    Icmpv6Code.NoRoute => Errno.NetworkUnreachable,
                    Icmpv6Code.Prohibited => 13, // EACCES
                    Icmpv6Code.Port => Errno.ConnectionRefused,
                    _ => Errno.HostUnreachable,
                };
                ReceiveError(p + 8, size - 8, errno, 0, in packet);
                break;
            case Icmpv6Type.TooBig when Wire.U32(p + 4) < PathMtuCache.MinV6:
                Counters.Drop(DropReason.IcmpMalformed); // RFC 8201, 4: no IPv6 link is that narrow.
                break;
            case Icmpv6Type.TooBig:
                ReceiveError(p + 8, size - 8, Errno.MessageSize, Wire.U32(p + 4), in packet);
                break;
            case Icmpv6Type.TimeExceeded:
                ReceiveError(p + 8, size - 8, Errno.HostUnreachable, 0, in packet);
                break;
            case Icmpv6Type.Solicitation:
            case Icmpv6Type.Advertisement:
                ReceiveDiscovery(p, size, in packet);
                break;
            case Icmpv6Type.RouterAdvertisement:
            case Icmpv6Type.Redirect:
                Counters.Drop(DropReason.RouterIgnored); // Routes are the operator's: any guest of the link could send these.
                break;
            case Icmpv6Type.Query:
                ReceiveQuery(p, size, in packet);
                break;
            default:
                break;
        }
    }

    private void Echo(byte* p, uint size, in Packet packet, byte reply)
    {
        byte* header = TransportHeader;
        *(ulong*)header = *(ulong*)p;
        header[0] = reply;
        Extent rest = new() { Start = p + 8, Length = size - 8 };
        SendIcmp(packet.Destination, packet.Source, header, &rest, 64);
    }

    /// <summary>An error about something that this stack sent: the quoted packet says which socket it is for.</summary>
    private void ReceiveError(byte* p, uint size, int errno, uint mtu, in Packet packet)
    {
        bool v4 = packet.Source.IsV4;
        uint header = v4 && size >= Field.V4Length ? (uint)(p[0] & 15) * 4 : v4 ? uint.MaxValue : Field.V6Length;
        if (header < Field.V4Length || header == uint.MaxValue || size < header + 8 || p[0] >> 4 != (v4 ? 4 : 6))
        {
            Counters.Drop(DropReason.IcmpMalformed);
            return;
        }

        Address local = v4 ? Wire.V4(p + Field.V4Source) : Wire.V6(p + Field.V6Source);
        Address remote = v4 ? Wire.V4(p + Field.V4Destination) : Wire.V6(p + Field.V6Destination);
        byte protocol = v4 ? p[Field.V4Protocol] : p[Field.V6Next];
        if (local != packet.Destination)
        {
            Counters.Drop(DropReason.IcmpMalformed);
            return;
        }

        IcmpReport report = new() { Offender = packet.Source, Type = *(p - 8), Code = *(p - 7), Mtu = mtu };
        if (!Report(protocol, local, remote, p + header, size - header, errno, report) && !PassOn(in packet))
        {
            Counters.Drop(DropReason.IcmpMalformed); // Nobody here sent that: blind (RFC 5927, 4).
        }
    }

    /// <summary>False: no socket here has sent that.</summary>
    private bool Report(byte protocol, in Address local, in Address remote, byte* transport, uint size, int errno, IcmpReport report)
    {
        ushort localPort = Wire.U16(transport), remotePort = Wire.U16(transport + 2);
        bool known = protocol switch
        {
            Protocol.Tcp => Tcp.HasSentTo(local, remote, localPort, remotePort, Wire.U32(transport + Field.TcpSeq)),
            Protocol.Udp => Udp.HasSentTo(local, remote, localPort, remotePort),
            _ => false,
        };
        if (!known)
        {
            return false;
        }

        if (report.Mtu != 0)
        {
            report.Mtu = _paths.Learn(remote, report.Mtu, Now);
        }

        if (protocol == Protocol.Tcp)
        {
            Tcp.ReceiveError(local, remote, localPort, remotePort, errno, report.Mtu);
        }
        else
        {
            Udp.ReceiveError(local, remote, localPort, remotePort, errno, in report, transport, size);
        }

        return true;
    }

    /// <summary>A frame that waited for a neighbour who never answered: as if a router had said host unreachable.</summary>
    internal void Undelivered(byte* frame, uint length)
    {
        uint ether = Options.EtherLength;
        byte* p = frame + ether;
        bool v4 = p[0] >> 4 == 4;
        uint header = v4 ? (uint)Field.V4Length : Field.V6Length;
        Counters.Drop(DropReason.NoRoute);
        if (length < ether + header + 8)
        {
            return;
        }

        Address local = v4 ? Wire.V4(p + Field.V4Source) : Wire.V6(p + Field.V6Source);
        Address remote = v4 ? Wire.V4(p + Field.V4Destination) : Wire.V6(p + Field.V6Destination);
        byte protocol = v4 ? p[Field.V4Protocol] : p[Field.V6Next];
        if (protocol is Protocol.Tcp or Protocol.Udp)
        {
            IcmpReport report = new()
            {
                Offender = local,
                Type = v4 ? IcmpType.Unreachable : Icmpv6Type.Unreachable,
                Code = v4 ? IcmpCode.Host : Icmpv6Code.Address,
            };
            _ = Report(protocol, local, remote, p + header, length - ether - header, Errno.HostUnreachable, report);
        }
    }

    /// <summary>RFC 4861, 7: solicitations are answered, advertisements believed where they were asked for.</summary>
    private void ReceiveDiscovery(byte* p, uint size, in Packet packet)
    {
        // 7.1: hop limit 255 shows that no router has passed it on.
        if (size < 24 || packet.Ttl != 255 || p[1] != 0)
        {
            Counters.Drop(DropReason.NdMalformed);
            return;
        }

        Address target = Wire.V6(p + 8);
        ulong mac = 0;
        byte wanted = p[0] == Icmpv6Type.Solicitation ? (byte)1 : (byte)2;
        for (uint at = 24; at < size;)
        {
            if (size - at < 8 || p[at + 1] == 0 || size - at < p[at + 1] * 8u)
            {
                Counters.Drop(DropReason.NdMalformed);
                return;
            }

            if (p[at] == wanted && p[at + 1] == 1)
            {
                mac = MacAt(p + at + 2);
            }

            at += p[at + 1] * 8u;
        }

        if (target.IsMulticast || (mac & 1) != 0)
        {
            Counters.Drop(DropReason.NdMalformed);
            return;
        }

        bool passed = packet.Visited != 0;
        if (!passed)
        {
            TellShards(ShardItemKind.Packet, packet.Ip, packet.IpLength, packet.Mac);
        }

        if (p[0] == Icmpv6Type.Advertisement)
        {
            if (_addresses.Contains(target))
            {
                Counters.Drop(DropReason.AddressConflict);
            }
            else if (mac != 0)
            {
                _neighbours.Learn(target, mac, create: false);
            }

            return;
        }

        if (!_addresses.Contains(target))
        {
            return;
        }

        bool unspecified = packet.Source.IsNone;
        mac = mac != 0 ? mac : packet.Mac;
        if (!unspecified && mac != 0)
        {
            _neighbours.Learn(packet.Source, mac, create: true);
        }

        if (passed)
        {
            return; // Who passed it on has answered.
        }

        // 7.2.4; to an unspecified source (duplicate address detection) to all nodes.
        Address to = unspecified ? AllNodes : packet.Source;
        SendNeighbour(Icmpv6Type.Advertisement, unspecified ? AdvertisementOverride : 0x6000_0000u, target, target, to, option: 2, unspecified ? 0 : mac);
    }

    private void SendSolicitation(in Address address, in Address local, ulong mac)
    {
        Address to = mac != 0 ? address : GroupReports.GroupOf(address);
        SendNeighbour(Icmpv6Type.Solicitation, 0, address, local, to, option: 1, mac);
    }

    private void SendNeighbour(byte type, uint flags, in Address target, in Address source, in Address to, byte option, ulong mac)
    {
        byte* p = ControlHeader;
        p[0] = type;
        p[1] = 0;
        *(ushort*)(p + 2) = 0;
        Wire.U32(p + 4, flags);
        _ = Wire.Put(p + 8, target);
        p[24] = option;
        p[25] = 1;
        PutMac(p + 26, _link.Mac);
        OutFrame frame = default;
        frame.Header = p;
        frame.HeaderLength = 32;
        uint sum = Checksum.PseudoHeader(source, to, Protocol.Icmpv6, 32);
        *(ushort*)(p + 2) = Checksum.Finish(SumOf(frame, sum));
        PutIpHeader(p - Field.V6Length, source, to, Protocol.Icmpv6, 0, 255, 32, 0, 0);
        frame.Header -= Field.V6Length;
        frame.HeaderLength += Field.V6Length;
        PutEthernet(ref frame, to.IsMulticast ? MacOfGroup(to) : mac, Protocol.EtherIpv6);
        Emit(frame);
    }
}
