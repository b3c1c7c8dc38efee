using NetKernel.Channel;
using NetKernel.Channel.Host;
using NetKernel.Testing;

namespace NetKernel.CoreEngine.Tests;

/// <summary>A guest at several NSMs: rules, listeners that move, what an NSM leaves behind (docs/adr/0010).</summary>
public sealed unsafe class MoveTests : IDisposable
{
    private readonly EngineHost _host;
    private readonly FakeNsm _nsm;
    private readonly FakeGuest _guest;
    private readonly FakeNsm _other;

    public MoveTests()
    {
        (_host, _nsm, _guest) = EngineHost.WithGuest();
        _host.Control.AddNsm(2);
        _other = new FakeNsm(_host.EngineSocket, 2);
    }

    public void Dispose()
    {
        _guest.Dispose();
        _other.Dispose();
        _nsm.Dispose();
        _host.Dispose();
    }

    [Fact]
    public void A_listener_moves_and_the_old_one_still_announces()
    {
        uint old = Make.Listening(_guest, _nsm, socket: 2, port: 80);
        _nsm.Post(RingKind.Receive, Make.Nqe(Op.NewConnection, old, size: 5));
        Assert.Equal(5u, _guest.Take(0, RingKind.Receive).Size);
        Move();
        uint made = AnswerListener(_other, error: 0);
        Waiting.Until(() => RowsAt(2, ConnectionState.Listen) == 1 && RowsAt(1, ConnectionState.Listen) == 0, "the listener is at the other NSM");

        // Both announce; each is asked for its own.
        _other.Post(RingKind.Receive, Make.Nqe(Op.NewConnection, made, size: 5));
        Nqe announced = _guest.Take(0, RingKind.Receive);
        Assert.Equal((Op.NewConnection, 2u, 5u | (1u << 29)), (announced.Op, announced.Socket, announced.Size));
        _guest.Post(0, RingKind.Send, Make.Nqe(Op.Accept, 3, opData: 5, dataPtr: 2));
        Assert.Equal(5ul, _nsm.Expect(Op.Accept, RingKind.Send).OpData);
        _guest.Post(0, RingKind.Send, Make.Nqe(Op.Accept, 4, opData: announced.Size, dataPtr: 2));
        Assert.Equal(5ul, _other.Expect(Op.Accept, RingKind.Send).OpData);

        // Closing it closes both.
        _guest.Post(0, RingKind.Send, Make.Nqe(Op.Close, 2));
        Assert.Equal(made, _other.Expect(Op.Close, RingKind.Send).Socket);
        Assert.Equal(old, _nsm.Expect(Op.Close, RingKind.Send).Socket);
    }

    [Fact]
    public void A_listener_that_the_new_NSM_will_not_have_stays()
    {
        uint old = Make.Listening(_guest, _nsm, socket: 2, port: 80);
        Move();
        _ = AnswerListener(_other, Libc.EADDRINUSE);
        _ = _other.Expect(Op.Close, RingKind.Send);
        _nsm.Post(RingKind.Receive, Make.Nqe(Op.NewConnection, old, size: 7));
        Assert.Equal(7u, _guest.Take(0, RingKind.Receive).Size);
        Assert.Equal((1, 0), (RowsAt(1, ConnectionState.Listen), RowsAt(2, ConnectionState.Listen)));
    }

    [Fact]
    public void Connections_stay_until_the_NSM_is_left_and_are_reset_then()
    {
        uint id = Make.Connected(_guest, _nsm, socket: 1);
        Move();
        _guest.Post(0, RingKind.Send, Make.Nqe(Op.Send, 1, dataPtr: PoolLayout.TxOffset, size: 4));
        Assert.Equal(id, _nsm.Expect(Op.Send, RingKind.Send).Socket);
        Assert.Equal((2u, 0u), Use(1));
        Assert.Equal((1u, 1u), Use(0));

        Assert.Equal(0, Ask(AttachOp.LeaveNsm, 1).Error);
        Nqe reset = _guest.Take(0, RingKind.Receive);
        Assert.Equal((Op.Reset, 1u, (ulong)Libc.ECONNRESET), (reset.Op, reset.Socket, reset.OpData));
        Waiting.Until(() => _nsm.GuestsRemoved == 1, "the old NSM is told");
        Assert.Equal(Libc.ENOENT, Ask(AttachOp.LeaveNsm, 1).Error);

        // What it still says about the connection meets nobody.
        _nsm.Post(RingKind.Receive, Make.Nqe(Op.PeerClosed, id));
        _guest.Post(0, RingKind.Send, Make.Nqe(Op.Close, 1));
        Assert.Equal(Op.Closed, _guest.Take(0, RingKind.Completion).Op);
        Waiting.Until(() => Ask(AttachOp.UseNsm, 1).Error == 0, "it may come back"); // EAGAIN until the answer is in
    }

