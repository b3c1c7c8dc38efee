namespace NetKernel.Stack;

/// <content>Output: a transport hands its header (in the scratch buffer, with headroom) and payload; this puts IP and Ethernet in front.</content>
public sealed unsafe partial class NetworkStack
{
    private readonly uint _tci;
    private uint _identification;

    /// <summary>Where a transport builds its header; there is <see cref="Headroom"/> in front.</summary>
    internal byte* TransportHeader => _scratch + Headroom;

    /// <summary>The same for questions to neighbours, which are asked while a packet is being built.</summary>
    private byte* ControlHeader => _scratch + (ScratchBytes / 2) + Headroom;

    /// <summary>
    /// Sends a transport packet: <paramref name="frame"/>'s header is the transport's own; <paramref name="checksumOffset"/> is where its checksum lies (-1: none). Returns 0 or an
    /// errno. Datagrams (<paramref name="mayFragment"/>) larger than the path's MTU are cut.
    /// </summary>
    internal int SendIp(in Address source, in Address destination, byte protocol, byte tos, byte ttl, bool mayFragment, int checksumOffset, ref OutFrame frame)
    {
        uint transport = frame.HeaderLength + frame.PayloadLength;
        bool v6 = !destination.IsV4;
        uint ipHeader = v6 ? (uint)Field.V6Length : Field.V4Length;
        bool self = _addresses.Contains(destination);
        uint mtu = mayFragment ? MtuTo(destination) : uint.MaxValue;
        bool fragments = frame.GsoSize == 0 && !self && transport + ipHeader > mtu;
        byte* header = frame.Header;
        if (checksumOffset >= 0)
        {
            uint sum = Checksum.PseudoHeader(source, destination, protocol, transport);
            if (self || (_link.FinishesChecksums && !fragments))
            {
                *(ushort*)(header + checksumOffset) = (ushort)sum;
                frame.ChecksumStart = 1; // Its place is known below.
                frame.ChecksumOffset = (uint)checksumOffset;
            }
            else
            {
                *(ushort*)(header + checksumOffset) = 0;
                ushort value = Checksum.Finish(SumOf(frame, sum));
                *(ushort*)(header + checksumOffset) = protocol == Protocol.Udp && value == 0 ? (ushort)0xFFFF : value; // RFC 768
            }
        }

        if (fragments)
        {
            return SendFragments(source, destination, protocol, tos, ttl, mtu, ref frame);
        }

        PutIpHeader(header - ipHeader, source, destination, protocol, tos, ttl, transport, fragment: mayFragment && !v6 ? 0 : 0x4000u, _identification++);
        return Route(source, destination, ipHeader, self, ref frame);
    }

    /// <summary>Copies a frame into one piece, where there is room for it.</summary>
    public static void Flatten(in OutFrame frame, byte* to)
    {
        Buffer.MemoryCopy(frame.Header, to, frame.HeaderLength, frame.HeaderLength);
        to += frame.HeaderLength;
        for (uint i = 0; i < frame.PayloadCount; i++)
        {
            Buffer.MemoryCopy(frame.Payload[i].Start, to, frame.Payload[i].Length, frame.Payload[i].Length);
            to += frame.Payload[i].Length;
        }
    }

    internal void Emit(in OutFrame frame)
    {
        Counters.FramesOut++;
        if (!_link.Transmit(in frame))
        {
            Counters.Drop(DropReason.LinkFull);
        }
    }

    /// <summary>Asks for a neighbour's station address: everybody, or (<paramref name="mac"/> not 0) the one that had it.</summary>
    internal void Solicit(in Address address, in Address local, ulong mac)
    {
        if (address.IsV4)
        {
            SendArp(1, mac != 0 ? mac : 0xFFFF_FFFF_FFFF, local, address, 0);
        }
        else
        {
            SendSolicitation(address, local, mac);
        }
    }

    private void SendArp(ushort operation, ulong to, in Address sender, in Address target, ulong targetMac)
    {
        byte* p = ControlHeader;
        Wire.U32(p, 0x0001_0800);
        Wire.U16(p + 4, 0x0604);
        Wire.U16(p + Field.ArpOperation, operation);
        PutMac(p + Field.ArpSenderMac, _link.Mac);
        _ = Wire.Put(p + Field.ArpSenderIp, sender);
        PutMac(p + Field.ArpTargetMac, targetMac);
        _ = Wire.Put(p + Field.ArpTargetIp, target);
        OutFrame frame = default;
        frame.Header = p;
        frame.HeaderLength = Field.ArpLength;
        PutEthernet(ref frame, to, Protocol.EtherArp);
        Emit(frame);
    }

    private void PutEthernet(ref OutFrame frame, ulong to, ushort type)
    {
        frame.Header -= 2;
        Wire.U16(frame.Header, type);
        uint added = 2;
        if (_tci != 0)
        {
            frame.Header -= 4;
            Wire.U16(frame.Header, Protocol.EtherVlan);
            Wire.U16(frame.Header + 2, _tci);
            added += 4;
        }

        frame.Header -= 12;
        PutMac(frame.Header, to);
        PutMac(frame.Header + Field.EtherSource, _link.Mac);
        frame.HeaderLength += added + 12;
        frame.ChecksumStart = frame.ChecksumStart == 0 ? 0 : frame.ChecksumStart + added + 12;
    }

