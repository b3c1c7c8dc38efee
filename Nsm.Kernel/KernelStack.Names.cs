using NetKernel.Channel;
using NetKernel.Channel.Host;
using NetKernel.ServiceLib;

namespace NetKernel.Nsm.Kernel;

/// <content>Making kernel sockets and giving them addresses: in bridge mode each guest has its own, and nothing else.</content>
internal sealed unsafe partial class KernelStack
{
    /// <summary>Tries to find a port that is free in both families.</summary>
    private const int PortTries = 64;

    private int NewSocket(int family, int type)
    {
        int fd = Sys.Socket(family, type | Libc.SOCK_NONBLOCK | Libc.SOCK_CLOEXEC, 0);
        if (fd >= 0)
        {
            _options.ApplyDefaults(fd);
        }

        return fd;
    }

    /// <summary>A bound socket that is not connected and does not listen becomes one without a name. Returns an errno.</summary>
    private int Renew(KernelSocket* s)
    {
        int fd = NewSocket(s->Domain, Libc.SOCK_STREAM);
        if (fd < 0)
        {
            return -fd;
        }

        _options.Copy(s, fd, s->Domain == Libc.AF_INET6);
        CloseFds(s, abort: false);
        s->Fd = fd;
        s->Family = s->Domain;
        s->Phase = Phase.Fresh;
        s->Clear(KernelFlags.Watched);
        return 0;
    }

    /// <summary>Binds a fresh socket as the program asked. Returns an errno.</summary>
    private int BindTo(KernelSocket* s, Guest guest, Endpoint address, NqeFlags flags)
    {
        bool v6Only = (flags & NqeFlags.V6Only) != 0;
        bool wildcard = (flags & NqeFlags.Wildcard) != 0 || IsAny(address);
        if (s->Domain == Libc.AF_INET && !address.IsIPv4 && !wildcard)
        {
            return Sys.EAFNOSUPPORT;
        }

        bool dual = false;
        if (_settings.IsBridge)
        {
            Endpoint v4 = Endpoint.V4(guest.Address4, address.Port);
            Endpoint v6 = Endpoint.V6(guest.Address6Low, guest.Address6High, address.Port);
            bool has4 = guest.Address4 != 0 && !v6Only;
            bool has6 = guest.HasIPv6 && s->Domain == Libc.AF_INET6;
            if (wildcard)
            {
                bool any6 = s->Domain == Libc.AF_INET6 && !address.IsIPv4;
                dual = any6 && has4 && has6;
                address = any6 && has6 ? v6 : v4;
            }

            if (address.SameAddress(in v6) ? !has6 : !address.SameAddress(in v4) || !has4)
            {
                return Libc.EADDRNOTAVAIL;
            }
        }
        else if (!wildcard && IsForbidden(in address))
        {
            return Libc.EADDRNOTAVAIL;
        }
        else if (wildcard)
        {
            address = s->Domain == Libc.AF_INET || address.IsIPv4 ? Endpoint.V4(0, address.Port) : Endpoint.V6(0, 0, address.Port);
        }

        SetBindFlags(s->Fd, flags);
        if (address.Port == 0)
        {
            _ = Sys.SetInt(s->Fd, Sys.IPPROTO_IP, Sys.IP_BIND_ADDRESS_NO_PORT, 0); // as an attempt to connect left it
        }

        if (s->Family == Libc.AF_INET6)
        {
            // Explicitly both ways: net.ipv6.bindv6only may be set here, and the guest has decided for itself.
            _ = Sys.SetInt(s->Fd, Sys.IPPROTO_IPV6, Sys.IPV6_V6ONLY, v6Only ? 1 : 0);
        }

        int error = dual ? BindBoth(s, guest, address, flags) : -SockAddr.Bind(s->Fd, s->Family, in address);
        if (error == 0)
        {
            s->Phase = Phase.Bound;
        }

        return error;
    }

    /// <summary>Binds an IPv6 socket to the guest's IPv6 address and a second one to its IPv4 address, at the same port.</summary>
    private int BindBoth(KernelSocket* s, Guest guest, Endpoint address, NqeFlags flags)
    {
        bool anyPort = address.Port == 0;
        for (int tries = 0; ; tries++)
        {
            // The IPv4 half first: it is thrown away if the other half finds the port taken.
            int fd4 = NewSocket(Libc.AF_INET, s->Has(KernelFlags.Datagram) ? Libc.SOCK_DGRAM : Libc.SOCK_STREAM);
            if (fd4 < 0)
            {
                return -fd4;
            }

            SetBindFlags(fd4, flags);
            _options.Copy(s, fd4);
            int error = -SockAddr.Bind(fd4, Libc.AF_INET, Endpoint.V4(guest.Address4, address.Port));
            if (error == 0)
            {
                Endpoint at = address;
                at.Port = SockAddr.LocalOf(fd4).Port;
                error = -SockAddr.Bind(s->Fd, s->Family, in at);
            }

            if (error == 0)
            {
                s->Fd4 = fd4;
                return 0;
            }

            _ = Sys.Close(fd4);
            if (!anyPort || error != Libc.EADDRINUSE || tries == PortTries)
            {
                return error;
            }
        }
    }

    /// <summary>A socket bound to both families connects from the half that reaches the peer.</summary>
    private static void PickHalf(KernelSocket* s, bool v4)
    {
        if (s->Fd4 < 0)
        {
            return;
        }

        _ = Sys.Close(v4 ? s->Fd : s->Fd4);
        if (v4)
        {
            s->Fd = s->Fd4;
            s->Family = Libc.AF_INET;
        }

        s->Fd4 = -1;
    }

    private static void SetBindFlags(int fd, NqeFlags flags)
    {
        _ = Sys.SetInt(fd, Libc.SOL_SOCKET, Sys.SO_REUSEADDR, (flags & NqeFlags.ReuseAddress) != 0 ? 1 : 0);
        _ = Sys.SetInt(fd, Libc.SOL_SOCKET, Sys.SO_REUSEPORT, (flags & NqeFlags.ReusePort) != 0 ? 1 : 0);
    }

    /// <summary>
    /// Whether an address is the loopback of the NSM's network, which to the kernel the wildcard is, too. Loopback stays in the guest: what listens here, the host's own services in host mode,
    /// is none of its business.
    /// </summary>
    private bool IsForbidden(in Endpoint e) => !_settings.CarriesLoopback && (IsLoopback(in e) || IsAny(in e));

    private static bool IsAny(in Endpoint e) => e.Low == 0 && (e.High == 0 || (e.IsIPv4 && e.Address4 == 0));

    private static bool IsLoopback(in Endpoint e) => e.IsIPv4 ? (e.Address4 & 0xFF) == 127 : e.Low == 0 && e.High == 1ul << 56;
}