    [Fact]
    public void Rules_choose_by_destination_and_port_and_fall_back_while_an_NSM_is_away()
    {
        Assert.Equal(0, Ask(AttachOp.UseNsm, 2).Error);
        Rule(0, 3, (ref RuleMessage rule) => (rule.DestinationLow, rule.DestinationHigh, rule.PrefixBits) = (0, 0x0000_12C6_FFFF_0000, 112));
        Rule(1, 3, (ref RuleMessage rule) => rule.Port = 443);
        Rule(2, 3, (ref RuleMessage rule) => rule.Nsms[0] = 1, none: true);
        Connects(_other, 1, 0x0100_12C6_FFFF_0000, 80); // 198.18.0.1
        Connects(_nsm, 2, 0x0100_13C6_FFFF_0000, 80); // 198.19.0.1
        Connects(_other, 3, 0x0100_13C6_FFFF_0000, 443);
        _other.Dispose();
        _ = _host.Control.News(AttachOp.NsmLost);
        Connects(_nsm, 4, 0x0100_13C6_FFFF_0000, 443);
    }

    [Theory]
    [InlineData(0, 0, 0, 0, 0)]
    [InlineData(1, 2, 0, 0, 0)]
    [InlineData(0, 65, 0, 0, 0)]
    [InlineData(0, 1, 129, 0, 0)]
    [InlineData(0, 1, 0, 65536, 0)]
    [InlineData(0, 1, 0, 0, 1)]
    public void Rules_out_of_range_or_order_are_refused(uint index, uint count, uint bits, uint port, uint protocol)
    {
        AttachMessage message = FakeControlPlane.Message(AttachOp.SetRule, 1);
        message.Slot = index;
        message.Flags = count;
        message.Rule = new RuleMessage { PrefixBits = bits, Port = port, Protocol = protocol };
        Assert.Equal(Libc.EINVAL, _host.Control.Ask(message).Error);
    }

    [Fact]
    public void A_guest_has_three_NSMs_at_most()
    {
        for (uint nsm = 2; nsm <= 4; nsm++)
        {
            if (nsm > 2)
            {
                _host.Control.AddNsm(nsm);
            }

            Assert.Equal(nsm < 4 ? 0 : Libc.EBUSY, Ask(AttachOp.UseNsm, nsm).Error);
        }

        Assert.Equal(Libc.ENOENT, Ask(AttachOp.UseNsm, 9).Error);
    }

    [Fact]
    public void An_NSM_that_does_not_turn_is_counted()
    {
        for (uint missed = 0; missed < 3; missed++)
        {
            Assert.Equal(missed, Look());
        }

        _nsm.Header->Turns[0]++;
        Assert.Equal(0u, Look());
        Assert.Equal(1u, Look());
        Assert.Equal(0, Ask(AttachOp.Ping, 0).Error);

        uint Look() => _host.Control.Ask(FakeControlPlane.Message(AttachOp.NextNsm)).Flags;
    }

    private delegate void Fill(ref RuleMessage rule);

    private void Rule(uint index, uint count, Fill fill, bool none = false)
    {
        AttachMessage message = FakeControlPlane.Message(AttachOp.SetRule, 1);
        message.Slot = index;
        message.Flags = count;
        message.Rule = default;
        if (!none)
        {
            message.Rule.Nsms[0] = 2;
            message.Rule.Nsms[1] = 1;
        }

        fill(ref message.Rule);
        Assert.Equal(0, _host.Control.Ask(message).Error);
    }

    private void Connects(FakeNsm by, uint socket, ulong high, ushort port)
    {
        _guest.Claim(socket, 0);
        _guest.Post(0, RingKind.Job, Make.Socket(socket));
        _guest.Post(0, RingKind.Job, Make.Nqe(Op.Connect, socket, dataPtr: high, aux: port));
        uint id = by.Expect(Op.Socket, RingKind.Job).Socket;
        Assert.Equal(id, by.Expect(Op.Connect, RingKind.Job).Socket);
    }

    private void Move()
    {
        Assert.Equal(0, Ask(AttachOp.UseNsm, 2).Error);
        AttachMessage message = FakeControlPlane.Message(AttachOp.SetRule, 1);
        message.Flags = 1;
        message.Rule = default;
        message.Rule.Nsms[0] = 2;
        Assert.Equal(0, _host.Control.Ask(message).Error);
    }

    private static uint AnswerListener(FakeNsm nsm, int error)
    {
        uint id = nsm.Expect(Op.Socket, RingKind.Job).Socket;
        Nqe bind = nsm.Expect(Op.Bind, RingKind.Job);
        Assert.Equal((id, (ushort)80), (bind.Socket, bind.Aux));
        nsm.Post(RingKind.Completion, Make.Nqe(Op.BindDone, id, size: (uint)error, aux: 80));
        Nqe listen = nsm.Expect(Op.Listen, RingKind.Job);
        if (error == 0)
        {
            nsm.Post(RingKind.Completion, Make.Nqe(Op.ListenDone, listen.Socket, aux: 80));
        }

        return id;
    }

    private AttachMessage Ask(AttachOp op, uint nsm) => _host.Control.Ask(FakeControlPlane.Message(op, 1, nsm));

    private (uint Nsm, uint Connections) Use(uint after)
    {
        AttachMessage answer = Ask(AttachOp.NextUse, after);
        return (answer.Nsm, answer.Slot);
    }

    private int RowsAt(uint nsm, uint state)
    {
        using Stats stats = _host.Stats();
        return stats.Rows(row => row.Nsm == nsm && row.State == state);
    }
}
