using System.Runtime.InteropServices;
using NetKernel.Channel;
using NetKernel.Channel.Host;
using NetKernel.ServiceLib;

namespace NetKernel.Nsm.SharedMem;

/// <content>
/// Datagram sockets (RFC 768) between guests: each is also one of the guest's own NSM, which has chosen its port, and serves it for the rest of the world. Only what is delivered here as the
/// kernel would deliver it is; everything else, errors included, is left to that NSM.
/// </content>
public sealed unsafe partial class SharedMemStack
{
    private const int IPPROTO_UDP = 17;

    /// <summary>Datagrams of one socket in one turn.</summary>
    private const uint DatagramsPerRun = 32;

    /// <summary>Larger ones of who wants them whole are for the stack that knows the MTU: the least of IPv6 (RFC 8200, 5) less IPv6 and UDP headers.</summary>
    private const uint SurelyWhole = 1280 - 48;

    /// <summary>A receive buffer below this is so small that single credits matter.</summary>
    private const uint SmallReceiveBytes = 256 << 10;

    private readonly DatagramTable _datagrams = new();

    private static int OpenDatagrams(Connection* c, int domain, int protocol)
    {
        if (protocol is not (0 or IPPROTO_UDP))
        {
            return EPROTONOSUPPORT;
        }

        SharedSocket* s = (SharedSocket*)c->State;
        s->Self = c;
        s->Domain = domain;
        s->Set(SharedFlags.Datagram);
        return 0;
    }

    private void BindDatagrams(Connection* c, SharedSocket* s, in Endpoint address, NqeFlags flags)
    {
        _datagrams.Remove(s);
        Phase before = s->Phase;
        int error = address.Port == 0 ? Libc.EINVAL : BindTo(s, _host.GuestOf(c), address, flags);
        if (error == 0)
        {
            s->Clear(SharedFlags.Named);
            s->Set((flags & NqeFlags.Wildcard) == 0 && !IsAny(in address) ? SharedFlags.Named : 0);
            s->Phase = before == Phase.Connected ? before : Phase.Bound;
            _datagrams.Add(s);
        }

        _host.CompleteAddress(c, Op.BindDone, error, error == 0 ? s->Local : default);
    }

    /// <summary>Has a peer, another one, or with Abort none any more: then its port is only kept if the program chose it.</summary>
    private void ConnectDatagrams(Connection* c, SharedSocket* s, in Endpoint address, NqeFlags flags)
    {
        bool ends = (flags & NqeFlags.Abort) != 0;
        if (ends && (flags & NqeFlags.Bound) == 0)
        {
            _datagrams.Remove(s);
            s->Local = default;
        }

        s->Remote = ends ? default : address;
        s->Phase = !ends ? Phase.Connected : s->Local.Port != 0 ? Phase.Bound : Phase.Fresh;
        _host.CompleteAddress(c, Op.ConnectDone, 0, s->Local);
    }

    /// <summary>A datagram socket's turn.</summary>
    private void RunDatagrams(Connection* c, SharedSocket* s)
    {
        if (!c->Has(ConnectionFlags.Closing))
        {
            _host.DeliverWaiting(c);
        }

        for (uint i = 0; c->SendCount != 0; i++)
        {
            if (i == DatagramsPerRun)
            {
                _host.Schedule(c);
                return;
            }

            if (!_host.TryReadDatagram(c, 0, out Datagram datagram))
            {
                if (!c->Has(ConnectionFlags.Closing))
                {
                    return; // the second half of it has not come yet
                }

                datagram.Error = Libc.EINVAL; // nor will it
                datagram.Sends = 1;
            }

            if (datagram.Error != 0)
            {
                _host.DatagramDone(c, datagram.Sends, datagram.Error);
                continue;
            }

            SharedSocket* target = TargetOf(c, s, in datagram.Header, out Endpoint from, out Endpoint to);
            if (target == null)
            {
                _host.PassOn(c, datagram.Sends);
                continue;
            }

            if (!_host.HasRoomFor(target->Self))
            {
                _host.Schedule(c);
                return;
            }

            Deliver(s, target, in datagram, in from, in to);
            _host.DatagramDone(c, datagram.Sends, 0); // lost, perhaps: the sender does not hear of that
        }

        if (c->Has(ConnectionFlags.Closing))
        {
            _host.Closed(c);
        }
    }

