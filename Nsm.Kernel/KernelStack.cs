using NetKernel.Channel;
using NetKernel.Channel.Host;
using NetKernel.ServiceLib;

namespace NetKernel.Nsm.Kernel;

/// <summary>Linux's own stack behind <see cref="INetworkStack"/>: a kernel socket per connection, in the loop's epoll set, edge-triggered.</summary>
/// <remarks>The parts: names (this file), data (Data), accepting (Accept), the end (Close), options (<see cref="SocketOptions"/>), and datagrams (Datagrams/).</remarks>
internal sealed unsafe partial class KernelStack : INetworkStack
{
    private const uint WatchedEvents = Libc.EPOLLIN | Libc.EPOLLOUT | Libc.EPOLLRDHUP | Sys.EPOLLPRI | Libc.EPOLLET;

    private readonly Settings _settings;
    private readonly SocketOptions _options;
    private StackHost _host = null!;

    public KernelStack(Settings settings)
    {
        _settings = settings;
        _options = new SocketOptions(settings);
    }

    public int StateBytes => sizeof(KernelSocket);

    /// <inheritdoc/>
    public bool HasTcp => true;

    public void Start(StackHost host) => _host = host;

    public void GuestAdded(Guest guest)
    {
        // Nothing to make: the control plane has put the guest's addresses on the interface.
    }

    public void GuestRemoved(Guest guest)
    {
        // Its connections have been dropped.
    }

    public uint Poll() => 0;

    public int Socket(Connection* c, int domain, int type, int protocol)
    {
        const int TypeMask = 0xF;
        if (domain is not (Libc.AF_INET or Libc.AF_INET6))
        {
            return Sys.EAFNOSUPPORT;
        }

        if ((type & TypeMask) == Libc.SOCK_DGRAM)
        {
            return OpenDatagrams(c, domain, protocol);
        }

        if ((type & TypeMask) != Libc.SOCK_STREAM)
        {
            return Sys.ESOCKTNOSUPPORT;
        }

        if (protocol is not (0 or Sys.IPPROTO_TCP))
        {
            return Sys.EPROTONOSUPPORT;
        }

        int fd = NewSocket(domain, Libc.SOCK_STREAM);
        if (fd < 0)
        {
            return -fd;
        }

        KernelSocket* s = (KernelSocket*)c->State;
        s->Fd = fd;
        s->Fd4 = -1;
        s->Domain = domain;
        s->Family = domain;
        return 0;
    }

    public void Bind(Connection* c, in Endpoint address, NqeFlags flags)
    {
        KernelSocket* s = (KernelSocket*)c->State;
        int error = s->Has(KernelFlags.Datagram) ? BindDatagrams(c, s, address, flags)
            : s->Phase == Phase.Bound ? Renew(s) // the guest could not use the port that it got
            : s->Phase == Phase.Fresh ? 0 : Libc.EINVAL;
        error = error != 0 || s->Has(KernelFlags.Datagram) ? error : BindTo(s, _host.GuestOf(c), address, flags);
        _host.CompleteAddress(c, Op.BindDone, error, error == 0 ? SockAddr.LocalOf(s->Fd) : default);
    }

    public void Listen(Connection* c, int backlog)
    {
        KernelSocket* s = (KernelSocket*)c->State;
        int error = s->Has(KernelFlags.Datagram) ? Libc.EOPNOTSUPP : s->Phase is Phase.Connecting or Phase.Connected ? Libc.EINVAL : 0;
        if (error == 0 && s->Phase == Phase.Fresh)
        {
            error = BindTo(s, _host.GuestOf(c), default, NqeFlags.Wildcard); // listen(2) without bind: any port.
        }

        backlog = ShareBacklog(s, backlog);
        if (error == 0)
        {
            error = -Sys.Listen(s->Fd, backlog);
        }

        if (error == Libc.EINVAL && s->Phase == Phase.Bound)
        {
            Disconnect(s->Fd); // an attempt to connect that failed is still in the kernel's books
            error = -Sys.Listen(s->Fd, backlog);
        }

        if (error == 0 && s->Fd4 >= 0)
        {
            error = -Sys.Listen(s->Fd4, backlog);
        }

        if (error == 0)
        {
            error = Watch(c, s);
        }

        if (error == 0)
        {
            s->Phase = Phase.Listening;
        }

        _host.CompleteAddress(c, Op.ListenDone, error, error == 0 ? SockAddr.LocalOf(s->Fd) : default);
    }

