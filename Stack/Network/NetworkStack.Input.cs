namespace NetKernel.Stack;

/// <content>Input: Ethernet, ARP, IPv4, IPv6. Every length is checked against what really came before a byte is believed.</content>
public sealed unsafe partial class NetworkStack
{
    private const int MaxExtensionHeaders = 8;

    /// <summary>Takes a frame. The memory is the caller's again when this returns.</summary>
    public void Receive(byte* frame, uint length, in InFrame info)
    {
        Counters.FramesIn++;
        if (length < Field.EtherLength)
        {
            Counters.Drop(info.TagTaken && length == 1 ? DropReason.OtherVlan : DropReason.EtherTruncated);
            return;
        }

        uint header = Field.EtherLength;
        ushort type = Wire.U16(frame + Field.EtherType);
        int vlan = info.TagTaken ? Options.Vlan : 0;
        if (type == Protocol.EtherVlan)
        {
            header += 4;
            if (length < header)
            {
                Counters.Drop(DropReason.EtherTruncated);
                return;
            }

            vlan = info.TagTaken ? -1 : Wire.U16(frame + Field.EtherLength) & 0xFFF; // 0: a tag that has a priority only
            type = Wire.U16(frame + Field.EtherType + 4);
        }

        if (vlan != Options.Vlan)
        {
            Counters.Drop(DropReason.OtherVlan);
            return;
        }

        if ((frame[0] & 1) == 0 && MacAt(frame) != _link.Mac)
        {
            Counters.Drop(DropReason.NotForUs);
            return;
        }

        switch (type)
        {
            case Protocol.EtherIpv4:
            case Protocol.EtherIpv6:
                ReceiveIp(frame + header, length - header, in info, fromSelf: false, MacAt(frame + Field.EtherSource));
                break;
            case Protocol.EtherArp:
                ReceiveArp(frame + header, length - header, answers: true);
                break;
            default:
                Counters.Drop(DropReason.UnknownEtherType);
                break;
        }
    }

    internal static ulong MacAt(byte* p) => *(uint*)p | ((ulong)*(ushort*)(p + 4) << 32);

    internal static void PutMac(byte* p, ulong mac)
    {
        *(uint*)p = (uint)mac;
        *(ushort*)(p + 4) = (ushort)(mac >> 32);
    }

    internal void ReceiveIp(byte* p, uint length, in InFrame info, bool fromSelf, ulong mac = 0, byte visited = 0)
    {
        Packet packet = default;
        packet.Visited = visited;
        packet.FromSelf = fromSelf;
        packet.ChecksumGood = info.ChecksumGood;
        packet.GsoSize = info.GsoSize;
        packet.Mac = mac;
        packet.Ip = p;
        if (length < 1)
        {
            Counters.Drop(DropReason.IpTruncated);
            return;
        }

        switch (p[0] >> 4)
        {
            case 4:
                ReceiveV4(p, length, fromSelf, ref packet);
                break;
            case 6:
                ReceiveV6(p, length, fromSelf, ref packet);
                break;
            default:
                Counters.Drop(DropReason.IpMalformed);
                break;
        }
    }

    /// <param name="p">Behind the Ethernet header.</param>
    /// <param name="length">Bytes.</param>
    /// <param name="answers">False: another shard has it, and has answered.</param>
    private void ReceiveArp(byte* p, uint length, bool answers)
    {
        // Ethernet, IPv4, sizes 6 and 4 (RFC 826).
        if (length < Field.ArpLength || Wire.U32(p) != 0x0001_0800 || Wire.U16(p + 4) != 0x0604)
        {
            Counters.Drop(DropReason.ArpMalformed);
            return;
        }

        Address sender = Wire.V4(p + Field.ArpSenderIp), target = Wire.V4(p + Field.ArpTargetIp);
        ulong mac = MacAt(p + Field.ArpSenderMac);
        if ((mac & 1) != 0 || sender.IsMulticast || sender.IsBroadcast)
        {
            Counters.Drop(DropReason.ArpMalformed);
            return;
        }

        if (_addresses.Contains(sender))
        {
            // RFC 5227, 2.4: told, and the address is kept. Defending it would fight with a stack that shares a guest with this one, or is to take it over.
            Counters.Drop(DropReason.AddressConflict);
            return;
        }

        bool forUs = _addresses.Contains(target);
        if (!sender.IsAny)
        {
            _neighbours.Learn(sender, mac, create: forUs);
        }

        if (!answers)
        {
            return;
        }

        TellShards(ShardItemKind.Arp, p, Field.ArpLength, 0);
        if (forUs && Wire.U16(p + Field.ArpOperation) == 1)
        {
            SendArp(2, mac, target, sender, mac);
        }
    }

