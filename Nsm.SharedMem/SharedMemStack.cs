using System.Security.Cryptography;
using NetKernel.Channel;
using NetKernel.Channel.Host;
using NetKernel.ServiceLib;

namespace NetKernel.Nsm.SharedMem;

/// <summary>
/// The stack between guests of one host: no packets, no kernel. What one guest has put into its TX pool is copied into the other's RX pool, as far as that has room; the rest waits where
/// it lies. Programs see TCP's semantics (RFC 9293 as Linux has it). docs/sharedmem.md.
/// </summary>
/// <remarks>The parts: datagrams (Datagrams/); of streams names (this file), connecting and accepting (Connect), data (Data), the direct form (Direct), the end (Close), what has a time limit (Timers), <see cref="SharedOptions"/>.</remarks>
public sealed unsafe partial class SharedMemStack : INetworkStack
{
    private const int EAFNOSUPPORT = 97, ESOCKTNOSUPPORT = 94, EPROTONOSUPPORT = 93, IPPROTO_TCP = 6;

    private readonly PortTable _ports = new((uint)RandomNumberGenerator.GetInt32(int.MaxValue));
    private readonly Reach _reach;
    private StackHost _host = null!;

    /// <summary>The stack. Connections that may go in the direct form do after so many times that data was moved; 0: from the start.</summary>
    public SharedMemStack(Reach reach, uint directAfter = UsualMoves)
    {
        _reach = reach;
        _directAfter = directAfter;
    }

    /// <inheritdoc/>
    public int StateBytes => sizeof(SharedSocket);

    /// <inheritdoc/>
    public void Start(StackHost host)
    {
        _host = host;
        StartTimer();
    }

    /// <inheritdoc/>
    public void GuestAdded(Guest guest) => _guests.Add(guest);

    /// <inheritdoc/>
    public void GuestRemoved(Guest guest)
    {
        _guests.Remove(guest);
        Regions.Remove(guest.Id);
    }

    /// <inheritdoc/>
    public uint Poll() => 0;

    /// <inheritdoc/>
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

        SharedSocket* s = (SharedSocket*)c->State;
        s->Self = c;
        s->Domain = domain;
        return 0;
    }

    /// <inheritdoc/>
    public void Bind(Connection* c, in Endpoint address, NqeFlags flags)
    {
        SharedSocket* s = (SharedSocket*)c->State;
        if (s->Has(SharedFlags.Datagram))
        {
            BindDatagrams(c, s, in address, flags);
            return;
        }

        int error = s->Phase is Phase.Fresh or Phase.Bound ? BindTo(s, _host.GuestOf(c), address, flags) : Libc.EINVAL;
        _host.CompleteAddress(c, Op.BindDone, error, error == 0 ? s->Local : default);
    }

    /// <inheritdoc/>
    /// <remarks>Whether the port is free has been decided by the NSM that serves the same listener for the rest of the world.</remarks>
    public void Listen(Connection* c, int backlog)
    {
        SharedSocket* s = (SharedSocket*)c->State;
        int error = s->Phase is Phase.Bound or Phase.Listening ? 0 : Libc.EINVAL;
        if (error == 0)
        {
            s->Backlog = (uint)backlog; // listen(2): negative means as much as there is
            if (s->Phase == Phase.Bound)
            {
                s->Phase = Phase.Listening;
                _ports.AddListener(s);
            }
        }

        _host.CompleteAddress(c, Op.ListenDone, error, error == 0 ? s->Local : default);
    }

    /// <inheritdoc/>
    public int GetOption(Connection* c, int level, int name, byte* value, uint room, out uint length)
    {
        SharedSocket* s = (SharedSocket*)c->State;
        return s->Options.Get(s, level, name, value, room, out length);
    }

    /// <inheritdoc/>
    public int SetOption(Connection* c, int level, int name, ulong value, uint length)
    {
        SharedSocket* s = (SharedSocket*)c->State;
        if (s->Has(SharedFlags.Datagram))
        {
            s->Datagram.Set(c, level, name, value, length);
            return 0; // the guest's own NSM has judged it
        }

        int error = s->Options.Set(c, level, name, value, length);
        if (s->Ends != null)
        {
            s->Ends[s->Side].ReceiveLimit = _host.ReceiveLimitOf(c); // SO_RCVBUF
        }

        return error;
    }

    /// <summary>Binds as the kernel NSM does in bridge mode: to the guest's own addresses and nothing else. Returns an errno.</summary>
    private static int BindTo(SharedSocket* s, Guest guest, Endpoint address, NqeFlags flags)
    {
        bool wildcard = (flags & NqeFlags.Wildcard) != 0 || IsAny(address);
        if (s->Domain == Libc.AF_INET && !address.IsIPv4 && !wildcard)
        {
            return EAFNOSUPPORT;
        }

        bool has4 = guest.Address4 != 0 && (flags & NqeFlags.V6Only) == 0;
        bool has6 = guest.HasIPv6 && s->Domain == Libc.AF_INET6;
        bool any6 = wildcard && s->Domain == Libc.AF_INET6 && !address.IsIPv4;
        Endpoint v4 = Endpoint.V4(guest.Address4, address.Port);
        Endpoint v6 = Endpoint.V6(guest.Address6Low, guest.Address6High, address.Port);
        uint takes = any6 ? (has4 ? SharedFlags.Takes4 : 0) | (has6 ? SharedFlags.Takes6 : 0)
            : wildcard || address.SameAddress(in v4) ? (has4 ? SharedFlags.Takes4 : 0)
            : address.SameAddress(in v6) && has6 ? SharedFlags.Takes6 : 0;
        if (takes == 0)
        {
            return Libc.EADDRNOTAVAIL;
        }

        s->Clear(SharedFlags.Takes4 | SharedFlags.Takes6 | SharedFlags.Reuses);
        s->Set(takes | ((flags & NqeFlags.ReusePort) != 0 ? SharedFlags.Reuses : 0));
        s->Local = (takes & SharedFlags.Takes6) != 0 ? v6 : v4;
        s->Phase = Phase.Bound;
        return 0;
    }

    private static bool IsAny(in Endpoint e) => e.Low == 0 && (e.High == 0 || (e.IsIPv4 && e.Address4 == 0));
}