    public void Connect(Connection* c, in Endpoint address, NqeFlags flags)
    {
        KernelSocket* s = (KernelSocket*)c->State;
        if (s->Has(KernelFlags.Datagram))
        {
            ConnectDatagrams(c, s, address, flags);
            return;
        }

        int error = s->Phase switch
        {
            Phase.Connected => Sys.EISCONN,
            Phase.Connecting => Sys.EALREADY,
            Phase.Listening => Sys.EISCONN,
            _ => StartConnect(c, s, address, flags),
        };
        if (error == Libc.EINPROGRESS)
        {
            _host.Connecting(c, SockAddr.LocalOf(s->Fd));
            return;
        }

        FinishConnect(c, s, error);
    }

    public int GetOption(Connection* c, int level, int name, byte* value, uint room, out uint length) => level == StackOption.Level
        ? ReadErrorQueue((KernelSocket*)c->State, name, value, room, out length)
        : _options.Get((KernelSocket*)c->State, level, name, value, room, out length);

    public int SetOption(Connection* c, int level, int name, ulong value, uint length)
    {
        KernelSocket* s = (KernelSocket*)c->State;
        if (s->Has(KernelFlags.Datagram))
        {
            return SetDatagramOption(s, level, name, value, length);
        }

        int error = _options.Set(s, level, name, &value, length);
        if (error == 0 && level == Libc.SOL_SOCKET && name == Sys.SO_RCVBUF)
        {
            StackHost.LimitReceive(c, (uint)value); // What the kernel doubles for its bookkeeping is here the pool's share.
        }

        return error;
    }

    /// <inheritdoc/>
    public int FindCongestion(string name) => _options.FindCongestion(name);

    /// <inheritdoc/>
    public void SetCongestion(Connection* c, int which)
    {
        KernelSocket* s = (KernelSocket*)c->State;
        if (!s->Has(KernelFlags.Datagram))
        {
            _options.SetCongestion(s, which);
        }
    }

    public void Ready(ulong data, uint events)
    {
        Connection* c = (Connection*)(data & ~1ul);
        KernelSocket* s = (KernelSocket*)c->State;
        if ((events & ~Libc.EPOLLOUT) != 0)
        {
            s->Set((data & 1) != 0 ? KernelFlags.Readable4 : KernelFlags.Readable);
        }

        if ((events & (Libc.EPOLLRDHUP | Libc.EPOLLHUP | Libc.EPOLLERR | Sys.EPOLLPRI)) != 0)
        {
            s->Set(KernelFlags.ReadToEnd);
        }

        if ((events & Libc.EPOLLERR) != 0)
        {
            s->Set(KernelFlags.ErrorSignalled);
        }

        if ((events & (Libc.EPOLLOUT | Libc.EPOLLERR | Libc.EPOLLHUP)) != 0)
        {
            s->Set(KernelFlags.Writable);
        }

        _host.Schedule(c);
    }

