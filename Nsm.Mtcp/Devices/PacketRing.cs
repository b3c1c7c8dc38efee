using System.Runtime.InteropServices;
using System.Threading;
using NetKernel.Channel.Host;

namespace NetKernel.Nsm.Mtcp;

/// <summary>
/// The ring by which an AF_PACKET socket gives what it receives without a system call (Linux, Documentation/networking/packet_mmap.rst; TPACKET_V2). Frames that fit into a slot are taken from where
/// they lie. Of a larger one (segments put together) the slot only says that it waits in the socket's queue, to be read (PACKET_COPY_THRESH).
/// </summary>
internal sealed unsafe class PacketRing : IDisposable
{
    private const int PACKET_RX_RING = 5, PACKET_COPY_THRESH = 7, PACKET_VERSION = 10, TPACKET_V2 = 1;
    private const uint StatusUser = 1, StatusCopy = 2;

    // A frame of an MTU of 1,500 with all headers before it fits. 8 MB hold what arrives while the thread waits for a core.
    private const uint SlotBytes = 2048, Slots = 4096, BlockBytes = 1 << 16;

    private readonly byte* _ring;
    private uint _next;

    private PacketRing(byte* ring) => _ring = ring;

    /// <summary>Gives a socket its ring, after PACKET_VNET_HDR and before bind(2), so that nothing is in its queue that no slot tells of.</summary>
    /// <exception cref="DeviceException">The kernel does not make it.</exception>
    public static PacketRing Open(int fd)
    {
        int version = TPACKET_V2, threshold = 1;
        Request request = new() { BlockBytes = BlockBytes, Blocks = Slots / (BlockBytes / SlotBytes), SlotBytes = SlotBytes, Slots = Slots };
        if (Sys.SetSockOpt(fd, Sys.SOL_PACKET, PACKET_VERSION, &version, sizeof(int)) != 0
            || Sys.SetSockOpt(fd, Sys.SOL_PACKET, PACKET_COPY_THRESH, &threshold, sizeof(int)) != 0
            || Sys.SetSockOpt(fd, Sys.SOL_PACKET, PACKET_RX_RING, &request, (uint)sizeof(Request)) != 0)
        {
            throw new DeviceException($"PACKET_RX_RING: {Libc.Describe(Sys.Errno)}");
        }

        nint ring = Libc.Map(0, SlotBytes * Slots, Libc.PROT_READ | Libc.PROT_WRITE, Libc.MAP_SHARED, fd, 0);
        return ring != -1 ? new PacketRing((byte*)ring) : throw new DeviceException($"mapping the ring of AF_PACKET: {Libc.Describe(Libc.Errno)}");
    }

    /// <summary>
    /// The next frame, or null when none has come. <paramref name="waits"/>: it is in the socket's queue; otherwise it begins here with its <see cref="VnetHeader"/>, and both together have
    /// <paramref name="length"/> bytes. Valid until <see cref="Advance"/>.
    /// </summary>
    public byte* Peek(out uint length, out bool waits)
    {
        Slot* slot = (Slot*)(_ring + (_next * SlotBytes));
        uint status = Volatile.Read(ref slot->Status); // pairs with the kernel's barrier between the frame and its status
        length = 0;
        waits = (status & StatusCopy) != 0;
        if ((status & StatusUser) == 0)
        {
            return null;
        }

        // A frame that fitted neither here nor into the queue is lost, as in any queue that is full.
        bool cut = slot->Captured < slot->Length && slot->Captured == SlotBytes - slot->Mac;
        length = cut ? 0 : slot->Captured + VnetHeader.Length;
        return (byte*)slot + slot->Mac - VnetHeader.Length;
    }

    /// <summary>Gives the slot back to the kernel.</summary>
    public void Advance()
    {
        Volatile.Write(ref ((Slot*)(_ring + (_next * SlotBytes)))->Status, 0u);
        _next = (_next + 1) % Slots;
    }

    /// <inheritdoc/>
    public void Dispose() => _ = Libc.Unmap((nint)_ring, SlotBytes * Slots);

    /// <summary>struct tpacket_req.</summary>
    [StructLayout(LayoutKind.Sequential)]
    private struct Request
    {
        public uint BlockBytes;
        public uint Blocks;
        public uint SlotBytes;
        public uint Slots;
    }

    /// <summary>The beginning of struct tpacket2_hdr: bytes on the link, bytes here, and where they begin.</summary>
    [StructLayout(LayoutKind.Sequential)]
    private struct Slot
    {
        public uint Status;
        public uint Length;
        public uint Captured;
        public ushort Mac;
    }
}
