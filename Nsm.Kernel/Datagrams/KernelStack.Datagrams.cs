using NetKernel.Channel;
using NetKernel.Channel.Host;
using NetKernel.ServiceLib;

namespace NetKernel.Nsm.Kernel;

/// <content>
/// Datagram sockets: names, and the end. In bridge mode every kernel socket is bound to an address of its guest from the start, so that whatever the guest asks for, it sends from
/// nowhere else; an IPv6 socket therefore has a second, IPv4 half as soon as it needs one.
/// </content>
internal sealed unsafe partial class KernelStack
{
    private int OpenDatagrams(Connection* c, int domain, int protocol)
    {
        if (protocol is not (0 or Sys.IPPROTO_UDP))
        {
            return Sys.EPROTONOSUPPORT;
        }

        Guest guest = _host.GuestOf(c);
        KernelSocket* s = (KernelSocket*)c->State;
        s->Set(KernelFlags.Datagram | KernelFlags.Writable);
        s->Domain = domain;
        s->Family = _settings.IsBridge && domain == Libc.AF_INET6 && !guest.HasIPv6 ? Libc.AF_INET : domain;
        s->Fd4 = -1;
        s->ReceiveBatch = 1;
        s->Fd = NewHalf(s, guest, s->Family, 0, out int error);
        return error;
    }

    /// <summary>A datagram socket of a family; in bridge mode bound to the guest's address and that port (0: whichever it needs first). -1 with an errno.</summary>
    private int NewHalf(KernelSocket* s, Guest guest, int family, ushort port, out int error)
    {
        error = 0;
        int fd = NewSocket(family, Libc.SOCK_DGRAM);
        if (fd < 0)
        {
            error = -fd;
            return -1;
        }

        bool v4 = family == Libc.AF_INET;
        if (_settings.IsBridge && (v4 ? guest.Address4 != 0 : guest.HasIPv6))
        {
            _ = Sys.SetInt(fd, Sys.IPPROTO_IP, Sys.IP_BIND_ADDRESS_NO_PORT, port == 0 ? 1 : 0);
            if (!v4)
            {
                _ = Sys.SetInt(fd, Sys.IPPROTO_IPV6, Sys.IPV6_V6ONLY, 1);
            }

            error = -SockAddr.Bind(fd, family, v4 ? Endpoint.V4(guest.Address4, port) : Endpoint.V6(guest.Address6Low, guest.Address6High, port));
            if (error != 0)
            {
                _ = Sys.Close(fd);
                return -1;
            }
        }

        return fd;
    }

    private int BindDatagrams(Connection* c, KernelSocket* s, Endpoint address, NqeFlags flags)
    {
        if (s->Phase == Phase.Connected)
        {
            return Libc.EINVAL;
        }

        // The kernel binds a socket once. Binding anew is for a guest whose own half of the port was taken.
        Guest guest = _host.GuestOf(c);
        bool any = (flags & NqeFlags.Wildcard) != 0 || IsAny(address);
        int family = s->Family;
        if (_settings.IsBridge && !any && address.IsIPv4)
        {
            family = Libc.AF_INET;
        }

        int error = family != s->Family || s->Has(KernelFlags.Watched) || s->Fd4 >= 0 ? Renew(s, guest, family) : 0;
        if (error != 0)
        {
            return error;
        }

        _ = Sys.SetInt(s->Fd, Sys.IPPROTO_IP, Sys.IP_BIND_ADDRESS_NO_PORT, 0);
        error = BindTo(s, guest, address, flags);
        error = error != 0 ? error : Watch(c, s);
        if (error == 0)
        {
            s->Set(KernelFlags.ProgramBound | (any && (flags & NqeFlags.V6Only) == 0 ? 0 : KernelFlags.OneFamily));
        }

        return error;
    }

    /// <summary>A kernel socket that was never bound in the place of one that was. Returns an errno.</summary>
    private int Renew(KernelSocket* s, Guest guest, int family)
    {
        int fd = NewHalf(s, guest, family, 0, out int error);
        if (error != 0)
        {
            return error;
        }

        _options.Copy(s, fd, family == s->Family);
        CloseFds(s, abort: false);
        s->Fd = fd;
        s->Family = family;
        s->Phase = Phase.Fresh;
        s->Set(KernelFlags.Writable);
        s->Clear(KernelFlags.Watched | KernelFlags.OneFamily | KernelFlags.ProgramBound | KernelFlags.Peer4);
        return 0;
    }

