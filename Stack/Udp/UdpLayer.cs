namespace NetKernel.Stack;

/// <summary>UDP (RFC 768). Sockets come with the datagram part of the network stack module; until then every datagram is answered with port unreachable.</summary>
public sealed unsafe class UdpLayer
{
    private readonly NetworkStack _stack;

    internal UdpLayer(NetworkStack stack) => _stack = stack;

    internal void Receive(byte* data, uint size, in Packet packet)
    {
        uint length = size >= Field.UdpHeader ? (uint)Wire.U16(data + Field.UdpLength) : 0;
        if (length < Field.UdpHeader || length > size)
        {
            _stack.Counters.Drop(DropReason.UdpMalformed);
            return;
        }

        // RFC 768: zero means none, over IPv4 only (RFC 8200, 8.1).
        bool none = *(ushort*)(data + Field.UdpChecksum) == 0;
        if ((none && !packet.Source.IsV4) || (!none && !packet.ChecksumGood && !NetworkStack.HasGoodChecksum(Protocol.Udp, data, length, in packet)))
        {
            _stack.Counters.Drop(DropReason.UdpChecksum);
            return;
        }

        _stack.Counters.DatagramsIn++;
        _stack.Counters.Drop(DropReason.UdpNoSocket);
        if (packet.Source.IsV4)
        {
            _stack.SendIcmpError(in packet, IcmpType.Unreachable, IcmpCode.Port, 0);
        }
        else
        {
            _stack.SendIcmpError(in packet, Icmpv6Type.Unreachable, Icmpv6Code.Port, 0);
        }
    }

    internal static bool HasSentTo(in Address local, in Address remote, ushort localPort, ushort remotePort) => false;

    internal static void ReceiveError(in Address local, in Address remote, ushort localPort, ushort remotePort, int errno, byte* quoted, uint size)
    {
    }
}
