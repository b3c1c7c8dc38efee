using NetKernel.Channel;
using NetKernel.Channel.Host;
using NetKernel.Testing;

namespace NetKernel.CoreEngine.Tests;

/// <summary>Datagram sockets whose NSM is gone, or was never there: they wait, and the next one is told what they are.</summary>
public sealed unsafe class DatagramRevivalTests : IDisposable
{
    private readonly EngineHost _host;
    private readonly FakeNsm _nsm;
    private readonly FakeGuest _guest;

    public DatagramRevivalTests() => (_host, _nsm, _guest) = EngineHost.WithGuest();

    public void Dispose()
    {
        _guest.Dispose();
        _nsm.Dispose();
        _host.Dispose();
    }

    [Fact]
    public void Options_address_and_peer_are_told_to_the_next_nsm()
    {
        _guest.Claim(1, 0);
        _guest.Post(0, RingKind.Job, Make.Datagrams(1, domain: 10));
        uint id = _nsm.Expect(Op.Socket, RingKind.Job).Socket;
        for (uint i = 0; i < 24; i++)
        {
            _guest.Post(0, RingKind.Job, Make.Nqe(Op.SetOption, 1, opData: i, dataPtr: 6 | ((ulong)i << 32), size: 4));
            _ = _nsm.Expect(Op.SetOption, RingKind.Job);
        }

        _guest.Post(0, RingKind.Job, Make.Nqe(Op.Bind, 1, aux: 0, flags: NqeFlags.Wildcard | NqeFlags.V6Only));
        Nqe bind = _nsm.Expect(Op.Bind, RingKind.Job);
        _nsm.Post(RingKind.Completion, Make.Nqe(Op.BindDone, id, 1, 2, aux: 5353));
        Assert.Equal(Op.BindDone, Completion().Op);
        Connect(1, id, peer: 7);

        // A refused one changes nothing.
        _guest.Post(0, RingKind.Job, Make.Nqe(Op.Connect, 1, 9, 9, aux: 9));
        _nsm.Post(RingKind.Completion, Make.Done(_nsm.Expect(Op.Connect, RingKind.Job), errno: 101));
        Assert.Equal((Op.ConnectDone, 101u), (Completion() is var refused ? refused.Op : default, refused.Size));
        LoseNsm();

        // Meanwhile sends fail and options are kept.
        _guest.Post(0, RingKind.Send, Make.Nqe(Op.Send, 1, dataPtr: PoolLayout.TxOffset, size: 70));
        Assert.Equal((Op.SendDone, (ulong)Libc.ENETDOWN), (Completion() is var sent ? sent.Op : default, sent.OpData));
        _guest.Post(0, RingKind.Send, Make.Nqe(Op.SetOption, 1, opData: 99, dataPtr: 6, size: 4));

        // The program hears that this one failed, so it has.
        _guest.Post(0, RingKind.Send, Make.Nqe(Op.SetOption, 1, opData: 98, dataPtr: 6 | (1ul << 32), size: 4, flags: NqeFlags.Sync));
        Assert.Equal((Op.SetOptionDone, (uint)Libc.ENETDOWN), (Completion() is var option ? option.Op : default, option.Size));

        using var next = new FakeNsm(_host.EngineSocket, 1);
        Nqe made = next.Expect(Op.Socket, RingKind.Job);
        Assert.Equal(10ul | (2ul << 16) | (17ul << 32), made.OpData);
        for (uint i = 0; i < 24; i++)
        {
            Nqe kept = next.Expect(Op.SetOption, RingKind.Job);
            Assert.Equal((made.Socket, i == 0 ? 99ul : i, NqeFlags.Sync), (kept.Socket, kept.OpData, kept.Flags));
            next.Post(RingKind.Completion, Make.Done(kept, errno: i == 5 ? 92u : 0)); // the log's business, not the guest's
        }

        Nqe again = next.Expect(Op.Bind, RingKind.Job);
        Assert.Equal((made.Socket, (ushort)5353, bind.Flags), (again.Socket, again.Aux, again.Flags));
        Nqe connect = next.Expect(Op.Connect, RingKind.Job);
        Assert.Equal((made.Socket, 7ul, (ushort)53), (connect.Socket, connect.OpData, connect.Aux));

        // What arrives before it is whole stands behind the loss, and before the news.
        next.Post(RingKind.Completion, Make.Done(again));
        next.Post(RingKind.Receive, Make.Nqe(Op.Data, made.Socket, dataPtr: _guest.PoolLayout.RxHalf.OffsetOf(0), size: 80));
        Assert.Equal(Op.Data, _guest.Take(0, RingKind.Receive).Op);
        _guest.Post(0, RingKind.Send, Make.Nqe(Op.Send, 1, dataPtr: PoolLayout.TxOffset, size: 70));
        Assert.Equal((ulong)Libc.ENETDOWN, Completion().OpData);
        next.Post(RingKind.Completion, Make.Nqe(Op.ConnectDone, made.Socket, 3, 4, aux: 5353));
        ExpectRenewed(1);
        _guest.Post(0, RingKind.Send, Make.Nqe(Op.Send, 1, dataPtr: PoolLayout.TxOffset, size: 70));
        Assert.Equal(made.Socket, next.Expect(Op.Send, RingKind.Send).Socket);
        Span<Nqe> one = stackalloc Nqe[1];
        Assert.Equal(0u, _guest.TryTake(0, RingKind.Completion, one)); // nothing that the guest never asked for
        using Stats stats = _host.Stats();
        Assert.Equal((1ul, 1ul), (stats.Guest(1).Open, stats.Nsm(1).Open));
    }

