using NetKernel.Channel;
using NetKernel.Channel.Host;
using NetKernel.Testing;

namespace NetKernel.CoreEngine.Tests;

/// <summary>
/// Limits of guests and tenants. Rates are one a second and bursts are spent at once, so that what must wait waits for longer than any test runs; that it does is seen by something
/// later that comes first.
/// </summary>
public sealed unsafe class LimitTests : IDisposable
{
    private readonly EngineHost _host;
    private readonly FakeNsm _nsm;
    private readonly FakeGuest _guest;
    private FakeGuest? _other;

    public LimitTests() => (_host, _nsm, _guest) = EngineHost.WithGuest();

    public void Dispose()
    {
        _other?.Dispose();
        _guest.Dispose();
        _nsm.Dispose();
        _host.Dispose();
    }

    [Fact]
    public void A_guest_over_its_send_limit_waits_and_its_neighbour_does_not()
    {
        uint id = Make.Connected(_guest, _nsm, socket: 1);
        uint theirs = Make.Connected(Other(), _nsm, socket: 1);
        Set(1, new LimitsMessage { SendBytesPerSecond = 1, SendBurst = 1000 });
        Send(_guest);
        Send(_guest);
        Assert.Equal(id, _nsm.Expect(Op.Send, RingKind.Send).Socket);
        for (int i = 0; i < 10; i++)
        {
            Send(_other!);
            Assert.Equal(theirs, _nsm.Expect(Op.Send, RingKind.Send).Socket);
        }

        Set(1, default);
        Assert.Equal(id, _nsm.Expect(Op.Send, RingKind.Send).Socket);
    }

    [Fact]
    public void What_sends_nothing_passes_a_guest_that_may_not_send()
    {
        uint id = Make.Connected(_guest, _nsm, socket: 1, q: 0);
        uint second = Make.Connected(_guest, _nsm, socket: 2, q: 1, subscribe: true);
        Set(1, new LimitsMessage { SendBytesPerSecond = 1, SendBurst = 1000 });
        Send(_guest);
        Send(_guest);
        Assert.Equal(id, _nsm.Expect(Op.Send, RingKind.Send).Socket);
        _guest.Post(1, RingKind.Send, Make.Nqe(Op.Close, 2));
        Assert.Equal(second, _nsm.Expect(Op.Close, RingKind.Send).Socket);
    }

    [Fact]
    public void The_guests_of_a_tenant_share_its_limit()
    {
        uint id = Make.Connected(_guest, _nsm, socket: 1);
        FakeGuest[] two = [Added(2, tenant: 7), Added(3, tenant: 7)];
        uint[] ids = [.. two.Select(guest => Make.Connected(guest, _nsm, socket: 1))];
        Set(0, new LimitsMessage { SendBytesPerSecond = 1, SendBurst = 1000 }, tenant: 7);
        Send(two[0]);
        Assert.Equal(ids[0], _nsm.Expect(Op.Send, RingKind.Send).Socket);
        Send(two[1]);
        Send(_guest);
        Assert.Equal(id, _nsm.Expect(Op.Send, RingKind.Send).Socket);
        Set(0, default, tenant: 7);
        Assert.Equal(ids[1], _nsm.Expect(Op.Send, RingKind.Send).Socket);
        Array.ForEach(two, guest => guest.Dispose());
    }

    [Fact]
    public void Operations_stop_at_their_burst()
    {
        _ = Make.Connected(_guest, _nsm, socket: 1);
        uint theirs = Make.Connected(Other(), _nsm, socket: 1);
        Set(1, new LimitsMessage { OperationsPerSecond = 1, OperationsBurst = 5 });
        for (int i = 0; i < 100; i++)
        {
            _guest.Post(0, RingKind.Send, Make.Nqe(Op.Shutdown, 1));
        }

        uint seen = 0;
        while (seen < 5)
        {
            _ = _nsm.Expect(Op.Shutdown, RingKind.Send);
            seen++;
        }

        Send(_other!);
        Nqe next;
        while ((next = _nsm.Take(RingKind.Send)).Op == Op.Shutdown)
        {
            seen++;
        }

        Assert.Equal((Op.Send, theirs), (next.Op, next.Socket));
        Assert.True(seen < 50, $"{seen} of 100");
        Set(1, default);
        for (; seen < 100; seen++)
        {
            _ = _nsm.Expect(Op.Shutdown, RingKind.Send);
        }
    }

