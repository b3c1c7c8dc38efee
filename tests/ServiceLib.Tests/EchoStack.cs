using NetKernel.Channel;
using NetKernel.ServiceLib;

namespace NetKernel.ServiceLib.Tests;

/// <summary>
/// The smallest stack: every connect succeeds, and what is sent comes back. A listener announces as many connections as
/// its backlog says; SetOption 1 makes it announce one more.
/// </summary>
internal sealed unsafe class EchoStack : INetworkStack
{
    private StackHost _host = null!;
    private ulong _tokens;

    public int StateBytes => sizeof(State);

    /// <summary>Tokens announced and neither accepted nor declined.</summary>
    public int Pending { get; private set; }

    /// <summary>Connections that the stack has.</summary>
    public int Sockets { get; private set; }

    /// <summary>Whose connections have run, in their order, while somebody wants to know.</summary>
    public List<uint>? Order { get; set; }

    public void Start(StackHost host) => _host = host;

    public void GuestAdded(Guest guest)
    {
        // Nothing per guest.
    }

    public void GuestRemoved(Guest guest)
    {
        // Nothing per guest.
    }

    public int Socket(Connection* c, int domain, int type, int protocol)
    {
        if (type != 1)
        {
            return 94;
        }

        Sockets++;
        return 0;
    }

    public void Bind(Connection* c, in Endpoint address, NqeFlags flags) => _host.CompleteAddress(c, Op.BindDone, 0, in address);

    public void Listen(Connection* c, int backlog)
    {
        ((State*)c->State)->ToAnnounce = (uint)backlog;
        _host.CompleteAddress(c, Op.ListenDone, 0, default);
        _host.Schedule(c);
    }

    public void Connect(Connection* c, in Endpoint address, NqeFlags flags)
    {
        ((State*)c->State)->Connected = 1;
        _host.CompleteAddress(c, Op.ConnectDone, 0, in address);
    }

    public int GetOption(Connection* c, int level, int name, byte* value, uint room, out uint length)
    {
        length = Math.Min(room, (uint)name);
        new Span<byte>(value, (int)length).Fill((byte)level);
        return 0;
    }

    public int SetOption(Connection* c, int level, int name, ulong value, uint length)
    {
        ((State*)c->State)->ToAnnounce += name == 1 ? 1u : 0;
        _host.Schedule(c);
        return name == 7 ? 92 : 0;
    }

    public void Shutdown(Connection* c, int how) => _host.Schedule(c);

    public int Accept(Connection* c, Connection* listener, ulong token, out Endpoint local)
    {
        Pending--;
        Sockets++;
        ((State*)c->State)->Connected = 1;
        local = Endpoint.V4(0x0B0012C6, (ushort)token);
        return 0;
    }

    public void Decline(ulong token) => Pending--;

    public void Close(Connection* c, bool abort)
    {
        // Run does it.
    }

    public void Drop(Connection* c) => Sockets--;

    public void Run(Connection* c)
    {
        State* s = (State*)c->State;
        Order?.Add(c->GuestId);
        if (c->Has(ConnectionFlags.Closing))
        {
            _host.Sent(c, ulong.MaxValue >> 1);
            Sockets--;
            _host.Closed(c);
            return;
        }

        while (s->ToAnnounce > 0 && StackHost.CanAnnounce(c))
        {
            Endpoint peer = Endpoint.V4(0x0A0012C6, 1234);
            if (!_host.Announce(c, in peer, ++_tokens))
            {
                break;
            }

            Pending++;
            s->ToAnnounce--;
        }

        Channel.Host.Libc.IoVec vector;
        int budget = 32;
        while (c->SendCount != 0 && _host.Gather(c, &vector, 1, out ulong bytes, out _) == 1)
        {
            if (s->Connected == 0)
            {
                _host.FailSends(c, 107);
                return;
            }

            if (c->Has(ConnectionFlags.WaitsForCredit | ConnectionFlags.WaitsForPool))
            {
                return;
            }

            if (budget-- == 0)
            {
                _host.Schedule(c);
                return;
            }

            if (!_host.TryReserve(c, PoolHalf.ClassFor(bytes), out RxBuffer buffer))
            {
                return;
            }

            uint n = (uint)Math.Min(bytes, buffer.Capacity);
            Buffer.MemoryCopy(vector.Base, buffer.Start, buffer.Capacity, n);
            _host.Deliver(c, in buffer, n);
            _host.Sent(c, n);
        }
    }

    public void Ready(ulong data, uint events)
    {
        // It has no fds.
    }

    public uint Poll() => 0;

    private struct State
    {
        public uint ToAnnounce;
        public uint Connected;
    }
}
