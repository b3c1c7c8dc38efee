using System.Runtime.InteropServices;
using NetKernel.Channel.Host;

namespace NetKernel.Nsm.Mtcp;

/// <summary>
/// The UMEM: memory of our own in chunks of one frame each, the first half for what arrives, the other for what is sent. What the kernel says of it is checked here.
/// </summary>
internal sealed unsafe class XdpChunks : IDisposable
{
    private const int PageBytes = 4096, HalfPage = PageBytes / 2;

    /// <summary>What the kernel leaves free in front of a received frame (XDP_PACKET_HEADROOM).</summary>
    private const int Headroom = 256;

    private readonly uint* _free;
    private readonly bool* _sending;
    private uint _freeCount;

    /// <summary>That many chunks for each direction (a power of two), of frames of that many bytes.</summary>
    public XdpChunks(uint count, uint frameBytes)
    {
        Count = count;
        ChunkBytes = frameBytes + Headroom <= HalfPage ? HalfPage : (uint)PageBytes;
        Bytes = 2ul * count * ChunkBytes;
        nint at = Libc.Map(0, (nuint)Bytes, Libc.PROT_READ | Libc.PROT_WRITE, Libc.MAP_PRIVATE | Libc.MAP_ANONYMOUS, -1, 0);
        Start = at != -1 ? (byte*)at : throw new DeviceException($"AF_XDP: {Bytes} bytes of memory: {Libc.Describe(Libc.Errno)}");
        _free = (uint*)NativeMemory.Alloc(count, sizeof(uint));
        _sending = (bool*)NativeMemory.AllocZeroed(count);
        for (uint i = count; i > 0; i--)
        {
            _free[_freeCount++] = i - 1;
        }
    }

    /// <summary>Most bytes of a frame that a chunk can hold.</summary>
    public static uint MostFrameBytes => PageBytes - Headroom;

    public byte* Start { get; }

    public ulong Bytes { get; }

    public uint ChunkBytes { get; }

    /// <summary>Chunks of each direction.</summary>
    public uint Count { get; }

    /// <summary>Where a received frame lies; null: what the kernel says is no frame in a chunk for what arrives.</summary>
    public byte* Received(in XdpDescriptor descriptor)
    {
        ulong end = (ulong)Count * ChunkBytes;
        return descriptor.Address < end && descriptor.Length <= ChunkBytes - (descriptor.Address % ChunkBytes) ? Start + descriptor.Address : null;
    }

    /// <summary>The chunk of an address of a received frame.</summary>
    public ulong ChunkOf(ulong address) => address - (address % ChunkBytes);

    /// <summary>A chunk to send from; false: all are on their way.</summary>
    public bool TryTake(out ulong address)
    {
        if (_freeCount == 0)
        {
            address = 0;
            return false;
        }

        uint chunk = _free[--_freeCount];
        _sending[chunk] = true;
        address = (ulong)(Count + chunk) * ChunkBytes;
        return true;
    }

    /// <summary>The kernel has sent a chunk; false: it had no such chunk.</summary>
    public bool Give(ulong address)
    {
        ulong chunk = (address / ChunkBytes) - Count; // below the first: past the last
        if (chunk >= Count || !_sending[chunk])
        {
            return false;
        }

        _sending[chunk] = false;
        _free[_freeCount++] = (uint)chunk;
        return true;
    }

    public void Dispose()
    {
        _ = Libc.Unmap((nint)Start, (nuint)Bytes);
        NativeMemory.Free(_free);
        NativeMemory.Free(_sending);
    }
}