    [Fact]
    public void A_port_that_connect_chose_stays_until_the_peer_goes()
    {
        _guest.Claim(1, 0);
        _guest.Post(0, RingKind.Job, Make.Datagrams(1));
        uint id = _nsm.Expect(Op.Socket, RingKind.Job).Socket;
        Connect(1, id, peer: 7, local: 40001);
        Connect(1, id, peer: 8, local: 40002);
        LoseNsm();
        var second = new FakeNsm(_host.EngineSocket, 1);
        id = second.Expect(Op.Socket, RingKind.Job).Socket;
        Nqe bind = second.Expect(Op.Bind, RingKind.Job);
        Assert.Equal((3ul, 4ul, (ushort)40002), (bind.OpData, bind.DataPtr, bind.Aux));
        second.Post(RingKind.Completion, Make.Done(bind));
        second.Post(RingKind.Completion, Make.Done(second.Expect(Op.Connect, RingKind.Job)));
        ExpectRenewed(1);

        // connect(AF_UNSPEC)
        _guest.Post(0, RingKind.Job, Make.Nqe(Op.Connect, 1, flags: NqeFlags.Abort));
        second.Post(RingKind.Completion, Make.Done(second.Expect(Op.Connect, RingKind.Job)));
        Assert.Equal(Op.ConnectDone, Completion().Op);
        second.Dispose();
        ExpectLost(1);
        using var third = new FakeNsm(_host.EngineSocket, 1);
        _ = third.Expect(Op.Socket, RingKind.Job);
        ExpectRenewed(1); // there is nothing else to say
        Span<Nqe> one = stackalloc Nqe[1];
        Assert.Equal(0u, third.TryTake(RingKind.Job, one));
    }

    [Fact]
    public void A_request_that_is_out_when_the_nsm_goes_fails()
    {
        _ = Make.Bound(_guest, _nsm, 1, 53);
        _guest.Post(0, RingKind.Job, Make.Nqe(Op.Connect, 1, 7, 7, aux: 53));
        _ = _nsm.Expect(Op.Connect, RingKind.Job);
        _nsm.Dispose();
        Nqe failed = Completion();
        Assert.Equal((Op.ConnectDone, (uint)Libc.ENETDOWN), (failed.Op, failed.Size));
        ExpectLost(1);
        using var next = new FakeNsm(_host.EngineSocket, 1);
        _ = next.Expect(Op.Socket, RingKind.Job);
        next.Post(RingKind.Completion, Make.Done(next.Expect(Op.Bind, RingKind.Job)));
        ExpectRenewed(1); // without the peer that it never had
    }

