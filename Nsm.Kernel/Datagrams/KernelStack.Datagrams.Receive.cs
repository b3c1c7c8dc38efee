using System.Runtime.InteropServices;
using NetKernel.Channel;
using NetKernel.Channel.Host;
using NetKernel.ServiceLib;

namespace NetKernel.Nsm.Kernel;

/// <content>
/// Datagrams in: several per system call, straight into the RX pool. What does not fit its chunk lands in memory of the NSM's own first and is copied to a second
/// chunk; the next ones get larger chunks. While the guest has no room for more, datagrams stay in the kernel's socket, and overflow there.
/// </content>
internal sealed unsafe partial class KernelStack
{
    private const uint ReceiveControlBytes = 256;
    private const uint OverflowBytes = 65536;

    /// <summary>Chunks prepared for one call: more would be taken from others for nothing.</summary>
    private const uint BatchBytes = 256 << 10;

    /// <summary>A receive buffer below this is so small that single credits matter (see quiet publishing in docs/wire-format.md).</summary>
    private const uint SmallReceiveBytes = 256 << 10;

    private readonly MMsgHdr* _inMessages = (MMsgHdr*)NativeMemory.AllocZeroed(DatagramBatch, (nuint)sizeof(MMsgHdr));
    private readonly Libc.IoVec* _inVectors = (Libc.IoVec*)NativeMemory.AllocZeroed(2 * DatagramBatch, (nuint)sizeof(Libc.IoVec));
    private readonly SockAddr* _inNames = (SockAddr*)NativeMemory.AllocZeroed(DatagramBatch, (nuint)sizeof(SockAddr));
    private readonly byte* _inControl = (byte*)NativeMemory.AllocZeroed(DatagramBatch, ReceiveControlBytes);
    private readonly byte* _overflow = (byte*)NativeMemory.AllocZeroed(DatagramBatch, OverflowBytes);
    private readonly RxBuffer* _inBuffers = (RxBuffer*)NativeMemory.AllocZeroed(DatagramBatch, (nuint)sizeof(RxBuffer));

    private void ReceiveDatagrams(Connection* c, KernelSocket* s)
    {
        bool connected = s->Phase == Phase.Connected;
        bool first4 = s->Has(KernelFlags.Turn4);
        for (int i = 0; i < 2; i++)
        {
            // A connected socket hears its peer only: the other half keeps what it gets.
            bool half4 = (i == 0) == first4;
            if ((half4 && s->Fd4 < 0) || (connected && half4 != s->Has(KernelFlags.Peer4)))
            {
                continue;
            }

            ReceiveHalf(c, s, half4 ? s->Fd4 : s->Fd, half4 ? KernelFlags.Readable4 : KernelFlags.Readable);
        }

        s->Flags ^= KernelFlags.Turn4;
    }

    private void ReceiveHalf(Connection* c, KernelSocket* s, int fd, uint readable)
    {
        for (int calls = 0; s->Has(readable); calls++)
        {
            if (calls == ReceiveCalls)
            {
                _host.Schedule(c);
                return;
            }

            uint count = Reserve(c, s);
            if (count == 0)
            {
                return; // The host schedules the connection when credits or pool space come back.
            }

            int got = Sys.ReceiveMMsg(fd, _inMessages, count, 0);
            uint taken = got > 0 ? (uint)got : 0;
            bool v4 = FamilyOf(s, fd) == Libc.AF_INET;
            for (uint i = 0; i < taken; i++)
            {
                DeliverDatagram(c, s, i, v4);
            }

            for (uint i = taken; i < count; i++)
            {
                _host.Return(c, in _inBuffers[i]);
            }

            s->ReceiveBatch = taken == count ? count * 2 : taken + 1;
            if (got == -Libc.EAGAIN || (got > 0 && taken < count))
            {
                s->Clear(readable); // Empty: the next datagram is a new edge.
            }
            else if (got is < 0 and not -Libc.EINTR)
            {
                _host.Error(c, -got, s->Has(KernelFlags.ErrorQueue)); // An error that waited; the datagrams are still there.
                _host.Schedule(c);
                return;
            }
        }
    }

    /// <summary>Takes chunks and prepares a receive into them; returns for how many datagrams.</summary>
    private uint Reserve(Connection* c, KernelSocket* s)
    {
        if (c->Has(ConnectionFlags.WaitsForCredit | ConnectionFlags.WaitsForPool))
        {
            return 0;
        }

        if (s->ReceiveBytes != 0 && c->RxOut != 0 && c->RxBytesOut >= s->ReceiveBytes)
        {
            c->Flags |= ConnectionFlags.WaitsForCredit;
            return 0;
        }

        uint most = BatchBytes / PoolHalf.BytesOf(s->RxClass);
        most = Math.Min(Math.Min(most, StackHost.DatagramRoom(c)), Math.Min(s->ReceiveBatch, DatagramBatch));
        if (s->ReceiveBytes is not 0 and < SmallReceiveBytes)
        {
            most = Math.Min(most, 1);
        }

        uint n = 0;
        while (n < most && _host.TryReserve(c, s->RxClass, out _inBuffers[n]))
        {
            Libc.MsgHdr* header = &_inMessages[n].Header;
            Libc.IoVec* vectors = &_inVectors[2 * n];
            vectors[0].Base = _inBuffers[n].Start + DatagramHeader.Bytes;
            vectors[0].Length = _inBuffers[n].Capacity - DatagramHeader.Bytes;
            vectors[1].Base = _overflow + (n * OverflowBytes);
            vectors[1].Length = OverflowBytes;
            header->Iov = vectors;
            header->IovLength = 2;
            header->Name = &_inNames[n];
            header->NameLength = (uint)sizeof(SockAddr);
            header->Control = s->Has(KernelFlags.WantsControl) ? _inControl + (n * ReceiveControlBytes) : null;
            header->ControlLength = s->Has(KernelFlags.WantsControl) ? ReceiveControlBytes : 0;
            n++;
        }

        return n;
    }