    private static void PutIpHeader(byte* p, in Address source, in Address destination, byte protocol, byte tos, byte ttl, uint payload, uint fragment, uint id)
    {
        if (destination.IsV4)
        {
            p[0] = 0x45;
            p[Field.V4Tos] = tos;
            Wire.U16(p + Field.V4Total, payload + Field.V4Length);
            Wire.U16(p + Field.V4Id, id);
            Wire.U16(p + Field.V4Fragment, fragment);
            p[Field.V4Ttl] = ttl;
            p[Field.V4Protocol] = protocol;
            *(ushort*)(p + Field.V4Checksum) = 0;
            _ = Wire.Put(p + Field.V4Source, source);
            _ = Wire.Put(p + Field.V4Destination, destination);
            *(ushort*)(p + Field.V4Checksum) = Checksum.Finish(Checksum.Sum(p, Field.V4Length));
        }
        else
        {
            Wire.U32(p, 0x6000_0000u | ((uint)tos << 20));
            Wire.U16(p + Field.V6Payload, payload);
            p[Field.V6Next] = protocol;
            p[Field.V6Hops] = ttl;
            _ = Wire.Put(p + Field.V6Source, source);
            _ = Wire.Put(p + Field.V6Destination, destination);
        }
    }

    private static uint SumOf(in OutFrame frame, uint sum)
    {
        sum = Checksum.Combine(sum, Checksum.Sum(frame.Header, frame.HeaderLength), odd: false);
        uint at = frame.HeaderLength;
        for (uint i = 0; i < frame.PayloadCount; i++)
        {
            uint length = (uint)frame.Payload[i].Length;
            sum = Checksum.Combine(sum, Checksum.Sum(frame.Payload[i].Start, length), (at & 1) != 0);
            at += length;
        }

        return sum;
    }

    private int Route(in Address source, in Address destination, uint ipHeader, bool self, ref OutFrame frame)
    {
        frame.Header -= ipHeader;
        frame.HeaderLength += ipHeader;
        frame.ChecksumStart = frame.ChecksumStart == 0 ? 0 : ipHeader;
        frame.IsV6 = !destination.IsV4;
        if (self)
        {
            if (!_loop.Put(frame, skip: 0))
            {
                Counters.Drop(DropReason.LinkFull);
            }

            return 0;
        }

        ulong mac = 0;
        Address next = destination;
        if (destination.IsMulticast)
        {
            // RFC 1112, 6.4
            mac = destination.IsV4
                ? 0x5E_0001ul | ((destination.High >> 40 & 0x7F) << 24) | ((destination.High >> 48 & 0xFFFF) << 32)
                : MacOfGroup(destination);
        }
        else if (!Routes.TryNextHop(destination, out next))
        {
            Counters.Drop(DropReason.NoRoute);
            return Errno.NetworkUnreachable;
        }

        ushort type = frame.IsV6 ? Protocol.EtherIpv6 : Protocol.EtherIpv4;
        bool known = mac != 0 || _neighbours.TryFind(next, source, out mac);
        PutEthernet(ref frame, mac, type);
        if (!known)
        {
            _neighbours.Wait(next, source, frame);
            return 0;
        }

        Emit(frame);
        return 0;
    }

    private int SendFragments(in Address source, in Address destination, byte protocol, byte tos, byte ttl, uint mtu, ref OutFrame frame)
    {
        bool v6 = !destination.IsV4;
        uint total = frame.HeaderLength + frame.PayloadLength;
        if (total > 65535 - (v6 ? 8u : Field.V4Length))
        {
            return Errno.MessageSize;
        }

        byte* whole = _loop.FragmentBuffer;
        Flatten(frame, whole);
        uint step = (mtu - (v6 ? Field.V6Length + 8u : Field.V4Length)) & ~7u;
        uint id = (uint)Random.Next();
        int result = 0;
        for (uint at = 0; at < total && result == 0; at += step)
        {
            uint size = total - at < step ? total - at : step;
            bool more = at + size < total;
            Extent piece = new() { Start = whole + at, Length = size };
            OutFrame part = default;
            part.Header = _scratch + Headroom + Field.V6Length;
            part.Payload = &piece;
            part.PayloadCount = 1;
            part.PayloadLength = size;
            if (v6)
            {
                part.Header[0] = protocol;
                part.Header[1] = 0;
                Wire.U16(part.Header + 2, at | (more ? 1u : 0));
                Wire.U32(part.Header + 4, id);
                part.HeaderLength = 8;
                PutIpHeader(part.Header - Field.V6Length, source, destination, Protocol.Fragment, tos, ttl, size + 8, 0, 0);
                result = Route(source, destination, Field.V6Length, self: false, ref part);
            }
            else
            {
                PutIpHeader(part.Header - Field.V4Length, source, destination, protocol, tos, ttl, size, (at / 8) | (more ? 0x2000u : 0), id);
                result = Route(source, destination, Field.V4Length, self: false, ref part);
            }
        }

        return result;
    }
}
