using NetKernel.Channel;
using NetKernel.Channel.Host;
using NetKernel.ServiceLib;
using NetKernel.Stack;

namespace NetKernel.Nsm.Mtcp;

/// <content>
/// Datagram sockets: names, and the end. Each has a half per family, bound to the guest's address of that family when it is first needed; so a guest can send from nowhere else.
/// </content>
internal sealed unsafe partial class MtcpStack : IUdpUser
{
    private const int EACCES = 13, EDESTADDRREQ = 89, EOPNOTSUPP = 95, IPPROTO_UDP = 17;

    void IUdpUser.Changed(UdpSocket* u)
    {
        _scheduled++;
        _host.Schedule((Connection*)u->User);
    }

    private int OpenDatagrams(Connection* c, int domain, int protocol)
    {
        if (protocol is not (0 or IPPROTO_UDP))
        {
            return EPROTONOSUPPORT;
        }

        MtcpSocket* s = (MtcpSocket*)c->State;
        UdpBudget* budget = _budgets[(int)c->GuestId];
        s->Domain = (ushort)domain;
        s->U4 = _udp.Open(c, budget);
        s->U6 = s->U4 != null && domain == Libc.AF_INET6 ? _udp.Open(c, budget) : null;
        if (s->U4 == null || (domain == Libc.AF_INET6 && s->U6 == null))
        {
            CloseDatagrams(s);
            return Libc.ENOBUFS;
        }

        s->Flags |= MtcpFlags.Datagram;
        return 0;
    }

    private void CloseDatagrams(MtcpSocket* s)
    {
        if (s->U4 != null)
        {
            _udp.Close(s->U4);
        }

        if (s->U6 != null)
        {
            _udp.Close(s->U6);
        }

        s->U4 = s->U6 = s->Peer = null;
    }

    private void UnbindBoth(MtcpSocket* s)
    {
        _udp.Unbind(s->U4);
        if (s->U6 != null)
        {
            _udp.Unbind(s->U6);
        }

        s->Peer = null;
        s->Phase = Phase.Fresh;
        s->Flags &= ~(MtcpFlags.OneFamily | MtcpFlags.ProgramBound);
    }

    private int BindDatagrams(Connection* c, MtcpSocket* s, in Endpoint endpoint, NqeFlags flags)
    {
        Guest guest = _host.GuestOf(c);
        Address address = AddressOf(endpoint);
        bool any = (flags & NqeFlags.Wildcard) != 0 || address.IsAny;
        if (s->Phase == Phase.Connected)
        {
            return Libc.EINVAL;
        }

        if (s->U6 == null && !address.IsV4 && !any)
        {
            return EAFNOSUPPORT;
        }

        bool any6 = s->U6 != null && !address.IsV4;
        bool has4 = Has4(guest) && (s->U6 == null || (flags & NqeFlags.V6Only) == 0);
        bool has6 = Has6(guest) && s->U6 != null;
        bool bind4 = has4 && (any || address == Own4(guest));
        bool bind6 = has6 && (any ? any6 : address == Own6(guest));
        if (!bind4 && !bind6)
        {
            return Libc.EADDRNOTAVAIL;
        }

        // Binding anew is for a guest whose own half of the port was taken.
        UnbindBoth(s);
        bool reuseAddress = (flags & NqeFlags.ReuseAddress) != 0, reusePort = (flags & NqeFlags.ReusePort) != 0;
        int error = Libc.EADDRINUSE;
        for (int tries = 0; tries < PortTries && error == Libc.EADDRINUSE; tries++)
        {
            ushort port = endpoint.Port;
            error = 0;
            if (bind6)
            {
                error = _udp.Bind(s->U6, Own6(guest), port, reuseAddress, reusePort);
                port = s->U6->LocalPort;
            }

            if (bind4 && error == 0)
            {
                error = _udp.Bind(s->U4, Own4(guest), port, reuseAddress, reusePort);
            }

            if (error != 0)
            {
                UnbindBoth(s);
                if (endpoint.Port != 0)
                {
                    return error;
                }
            }
        }

        if (error == 0)
        {
            s->Phase = Phase.Bound;
            s->Flags |= MtcpFlags.ProgramBound | (any && (flags & NqeFlags.V6Only) == 0 ? MtcpFlags.None : MtcpFlags.OneFamily);
        }

        return error;
    }

