using System.Buffers.Binary;
using System.IO;

namespace NetKernel.Stack;

/// <summary>
/// A capture file in the classic format with nanoseconds (draft-ietf-opsawg-pcap, 4 and 5; link type 1, Ethernet), as tshark and tcpdump read it. It ends by itself
/// at a number of packets or bytes.
/// </summary>
public sealed class PcapWriter
{
    /// <summary>Bytes of the file's header, and of each packet's.</summary>
    public const int FileHeader = 24, PacketHeader = 16;

    private const uint Magic = 0xA1B23C4D; // nanoseconds
    private const uint SnapLength = 262_144;
    private readonly Stream _to;
    private readonly ulong _mostPackets, _mostBytes;

    /// <summary>Begins a file: its header is written at once.</summary>
    public PcapWriter(Stream to, ulong mostPackets = ulong.MaxValue, ulong mostBytes = ulong.MaxValue)
    {
        _to = to;
        _mostPackets = mostPackets;
        _mostBytes = mostBytes;
        Span<byte> header = stackalloc byte[FileHeader];
        header.Clear();
        BinaryPrimitives.WriteUInt32LittleEndian(header, Magic);
        BinaryPrimitives.WriteUInt16LittleEndian(header[4..], 2);
        BinaryPrimitives.WriteUInt16LittleEndian(header[6..], 4);
        BinaryPrimitives.WriteUInt32LittleEndian(header[16..], SnapLength);
        header[20] = 1;
        _to.Write(header);
        Bytes = FileHeader;
    }

    /// <summary>Packets written.</summary>
    public ulong Packets { get; private set; }

    /// <summary>Bytes written, headers included.</summary>
    public ulong Bytes { get; private set; }

    /// <summary>Nothing more will be taken.</summary>
    public bool IsFull { get; private set; }

    /// <summary>Adds a frame that begins with its Ethernet header, at that time (nanoseconds since 1970). False: the file is full.</summary>
    public bool Add(long nanoseconds, ReadOnlySpan<byte> frame)
    {
        IsFull |= Packets >= _mostPackets || Bytes + PacketHeader + (uint)frame.Length > _mostBytes;
        if (IsFull)
        {
            return false;
        }

        Span<byte> header = stackalloc byte[PacketHeader];
        BinaryPrimitives.WriteUInt32LittleEndian(header, (uint)(nanoseconds / 1_000_000_000));
        BinaryPrimitives.WriteUInt32LittleEndian(header[4..], (uint)(nanoseconds % 1_000_000_000));
        BinaryPrimitives.WriteUInt32LittleEndian(header[8..], (uint)frame.Length);
        BinaryPrimitives.WriteUInt32LittleEndian(header[12..], (uint)frame.Length);
        _to.Write(header);
        _to.Write(frame);
        Packets++;
        Bytes += PacketHeader + (uint)frame.Length;
        return true;
    }
}
