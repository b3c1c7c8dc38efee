using NetKernel.Channel;
using NetKernel.Channel.Host;
using NetKernel.Testing;

namespace NetKernel.CoreEngine.Tests;

/// <summary>
/// Guests that open connections, or ask for other things that are no data, faster than they may. The rate is one connection a second, so that what must wait waits for longer than any test
/// runs; that it does is seen by something later that comes first.
/// </summary>
public sealed unsafe class PaceTests : IDisposable
{
    private const int Many = 800; // fits into a ring

    private EngineHost? _host;
    private FakeNsm? _nsm;
    private FakeGuest? _bad;
    private FakeGuest? _good;
    private Stats? _stats;
    private uint _goodId;

    public void Dispose()
    {
        _stats?.Dispose();
        _bad?.Dispose();
        _good?.Dispose();
        _nsm?.Dispose();
        _host?.Dispose();
    }

    [Fact]
    public void A_guest_beside_a_busy_one_is_held_at_the_default_rate()
    {
        Begin(defaultRate: 1);
        Post(_bad!, 0, Op.Shutdown, Many);
        Assert.Equal(1u, _host!.Control.News(AttachOp.GuestHeld).Guest);
        Assert.InRange(TakenUntilTheGoodSends(), 1, Many / 2);
        Assert.NotEqual(0ul, _stats!.Guest(1).Paced);
        Assert.Equal(0ul, _stats.Guest(2).Paced);
    }

    [Fact]
    public void A_guest_whose_neighbours_do_nothing_is_not_held()
    {
        Begin(defaultRate: 1, busy: false);
        Post(_bad!, 0, Op.Shutdown, Many);
        for (int i = 0; i < Many; i++)
        {
            _ = _nsm!.Expect(Op.Shutdown, RingKind.Send);
        }

        Assert.Equal(0ul, _stats!.Guest(1).Paced);
    }

    [Fact]
    public void A_limit_of_its_own_holds_a_guest_that_is_alone_and_lifted_it_goes_on()
    {
        Begin(defaultRate: 0, busy: false);
        Limit(1, new LimitsMessage { ConnectionsPerSecond = 1, ConnectionsBurst = 1 });
        Post(_bad!, 0, Op.Shutdown, Many);
        Assert.Contains("its limit", FakeControlPlane.TextOf(_host!.Control.News(AttachOp.GuestHeld)), StringComparison.Ordinal);
        int taken = TakenUntilTheGoodSends();
        Assert.InRange(taken, 1, Many / 2);
        Limit(1, default);
        for (; taken < Many; taken++)
        {
            _ = _nsm!.Expect(Op.Shutdown, RingKind.Send);
        }
    }

    [Fact]
    public void A_limit_of_its_own_is_more_than_the_default()
    {
        Begin(defaultRate: 1);
        Limit(1, new LimitsMessage { ConnectionsPerSecond = 1_000_000 });
        Post(_bad!, 0, Op.Shutdown, Many);
        for (int i = 0; i < Many; i++)
        {
            _ = _nsm!.Expect(Op.Shutdown, RingKind.Send);
        }
    }

    [Fact]
    public void The_guests_of_a_tenant_share_its_rate()
    {
        Begin(defaultRate: 0, tenant: 7);
        Limit(0, new LimitsMessage { ConnectionsPerSecond = 1, ConnectionsBurst = 1 }, tenant: 7);
        Post(_bad!, 0, Op.Shutdown, Many);
        Assert.Equal(1u, _host!.Control.News(AttachOp.GuestHeld).Guest);
        Post(_good!, 0, Op.Shutdown, Many);
        Assert.Equal(2u, _host!.Control.News(AttachOp.GuestHeld).Guest);
    }

