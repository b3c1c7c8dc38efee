using NetKernel.Channel;
using NetKernel.Channel.Host;
using NetKernel.Testing;

namespace NetKernel.CoreEngine.Tests;

public sealed unsafe class SocketLifeTests : IDisposable
{
    private readonly EngineHost _host;
    private readonly FakeNsm _nsm;
    private readonly FakeGuest _guest;

    public SocketLifeTests() => (_host, _nsm, _guest) = EngineHost.WithGuest();

    public void Dispose()
    {
        _guest.Dispose();
        _nsm.Dispose();
        _host.Dispose();
    }

    [Fact]
    public void An_announced_connection_is_accepted()
    {
        uint listener = Make.Listening(_guest, _nsm, socket: 2, port: 80);
        _nsm.Post(RingKind.Receive, Make.Nqe(Op.NewConnection, listener, 5, 6, size: 0xABCD, aux: 1234));
        Nqe news = _guest.Take(0, RingKind.Receive);
        Assert.Equal((Op.NewConnection, 2u, 5ul, 6ul, (ushort)1234, 0xABCDu), (news.Op, news.Socket, news.OpData, news.DataPtr, news.Aux, news.Size));

        _guest.Claim(8, 0);
        _guest.Post(0, RingKind.Send, Make.Nqe(Op.Accept, 8, news.Size, 2));
        Nqe accept = _nsm.Expect(Op.Accept, RingKind.Send);
        Assert.NotEqual(listener, accept.Socket);
        Assert.Equal(0xABCDul, accept.OpData);

        // Sending need not wait for AcceptDone.
        _guest.Post(0, RingKind.Send, Make.Nqe(Op.Send, 8, dataPtr: PoolLayout.TxOffset, size: 1));
        Assert.Equal(accept.Socket, _nsm.Expect(Op.Send, RingKind.Send).Socket);
        _nsm.Post(RingKind.Completion, Make.Nqe(Op.AcceptDone, accept.Socket, 7, 8, aux: 80));
        Nqe done = _guest.Take(0, RingKind.Completion);
        Assert.Equal((Op.AcceptDone, 8u, 0u), (done.Op, done.Socket, done.Size));
        using Stats stats = _host.Stats();
        ConnectionRow row = stats.Row(accept.Socket);
        Assert.Equal((5ul, 6ul, (ushort)1234, (ushort)80, ConnectionState.Established), (row.PeerLow, row.PeerHigh, row.PeerPort, row.LocalPort, row.State));
        Assert.Equal(1ul, stats.Guest(1).Accepts);
    }

    [Fact]
    public void A_row_tells_streams_from_datagrams()
    {
        _guest.Claim(8, 0);
        _guest.Post(0, RingKind.Job, Make.Nqe(Op.Socket, 8, 10 | (ulong)Libc.SOCK_DGRAM << 16));
        uint datagrams = _nsm.Expect(Op.Socket, RingKind.Job).Socket;
        uint stream = Make.Connected(_guest, _nsm, socket: 7);
        using Stats stats = _host.Stats();
        ConnectionRow row = stats.Row(datagrams);
        Assert.Equal(((ushort)10, (uint)Libc.SOCK_DGRAM, ConnectionState.Open), (row.Domain, row.Type, row.State));
        Assert.Equal((uint)Libc.SOCK_STREAM, stats.Row(stream).Type);
    }

    [Fact]
    public void A_failed_accept_is_dead_until_closed_and_gives_its_chunks_back()
    {
        _ = Make.Listening(_guest, _nsm, socket: 2, port: 80);
        _guest.Claim(8, 0);
        _guest.TxOwners[0] = TxOwner.InFlight | 8;
        _guest.Post(0, RingKind.Send, Make.Nqe(Op.Accept, 8, 1, 2));
        _guest.Post(0, RingKind.Send, Make.Nqe(Op.Send, 8, dataPtr: PoolLayout.TxOffset, size: 1));
        Nqe accept = _nsm.Expect(Op.Accept, RingKind.Send);
        _ = _nsm.Expect(Op.Send, RingKind.Send);
        _nsm.Post(RingKind.Completion, Make.Nqe(Op.AcceptDone, accept.Socket, size: 103));
        Assert.Equal((Op.AcceptDone, 103u), Completion());
        Assert.Equal(TxOwner.Free, _guest.TxOwners[0]);

        _guest.Post(0, RingKind.Send, Make.Nqe(Op.Send, 8, dataPtr: PoolLayout.TxOffset, size: 1));
        Nqe done = _guest.Take(0, RingKind.Completion);
        Assert.Equal((Op.SendDone, (ulong)Libc.ECONNABORTED), (done.Op, done.OpData));
        _guest.SlotOf(8)->State = SocketState.Closing;
        _guest.Post(0, RingKind.Send, Make.Nqe(Op.Close, 8));
        Assert.Equal(Op.Closed, Completion().Item1);
        Waiting.Until(() => _guest.SlotOf(8)->State == SocketState.Free, "the slot is free");
    }

