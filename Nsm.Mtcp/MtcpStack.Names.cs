using NetKernel.Channel;
using NetKernel.Channel.Host;
using NetKernel.ServiceLib;
using NetKernel.Stack;

namespace NetKernel.Nsm.Mtcp;

/// <content>Addresses and connecting: each guest has its own addresses, and nothing else.</content>
internal sealed unsafe partial class MtcpStack
{
    private const int EISCONN = 106, EALREADY = 114, PortTries = 64;

    public void Bind(Connection* c, in Endpoint address, NqeFlags flags)
    {
        MtcpSocket* s = (MtcpSocket*)c->State;
        if (s->Has(MtcpFlags.Datagram))
        {
            int result = BindDatagrams(c, s, in address, flags);
            _host.CompleteAddress(c, Op.BindDone, result, result == 0 ? LocalOf(c, s) : default);
            return;
        }

        int error = s->Phase switch
        {
            Phase.Bound => Renew(c, s), // The guest could not use the port that it got.
            Phase.Fresh => 0,
            _ => Libc.EINVAL,
        };
        error = error != 0 ? error : BindTo(c, s, address, flags);
        _host.CompleteAddress(c, Op.BindDone, error, error == 0 ? EndpointOf(s->T->Local, s->T->LocalPort) : default);
    }

    public void Listen(Connection* c, int backlog)
    {
        MtcpSocket* s = (MtcpSocket*)c->State;
        if (s->Has(MtcpFlags.Datagram))
        {
            _host.CompleteAddress(c, Op.ListenDone, EOPNOTSUPP, default);
            return;
        }

        int error = s->Phase is Phase.Fresh or Phase.Bound or Phase.Listening ? 0 : Libc.EINVAL;
        if (error == 0 && s->Phase == Phase.Fresh)
        {
            error = BindTo(c, s, default, NqeFlags.Wildcard); // listen(2) without bind: any port.
        }

        uint most = (uint)backlog > 4096 ? 4096 : (uint)backlog; // net.core.somaxconn
        if (error == 0)
        {
            error = _tcp.Listen(s->T, most);
        }

        if (error == 0 && s->T4 != null)
        {
            error = _tcp.Listen(s->T4, most);
        }

        if (error == 0)
        {
            s->Phase = Phase.Listening;
        }

        _host.CompleteAddress(c, Op.ListenDone, error, error == 0 ? EndpointOf(s->T->Local, s->T->LocalPort) : default);
    }

    public void Connect(Connection* c, in Endpoint address, NqeFlags flags)
    {
        MtcpSocket* s = (MtcpSocket*)c->State;
        if (s->Has(MtcpFlags.Datagram))
        {
            ConnectDatagrams(c, s, in address, flags);
            return;
        }

        int error = s->Phase switch
        {
            Phase.Fresh or Phase.Bound => StartConnect(c, s, address, flags),
            Phase.Connecting => EALREADY,
            _ => EISCONN,
        };
        if (error != 0)
        {
            _host.CompleteAddress(c, Op.ConnectDone, error, default);
        }
    }

    private static Endpoint EndpointOf(in Address address, ushort port) => Endpoint.V6(address.Low, address.High, port);

    private static Address AddressOf(in Endpoint endpoint) => new(endpoint.Low, endpoint.High);

    private bool Has4(Guest guest) => _carriesLoopback || guest.Address4 != 0;

    private bool Has6(Guest guest) => _carriesLoopback || guest.HasIPv6;

    private Address Own4(Guest guest) => _carriesLoopback ? Loopback4 : Address.V4(guest.Address4);

    private Address Own6(Guest guest) => _carriesLoopback ? Loopback6 : new(guest.Address6Low, guest.Address6High);

    private int StartConnect(Connection* c, MtcpSocket* s, Endpoint peer, NqeFlags flags)
    {
        Guest guest = _host.GuestOf(c);
        if (s->Domain == Libc.AF_INET && !peer.IsIPv4)
        {
            return EAFNOSUPPORT;
        }

        bool v4 = peer.IsIPv4;
        if (AddressOf(peer).IsAny || (flags & NqeFlags.Wildcard) != 0)
        {
            // To connect to the wildcard is to connect to oneself.
            v4 |= !Has6(guest);
            Address own = v4 ? Own4(guest) : Own6(guest);
            peer = EndpointOf(own, peer.Port);
        }

        if ((AddressOf(peer).IsLoopback && !_carriesLoopback) || (v4 ? !Has4(guest) : !Has6(guest)))
        {
            return Libc.ENETUNREACH; // Loopback stays in the guest.
        }

        PickHalf(s, v4);
        Address local = s->Phase == Phase.Bound ? s->T->Local : v4 ? Own4(guest) : Own6(guest);
        int error = _tcp.Connect(s->T, local, AddressOf(peer), peer.Port);
        if (error == 0)
        {
            s->Phase = Phase.Connecting;
            s->Told = c->SendHead;
            _host.Connecting(c, EndpointOf(s->T->Local, s->T->LocalPort));
        }

        return error;
    }