    private void ReceiveV4(byte* p, uint length, bool fromSelf, ref Packet packet)
    {
        if (length < Field.V4Length)
        {
            Counters.Drop(DropReason.IpTruncated);
            return;
        }

        uint header = (uint)(p[0] & 15) * 4;
        uint total = Wire.U16(p + Field.V4Total);
        if (header < Field.V4Length || total < header)
        {
            Counters.Drop(DropReason.IpMalformed);
            return;
        }

        if (total > length)
        {
            Counters.Drop(DropReason.IpTruncated);
            return;
        }

        // RFC 1122, 3.2.1.2: a host must check it. Options are skipped; none of them is obeyed (RFC 7126).
        if (!fromSelf && Checksum.Sum(p, header) != 0xFFFF)
        {
            Counters.Drop(DropReason.IpChecksum);
            return;
        }

        packet.Source = Wire.V4(p + Field.V4Source);
        packet.Destination = Wire.V4(p + Field.V4Destination);
        packet.Tos = p[Field.V4Tos];
        packet.Ttl = p[Field.V4Ttl];
        packet.IpLength = total;
        if (!IsValidSource(packet.Source, fromSelf))
        {
            Counters.Drop(DropReason.IpBadSource);
            return;
        }

        if (!_addresses.Contains(packet.Destination))
        {
            Counters.Drop(DropReason.IpNotLocal);
            return;
        }

        byte* data = p + header;
        uint size = total - header;
        uint fragment = Wire.U16(p + Field.V4Fragment);
        if ((fragment & 0x3FFF) != 0)
        {
            FragmentKey key = new()
            {
                Source = packet.Source,
                Destination = packet.Destination,
                Id = Wire.U16(p + Field.V4Id),
                Protocol = p[Field.V4Protocol],
            };
            if (!_reassembler.Add(key, (fragment & 0x1FFF) * 8, (fragment & 0x2000) != 0, data, size, Now, out data, out size))
            {
                return;
            }

            packet.ChecksumGood = false;
            packet.GsoSize = 0;
            packet.Ip = data - Field.V4Length; // What an error about it quotes: the datagram in one piece.
            packet.IpLength = Field.V4Length + size;
            PutIpHeader(packet.Ip, packet.Source, packet.Destination, p[Field.V4Protocol], packet.Tos, packet.Ttl, size, 0, Wire.U16(p + Field.V4Id));
        }

        Deliver(p[Field.V4Protocol], data, size, ref packet);
    }

    private bool IsValidSource(in Address source, bool fromSelf) =>
        !source.IsMulticast && !source.IsBroadcast && !source.IsAny && (fromSelf || (!source.IsLoopback && !_addresses.Contains(source)));

    private void ReceiveV6(byte* p, uint length, bool fromSelf, ref Packet packet)
    {
        if (length < Field.V6Length)
        {
            Counters.Drop(DropReason.IpTruncated);
            return;
        }

        uint payload = Wire.U16(p + Field.V6Payload);
        if (payload + Field.V6Length > length)
        {
            Counters.Drop(DropReason.IpTruncated);
            return;
        }

        packet.Source = Wire.V6(p + Field.V6Source);
        packet.Destination = Wire.V6(p + Field.V6Destination);
        packet.Tos = (byte)(Wire.U16(p) >> 4);
        packet.Ttl = p[Field.V6Hops];
        packet.IpLength = payload + Field.V6Length;
        byte next = p[Field.V6Next];
        bool discovery = packet.Source.IsNone || packet.Destination.IsMulticast;

        if (!fromSelf && _addresses.Contains(packet.Source))
        {
            Counters.Drop(DropReason.AddressConflict); // Whoever says so, its advertisements included.
            return;
        }

        // RFC 4291, 2.5.5.2: mapped addresses never travel.
        if (packet.Source.IsV4 || packet.Source.IsMulticast || (!fromSelf && packet.Source.IsLoopback))
        {
            Counters.Drop(DropReason.IpBadSource);
            return;
        }

        byte* data = p + Field.V6Length;
        if (discovery && next == Protocol.HopByHop && payload >= 8 && data[1] == 0 && OptionsSkippable(data + 2, data + 8))
        {
            next = data[0]; // As queries for memberships have it (RFC 3810, 5).
            data += 8;
            payload -= 8;
        }

        if (discovery ? next != Protocol.Icmpv6 : !_addresses.Contains(packet.Destination))
        {
            Counters.Drop(DropReason.IpNotLocal);
            return;
        }

        WalkExtensions(next, data, payload, ref packet);
    }