    /// <summary>The socket that a datagram is for; null: it goes by the guest's own NSM. Whatever the guest says of itself that is not so leads there, too.</summary>
    private SharedSocket* TargetOf(Connection* c, SharedSocket* s, in DatagramHeader header, out Endpoint from, out Endpoint to)
    {
        from = default;
        bool named = (header.Fields & DatagramFields.Peer) != 0;
        to = named ? Endpoint.V6(header.PeerLow, header.PeerHigh, header.PeerPort) : s->Remote;
        if (s->Local.Port == 0 || (!named && s->Phase != Phase.Connected))
        {
            return null;
        }

        bool v4 = to.IsIPv4;
        Guest guest = _host.GuestOf(c);
        if (!s->Has(v4 ? SharedFlags.Takes4 : SharedFlags.Takes6) || _guests.Find(in to) is not { } other || other == guest || !_reach.May(guest.Id, other.Id))
        {
            return null;
        }

        from = v4 ? Endpoint.V4(guest.Address4, s->Local.Port) : Endpoint.V6(guest.Address6Low, guest.Address6High, s->Local.Port);
        bool foreign = (header.Fields & DatagramFields.Local) != 0 && (header.LocalLow != from.Low || header.LocalHigh != from.High);
        bool odd = (header.Fields & DatagramFields.Ttl) != 0 && header.Ttl == 0;
        bool large = header.Length > (v4 ? DatagramHeader.MostPayload4 : DatagramHeader.MostPayload) || (header.Length > SurelyWhole && s->Datagram.KeepsWhole(v4));
        return foreign || odd || large ? null : _datagrams.Find(other.Id, in to, in from);
    }

    /// <summary>One copy, behind a header that says where it is from; lost when the receiver has no room.</summary>
    private void Deliver(SharedSocket* s, SharedSocket* target, in Datagram datagram, in Endpoint from, in Endpoint to)
    {
        Connection* d = target->Self;
        uint bytes = DatagramHeader.Bytes + datagram.Header.Length;
        if (!_host.TryReserveDatagram(d, bytes, out RxBuffer first, out RxBuffer second))
        {
            return;
        }

        bool v4 = to.IsIPv4;
        DatagramHeader* header = (DatagramHeader*)first.Start;
        *header = default;
        header->PeerLow = from.Low;
        header->PeerHigh = from.High;
        header->PeerPort = from.Port;
        header->LocalLow = to.Low;
        header->LocalHigh = to.High;
        header->Length = datagram.Header.Length;
        header->Tos = (datagram.Header.Fields & DatagramFields.Tos) != 0 ? datagram.Header.Tos : v4 ? s->Datagram.Tos : s->Datagram.Class;
        header->Ttl = (datagram.Header.Fields & DatagramFields.Ttl) != 0 ? datagram.Header.Ttl : s->Datagram.TtlFor(v4);
        header->Fields = DatagramFields.Peer | DatagramFields.Local | DatagramFields.Tos | DatagramFields.Ttl;
        if (target->Datagram.WantsTime)
        {
            header->Timestamp = (ulong)(DateTime.UtcNow - DateTime.UnixEpoch).Ticks * 100;
            header->Fields |= DatagramFields.Timestamp;
        }

        // The payload lies in one piece or two, and goes into one or two, cut elsewhere.
        uint room = first.Capacity - DatagramHeader.Bytes;
        Copy(datagram.First, 0, first.Start + DatagramHeader.Bytes, room, second.Start);
        Copy(datagram.Second, (uint)datagram.First.Length, first.Start + DatagramHeader.Bytes, room, second.Start);
        NqeFlags loud = target->Datagram.ReceiveBytes is not 0 and < SmallReceiveBytes ? NqeFlags.Sync : NqeFlags.None;
        _host.DeliverDatagram(d, in first, in second, bytes, loud);
    }

    /// <summary>Copies a piece that begins at byte <paramref name="at"/> of a datagram, of which the first <paramref name="room"/> bytes lie at one place and the rest at another.</summary>
    private static void Copy(in Libc.IoVec piece, uint at, byte* first, uint room, byte* second)
    {
        uint length = (uint)piece.Length;
        uint inFirst = at >= room ? 0 : length < room - at ? length : room - at;
        if (inFirst != 0)
        {
            System.Runtime.CompilerServices.Unsafe.CopyBlockUnaligned(first + at, piece.Base, inFirst);
        }

        if (inFirst != length)
        {
            System.Runtime.CompilerServices.Unsafe.CopyBlockUnaligned(second + (at + inFirst - room), (byte*)piece.Base + inFirst, length - inFirst);
        }
    }
}
