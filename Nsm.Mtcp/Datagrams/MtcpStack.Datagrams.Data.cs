using NetKernel.Channel;
using NetKernel.Channel.Host;
using NetKernel.ServiceLib;
using NetKernel.Stack;

namespace NetKernel.Nsm.Mtcp;

/// <content>Datagrams out, straight from the TX pool; datagrams in, from where the stack keeps them; and errors.</content>
internal sealed unsafe partial class MtcpStack
{
    private const int SendsPerRun = 64;

    /// <summary>A receive buffer below this is so small that single credits matter (see quiet publishing in docs/wire-format.md).</summary>
    private const uint SmallReceiveBytes = 256 << 10;

    /// <summary>Returns whether there are more to be sent, for which the connection is scheduled.</summary>
    private bool SendDatagrams(Connection* c, MtcpSocket* s)
    {
        for (int n = 0; _host.TryReadDatagram(c, 0, out Datagram datagram); n++)
        {
            if (n == SendsPerRun)
            {
                _host.Schedule(c);
                return true;
            }

            int error = datagram.Error != 0 ? datagram.Error : SendDatagram(c, s, in datagram);
            _host.DatagramDone(c, datagram.Sends, error);
            _scheduled++;
        }

        return false;
    }

    private int SendDatagram(Connection* c, MtcpSocket* s, in Datagram datagram)
    {
        if (s->Has(MtcpFlags.ShutdownWanted) && (int)(c->SendHead - s->Told) >= 0)
        {
            return Libc.EPIPE;
        }

        UdpSocket* u = s->Peer;
        Address to = u != null ? u->Remote : default;
        ushort port = u != null ? u->RemotePort : (ushort)0;
        if ((datagram.Header.Fields & DatagramFields.Peer) != 0)
        {
            to = new Address(datagram.Header.PeerLow, datagram.Header.PeerHigh);
            port = datagram.Header.PeerPort;
            int error = HalfTo(c, s, to, out u);
            if (error != 0)
            {
                return error;
            }
        }

        if (u == null)
        {
            return EDESTADDRREQ;
        }

        if (port == 0)
        {
            return Libc.EINVAL;
        }

        // Any address but the guest's own is not the guest's to use.
        if ((datagram.Header.Fields & DatagramFields.Local) != 0 && new Address(datagram.Header.LocalLow, datagram.Header.LocalHigh) != u->Local)
        {
            return Libc.EINVAL;
        }

        Extent* pieces = stackalloc Extent[2];
        pieces[0].Start = (byte*)datagram.First.Base;
        pieces[0].Length = datagram.First.Length;
        pieces[1].Start = (byte*)datagram.Second.Base;
        pieces[1].Length = datagram.Second.Length;
        byte tos = (datagram.Header.Fields & DatagramFields.Tos) != 0 ? datagram.Header.Tos : u->Tos;
        byte ttl = to.IsMulticast ? (byte)1 : u->Ttl; // RFC 1112, 6.1
        if ((datagram.Header.Fields & DatagramFields.Ttl) != 0)
        {
            ttl = datagram.Header.Ttl;
            if (ttl == 0 && to.IsV4)
            {
                return Libc.EINVAL; // ip(7)
            }
        }

        return _udp.Send(u, to, port, tos, ttl, pieces, datagram.Sends, datagram.Header.Length);
    }

    private void TellErrors(Connection* c, UdpSocket* u)
    {
        if (u != null && u->Error != 0)
        {
            int error = u->Error;
            u->Error = 0;
            _host.Error(c, error, u->OldestError != null);
        }
    }

    private void ReceiveDatagrams(Connection* c, MtcpSocket* s)
    {
        if (s->Peer != null)
        {
            ReceiveHalf(c, s, s->Peer);
            return;
        }

        bool first4 = s->Has(MtcpFlags.Turn4);
        s->Flags ^= MtcpFlags.Turn4;
        ReceiveHalf(c, s, first4 ? s->U4 : s->U6);
        ReceiveHalf(c, s, first4 ? s->U6 : s->U4);
    }

    private void ReceiveHalf(Connection* c, MtcpSocket* s, UdpSocket* u)
    {
        while (u != null && u->Oldest != null)
        {
            if (c->Has(ConnectionFlags.WaitsForCredit | ConnectionFlags.WaitsForPool) || StackHost.DatagramRoom(c) == 0)
            {
                return; // The host schedules the connection when credits or pool space come back.
            }

            if (s->ReceiveBytes != 0 && c->RxOut != 0 && c->RxBytesOut >= s->ReceiveBytes)
            {
                c->Flags |= ConnectionFlags.WaitsForCredit;
                return;
            }

            UdpItem* item = u->Oldest;
            if (!_host.TryReserve(c, PoolHalf.ClassFor(DatagramHeader.Bytes + item->Length), out RxBuffer first))
            {
                return;
            }

            DeliverDatagram(c, s, u, item, first);
            UdpLayer.Pop(u);
            _scheduled++;
        }
    }

    private void DeliverDatagram(Connection* c, MtcpSocket* s, UdpSocket* u, UdpItem* item, RxBuffer first)
    {
        uint inFirst = Math.Min(item->Length, first.Capacity - DatagramHeader.Bytes);
        uint rest = item->Length - inFirst;
        RxBuffer second = default;
        if (rest != 0 && !_host.TryReserveRest(c, rest, out second))
        {
            _host.Return(c, in first); // No room: lost, as it would have been in a full socket buffer.
            return;
        }

        DatagramHeader* header = (DatagramHeader*)first.Start;
        *header = default;
        header->PeerLow = item->Peer.Low;
        header->PeerHigh = item->Peer.High;
        header->PeerPort = item->PeerPort;
        header->LocalLow = u->Local.Low;
        header->LocalHigh = u->Local.High;
        header->Tos = item->Tos;
        header->Ttl = item->Ttl;
        header->Timestamp = item->Timestamp;
        header->Length = item->Length;
        header->Fields = DatagramFields.Peer | DatagramFields.Local | DatagramFields.Tos | DatagramFields.Ttl;
        header->Fields |= item->Timestamp != 0 ? DatagramFields.Timestamp : (ushort)0;
        byte* payload = UdpItem.PayloadOf(item);
        Buffer.MemoryCopy(payload, first.Start + DatagramHeader.Bytes, inFirst, inFirst);
        NqeFlags loud = s->ReceiveBytes is not 0 and < SmallReceiveBytes ? NqeFlags.Sync : NqeFlags.None;
        _host.Deliver(c, in first, DatagramHeader.Bytes + inFirst, rest != 0 ? loud | NqeFlags.More : loud);
        if (rest != 0)
        {
            Buffer.MemoryCopy(payload + inFirst, second.Start, second.Capacity, rest);
            _host.Deliver(c, in second, rest, loud | NqeFlags.Continued);
        }
    }
}