    private void ConnectDatagrams(Connection* c, KernelSocket* s, Endpoint peer, NqeFlags flags)
    {
        int error = 0;
        int fd = s->Fd;
        if ((flags & NqeFlags.Abort) != 0)
        {
            error = Dissolve(c, s, keepPort: (flags & NqeFlags.Bound) != 0);
            fd = s->Fd;
        }
        else
        {
            error = Half(c, s, in peer, out fd);
            if (error == 0)
            {
                SockAddr address = SockAddr.For(FamilyOf(s, fd), in peer);
                error = -Sys.Connect(fd, &address, address.Length);
            }

            error = error != 0 ? error : Watch(c, s);
            if (error == 0)
            {
                s->Phase = Phase.Connected;
                s->Clear(KernelFlags.Peer4);
                s->Set(fd == s->Fd4 ? KernelFlags.Peer4 : 0);
                int other = fd == s->Fd4 ? s->Fd : s->Fd4;
                if (other >= 0)
                {
                    Disconnect(other);
                }
            }
        }

        _host.CompleteAddress(c, Op.ConnectDone, error, error == 0 ? SockAddr.LocalOf(fd) : default);
        _host.Schedule(c);
    }

    /// <summary>connect(AF_UNSPEC): a port that the program chose stays, any other goes (udp(7) has it from the kernel's udp_disconnect).</summary>
    private int Dissolve(Connection* c, KernelSocket* s, bool keepPort)
    {
        if (!keepPort)
        {
            return Renew(s, _host.GuestOf(c), s->Family);
        }

        Disconnect(s->Fd);
        if (s->Fd4 >= 0)
        {
            Disconnect(s->Fd4);
        }

        s->Phase = s->Has(KernelFlags.ProgramBound) ? Phase.Bound : Phase.Fresh;
        s->Clear(KernelFlags.Peer4);
        return 0;
    }

    private static void Disconnect(int fd)
    {
        ulong* unspecified = stackalloc ulong[2];
        *unspecified = 0;
        unspecified[1] = 0;
        _ = Sys.Connect(fd, unspecified, 2 * sizeof(ulong));
    }

    private static int FamilyOf(KernelSocket* s, int fd) => fd == s->Fd4 ? Libc.AF_INET : s->Family;

    /// <summary>The kernel socket that reaches a peer, made if need be. Returns an errno.</summary>
    private int Half(Connection* c, KernelSocket* s, in Endpoint peer, out int fd)
    {
        fd = s->Fd;
        if (!_settings.IsBridge && s->Family == Libc.AF_INET && !peer.IsIPv4)
        {
            return Sys.EAFNOSUPPORT;
        }

        if (IsForbidden(in peer))
        {
            return Libc.ENETUNREACH;
        }

        if (!_settings.IsBridge)
        {
            return 0;
        }

        Guest guest = _host.GuestOf(c);
        if (!peer.IsIPv4)
        {
            return s->Family == Libc.AF_INET6 ? 0 : Libc.ENETUNREACH;
        }

        if (guest.Address4 == 0 || (s->Family == Libc.AF_INET6 && s->Has(KernelFlags.OneFamily)))
        {
            return Libc.ENETUNREACH;
        }

        if (s->Family == Libc.AF_INET)
        {
            return 0;
        }

        if (s->Fd4 < 0)
        {
            int made = NewHalf(s, guest, Libc.AF_INET, 0, out int error);
            if (error != 0)
            {
                return error;
            }

            _options.Copy(s, made);
            s->Fd4 = made;
            if (s->Has(KernelFlags.Watched))
            {
                s->Clear(KernelFlags.Watched);
                _ = Sys.EpollControl(_host.Epoll, Libc.EPOLL_CTL_DEL, s->Fd, null);
                error = Watch(c, s);
            }

            if (error != 0)
            {
                return error;
            }
        }

        fd = s->Fd4;
        return 0;
    }

    private void RunDatagrams(Connection* c, KernelSocket* s)
    {
        FlushDatagrams(c, s);
        if (c->Has(ConnectionFlags.Closing))
        {
            // What the device cannot take at the moment is waited for, as the kernel's own close(2) leaves it in the device's queue.
            if (c->SendCount != 0 && !s->Has(KernelFlags.Writable))
            {
                return;
            }

            if (c->SendCount == 0 || !_host.TryReadDatagram(c, 0, out _))
            {
                CloseFds(s, abort: false);
                _host.FailSends(c, Libc.ECONNRESET); // half of a datagram whose rest will not come
                _host.Closed(c);
            }

            return;
        }

        TellErrors(c, s);
        ReceiveDatagrams(c, s);
    }
}