    [Fact]
    public void Of_options_that_are_asked_for_only_those_taken_are_told_again()
    {
        uint id = Make.Bound(_guest, _nsm, 1, 53);
        foreach ((ulong value, uint errno) in new[] { (1ul, 0u), (2ul, (uint)Libc.EINVAL), (3ul, 0u) })
        {
            _guest.Post(0, RingKind.Send, Make.Nqe(Op.SetOption, 1, opData: value, dataPtr: value == 3 ? 7u : 6u, size: 4, flags: NqeFlags.Sync));
            _nsm.Post(RingKind.Completion, Make.Done(_nsm.Expect(Op.SetOption, RingKind.Send), errno));
            Assert.Equal(errno, Completion().Size);
        }

        LoseNsm();
        using var next = new FakeNsm(_host.EngineSocket, 1);
        _ = next.Expect(Op.Socket, RingKind.Job);
        Assert.Equal((6ul, 1ul), (next.Expect(Op.SetOption, RingKind.Job) is var first ? first.DataPtr : 0, first.OpData));
        Assert.Equal((7ul, 3ul), (next.Expect(Op.SetOption, RingKind.Job) is var second ? second.DataPtr : 0, second.OpData));
        _ = next.Expect(Op.Bind, RingKind.Job);
    }

    [Fact]
    public void A_socket_may_come_before_the_nsm()
    {
        LoseNsm(none: true);
        _guest.Claim(1, 0);
        _guest.Post(0, RingKind.Job, Make.Datagrams(1));
        _guest.Post(0, RingKind.Job, Make.Nqe(Op.Bind, 1, aux: 53));
        Assert.Equal((uint)Libc.ENETDOWN, Completion().Size);
        using var next = new FakeNsm(_host.EngineSocket, 1);
        Nqe made = next.Expect(Op.Socket, RingKind.Job);
        ExpectRenewed(1);
        _guest.Post(0, RingKind.Job, Make.Nqe(Op.Bind, 1, aux: 53));
        Assert.Equal(made.Socket, next.Expect(Op.Bind, RingKind.Job).Socket);
    }