    private (Op, uint) Completion()
    {
        Nqe done = _guest.Take(0, RingKind.Completion);
        return (done.Op, done.Size);
    }

    [Fact]
    public void A_declined_connection_is_told_to_the_nsm()
    {
        uint listener = Make.Listening(_guest, _nsm, socket: 2, port: 80);
        _nsm.Post(RingKind.Receive, Make.Nqe(Op.NewConnection, listener, size: 5));
        _ = _guest.Take(0, RingKind.Receive);
        _guest.Post(0, RingKind.Send, Make.Nqe(Op.Decline, 2, 5));
        Nqe decline = _nsm.Expect(Op.Decline, RingKind.Send);
        Assert.Equal((listener, 5ul), (decline.Socket, decline.OpData));
    }

    [Fact]
    public void More_announcements_than_allowed_are_dropped()
    {
        uint listener = Make.Listening(_guest, _nsm, socket: 2, port: 80);
        for (uint handle = 1; handle <= SwitchLoop.AnnouncedOwn + 3; handle++)
        {
            _nsm.Post(RingKind.Receive, Make.Nqe(Op.NewConnection, listener, size: handle));
        }

        for (uint handle = 1; handle <= SwitchLoop.AnnouncedOwn; handle++)
        {
            Assert.Equal(handle, _guest.Take(0, RingKind.Receive).Size);
        }

        using Stats stats = _host.Stats();
        Waiting.Until(() => stats.Nsm(1).Stray == 3, "three strays");
    }

    [Fact]
    public void A_slot_is_free_again_once_the_guest_has_drained_what_names_it()
    {
        uint id = Make.Connected(_guest, _nsm, socket: 6);
        _nsm.Post(RingKind.Receive, Make.Nqe(Op.Data, id, dataPtr: _guest.PoolLayout.RxOffset, size: 5));
        Waiting.Until(() => _guest.RingOf(0, RingKind.Receive)->Tail == 1, "the data is published");
        _guest.SlotOf(6)->State = SocketState.Closing;
        _guest.Post(0, RingKind.Send, Make.Nqe(Op.Close, 6));
        _ = _nsm.Expect(Op.Close, RingKind.Send);
        _nsm.Post(RingKind.Receive, Make.Nqe(Op.Data, id, dataPtr: _guest.PoolLayout.RxOffset, size: 5)); // crosses the close
        _nsm.Post(RingKind.Completion, Make.Nqe(Op.Closed, id));
        Assert.Equal((Op.Closed, 0u), Completion());
        Assert.Equal(SocketState.Closing, _guest.SlotOf(6)->State); // old data still lies in the receive ring
        Nqe[] events = new Nqe[4];
        Assert.Equal(1u, _guest.TryTake(0, RingKind.Receive, events));
        Waiting.Until(() => _guest.SlotOf(6)->State == SocketState.Free, "the slot is free");
        using Stats stats = _host.Stats();
        Assert.Equal((0, 0ul), (stats.Rows(), stats.Guest(1).Open));
    }

    [Fact]
    public void Ids_are_used_again_and_nothing_is_left_after_thousands_of_connections()
    {
        var ids = new HashSet<uint>();
        for (int i = 0; i < 3000; i++)
        {
            uint id = Make.Connected(_guest, _nsm, socket: 6);
            _ = ids.Add(id);
            _guest.SlotOf(6)->State = SocketState.Closing;
            _guest.Post(0, RingKind.Send, Make.Nqe(Op.Close, 6));
            _ = _nsm.Expect(Op.Close, RingKind.Send);
            _nsm.Post(RingKind.Completion, Make.Nqe(Op.Closed, id));
            Assert.Equal((Op.Closed, 0u), Completion());
        }

        Assert.InRange(ids.Count, 1000, 1100);
        using Stats stats = _host.Stats();
        Assert.Equal((0, 0ul, 3000ul), (stats.Rows(), stats.Guest(1).Open, stats.Guest(1).Closes));
    }

