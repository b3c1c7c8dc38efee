using System.Runtime.InteropServices;

namespace NetKernel.Nsm.Mtcp;

/// <summary>struct virtio_net_hdr (virtio 1.2, 5.1.6): what TAP and AF_PACKET say of a frame that is not finished, or was put together.</summary>
[StructLayout(LayoutKind.Sequential, Pack = 1, Size = Length)]
internal struct VnetHeader
{
    public const int Length = 10;

    public const byte NeedsChecksum = 1, DataValid = 2;
    public const byte GsoNone = 0, GsoTcp4 = 1, GsoTcp6 = 4, GsoEcn = 0x80;

    public byte Flags;
    public byte GsoType;
    public ushort HeaderLength;
    public ushort GsoSize;
    public ushort ChecksumStart;
    public ushort ChecksumOffset;
}