    private void ConnectDatagrams(Connection* c, MtcpSocket* s, in Endpoint endpoint, NqeFlags flags)
    {
        int error = 0;
        UdpSocket* u = null;
        if ((flags & NqeFlags.Abort) != 0)
        {
            // connect(AF_UNSPEC): a port that the program chose stays, any other goes.
            if ((flags & NqeFlags.Bound) == 0)
            {
                UnbindBoth(s);
            }

            Dissolve(s);
        }
        else
        {
            Address to = AddressOf(endpoint);
            error = HalfTo(c, s, to, out u);
            if (error == 0)
            {
                Dissolve(s);
                UdpLayer.Connect(u, to, endpoint.Port);
                UdpSocket* other = u == s->U4 ? s->U6 : s->U4;
                if (other != null)
                {
                    other->IsDeaf = true; // A connected socket hears its peer only.
                }

                s->Peer = u;
                s->Phase = Phase.Connected;
            }
        }

        _host.CompleteAddress(c, Op.ConnectDone, error, error == 0 ? LocalOf(c, s) : default);
        _host.Schedule(c);
    }

    private static void Dissolve(MtcpSocket* s)
    {
        UdpLayer.Disconnect(s->U4);
        if (s->U6 != null)
        {
            UdpLayer.Disconnect(s->U6);
        }

        s->Peer = null;
        s->Phase = s->Has(MtcpFlags.ProgramBound) ? Phase.Bound : Phase.Fresh;
    }

    /// <summary>What getsockname tells.</summary>
    private Endpoint LocalOf(Connection* c, MtcpSocket* s)
    {
        Guest guest = _host.GuestOf(c);
        UdpSocket* u = s->Peer != null ? s->Peer : s->U6 != null && s->U6->LocalPort != 0 ? s->U6 : s->U4;
        return u->LocalPort != 0 ? EndpointOf(u->Local, u->LocalPort) : EndpointOf(s->U6 != null && Has6(guest) ? Own6(guest) : Own4(guest), 0);
    }

    /// <summary>The half that reaches a peer, bound if need be. Returns an errno.</summary>
    private int HalfTo(Connection* c, MtcpSocket* s, in Address peer, out UdpSocket* u)
    {
        Guest guest = _host.GuestOf(c);
        u = null;
        bool v4 = peer.IsV4;
        if (!v4 && s->U6 == null)
        {
            return EAFNOSUPPORT;
        }

        if (peer.IsBroadcast)
        {
            return s->Has(MtcpFlags.Broadcasts) ? Libc.ENETUNREACH : EACCES; // ip(7): EACCES without SO_BROADCAST; with it, this stack has no route for broadcasts.
        }

        if ((peer.IsLoopback && !_carriesLoopback) || peer.IsAny || (v4 ? !Has4(guest) : !Has6(guest)))
        {
            return Libc.ENETUNREACH; // Loopback stays in the guest.
        }

        if (!peer.IsMulticast && !_stack.Reaches(peer))
        {
            return Libc.ENETUNREACH; // A resolver whose server cannot be reached must hear it now, not after its time-outs.
        }

        u = v4 ? s->U4 : s->U6;
        if (u->LocalPort != 0)
        {
            return 0;
        }

        if (s->Has(MtcpFlags.OneFamily))
        {
            return Libc.ENETUNREACH;
        }

        // The same port in both families, unless somebody has it.
        UdpSocket* other = v4 ? s->U6 : s->U4;
        Address own = v4 ? Own4(guest) : Own6(guest);
        ushort port = other != null ? other->LocalPort : (ushort)0;
        int error = port == 0 ? Libc.EADDRINUSE : _udp.Bind(u, own, port, reuseAddress: false, reusePort: false);
        error = error == 0 ? 0 : _udp.Bind(u, own, 0, reuseAddress: false, reusePort: false);
        u->IsDeaf = error == 0 && s->Phase == Phase.Connected;
        return error == 0 ? 0 : Libc.EAGAIN; // udp(7): no free port
    }

    private void RunDatagrams(Connection* c, MtcpSocket* s)
    {
        bool more = SendDatagrams(c, s);
        if (c->Has(ConnectionFlags.Closing))
        {
            if (!more)
            {
                CloseDatagrams(s);
                _host.FailSends(c, Libc.ECONNRESET); // half of a datagram whose rest will not come
                _host.Closed(c);
            }

            return;
        }

        TellErrors(c, s->U4);
        TellErrors(c, s->U6);
        ReceiveDatagrams(c, s);
    }
}