    [Fact]
    public void What_crosses_a_reset_is_answered_and_is_no_offence()
    {
        uint id = Make.Connected(_guest, _nsm, socket: 1);
        _guest.Post(0, RingKind.Job, Make.Nqe(Op.GetOption, 1, 1, size: 4));
        _ = _nsm.Expect(Op.GetOption, RingKind.Job);
        _nsm.Post(RingKind.Receive, Make.Nqe(Op.Reset, id, Libc.ETIMEDOUT));
        Assert.Equal((Op.GetOptionDone, (uint)Libc.ETIMEDOUT), Completion());
        Nqe reset = _guest.Take(0, RingKind.Receive);
        Assert.Equal((Op.Reset, (ulong)Libc.ETIMEDOUT), (reset.Op, reset.OpData));

        _guest.Post(0, RingKind.Send, Make.Nqe(Op.Shutdown, 1, 1));
        _guest.Post(0, RingKind.Send, Make.Nqe(Op.SetOption, 1, size: 4));
        _guest.Post(0, RingKind.Send, Make.Nqe(Op.RxCredit, 1, dataPtr: _guest.PoolLayout.RxOffset, size: 4));
        _guest.Post(0, RingKind.Send, Make.Nqe(Op.Send, 1, dataPtr: PoolLayout.TxOffset, size: 4));
        Nqe done = _guest.Take(0, RingKind.Completion);
        Assert.Equal((Op.SendDone, PoolLayout.TxOffset, 4u, (ulong)Libc.ETIMEDOUT), (done.Op, done.DataPtr, done.Size, done.OpData));
        _guest.Post(0, RingKind.Job, Make.Nqe(Op.Connect, 1));
        Assert.Equal((Op.ConnectDone, (uint)Libc.ETIMEDOUT), Completion());
        _guest.Post(0, RingKind.Send, Make.Nqe(Op.Close, 1));
        Assert.Equal(id, _nsm.Expect(Op.Close, RingKind.Send).Socket);
    }

    [Fact]
    public void Requests_for_unknown_sockets_fail_and_closes_are_confirmed()
    {
        _guest.Post(0, RingKind.Job, Make.Nqe(Op.Bind, 77));
        Assert.Equal((Op.BindDone, (uint)Libc.EBADF), Completion());
        _guest.Post(0, RingKind.Send, Make.Nqe(Op.RxCredit, 77, dataPtr: _guest.PoolLayout.RxOffset, size: 4));
        _guest.Post(0, RingKind.Send, Make.Nqe(Op.Decline, 77, 1));
        _guest.Post(0, RingKind.Send, Make.Nqe(Op.Close, 77));
        Assert.Equal((Op.Closed, 0u), Completion());
    }

    [Fact]
    public void An_nsm_that_gives_too_much_loses_that_connection_only()
    {
        uint id = Make.Connected(_guest, _nsm, socket: 1);
        uint other = Make.Connected(_guest, _nsm, socket: 2);
        for (int i = 0; i < 100; i++)
        {
            _nsm.Post(RingKind.Receive, Make.Nqe(Op.Data, id, dataPtr: _guest.PoolLayout.RxOffset, size: 1));
        }

        int data = 0;
        Nqe e;
        while ((e = _guest.Take(0, RingKind.Receive)).Op == Op.Data)
        {
            data++;
        }

        Assert.Equal((Op.Reset, 1u), (e.Op, e.Socket));
        Assert.InRange(data, (int)SocketSlot.RxEntries, (int)SocketSlot.RxEntries + 1);
        _nsm.Post(RingKind.Receive, Make.Nqe(Op.Data, other, dataPtr: PoolLayout.TxOffset, size: 1)); // the wrong half
        e = _guest.Take(0, RingKind.Receive);
        Assert.Equal((Op.Reset, 2u), (e.Op, e.Socket));
    }

    [Fact]
    public void Nonsense_of_an_nsm_is_counted_and_dropped()
    {
        uint id = Make.Connected(_guest, _nsm, socket: 1);
        Nqe[] nonsense =
        [
            Make.Nqe(Op.SendDone, id, dataPtr: PoolLayout.TxOffset, size: 1), Make.Nqe(Op.Closed, id), Make.Nqe(Op.BindDone, id), Make.Nqe(Op.AcceptDone, id),
            Make.Nqe(Op.SendDone, 60000), Make.Nqe(Op.SendDone, uint.MaxValue), Make.Nqe(Op.Data, id), Make.Nqe(Op.None, id), Make.Nqe((Op)255, id),
        ];
        foreach (Nqe e in nonsense)
        {
            _nsm.Post(RingKind.Completion, e);
        }

        _nsm.Post(RingKind.Receive, Make.Nqe(Op.PeerClosed, id));
        Assert.Equal(Op.PeerClosed, _guest.Take(0, RingKind.Receive).Op);
        using Stats stats = _host.Stats();
        Assert.Equal((ulong)nonsense.Length, stats.Nsm(1).Stray);
        Span<Nqe> one = stackalloc Nqe[1];
        Assert.Equal(0u, _guest.TryTake(0, RingKind.Completion, one));
    }
}
