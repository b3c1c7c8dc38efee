namespace NetKernel.Stack;

/// <content>What is said to the link unasked: new addresses, memberships; and the questions about the latter.</content>
public sealed unsafe partial class NetworkStack
{
    private const uint AdvertisementOverride = 0x2000_0000;

    private readonly AddressAnnouncer _announcer;

    /// <summary>The all-nodes address, ff02::1.</summary>
    private static Address AllNodes => new(0x02FF, 0x0100_0000_0000_0000);

    /// <summary>Says to all neighbours where an address is (RFC 5227, 2.3; RFC 4861, 7.2.6).</summary>
    internal void Announce(in Address address)
    {
        if (address.IsV4)
        {
            SendArp(1, 0xFFFF_FFFF_FFFF, address, address, 0);
        }
        else
        {
            SendNeighbour(Icmpv6Type.Advertisement, AdvertisementOverride, address, address, AllNodes, option: 2, 0);
        }
    }

    /// <summary>Sends an MLD message: hop limit 1, and the option that makes routers look at it (RFC 3810, 5; RFC 2711).</summary>
    internal void SendReport(in Address to, byte* message, uint length)
    {
        const uint Option = 8;
        Address source = default;
        byte* p = ControlHeader;
        *(ulong*)p = 0;
        p[0] = Protocol.Icmpv6;
        p[2] = 5; // Router Alert, with value 0: MLD
        p[3] = 2;
        p[6] = 1; // PadN
        *(ushort*)(message + 2) = 0;
        uint sum = Checksum.PseudoHeader(source, to, Protocol.Icmpv6, length);
        *(ushort*)(message + 2) = Checksum.Finish(Checksum.Combine(sum, Checksum.Sum(message, length), odd: false));
        PutIpHeader(p - Field.V6Length, source, to, Protocol.HopByHop, 0, 1, Option + length, 0, 0);
        Extent payload = new() { Start = message, Length = length };
        OutFrame frame = default;
        frame.Header = p - Field.V6Length;
        frame.HeaderLength = Field.V6Length + Option;
        frame.Payload = &payload;
        frame.PayloadCount = 1;
        frame.PayloadLength = length;
        PutEthernet(ref frame, MacOfGroup(to), Protocol.EtherIpv6);
        Emit(frame);
    }

    /// <summary>RFC 2464, 7.</summary>
    private static ulong MacOfGroup(in Address group) => 0x3333ul | (group.High >> 32 << 16);

    /// <summary>A query for memberships (RFC 3810, 5.1 and 6.2; RFC 2710, 3).</summary>
    private void ReceiveQuery(byte* p, uint size, in Packet packet)
    {
        if (size < 24 || packet.Ttl != 1 || !packet.Source.IsLinkLocal)
        {
            Counters.Drop(DropReason.NdMalformed);
            return;
        }

        bool old = size == 24;
        uint code = Wire.U16(p + 4);
        uint milliseconds = old || code < 0x8000 ? code : ((code & 0xFFF) | 0x1000) << (int)(((code >> 12) & 7) + 3); // RFC 3810, 5.1.3
        _announcer.Query(Wire.V6(p + 8), old, milliseconds * 1000L);
    }
}