    [Fact]
    public void Credits_of_a_guest_over_its_receive_limit_are_held_and_its_sends_go_on()
    {
        uint id = Overdrawn();
        Send(_guest);
        Assert.Equal(id, _nsm.Expect(Op.Send, RingKind.Send).Socket);
        Set(1, default);
        Nqe credit = _nsm.Expect(Op.RxCredit, RingKind.Send);
        Assert.Equal((id, _guest.PoolLayout.RxOffset, 1000u), (credit.Socket, credit.DataPtr, credit.Size));
    }

    [Fact]
    public void Held_credits_go_before_the_close()
    {
        uint id = Overdrawn();
        _guest.Post(0, RingKind.Send, Make.Nqe(Op.Close, 1));
        Assert.Equal(id, _nsm.Expect(Op.RxCredit, RingKind.Send).Socket);
        Assert.Equal(id, _nsm.Expect(Op.Close, RingKind.Send).Socket);
        _nsm.Post(RingKind.Completion, Make.Nqe(Op.Closed, id));
        Assert.Equal(Op.Closed, _guest.Take(0, RingKind.Completion).Op);
    }

    [Fact]
    public void A_guest_far_over_its_receive_limit_makes_no_connections()
    {
        uint theirs = Make.Connected(Other(), _nsm, socket: 1);
        uint id = Overdrawn();
        ulong place = _guest.PoolLayout.RxOffset + _guest.PoolLayout.Length - _guest.PoolLayout.RxOffset - PoolLayout.LargeBytes;
        for (int i = 0; i < 200; i++)
        {
            _nsm.Post(RingKind.Receive, Make.Nqe(Op.Data, id, dataPtr: place, size: PoolLayout.LargeBytes));
            Assert.Equal(Op.Data, _guest.Take(0, RingKind.Receive).Op);
            _guest.Post(0, RingKind.Send, Make.Nqe(Op.RxCredit, 1, dataPtr: place, size: PoolLayout.LargeBytes));
        }

        _guest.Claim(2, 0);
        _guest.Post(0, RingKind.Job, Make.Socket(2));
        Send(_other!);
        Assert.Equal(theirs, _nsm.Expect(Op.Send, RingKind.Send).Socket);
        Assert.Equal(0u, _nsm.TryTake(RingKind.Job, new Nqe[1]));
        Set(1, new LimitsMessage { OpenConnections = 50 });
        Assert.NotEqual(id, _nsm.Expect(Op.Socket, RingKind.Job).Socket);
    }

    [Fact]
    public void A_guest_with_held_credits_can_go()
    {
        _ = Overdrawn();
        _host.Control.RemoveGuest(1);
        uint theirs = Make.Connected(Other(), _nsm, socket: 1);
        Send(_other!);
        Assert.Equal(theirs, _nsm.Expect(Op.Send, RingKind.Send).Socket);
    }

    [Fact]
    public void Sockets_beyond_the_limit_are_refused_until_one_is_closed()
    {
        uint first = Make.Connected(_guest, _nsm, socket: 1);
        _ = Make.Connected(_guest, _nsm, socket: 2);
        Set(1, new LimitsMessage { OpenConnections = 2 });
        using Stats stats = _host.Stats();
        ulong refused = stats.Guest(1).Refused;
        _guest.Claim(3, 0);
        _guest.Post(0, RingKind.Job, Make.Socket(3));
        _guest.Post(0, RingKind.Job, Make.Nqe(Op.Connect, 3, 1, 2, aux: 80));
        Nqe done = _guest.Take(0, RingKind.Completion);
        Assert.Equal((Op.ConnectDone, 3u, (uint)Libc.ENOBUFS), (done.Op, done.Socket, done.Size));
        Assert.True(stats.Guest(1).Refused > refused);
        Assert.Equal(2ul, stats.Guest(1).Open);

        _guest.Post(0, RingKind.Send, Make.Nqe(Op.Close, 1));
        Assert.Equal(first, _nsm.Expect(Op.Close, RingKind.Send).Socket);
        _nsm.Post(RingKind.Completion, Make.Nqe(Op.Closed, first));
        Assert.Equal(Op.Closed, _guest.Take(0, RingKind.Completion).Op);
        _ = Make.Connected(_guest, _nsm, socket: 4);
    }

    [Fact]
    public void A_connection_that_a_full_guest_accepts_is_declined()
    {
        uint listener = Make.Listening(_guest, _nsm, socket: 1, port: 80);
        Set(1, new LimitsMessage { OpenConnections = 1 });
        _nsm.Post(RingKind.Receive, Make.Nqe(Op.NewConnection, listener, size: 9));
        Assert.Equal(Op.NewConnection, _guest.Take(0, RingKind.Receive).Op);
        _guest.Claim(2, 0);
        _guest.Post(0, RingKind.Send, Make.Nqe(Op.Accept, 2, 9, 1));
        Nqe decline = _nsm.Expect(Op.Decline, RingKind.Send);
        Assert.Equal((listener, 9ul), (decline.Socket, decline.OpData));
        Nqe done = _guest.Take(0, RingKind.Completion);
        Assert.Equal((Op.AcceptDone, 2u, (uint)Libc.ENOBUFS), (done.Op, done.Socket, done.Size));
    }