    /// <summary>A socket bound in both families connects with the half that fits.</summary>
    private void PickHalf(MtcpSocket* s, bool v4)
    {
        if (s->T4 == null)
        {
            return;
        }

        Tcb* other = v4 ? s->T : s->T4;
        s->T = v4 ? s->T4 : s->T;
        s->T4 = null;
        _tcp.Detach(other);
    }

    /// <summary>A connect that was under way: done, failed, or not yet.</summary>
    private void RunConnecting(Connection* c, MtcpSocket* s)
    {
        Tcb* t = s->T;
        if (t->State is TcpState.SynSent or TcpState.SynReceived)
        {
            return;
        }

        // A peer that has closed again already did answer.
        if (t->State != TcpState.Closed || t->Error == 0)
        {
            s->Phase = Phase.Connected;
            _host.CompleteAddress(c, Op.ConnectDone, 0, EndpointOf(t->Local, t->LocalPort));
            RunConnected(c, s);
            return;
        }

        int error = t->Error;
        _ = Renew(c, s); // Linux lets a program try again on the same socket.
        _host.CompleteAddress(c, Op.ConnectDone, error, default);
    }

    /// <summary>A socket that is not connected becomes one without a name, with the same options. Returns an errno.</summary>
    private int Renew(Connection* c, MtcpSocket* s)
    {
        Tcb* fresh = _tcp.Open(c);
        if (fresh == null)
        {
            return Libc.ENOBUFS;
        }

        _tcp.CopyOptions(s->T, fresh);
        if (s->T4 != null)
        {
            _tcp.Detach(s->T4);
            s->T4 = null;
        }

        _tcp.Detach(s->T);
        s->T = fresh;
        s->Phase = Phase.Fresh;
        return 0;
    }

    /// <summary>Binds a fresh socket as the program asked. Returns an errno.</summary>
    private int BindTo(Connection* c, MtcpSocket* s, in Endpoint endpoint, NqeFlags flags)
    {
        Guest guest = _host.GuestOf(c);
        Address address = AddressOf(endpoint);
        bool wildcard = (flags & NqeFlags.Wildcard) != 0 || address.IsAny;
        if (s->Domain == Libc.AF_INET && !address.IsV4 && !wildcard)
        {
            return EAFNOSUPPORT;
        }

        bool has4 = Has4(guest) && (flags & NqeFlags.V6Only) == 0;
        bool has6 = Has6(guest) && s->Domain == Libc.AF_INET6;
        bool dual = false;
        if (wildcard)
        {
            bool any6 = s->Domain == Libc.AF_INET6 && !address.IsV4;
            dual = any6 && has4 && has6;
            address = any6 && has6 ? Own6(guest) : Own4(guest);
        }

        if (address == Own6(guest) ? !has6 : address != Own4(guest) || !has4)
        {
            return Libc.EADDRNOTAVAIL;
        }

        bool reuseAddress = (flags & NqeFlags.ReuseAddress) != 0, reusePort = (flags & NqeFlags.ReusePort) != 0;
        int error = Libc.EADDRINUSE;
        for (int tries = 0; tries < PortTries && error == Libc.EADDRINUSE; tries++)
        {
            error = _tcp.Bind(s->T, address, endpoint.Port, reuseAddress, reusePort);
            if (error != 0 || !dual)
            {
                break;
            }

            // The IPv4 half at the same port; with any port, another one when that is taken.
            s->T4 = _tcp.Open(c);
            error = s->T4 == null ? Libc.ENOBUFS : _tcp.Bind(s->T4, Own4(guest), s->T->LocalPort, reuseAddress, reusePort);
            if (error == 0)
            {
                _tcp.CopyOptions(s->T, s->T4);
                break;
            }

            int renewed = Renew(c, s);
            error = renewed != 0 ? renewed : error;
            if (endpoint.Port != 0)
            {
                break;
            }
        }

        s->Phase = error == 0 ? Phase.Bound : Phase.Fresh;
        return error;
    }
}
