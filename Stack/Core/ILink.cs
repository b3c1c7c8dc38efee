namespace NetKernel.Stack;

/// <summary>A piece of memory that is to be sent.</summary>
public unsafe struct Extent
{
    /// <summary>Start.</summary>
    public byte* Start;

    /// <summary>Bytes.</summary>
    public ulong Length;
}

/// <summary>
/// A frame on its way out: headers in the stack's memory, payload where the socket's owner keeps it. Both are only valid during the call.
/// </summary>
public unsafe struct OutFrame
{
    /// <summary>Headers, beginning with Ethernet's.</summary>
    public byte* Header;

    /// <summary>Their bytes.</summary>
    public uint HeaderLength;

    /// <summary>Payload, in pieces.</summary>
    public Extent* Payload;

    /// <summary>Number of pieces.</summary>
    public uint PayloadCount;

    /// <summary>Their bytes together.</summary>
    public uint PayloadLength;

    /// <summary>Not 0: TCP payload to be cut into segments of that many bytes (only towards a link that can).</summary>
    public uint GsoSize;

    /// <summary>
    /// Not 0: offset of the transport header, whose checksum field (at <see cref="ChecksumOffset"/> in it) holds the pseudo header's sum only and is to be finished over
    /// everything from there (only towards a link that can).
    /// </summary>
    public uint ChecksumStart;

    /// <summary>See <see cref="ChecksumStart"/>.</summary>
    public uint ChecksumOffset;

    /// <summary>Whether it is IPv6.</summary>
    public bool IsV6;
}

/// <summary>Where frames go. The stack calls it from the thread that calls the stack.</summary>
public interface ILink
{
    /// <summary>Largest IP packet, bytes.</summary>
    uint Mtu { get; }

    /// <summary>Station address, first byte lowest.</summary>
    ulong Mac { get; }

    /// <summary>Whether the link finishes transport checksums (as virtio's NEEDS_CSUM).</summary>
    bool FinishesChecksums { get; }

    /// <summary>Largest TCP payload of a frame that the link cuts into segments; 0: it does not.</summary>
    uint MaxGso { get; }

    /// <summary>Sends a frame; false when it has no room (the frame is lost, as on any link).</summary>
    bool Transmit(in OutFrame frame);
}

/// <summary>What a link knows of a frame that it received.</summary>
public struct InFrame
{
    /// <summary>The transport checksum is right, or was never computed because the frame comes from this machine.</summary>
    public bool ChecksumGood;

    /// <summary>Not 0: TCP segments of that many bytes were put together.</summary>
    public uint GsoSize;

    /// <summary>
    /// The link has looked at the VLAN tag and taken it off: what comes is of the stack's VLAN. Of a frame of another one the first byte alone comes, so that it is counted.
    /// </summary>
    public bool TagTaken;
}