    [Fact]
    public void A_removed_guests_sockets_count_for_its_tenant_no_more()
    {
        FakeGuest two = Added(2, tenant: 7);
        _ = Make.Connected(two, _nsm, socket: 1);
        Set(0, new LimitsMessage { OpenConnections = 1 }, tenant: 7);
        two.Dispose();
        _host.Control.RemoveGuest(2);
        using FakeGuest three = Added(3, tenant: 7);
        _ = Make.Connected(three, _nsm, socket: 1);
    }

    [Fact]
    public void A_loop_with_a_guest_that_waits_for_tokens_sleeps()
    {
        uint id = Make.Connected(_guest, _nsm, socket: 1);
        Set(1, new LimitsMessage { SendBytesPerSecond = 1, SendBurst = 1 });
        Send(_guest);
        Send(_guest);
        Assert.Equal(id, _nsm.Expect(Op.Send, RingKind.Send).Socket);

        // The bell says "asleep" only from before the loop sleeps until it looks at the guest again: one that spins never says so.
        NetKernel.Testing.Waiting.Until(() => Volatile.Read(ref _guest.BellOf(0)->Asleep) == 1, "a loop that sleeps, with a Send in the guest's ring");
        Assert.Equal(0u, _nsm.TryTake(RingKind.Send, new Nqe[1]));
        Set(1, default);
        Assert.Equal(id, _nsm.Expect(Op.Send, RingKind.Send).Socket);
    }

    public static TheoryData<uint, uint, LimitsMessage, int> Wrong => new()
    {
        { 9, 0, default, Libc.ENOENT },
        { 0, 0, default, Libc.EINVAL },
        { 0, 5000, default, Libc.EINVAL },
        { 1, 0, new LimitsMessage { SendBurst = 5 }, Libc.EINVAL },
        { 1, 0, new LimitsMessage { ReceiveBytesPerSecond = ulong.MaxValue }, Libc.EINVAL },
        { 1, 0, new LimitsMessage { OperationsPerSecond = 1, OperationsBurst = ulong.MaxValue }, Libc.EINVAL },
    };

    [Theory]
    [MemberData(nameof(Wrong))]
    public void Wrong_limits_are_refused_with_a_reason(uint guest, uint tenant, LimitsMessage limits, int errno)
    {
        AttachMessage answer = Ask(guest, limits, tenant);
        Assert.Equal(errno, answer.Error);
        Assert.NotEmpty(FakeControlPlane.TextOf(answer));
    }

    // A connection, the guest's limit overdrawn by what it received, and its credit held.
    private uint Overdrawn()
    {
        uint id = Make.Connected(_guest, _nsm, socket: 1);
        Set(1, new LimitsMessage { ReceiveBytesPerSecond = 1, ReceiveBurst = 1 });
        ulong place = _guest.PoolLayout.RxOffset;
        _nsm.Post(RingKind.Receive, Make.Nqe(Op.Data, id, dataPtr: place, size: 1000));
        Assert.Equal(Op.Data, _guest.Take(0, RingKind.Receive).Op);
        _guest.Post(0, RingKind.Send, Make.Nqe(Op.RxCredit, 1, dataPtr: place, size: 1000));
        return id;
    }

    private FakeGuest Other() => _other = Added(2, tenant: 0);

    private FakeGuest Added(uint guest, uint tenant)
    {
        AttachMessage message = FakeControlPlane.Message(AttachOp.AddGuest, guest, 1, $"g{guest}");
        message.Slot = tenant;
        Assert.Equal(0, _host.Control.Ask(message).Error);
        return new FakeGuest(_host.GuestSocket(guest));
    }

    private static void Send(FakeGuest guest) => guest.Post(0, RingKind.Send, Make.Nqe(Op.Send, 1, dataPtr: PoolLayout.TxOffset, size: 1000));

    private void Set(uint guest, LimitsMessage limits, uint tenant = 0) => Assert.Equal(0, Ask(guest, limits, tenant).Error);

    private AttachMessage Ask(uint guest, LimitsMessage limits, uint tenant)
    {
        AttachMessage message = FakeControlPlane.Message(AttachOp.SetLimits, guest);
        message.Slot = tenant;
        message.Limits = limits;
        return _host.Control.Ask(message);
    }
}