    [Fact]
    public void Data_of_other_processes_goes_on_while_a_guest_is_held()
    {
        Begin(defaultRate: 1);
        uint id = _nsm is null ? 0 : Make.Connected(_bad!, _nsm, socket: 2, q: 1, subscribe: true);
        Post(_bad!, 0, Op.Shutdown, Many);
        _ = _host!.Control.News(AttachOp.GuestHeld);
        for (int i = 0; i < 100; i++)
        {
            _bad!.Post(1, RingKind.Send, Make.Nqe(Op.Send, 2, dataPtr: PoolLayout.TxOffset, size: 1000));
            Nqe next;
            while ((next = _nsm!.Take(RingKind.Send)).Op == Op.Shutdown)
            {
            }

            Assert.Equal((Op.Send, id), (next.Op, next.Socket));
            _nsm.Post(RingKind.Completion, Make.Done(next));
        }
    }

    [Theory]
    [InlineData(Op.Send)]
    [InlineData(Op.RxCredit)]
    [InlineData(Op.Kick)]
    public void Data_that_goes_nowhere_is_held_too(Op op)
    {
        Begin(defaultRate: 1);
        Nqe junk = op switch
        {
            Op.Send => Make.Nqe(op, 3, dataPtr: PoolLayout.TxOffset, size: 1),
            Op.RxCredit => Make.Nqe(op, 1, dataPtr: _bad!.PoolLayout.RxOffset, size: 1),
            _ => Make.Nqe(op, 1),
        };
        _bad!.Claim(3, 0);
        _bad.Post(0, RingKind.Job, Make.Socket(3)); // not connected: it cannot send
        _ = _nsm!.Expect(Op.Socket, RingKind.Job);
        for (int i = 0; i < Many; i++)
        {
            _bad.Post(0, RingKind.Send, junk);
        }

        Assert.Equal(1u, _host!.Control.News(AttachOp.GuestHeld).Guest);
        Assert.NotEqual(0ul, _stats!.Guest(1).Paced);
    }

    /// <summary>The bad guest is 1, with a connection on socket 1; the good one is 2.</summary>
    private void Begin(ulong defaultRate, bool busy = true, uint tenant = 0)
    {
        _host = new EngineHost(connectionRate: defaultRate);
        _host.Control.AddNsm(1);
        _nsm = new FakeNsm(_host.EngineSocket, 1);
        foreach (uint guest in new[] { 1u, 2u })
        {
            AttachMessage message = FakeControlPlane.Message(AttachOp.AddGuest, guest, 1, $"g{guest}");
            message.Slot = tenant;
            Assert.Equal(0, _host.Control.Ask(message).Error);
        }

        _bad = new FakeGuest(_host.GuestSocket(1));
        _good = new FakeGuest(_host.GuestSocket(2));
        _ = Make.Connected(_bad, _nsm, socket: 1);
        _goodId = busy ? Make.Connected(_good, _nsm, socket: 1) : 0;
        _stats = _host.Stats();
    }

    private static void Post(FakeGuest guest, uint q, Op op, int count)
    {
        for (int i = 0; i < count; i++)
        {
            guest.Post(q, RingKind.Send, Make.Nqe(op, 1));
        }
    }

    /// <summary>How much of the bad guest's the NSM gets before something that the good one sends after that.</summary>
    private int TakenUntilTheGoodSends()
    {
        if (_goodId == 0)
        {
            _goodId = Make.Connected(_good!, _nsm!, socket: 1);
        }

        _good!.Post(0, RingKind.Send, Make.Nqe(Op.Send, 1, dataPtr: PoolLayout.TxOffset, size: 1000));
        int taken = 0;
        Nqe next;
        while ((next = _nsm!.Take(RingKind.Send)).Op == Op.Shutdown)
        {
            taken++;
        }

        Assert.Equal((Op.Send, _goodId), (next.Op, next.Socket));
        return taken;
    }

    private void Limit(uint guest, LimitsMessage limits, uint tenant = 0)
    {
        AttachMessage message = FakeControlPlane.Message(AttachOp.SetLimits, guest);
        message.Slot = tenant;
        message.Limits = limits;
        Assert.Equal(0, _host!.Control.Ask(message).Error);
    }
}