    [Fact]
    public void A_socket_that_cannot_be_made_again_is_reset()
    {
        _ = Make.Bound(_guest, _nsm, 1, 53);
        LoseNsm();
        using var next = new FakeNsm(_host.EngineSocket, 1);
        _ = next.Expect(Op.Socket, RingKind.Job);
        next.Post(RingKind.Completion, Make.Done(next.Expect(Op.Bind, RingKind.Job), errno: Libc.EADDRINUSE));
        Nqe reset = _guest.Take(0, RingKind.Receive);
        Assert.Equal((Op.Reset, (ulong)Libc.EADDRINUSE, NqeFlags.None), (reset.Op, reset.OpData, reset.Flags));
        _guest.Post(0, RingKind.Send, Make.Nqe(Op.Close, 1));
        next.Post(RingKind.Completion, Make.Done(next.Expect(Op.Close, RingKind.Send)));
        Assert.Equal(Op.Closed, Completion().Op);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void A_close_leaves_nothing(bool whileMade)
    {
        _ = Make.Bound(_guest, _nsm, 1, 53);
        LoseNsm();
        FakeNsm? next = whileMade ? new FakeNsm(_host.EngineSocket, 1) : null;
        _ = next?.Expect(Op.Socket, RingKind.Job);
        Nqe bind = next?.Expect(Op.Bind, RingKind.Job) ?? default;
        _guest.SlotOf(1)->State = SocketState.Closing;
        _guest.Post(0, RingKind.Send, Make.Nqe(Op.Close, 1));
        if (next != null)
        {
            Nqe close = next.Expect(Op.Close, RingKind.Send);
            next.Post(RingKind.Completion, Make.Done(bind));
            next.Post(RingKind.Completion, Make.Done(close));
        }

        Assert.Equal(Op.Closed, Completion().Op);
        Waiting.Until(() => _guest.SlotOf(1)->State == SocketState.Free, "the slot is free");
        next ??= new FakeNsm(_host.EngineSocket, 1);
        Span<Nqe> one = stackalloc Nqe[1];
        Assert.Equal(0u, _guest.TryTake(0, RingKind.Receive, one));
        using Stats stats = _host.Stats();
        Assert.Equal((0, 0ul, 0ul), (stats.Rows(), stats.Guest(1).Open, stats.Nsm(1).Open));
        next.Dispose();
    }

    /// <summary>More sockets than the new NSM's ring has room for at once.</summary>
    [Fact]
    public void Many_are_made_again_in_their_turn()
    {
        const uint Many = 500;
        for (uint i = 0; i < Many; i++)
        {
            _ = Make.Bound(_guest, _nsm, i, (ushort)(1000 + i));
        }

        _nsm.Dispose();
        for (uint i = 0; i < Many; i++)
        {
            Assert.Equal(Op.Reset, _guest.Take(0, RingKind.Receive).Op);
        }

        using var next = new FakeNsm(_host.EngineSocket, 1);
        for (uint i = 0; i < Many; i++)
        {
            _ = next.Expect(Op.Socket, RingKind.Job);
            Nqe bind = next.Expect(Op.Bind, RingKind.Job);
            Assert.Equal(1000 + i, bind.Aux);
            next.Post(RingKind.Completion, Make.Done(bind));
        }

        for (uint i = 0; i < Many; i++)
        {
            ExpectRenewed(i);
        }
    }

    /// <summary>
    /// NSMs come and go while the program does not look: of each socket it is told once that it was lost and once, with the last one, that it is back; what cannot be parked any more is in the
    /// ring already.
    /// </summary>
    [Fact]
    public void However_often_the_nsm_dies_a_guest_that_does_not_look_is_told_of_each_socket_once()
    {
        const uint Many = 1500, Deaths = 6;
        for (uint i = 0; i < Many; i++)
        {
            _ = Make.Bound(_guest, _nsm, i, (ushort)(1000 + i));
        }

        FakeNsm nsm = _nsm;
        for (uint death = 0; death < Deaths; death++)
        {
            nsm.Dispose();
            nsm = new FakeNsm(_host.EngineSocket, 1);
            for (uint i = 0; i < Many; i++)
            {
                uint made = nsm.Expect(Op.Socket, RingKind.Job).Socket;
                Nqe bind = nsm.Expect(Op.Bind, RingKind.Job);
                nsm.Post(RingKind.Receive, Make.Nqe(Op.Data, made, dataPtr: _guest.PoolLayout.RxHalf.OffsetOf(i % 512), size: 1)); // dies with its NSM
                nsm.Post(RingKind.Completion, Make.Done(bind));
            }
        }

        Dictionary<uint, ulong> renewed = [];
        int heard = 0;
        while (renewed.Count < Many || renewed.Values.Any(epoch => epoch != _guest.Header->NsmEpoch))
        {
            Nqe news = _guest.Take(0, RingKind.Receive);
            heard++;
            if (news.Op == Op.Renewed)
            {
                renewed[news.Socket] = news.OpData;
            }
        }

        nsm.Dispose();
        uint parked = (2 * Many) + Many; // of each socket both notices, and a datagram of the last NSM
        Assert.InRange(heard, (int)Many, (int)(_guest.Header->Counts.RingSlots + parked));
    }

    private Nqe Completion() => _guest.Take(0, RingKind.Completion);

    private void Connect(uint socket, uint id, ulong peer, ushort local = 5353)
    {
        _guest.Post(0, RingKind.Job, Make.Nqe(Op.Connect, socket, peer, 0, aux: 53));
        _ = _nsm.Expect(Op.Connect, RingKind.Job);
        _nsm.Post(RingKind.Completion, Make.Nqe(Op.ConnectDone, id, 3, 4, aux: local));
        Nqe done = Completion();
        Assert.Equal((Op.ConnectDone, 0u), (done.Op, done.Size));
    }

    private void LoseNsm(bool none = false)
    {
        _nsm.Dispose();
        _ = _host.Control.News(AttachOp.NsmLost);
        if (!none)
        {
            ExpectLost(1);
        }
    }

    private void ExpectLost(uint socket)
    {
        Nqe lost = _guest.Take(0, RingKind.Receive);
        Assert.Equal((Op.Reset, socket, (ulong)Libc.ENETDOWN, NqeFlags.Abort), (lost.Op, lost.Socket, lost.OpData, lost.Flags));
    }

    private void ExpectRenewed(uint socket)
    {
        Nqe renewed = _guest.Take(0, RingKind.Receive);
        Assert.Equal((Op.Renewed, socket, (ulong)_guest.Header->NsmEpoch), (renewed.Op, renewed.Socket, renewed.OpData));
    }
}