    private int StartConnect(Connection* c, KernelSocket* s, Endpoint peer, NqeFlags flags)
    {
        Guest guest = _host.GuestOf(c);
        if (s->Domain == Libc.AF_INET && !peer.IsIPv4)
        {
            return Sys.EAFNOSUPPORT;
        }

        if (_settings.IsBridge)
        {
            bool v4 = peer.IsIPv4;
            if (IsAny(peer) || (flags & NqeFlags.Wildcard) != 0)
            {
                // To connect to the wildcard is to connect to oneself.
                v4 |= !guest.HasIPv6;
                peer = v4 ? Endpoint.V4(guest.Address4, peer.Port) : Endpoint.V6(guest.Address6Low, guest.Address6High, peer.Port);
            }

            if (IsForbidden(in peer) || (v4 ? guest.Address4 == 0 : !guest.HasIPv6))
            {
                return Libc.ENETUNREACH;
            }

            if (s->Phase == Phase.Fresh)
            {
                _ = Sys.SetInt(s->Fd, Sys.IPPROTO_IP, Sys.IP_BIND_ADDRESS_NO_PORT, 1);
                int bound = SockAddr.Bind(s->Fd, s->Family, v4 ? Endpoint.V4(guest.Address4, 0) : Endpoint.V6(guest.Address6Low, guest.Address6High, 0));
                if (bound < 0 && bound != -Libc.EINVAL)
                {
                    return -bound; // EINVAL: bound by an earlier attempt.
                }
            }
        }

        if (IsForbidden(in peer))
        {
            return Libc.ENETUNREACH;
        }

        PickHalf(s, peer.IsIPv4);
        int result = SockAddr.Connect(s->Fd, s->Family, in peer);
        if (result == -Libc.ECONNABORTED)
        {
            result = SockAddr.Connect(s->Fd, s->Family, in peer); // The first one only cleared an attempt that failed before.
        }

        if (result < 0 && result != -Libc.EINPROGRESS)
        {
            return -result;
        }

        // Into the epoll set only now: a socket that is not connecting yet reports EPOLLHUP at once.
        int watched = Watch(c, s);
        if (watched != 0)
        {
            return watched;
        }

        if (result == 0)
        {
            return 0;
        }

        // A peer on this machine has answered by now: told in the same turn, before any request that comes later.
        _host.PollSoon();
        s->Clear(KernelFlags.ErrorSignalled);
        s->Phase = Phase.Connecting;
        return Libc.EINPROGRESS;
    }

    /// <summary>A connect that was under way reports: done, failed, or a false alarm.</summary>
    private void CheckConnect(Connection* c, KernelSocket* s)
    {
        int error = Sys.PendingError(s->Fd);
        if (error == 0 && !SockAddr.HasPeer(s->Fd))
        {
            return;
        }

        FinishConnect(c, s, error);
    }

    private void FinishConnect(Connection* c, KernelSocket* s, int error)
    {
        if (error == 0)
        {
            s->Phase = Phase.Connected;
            s->Set(KernelFlags.Writable);
            _host.CompleteAddress(c, Op.ConnectDone, 0, SockAddr.LocalOf(s->Fd));
            if (c->SendCount != 0 || s->Has(KernelFlags.Readable))
            {
                _host.Schedule(c);
            }

            return;
        }

        if (s->Phase == Phase.Connecting)
        {
            s->Phase = Phase.Fresh; // Linux lets a program try again on the same socket.
            s->Clear(KernelFlags.Readable | KernelFlags.Writable | KernelFlags.ReadToEnd | KernelFlags.ErrorSignalled);
        }

        _host.CompleteAddress(c, Op.ConnectDone, error, default);
    }

    private int Watch(Connection* c, KernelSocket* s)
    {
        if (s->Has(KernelFlags.Watched))
        {
            return 0;
        }

        Libc.EpollEvent e = new() { Events = WatchedEvents, Data = (ulong)c };
        int error = -Sys.EpollControl(_host.Epoll, Libc.EPOLL_CTL_ADD, s->Fd, &e);
        if (error == 0 && s->Fd4 >= 0)
        {
            e.Data |= 1;
            error = -Sys.EpollControl(_host.Epoll, Libc.EPOLL_CTL_ADD, s->Fd4, &e);
        }

        if (error == 0)
        {
            s->Set(KernelFlags.Watched);
        }

        return error;
    }
}
