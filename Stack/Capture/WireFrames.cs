namespace NetKernel.Stack;

/// <summary>What is not finished in a frame that a link with offloads carries (virtio 1.2, 5.1.6): its checksum, or its cutting into segments.</summary>
/// <param name="ChecksumStart">Offset of the transport header whose checksum holds the pseudo header's sum only; 0: it is finished.</param>
/// <param name="ChecksumOffset">Offset of the checksum in that header.</param>
/// <param name="GsoSize">Payload of a segment of which several were put together; 0: it is one.</param>
public readonly record struct Unfinished(uint ChecksumStart, uint ChecksumOffset, uint GsoSize);

/// <summary>
/// Frames as they are on a wire, out of what links with offloads carry: checksums finished, large ones cut as the card would. For captures, which else
/// show segments that never were and checksums that look wrong.
/// </summary>
public sealed unsafe class WireFrames
{
    private const int MaxHeaders = 256;
    private const uint UdpPort = 8;
    private readonly byte[] _segment = new byte[65_536 + MaxHeaders];

    /// <summary>Takes one finished frame; false: no more are wanted.</summary>
    public delegate bool Sink(ReadOnlySpan<byte> frame);

    /// <summary>
    /// Hands on what would be on the wire for a frame. What cannot be made sense of is handed on as it is, so that a capture shows it. False: the sink wants no more.
    /// </summary>
    public bool Expand(ReadOnlySpan<byte> frame, Unfinished state, Sink to)
    {
        if (frame.Length > _segment.Length || (state.ChecksumStart == 0 && state.GsoSize == 0) || !Parse(frame, out Layout at))
        {
            return to(frame);
        }

        if (state.GsoSize == 0 || frame.Length - at.Payload <= (int)state.GsoSize)
        {
            return One(frame, state, to);
        }

        int payload = frame.Length - at.Payload;
        int first = at.Payload;
        bool wanted = true;
        for (int offset = 0; offset < payload && wanted; offset += (int)state.GsoSize)
        {
            int length = Math.Min((int)state.GsoSize, payload - offset);
            frame[..first].CopyTo(_segment);
            frame.Slice(first + offset, length).CopyTo(_segment.AsSpan(first));
            Patch(at, offset, length, last: offset + length == payload, index: (uint)(offset / (int)state.GsoSize));
            wanted = to(_segment.AsSpan(0, first + length));
        }

        return wanted;
    }

    private bool One(ReadOnlySpan<byte> frame, Unfinished state, Sink to)
    {
        if (state.ChecksumStart == 0 || state.ChecksumStart + state.ChecksumOffset + 2 > frame.Length)
        {
            return to(frame);
        }

        frame.CopyTo(_segment);
        fixed (byte* p = _segment)
        {
            ushort value = Checksum.Finish(Checksum.Sum(p + state.ChecksumStart, (uint)frame.Length - state.ChecksumStart));
            *(ushort*)(p + state.ChecksumStart + state.ChecksumOffset) = value == 0 && state.ChecksumOffset == Field.UdpChecksum ? (ushort)0xFFFF : value;
        }

        return to(_segment.AsSpan(0, frame.Length));
    }

    /// <summary>Makes the copied headers those of one segment.</summary>
    private void Patch(in Layout at, int offset, int length, bool last, uint index)
    {
        const byte EndFlags = TcpFlag.Fin | TcpFlag.Psh;
        fixed (byte* p = _segment)
        {
            byte* ip = p + at.Ip, transport = p + at.Transport;
            uint size = (uint)(at.Payload - at.Transport + length);
            Address source, destination;
            if (at.IsV6)
            {
                Wire.U16(ip + Field.V6Payload, (uint)(at.Transport - at.Ip - Field.V6Length) + size);
                source = Wire.V6(ip + Field.V6Source);
                destination = Wire.V6(ip + Field.V6Destination);
            }
            else
            {
                uint header = (uint)(at.Transport - at.Ip);
                Wire.U16(ip + Field.V4Total, header + size);
                Wire.U16(ip + Field.V4Id, Wire.U16(ip + Field.V4Id) + index);
                *(ushort*)(ip + Field.V4Checksum) = 0;
                *(ushort*)(ip + Field.V4Checksum) = Checksum.Finish(Checksum.Sum(ip, header));
                source = Wire.V4(ip + Field.V4Source);
                destination = Wire.V4(ip + Field.V4Destination);
            }

            int checksum;
            if (at.Protocol == Protocol.Tcp)
            {
                Wire.U32(transport + Field.TcpSeq, Wire.U32(transport + Field.TcpSeq) + (uint)offset);
                transport[Field.TcpFlags] &= (byte)(last ? 0xFF : ~EndFlags);
                transport[Field.TcpFlags] &= (byte)(index == 0 ? 0xFF : ~TcpFlag.Cwr); // RFC 3168, 6.1.2: once.
                checksum = Field.TcpChecksum;
            }
            else
            {
                Wire.U16(transport + Field.UdpLength, size);
                checksum = Field.UdpChecksum;
            }

            *(ushort*)(transport + checksum) = 0;
            uint sum = Checksum.PseudoHeader(source, destination, at.Protocol, size);
            ushort value = Checksum.Finish(Checksum.Combine(sum, Checksum.Sum(transport, size), odd: false));
            *(ushort*)(transport + checksum) = value == 0 && at.Protocol == Protocol.Udp ? (ushort)0xFFFF : value;
        }
    }

    private static bool Parse(ReadOnlySpan<byte> frame, out Layout at)
    {
        at = default;
        fixed (byte* p = frame)
        {
            int ip = Field.EtherLength;
            if (frame.Length < ip + 4 + Field.V6Length + UdpPort && frame.Length < ip + Field.V4Length + UdpPort)
            {
                return false;
            }

            ushort type = Wire.U16(p + Field.EtherType);
            if (type == Protocol.EtherVlan)
            {
                type = Wire.U16(p + Field.EtherType + 4);
                ip += 4;
            }

            at.Ip = ip;
            at.IsV6 = type == Protocol.EtherIpv6;
            if ((type != Protocol.EtherIpv4 && !at.IsV6) || frame.Length < ip + (at.IsV6 ? Field.V6Length : Field.V4Length))
            {
                return false;
            }

            at.Protocol = at.IsV6 ? p[ip + Field.V6Next] : p[ip + Field.V4Protocol];
            at.Transport = ip + (at.IsV6 ? Field.V6Length : (p[ip] & 15) * 4);
            int header = at.Protocol == Protocol.Tcp ? Field.TcpLength : Field.UdpHeader;
            if (at.Protocol is not (Protocol.Tcp or Protocol.Udp) || at.Transport < ip + Field.V4Length || at.Transport + header > frame.Length)
            {
                return false;
            }

            header = at.Protocol == Protocol.Tcp ? (p[at.Transport + Field.TcpOffset] >> 4) * 4 : header;
            at.Payload = at.Transport + header;
            return header >= Field.UdpHeader && at.Payload <= frame.Length && at.Payload <= MaxHeaders;
        }
    }

    private struct Layout
    {
        public int Ip, Transport, Payload;
        public byte Protocol;
        public bool IsV6;
    }
}