    /// <summary>RFC 8200, 4: headers one after the other, each within what is left. Their options are skipped by the rules of 4.2.</summary>
    private void WalkExtensions(byte next, byte* data, uint size, ref Packet packet)
    {
        for (int i = 0; i < MaxExtensionHeaders; i++)
        {
            uint header;
            switch (next)
            {
                case Protocol.HopByHop when i == 0:
                case Protocol.DestinationOptions:
                case Protocol.Routing:
                    header = size >= 8 ? ((uint)data[1] + 1) * 8 : 8;
                    if (header > size || (next == Protocol.Routing && data[3] != 0) || (next != Protocol.Routing && !OptionsSkippable(data + 2, data + header)))
                    {
                        Counters.Drop(DropReason.ExtensionHeader);
                        return;
                    }

                    break;
                case Protocol.Fragment:
                    header = 8;
                    if (size < header)
                    {
                        Counters.Drop(DropReason.ExtensionHeader);
                        return;
                    }

                    uint fragment = Wire.U16(data + 2);
                    if ((fragment & 0xFFF9) != 0)
                    {
                        FragmentKey key = new() { Source = packet.Source, Destination = packet.Destination, Id = Wire.U32(data + 4) };
                        next = data[0];
                        if (!_reassembler.Add(key, fragment & 0xFFF8, (fragment & 1) != 0, data + 8, size - 8, Now, out data, out size))
                        {
                            return;
                        }

                        packet.ChecksumGood = false;
                        packet.GsoSize = 0;
                        packet.Ip = data - Field.V6Length;
                        packet.IpLength = Field.V6Length + size;
                        PutIpHeader(packet.Ip, packet.Source, packet.Destination, next, packet.Tos, packet.Ttl, size, 0, 0);
                        continue;
                    }

                    break; // An atomic fragment (RFC 6946) is a whole datagram.
                case Protocol.NoNext:
                    return;
                default:
                    Deliver(next, data, size, ref packet);
                    return;
            }

            next = data[0];
            data += header;
            size -= header;
        }

        Counters.Drop(DropReason.ExtensionHeader);
    }

    private static bool OptionsSkippable(byte* p, byte* end)
    {
        while (p < end)
        {
            if (*p == 0)
            {
                p++;
                continue;
            }

            if (end - p < 2 || end - p < p[1] + 2 || (*p & 0xC0) != 0)
            {
                return *p == 1 || (*p & 0xC0) == 0 ? end - p >= 2 && end - p >= p[1] + 2 : false; // RFC 8200, 4.2: the two high bits say drop.
            }

            p += p[1] + 2;
        }

        return true;
    }

    private void Deliver(byte protocol, byte* data, uint size, ref Packet packet)
    {
        switch (protocol)
        {
            case Protocol.Tcp:
                if (!packet.ChecksumGood && !HasGoodChecksum(Protocol.Tcp, data, size, in packet))
                {
                    Counters.Drop(DropReason.TcpChecksum);
                    return;
                }

                Tcp.Receive(data, size, in packet);
                break;
            case Protocol.Udp:
                Udp.Receive(data, size, in packet);
                break;
            case Protocol.Icmp when packet.Source.IsV4:
                ReceiveIcmp(data, size, in packet);
                break;
            case Protocol.Icmpv6 when !packet.Source.IsV4:
                ReceiveIcmpv6(data, size, in packet);
                break;
            default:
                Counters.Drop(DropReason.UnknownProtocol);
                if (packet.Source.IsV4)
                {
                    SendIcmpError(in packet, IcmpType.Unreachable, IcmpCode.Protocol, 0);
                }
                else
                {
                    SendIcmpError(in packet, Icmpv6Type.ParameterProblem, Icmpv6Code.UnknownHeader, Field.V6Next);
                }

                break;
        }
    }

    internal static bool HasGoodChecksum(byte protocol, byte* data, uint size, in Packet packet)
    {
        uint sum = Checksum.PseudoHeader(packet.Source, packet.Destination, protocol, size);
        return Checksum.Combine(sum, Checksum.Sum(data, size), odd: false) == 0xFFFF;
    }
}

/// <summary>What the network layer tells the transports of a packet.</summary>
internal unsafe struct Packet
{
    public Address Source, Destination;
    public byte* Ip;
    public uint IpLength;
    public uint GsoSize;
    public ulong Mac;
    public byte Tos, Ttl;

    /// <summary>Shards that have looked at it before.</summary>
    public byte Visited;

    /// <summary>It never was on a link.</summary>
    public bool FromSelf;
    public bool ChecksumGood;
}
