using System.Diagnostics;
using NetKernel.Channel;
using NetKernel.Channel.Host;
using NetKernel.ServiceLib;
using NetKernel.Stack;

namespace NetKernel.Nsm.Mtcp;

/// <summary>Our own TCP/IP stack behind <see cref="INetworkStack"/>, on one link of this network namespace.</summary>
/// <remarks>The parts: the loop (this file), names and connecting (Names), data (Data), the end (Close), datagrams (Datagrams), options (SocketOptions), other threads (Sharding).</remarks>
internal sealed unsafe partial class MtcpStack : INetworkStack, ITcpUser, IDisposable
{
    /// <summary>Owner of a connection that is announced to a guest and not yet taken: what arrives for it waits in the stack.</summary>
    private static readonly void* AnnouncedOwner = (void*)1;

    private static readonly Address Loopback4 = Address.V4(0x0100_007F), Loopback6 = new(0, 0x0100_0000_0000_0000);

    private const int EAFNOSUPPORT = 97, ESOCKTNOSUPPORT = 94, EPROTONOSUPPORT = 93, IPPROTO_TCP = 6;
    private const ulong DeviceToken = 1;

    private readonly Device _device;
    private readonly ShardGroup? _group;
    private readonly Shard? _shard;
    private readonly NetworkStack _stack;
    private readonly TcpLayer _tcp;
    private readonly UdpLayer _udp;
    private readonly AddressTaker? _taker;
    private readonly bool _carriesLoopback;
    private readonly CongestionControl _congestion;
    private readonly UdpBudgets _budgets = new();
    /// <summary>Bytes that a guest is given and has not read, per connection; the rest waits in the stack, and is copied once more.</summary>
    private const uint GuestHolds = 512 << 10;

    private StackHost _host = null!;
    private uint _scheduled;

    /// <summary>A stack on an open link: of several, that one of the group.</summary>
    public MtcpStack(Settings settings, Device device, ShardGroup group, uint shard = 0)
    {
        _device = device;
        _taker = shard == 0 ? settings.Taker : null;
        _carriesLoopback = settings.CarriesLoopback;
        _congestion = settings.Congestion;
        _group = group.Mesh != null ? group : null;
        _shard = group.Mesh != null ? new Shard(group.Mesh, shard) : null;
        StackOptions options = new()
        {
            Congestion = settings.Congestion,
            MaxReceiveBuffer = settings.ReceiveBuffer,
            OwnerHolds = GuestHolds - StackHost.Unannounced,
            Vlan = settings.Vlan,
            VlanPriority = settings.VlanPriority,
        };
        _stack = new NetworkStack(options, device, new RandomSource(group.Seed0, group.Seed1), Now, _shard);
        _tcp = _stack.Tcp;
        _tcp.User = this;
        _udp = _stack.Udp;
        _udp.User = this;
        for (int i = 0; i < settings.Routes.Length; i++)
        {
            _ = _stack.Routes.Add(settings.Routes[i].Prefix, settings.Routes[i].Bits, settings.Routes[i].Gateway);
        }
    }

    public int StateBytes => sizeof(MtcpSocket);

    /// <inheritdoc/>
    public bool HasTcp => true;

    /// <inheritdoc/>
    public string[] DropReasons => StackCounters.DropNames();

    private static long Now => Stopwatch.GetTimestamp() / 1000; // nanoseconds on Linux

    public void Start(StackHost host)
    {
        _host = host;
        host.ReceiveLimit = GuestHolds;
        _group?.Enter(_shard!.Index, host);
        Libc.EpollEvent e = new() { Events = Libc.EPOLLIN, Data = DeviceToken };
        if (Libc.EpollControl(host.Epoll, Libc.EPOLL_CTL_ADD, _device.Fd, &e) != 0)
        {
            throw new DeviceException($"epoll: {Libc.Describe(Libc.Errno)}");
        }
    }

    public void CountDropsAt(ulong* counters) => _stack.Counters.CountDropsAt(counters);

    public void GuestAdded(Guest guest)
    {
        _budgets.Add((int)guest.Id);
        if (Has4(guest))
        {
            AddAddress(Own4(guest));
        }

        if (Has6(guest))
        {
            AddAddress(Own6(guest));
        }
    }

    public void GuestRemoved(Guest guest)
    {
        _budgets.Remove((int)guest.Id);
        if (_carriesLoopback)
        {
            return; // The other guests' as well.
        }

        if (guest.Address4 != 0)
        {
            _stack.RemoveAddress(Own4(guest));
        }

        if (guest.HasIPv6)
        {
            _stack.RemoveAddress(Own6(guest));
        }
    }

