namespace NetKernel.Stack;

/// <summary>Bits of the TCP header's flags.</summary>
internal static class TcpFlag
{
    public const byte Fin = 1, Syn = 2, Rst = 4, Psh = 8, Ack = 16, Urg = 32, Ece = 64, Cwr = 128;
}

/// <summary>A parsed TCP segment: everything that the state machine wants to know, taken out of the packet once.</summary>
internal unsafe struct TcpSegment
{
    /// <summary>SACK blocks that fit into the options.</summary>
    public const int MaxSacks = 4;

    public Address Source, Destination;
    public ushort SourcePort, DestinationPort;
    public uint Seq, Ack;
    public ushort Window;
    public byte Flags;

    /// <summary>ECN field of the IP header.</summary>
    public byte Ecn;

    /// <summary>The packet's TTL or hop limit.</summary>
    public byte Ttl;

    /// <summary>Payload.</summary>
    public byte* Data;
    public uint Length;

    /// <summary>Size of the segments that this one was put together from; 0: it is one.</summary>
    public uint GsoSize;

    public bool HasTimestamp, SackPermitted, HasFastOpen;

    /// <summary>Carries a signature (RFC 2385).</summary>
    public bool IsSigned;

    /// <summary>MSS option; 0: none.</summary>
    public ushort Mss;

    /// <summary>Window scale; -1: no option.</summary>
    public sbyte WindowScale;
    public uint TsValue, TsEcho;

    /// <summary>Fast Open cookie (RFC 7413): 4 to 16 bytes, or none (a request).</summary>
    public byte CookieLength;
    public fixed byte Cookie[16];

    public int SackCount;
    public fixed uint Sacks[2 * MaxSacks];

    public readonly bool Has(byte flag) => (Flags & flag) != 0;

    /// <summary>Sequence numbers that it takes.</summary>
    public readonly uint Span => Length + (Has(TcpFlag.Syn) ? 1u : 0) + (Has(TcpFlag.Fin) ? 1u : 0);

    public readonly uint End => Seq + Span;

    /// <summary>
    /// Reads a segment of <paramref name="length"/> bytes whose addresses are set already. False with a reason when it is malformed; unknown options are skipped, and options
    /// with an impossible length end the list (RFC 9293, 3.2).
    /// </summary>
    public static bool TryParse(byte* p, uint length, ref TcpSegment s, out DropReason reason)
    {
        reason = DropReason.TcpTruncated;
        if (length < Field.TcpLength)
        {
            return false;
        }

        uint header = (uint)(p[Field.TcpOffset] >> 4) * 4;
        if (header < Field.TcpLength || header > length)
        {
            reason = DropReason.TcpBadOffset;
            return false;
        }

        s.SourcePort = Wire.U16(p + Field.TcpSource);
        s.DestinationPort = Wire.U16(p + Field.TcpDestination);
        s.Seq = Wire.U32(p + Field.TcpSeq);
        s.Ack = Wire.U32(p + Field.TcpAck);
        s.Flags = p[Field.TcpFlags];
        s.Window = Wire.U16(p + Field.TcpWindow);
        s.Data = p + header;
        s.Length = length - header;
        s.WindowScale = -1;
        s.HasTimestamp = s.SackPermitted = s.HasFastOpen = s.IsSigned = false;
        s.Mss = 0;
        s.SackCount = 0;
        if (header == Field.TcpLength + 12 && *(uint*)(p + Field.TcpLength) == TimestampPrefix)
        {
            s.HasTimestamp = true; // The usual layout of an established connection (RFC 7323, appendix A).
            s.TsValue = Wire.U32(p + Field.TcpLength + 4);
            s.TsEcho = Wire.U32(p + Field.TcpLength + 8);
        }
        else if (header != Field.TcpLength)
        {
            ParseOptions(p + Field.TcpLength, p + header, ref s);
        }

        if (s.SourcePort == 0 || s.DestinationPort == 0)
        {
            reason = DropReason.PortZero;
            return false;
        }

        return true;
    }

    /// <summary>NOP NOP Timestamps(10), as it lies in memory.</summary>
    public const uint TimestampPrefix = 0x0A080101;

    private static void ParseOptions(byte* p, byte* end, ref TcpSegment s)
    {
        while (p < end)
        {
            byte kind = *p;
            if (kind == TcpOption.End)
            {
                return;
            }

            if (kind == TcpOption.Nop)
            {
                p++;
                continue;
            }

            if (end - p < 2 || p[1] < 2 || p[1] > end - p)
            {
                return;
            }

            int length = p[1];
            switch (kind)
            {
                case TcpOption.Mss when length == 4 && s.Has(TcpFlag.Syn):
                    s.Mss = Wire.U16(p + 2);
                    break;
                case TcpOption.WindowScale when length == 3 && s.Has(TcpFlag.Syn):
                    s.WindowScale = (sbyte)(p[2] > 14 ? 14 : p[2]); // RFC 7323, 2.3
                    break;
                case TcpOption.SackPermitted when length == 2 && s.Has(TcpFlag.Syn):
                    s.SackPermitted = true;
                    break;
                case TcpOption.Timestamps when length == 10:
                    s.HasTimestamp = true;
                    s.TsValue = Wire.U32(p + 2);
                    s.TsEcho = Wire.U32(p + 6);
                    break;
                case TcpOption.Sack when (length - 2) % 8 == 0:
                    s.SackCount = 0;
                    for (int i = 2; i < length && s.SackCount < MaxSacks; i += 8)
                    {
                        s.Sacks[2 * s.SackCount] = Wire.U32(p + i);
                        s.Sacks[(2 * s.SackCount) + 1] = Wire.U32(p + i + 4);
                        s.SackCount++;
                    }

                    break;
                case TcpOption.Md5:
                    s.IsSigned = true;
                    break;
                case TcpOption.FastOpen when s.Has(TcpFlag.Syn) && (length == 2 || (length >= 6 && length <= 18 && length % 2 == 0)):
                    s.HasFastOpen = true;
                    s.CookieLength = (byte)(length - 2);
                    for (int i = 0; i < s.CookieLength; i++)
                    {
                        s.Cookie[i] = p[2 + i];
                    }

                    break;
                default:
                    break;
            }

            p += length;
        }
    }
}

/// <summary>Kinds of TCP options.</summary>
internal static class TcpOption
{
    public const byte End = 0, Nop = 1, Mss = 2, WindowScale = 3, SackPermitted = 4, Sack = 5, Timestamps = 8, Md5 = 19, FastOpen = 34;
}
