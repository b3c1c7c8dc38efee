using System.Runtime.InteropServices;

namespace NetKernel.Stack;

/// <summary>
/// UDP (RFC 768; RFC 8200, 8.1): sockets by local address and port. What arrives is copied once and waits in the socket until its reader takes it, within the socket's limit
/// and its user's <see cref="UdpBudget"/>; what is sent goes out from where it lies.
/// </summary>
public sealed unsafe partial class UdpLayer : IDisposable
{
    private const uint Buckets = 4096, MaxSockets = 1 << 16, MaxErrors = 16;
    private const ulong MostPerUser = 32 << 20;
    private readonly NetworkStack _stack;
    private readonly RandomSource _random;
    private readonly Slab _sockets = new(sizeof(UdpSocket), MaxSockets);
    private readonly UdpSocket** _table = (UdpSocket**)NativeMemory.AllocZeroed(Buckets, (nuint)sizeof(UdpSocket*));

    internal UdpLayer(NetworkStack stack, RandomSource random)
    {
        _stack = stack;
        _random = random;
    }

    /// <summary>Who is told of what happens.</summary>
    public IUdpUser? User { get; set; }

    /// <summary>Sockets open.</summary>
    public uint Count => _sockets.Count;

    /// <inheritdoc/>
    public void Dispose()
    {
        for (uint i = 0; i < Buckets; i++)
        {
            for (UdpSocket* s = _table[i]; s != null; s = s->Next)
            {
                Empty(s);
            }
        }

        _sockets.Dispose();
        NativeMemory.Free(_table);
    }

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

        UdpSocket* s = Find(packet.Destination, packet.Source, Wire.U16(data + 2), Wire.U16(data));
        _stack.Counters.DatagramsIn += packet.Visited == 0 ? 1u : 0;
        if (s != null)
        {
            // A link that does segmentation hands over several datagrams of one size in one frame (UDP_SEGMENT in udp(7)).
            byte* payload = data + Field.UdpHeader;
            uint left = length - Field.UdpHeader;
            uint most = packet.GsoSize != 0 ? packet.GsoSize : left;
            do
            {
                uint n = left < most ? left : most;
                Queue(s, payload, n, Wire.U16(data), in packet);
                payload += n;
                left -= n;
            }
            while (left != 0);
            User?.Changed(s);
            return;
        }

        if (_stack.PassOn(in packet))
        {
            return;
        }

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

    internal bool HasSentTo(in Address local, in Address remote, ushort localPort, ushort remotePort) => Find(local, remote, localPort, remotePort) != null;

    /// <summary>
    /// An error about a datagram, quoted from its UDP header on. As Linux has it (udp_err): with IP_RECVERR every one is told and recorded; without, connected sockets are told of
    /// those that are final.
    /// </summary>
    internal void ReceiveError(in Address local, in Address remote, ushort localPort, ushort remotePort, int errno, in IcmpReport report, byte* quoted, uint size)
    {
        const int Access = 13; // EACCES
        UdpSocket* s = Find(local, remote, localPort, remotePort);
        bool final = errno is Errno.ConnectionRefused or Errno.MessageSize or Errno.ProtocolNotAvailable or Access;
        if (s == null || (!s->RecordsErrors && !(final && s->IsConnected)))
        {
            return;
        }

        s->Error = errno;
        UdpItem* item = s->RecordsErrors && s->ErrorCount < MaxErrors ? NewItem(quoted + Field.UdpHeader, size - Field.UdpHeader) : null;
        if (item != null)
        {
            item->Peer = remote;
            item->PeerPort = remotePort;
            item->Offender = report.Offender;
            item->Type = report.Type;
            item->Code = report.Code;
            item->Info = report.Mtu;
            item->Error = errno;
            Append(ref s->FirstError, ref s->LastError, item);
            s->ErrorCount++;
        }

        User?.Changed(s);
    }

    private void Queue(UdpSocket* s, byte* payload, uint length, ushort port, in Packet packet)
    {
        uint charge = (uint)sizeof(UdpItem) + length;

        // As Linux: one more goes in while the limit is not passed, so that a small buffer holds a large datagram.
        UdpItem* item = s->Queued < s->ReceiveLimit && s->Budget->Queued + charge <= MostPerUser ? NewItem(payload, length) : null;
        if (item == null)
        {
            _stack.Counters.Drop(DropReason.UdpFull);
            return;
        }

        item->Peer = packet.Source;
        item->PeerPort = port;
        item->Tos = packet.Tos;
        item->Ttl = packet.Ttl;
        item->Timestamp = s->Timestamps ? (ulong)(DateTime.UtcNow - DateTime.UnixEpoch).Ticks * 100 : 0;
        Append(ref s->First, ref s->Last, item);
        s->Queued += charge;
        s->Budget->Queued += charge;
    }

    private static UdpItem* NewItem(byte* payload, uint length)
    {
        UdpItem* item = (UdpItem*)NativeMemory.Alloc((nuint)sizeof(UdpItem) + length);
        *item = default;
        item->Length = length;
        Buffer.MemoryCopy(payload, UdpItem.PayloadOf(item), length, length);
        return item;
    }

    private static void Append(ref UdpItem* first, ref UdpItem* last, UdpItem* item)
    {
        if (first == null)
        {
            first = item;
        }
        else
        {
            last->Next = item;
        }

        last = item;
    }

    private UdpSocket** BucketOf(in Address local, ushort port) => &_table[_random.TableHash(local, default, port, 0) & (Buckets - 1)];

    /// <summary>The socket for what comes from there: a connected one first; of several with SO_REUSEPORT one by the flow, else the one bound last.</summary>
    private UdpSocket* Find(in Address local, in Address remote, ushort localPort, ushort remotePort)
    {
        UdpSocket* best = null;
        uint count = 0;
        for (UdpSocket* s = *BucketOf(local, localPort); s != null; s = s->Next)
        {
            if (s->LocalPort != localPort || s->Local != local || s->IsDeaf)
            {
                continue;
            }

            if (s->IsConnected)
            {
                if (s->RemotePort == remotePort && s->Remote == remote)
                {
                    return s;
                }

                continue;
            }

            best = best == null ? s : best;
            count += best == s || (best->ReusePort && s->ReusePort) ? 1u : 0;
        }

        uint skip = count > 1 ? _random.TableHash(local, remote, localPort, remotePort) % count : 0;
        for (UdpSocket* s = best; skip != 0; s = s->Next)
        {
            if (s != best && s->LocalPort == localPort && s->Local == local && !s->IsDeaf && !s->IsConnected && s->ReusePort)
            {
                best = s;
                skip--;
            }
        }

        return best;
    }
}