    public void Ready(ulong data, uint events)
    {
        // Frames wait: Poll, which every turn calls, takes them.
    }

    public bool PollsItself => true;

    /// <summary>What requests send is stamped with the time of this turn, not of the one before the loop slept.</summary>
    public void Begin()
    {
        _group?.Wakes(_shard!);
        _stack.SetTime(Now);
    }

    public uint Poll()
    {
        _scheduled = 0;
        _stack.Advance(Now);
        uint frames = _device.Receive(_stack);
        if (_shard != null)
        {
            frames += _shard.Drain(_stack, this);
        }

        _stack.Flush();
        _device.Flush();
        _group?.WakeTold(_shard!);
        return frames + _scheduled;
    }

    public int SleepLimit()
    {
        if (_group != null && _group.Sleeps(_shard!))
        {
            return 0;
        }

        const int LinkRetry = 1; // ms: a link that is full says nothing when it has room again
        long next = _stack.NextDeadline;
        if (next == long.MaxValue)
        {
            return _device.HasUnsent ? LinkRetry : -1;
        }

        long wait = (next - Now + 999) / 1000;
        wait = _device.HasUnsent && wait > LinkRetry ? LinkRetry : wait;
        return wait <= 0 ? 0 : wait > int.MaxValue ? int.MaxValue : (int)wait;
    }

    public int Socket(Connection* c, int domain, int type, int protocol)
    {
        const int TypeMask = 0xF;
        if (domain is not (Libc.AF_INET or Libc.AF_INET6))
        {
            return EAFNOSUPPORT;
        }

        if ((type & TypeMask) == Libc.SOCK_DGRAM)
        {
            return OpenDatagrams(c, domain, protocol);
        }

        if ((type & TypeMask) != Libc.SOCK_STREAM)
        {
            return ESOCKTNOSUPPORT;
        }

        if (protocol is not (0 or IPPROTO_TCP))
        {
            return EPROTONOSUPPORT;
        }

        MtcpSocket* s = (MtcpSocket*)c->State;
        s->Domain = (ushort)domain;
        s->T = _tcp.Open(c);
        return s->T == null ? Libc.ENOBUFS : 0;
    }

    public void Run(Connection* c)
    {
        MtcpSocket* s = (MtcpSocket*)c->State;
        if (c->SocketError != 0)
        {
            return;
        }

        if (s->Has(MtcpFlags.Datagram))
        {
            RunDatagrams(c, s);
            return;
        }

        if (s->Phase is Phase.Arrived or Phase.Refused)
        {
            bool arrived = s->Phase == Phase.Arrived;
            RunTaken(c, s);
            if (!arrived)
            {
                return;
            }
        }

        if (s->Acked != 0)
        {
            ulong acked = s->Acked;
            s->Acked = 0;
            _host.Sent(c, acked);
        }

        if (c->Has(ConnectionFlags.Closing))
        {
            RunClose(c, s);
            return;
        }

        switch (s->Phase)
        {
            case Phase.Connected:
                RunConnected(c, s);
                break;
            case Phase.Connecting:
                RunConnecting(c, s);
                break;
            case Phase.Accepting:
                break; // What is sent waits.
            case Phase.Listening:
                _host.FailSends(c, Libc.ENOTCONN);
                s->Told = c->SendTail;
                AnnounceSome(c, s->T);
                AnnounceSome(c, s->T4);
                Hold(s->T, c->Announced);
                Hold(s->T4, c->Announced);
                break;
            default:
                _host.FailSends(c, Libc.EPIPE);
                s->Told = c->SendTail;
                break;
        }
    }

    void ITcpUser.Changed(Tcb* t)
    {
        if (t->User != AnnouncedOwner)
        {
            _scheduled++;
            _host.Schedule((Connection*)t->User);
        }
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        _stack.Dispose();
        _budgets.Dispose();
    }

    private void AddAddress(Address address)
    {
        _taker?.Take(address);
        _stack.AddAddress(address);
    }

    // What the guest has not taken is in its listener's backlog still.
    private static void Hold(Tcb* listener, uint announced)
    {
        if (listener != null)
        {
            listener->Held = announced;
        }
    }

    private void AnnounceSome(Connection* c, Tcb* listener)
    {
        while (listener != null && listener->Acceptable != 0 && StackHost.CanAnnounce(c))
        {
            Tcb* t = TcpLayer.Accept(listener);
            t->User = AnnouncedOwner;
            Endpoint peer = EndpointOf(t->Remote, t->RemotePort);
            if (!_host.Announce(c, in peer, (ulong)t))
            {
                _tcp.Abort(t);
            }
        }
    }
}
