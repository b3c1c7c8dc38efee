using System.Runtime.InteropServices;
using NetKernel.Channel.Host;
using NetKernel.Stack;

namespace NetKernel.Nsm.Mtcp;

/// <summary>
/// A link whose fd takes and gives frames behind a <see cref="VnetHeader"/>. Small frames (acknowledgements, short requests) are collected and sent with one
/// system call per <see cref="Flush"/>; large ones go at once, straight from where their payload lies.
/// </summary>
internal abstract unsafe class VnetDevice : Device
{
    private const int Batch = 64, SmallBytes = 2048, ReceiveBytes = 65536 + 128, MaxVectors = 72;
    private readonly byte* _small = (byte*)NativeMemory.Alloc(Batch * SmallBytes);
    private readonly byte* _receive = (byte*)NativeMemory.Alloc(ReceiveBytes);
    private readonly Libc.IoVec* _smallVectors = (Libc.IoVec*)NativeMemory.AllocZeroed(Batch, (nuint)sizeof(Libc.IoVec));
    private readonly MMsgHdr* _smallMessages = (MMsgHdr*)NativeMemory.AllocZeroed(Batch, (nuint)sizeof(MMsgHdr));
    private readonly Libc.IoVec* _vectors = (Libc.IoVec*)NativeMemory.Alloc(MaxVectors, (nuint)sizeof(Libc.IoVec));
    private readonly VnetHeader* _header = (VnetHeader*)NativeMemory.AllocZeroed(VnetHeader.Length);
    private uint _queued;

    protected VnetDevice(int fd, uint mtu, ulong mac)
        : base(fd, mtu, mac)
    {
        for (int i = 0; i < Batch; i++)
        {
            _smallVectors[i].Base = _small + (i * SmallBytes);
            _smallMessages[i].Header.Iov = &_smallVectors[i];
            _smallMessages[i].Header.IovLength = 1;
        }
    }

    /// <inheritdoc/>
    public sealed override bool FinishesChecksums => true;

    /// <summary>What an IP packet can hold, with room for headers.</summary>
    public sealed override uint MaxGso => 65535 - 120;

    /// <summary>Whether what arrives has no VLAN tag any more, and of other VLANs one byte comes (<see cref="InFrame.TagTaken"/>).</summary>
    protected virtual bool TakesTags => false;

    /// <inheritdoc/>
    public sealed override bool Transmit(in OutFrame frame)
    {
        uint length = frame.HeaderLength + frame.PayloadLength + VnetHeader.Length;
        if (length <= SmallBytes)
        {
            byte* p = _small + (_queued * SmallBytes);
            Describe(frame, (VnetHeader*)p);
            p += VnetHeader.Length;
            Buffer.MemoryCopy(frame.Header, p, frame.HeaderLength, frame.HeaderLength);
            p += frame.HeaderLength;
            for (uint i = 0; i < frame.PayloadCount; i++)
            {
                Buffer.MemoryCopy(frame.Payload[i].Start, p, frame.Payload[i].Length, frame.Payload[i].Length);
                p += frame.Payload[i].Length;
            }

            _smallVectors[_queued].Length = length;
            if (++_queued == Batch)
            {
                Flush();
            }

            return true;
        }

        Flush();
        Describe(frame, _header);
        _vectors[0].Base = _header;
        _vectors[0].Length = VnetHeader.Length;
        _vectors[1].Base = frame.Header;
        _vectors[1].Length = frame.HeaderLength;
        for (uint i = 0; i < frame.PayloadCount; i++)
        {
            _vectors[i + 2].Base = frame.Payload[i].Start;
            _vectors[i + 2].Length = (nuint)frame.Payload[i].Length;
        }

        bool taken = Sys.WriteV(Fd, _vectors, (int)frame.PayloadCount + 2) > 0;
        Refused += taken ? 0u : 1;
        return taken;
    }

    /// <inheritdoc/>
    public sealed override void Flush()
    {
        if (_queued == 0)
        {
            return;
        }

        uint sent = SendBatch(_smallMessages, _smallVectors, _queued);
        Refused += _queued - sent;
        _queued = 0;
    }

    /// <inheritdoc/>
    public override void Dispose()
    {
        base.Dispose();
        NativeMemory.Free(_small);
        NativeMemory.Free(_receive);
        NativeMemory.Free(_smallVectors);
        NativeMemory.Free(_smallMessages);
        NativeMemory.Free(_vectors);
        NativeMemory.Free(_header);
    }

    /// <summary>
    /// Reads one frame from the fd and takes it to the stack; false when there is none. Always into the same memory, which stays in the cache for the copy that follows.
    /// </summary>
    protected bool ReceiveOne(NetworkStack stack)
    {
        Libc.IoVec whole = new() { Base = _receive, Length = ReceiveBytes };
        nint length = Sys.ReadV(Fd, &whole, 1);
        if (length <= 0)
        {
            return false;
        }

        if (length == ReceiveBytes)
        {
            stack.Counters.Drop(DropReason.Oversized); // larger than an IP packet can be, and cut
            return true;
        }

        Give(stack, _receive, (uint)length);
        return true;
    }

    /// <summary>Takes a frame, which begins with its header, to the stack.</summary>
    protected void Give(NetworkStack stack, byte* p, uint length)
    {
        if (length <= VnetHeader.Length)
        {
            stack.Counters.Drop(DropReason.EtherTruncated);
            return;
        }

        VnetHeader* header = (VnetHeader*)p;
        InFrame info = default;
        info.ChecksumGood = (header->Flags & (VnetHeader.NeedsChecksum | VnetHeader.DataValid)) != 0;
        info.TagTaken = TakesTags;
        info.GsoSize = header->GsoType == VnetHeader.GsoNone ? 0u : header->GsoSize;
        stack.Receive(p + VnetHeader.Length, length - VnetHeader.Length, in info);
    }

    /// <summary>Sends frames; returns how many the kernel took.</summary>
    protected abstract uint SendBatch(MMsgHdr* messages, Libc.IoVec* vectors, uint count);

    private static void Describe(in OutFrame frame, VnetHeader* header)
    {
        *header = default;
        if (frame.ChecksumStart != 0)
        {
            header->Flags = VnetHeader.NeedsChecksum;
            header->ChecksumStart = (ushort)frame.ChecksumStart;
            header->ChecksumOffset = (ushort)frame.ChecksumOffset;
        }

        if (frame.GsoSize != 0)
        {
            const int TcpFlags = 13, Cwr = 0x80;
            bool cwr = (frame.Header[frame.ChecksumStart + TcpFlags] & Cwr) != 0;
            header->GsoType = (byte)((frame.IsV6 ? VnetHeader.GsoTcp6 : VnetHeader.GsoTcp4) | (cwr ? VnetHeader.GsoEcn : 0));
            header->GsoSize = (ushort)frame.GsoSize;
            header->HeaderLength = (ushort)frame.HeaderLength;
        }
    }
}