    private void DeliverDatagram(Connection* c, KernelSocket* s, uint index, bool v4)
    {
        MMsgHdr* message = &_inMessages[index];
        RxBuffer buffer = _inBuffers[index];
        uint length = message->Length;
        uint inFirst = Math.Min(length, buffer.Capacity - DatagramHeader.Bytes);
        uint rest = length - inFirst;
        RxBuffer second = default;
        if (rest != 0)
        {
            s->RxClass = PoolHalf.ClassFor(length + DatagramHeader.Bytes);
            s->SmallReceives = 0;
            if (!_host.TryReserveRest(c, rest, out second))
            {
                _host.Return(c, in buffer); // No room: lost, as it would have been in a full socket buffer.
                return;
            }

            Buffer.MemoryCopy(_overflow + (index * OverflowBytes), second.Start, second.Capacity, rest);
        }
        else
        {
            Adapt(s, inFirst, buffer.Capacity);
        }

        DatagramHeader* header = (DatagramHeader*)buffer.Start;
        FillHeader(c, message, index, v4, header);
        header->Length = length;
        NqeFlags loud = s->ReceiveBytes is not 0 and < SmallReceiveBytes ? NqeFlags.Sync : NqeFlags.None;
        _host.Deliver(c, in buffer, DatagramHeader.Bytes + inFirst, rest != 0 ? loud | NqeFlags.More : loud);
        if (rest != 0)
        {
            _host.Deliver(c, in second, rest, loud | NqeFlags.Continued);
        }
    }

    private void FillHeader(Connection* c, MMsgHdr* message, uint index, bool v4, DatagramHeader* header)
    {
        *header = default;
        Endpoint peer = _inNames[index].ToEndpoint();
        header->PeerLow = peer.Low;
        header->PeerHigh = peer.High;
        header->PeerPort = peer.Port;
        header->Fields = DatagramFields.Peer;
        if (_settings.IsBridge)
        {
            Guest guest = _host.GuestOf(c);
            Endpoint own = v4 ? Endpoint.V4(guest.Address4, 0) : Endpoint.V6(guest.Address6Low, guest.Address6High, 0);
            SetLocal(header, in own);
        }

        byte* control = (byte*)message->Header.Control;
        nuint bytes = message->Header.ControlLength;
        for (nuint at = 0; control != null && at + 16 <= bytes;)
        {
            nuint length = *(nuint*)(control + at);
            if (length < 16 || at + length > bytes)
            {
                break;
            }

            ReadControl(*(int*)(control + at + 8), *(int*)(control + at + 12), control + at + 16, header);
            at += (length + 7) & ~(nuint)7;
        }
    }

    private static void ReadControl(int level, int type, byte* data, DatagramHeader* header)
    {
        switch (level, type)
        {
            case (Sys.IPPROTO_IP, Sys.IP_TOS):
                header->Tos = *data;
                header->Fields |= DatagramFields.Tos;
                break;
            case (Sys.IPPROTO_IPV6, Sys.IPV6_TCLASS):
                header->Tos = (byte)*(int*)data;
                header->Fields |= DatagramFields.Tos;
                break;
            case (Sys.IPPROTO_IP, Sys.IP_TTL):
            case (Sys.IPPROTO_IPV6, Sys.IPV6_HOPLIMIT):
                header->Ttl = (byte)*(int*)data;
                header->Fields |= DatagramFields.Ttl;
                break;
            case (Sys.IPPROTO_IP, Sys.IP_PKTINFO):
                SetLocal(header, Endpoint.V4(*(uint*)(data + 8), 0)); // struct in_pktinfo: interface, local address, destination in the header
                break;
            case (Sys.IPPROTO_IPV6, Sys.IPV6_PKTINFO):
                SetLocal(header, Endpoint.V6(*(ulong*)data, *(ulong*)(data + 8), 0));
                break;
            case (Libc.SOL_SOCKET, Sys.SO_TIMESTAMPNS):
                header->Timestamp = (*(ulong*)data * 1_000_000_000) + *(ulong*)(data + 8);
                header->Fields |= DatagramFields.Timestamp;
                break;
            default:
                break;
        }
    }

    private static void SetLocal(DatagramHeader* header, in Endpoint address)
    {
        header->LocalLow = address.Low;
        header->LocalHigh = address.High;
        header->Fields |= DatagramFields.Local;
    }
}
