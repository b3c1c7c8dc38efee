using NetKernel.Channel;
using NetKernel.Channel.Host;
using NetKernel.Testing;

namespace NetKernel.CoreEngine.Tests;

public sealed unsafe class ForwardingTests : IDisposable
{
    private readonly EngineHost _host;
    private readonly FakeNsm _nsm;
    private readonly FakeGuest _guest;

    public ForwardingTests() => (_host, _nsm, _guest) = EngineHost.WithGuest();

    public void Dispose()
    {
        _guest.Dispose();
        _nsm.Dispose();
        _host.Dispose();
    }

    [Fact]
    public void A_send_is_stamped_translated_and_answered()
    {
        uint id = Make.Connected(_guest, _nsm, socket: 7);
        Nqe send = Make.Nqe(Op.Send, 7, dataPtr: PoolLayout.TxOffset, size: 100);
        send.Vm = 999; // the guest's own claim
        send.QueueSet = 55;
        _guest.Post(0, RingKind.Send, send);
        Nqe seen = _nsm.Expect(Op.Send, RingKind.Send);
        Assert.Equal((id, 1u, (byte)0, PoolLayout.TxOffset, 100u), (seen.Socket, seen.Vm, seen.QueueSet, seen.DataPtr, seen.Size));

        using Stats stats = _host.Stats();
        ConnectionRow row = stats.Row(id);
        Assert.Equal((100ul, 100u, 1u), (row.BytesSent, row.SendQueue, row.Sends));
        _nsm.Post(RingKind.Completion, Make.Nqe(Op.SendDone, id, dataPtr: PoolLayout.TxOffset, size: 100));
        Nqe done = _guest.Take(0, RingKind.Completion);
        Assert.Equal((Op.SendDone, 7u, PoolLayout.TxOffset, 100u, 1u), (done.Op, done.Socket, done.DataPtr, done.Size, done.Vm));
        Assert.Equal(0u, stats.Row(id).SendQueue);
        Assert.Equal(100ul, stats.Guest(1).BytesSent);
        Assert.Equal(100ul, stats.Nsm(1).BytesSent);
    }

    [Fact]
    public void Data_reaches_the_guest_and_its_credit_comes_back()
    {
        uint id = Make.Connected(_guest, _nsm, socket: 3);
        ulong place = _guest.PoolLayout.RxOffset;
        _nsm.Post(RingKind.Receive, Make.Nqe(Op.Data, id, dataPtr: place, size: 64));
        Nqe data = _guest.Take(0, RingKind.Receive);
        Assert.Equal((Op.Data, 3u, place, 64u), (data.Op, data.Socket, data.DataPtr, data.Size));
        using Stats stats = _host.Stats();
        Assert.Equal((64ul, 64u), (stats.Row(id).BytesReceived, stats.Row(id).ReceiveQueue));

        _guest.Post(0, RingKind.Send, Make.Nqe(Op.RxCredit, 3, dataPtr: place, size: 64));
        Nqe credit = _nsm.Expect(Op.RxCredit, RingKind.Send);
        Assert.Equal((id, place, 64u), (credit.Socket, credit.DataPtr, credit.Size));
        Assert.Equal(0u, stats.Row(id).ReceiveQueue);

        _nsm.Post(RingKind.Receive, Make.Nqe(Op.PeerClosed, id));
        Assert.Equal(Op.PeerClosed, _guest.Take(0, RingKind.Receive).Op);
        Assert.Equal(ConnectionState.CloseWait, stats.Row(id).State);
    }

    [Fact]
    public void A_row_of_the_table_tells_addresses_and_state()
    {
        uint id = Make.Connected(_guest, _nsm, socket: 9);
        using Stats stats = _host.Stats();
        ConnectionRow row = stats.Row(id);
        Assert.Equal((1u, 9u, 1u, ConnectionState.Established), (row.Guest, row.GuestSocket, row.Nsm, row.State));
        Assert.Equal((1ul, 2ul, (ushort)80), (row.PeerLow, row.PeerHigh, row.PeerPort));
        Assert.Equal((3ul, 4ul, (ushort)40000), (row.LocalLow, row.LocalHigh, row.LocalPort));
    }

    [Theory]
    [InlineData(NqeFlags.Sync)]
    [InlineData(NqeFlags.None)]
    public void An_option_is_answered_only_when_asked(NqeFlags flags)
    {
        uint id = Make.Connected(_guest, _nsm, socket: 0);
        _guest.Post(0, RingKind.Send, Make.Nqe(Op.SetOption, 0, opData: 1, dataPtr: 6 | (1ul << 32), size: 4, flags: flags));
        Nqe option = _nsm.Expect(Op.SetOption, RingKind.Send);
        Assert.Equal((id, 1ul, 4u), (option.Socket, option.OpData, option.Size));
        _nsm.Post(RingKind.Completion, Make.Nqe(Op.SetOptionDone, id, size: 92));
        _nsm.Post(RingKind.Receive, Make.Nqe(Op.PeerClosed, id));
        _ = _guest.Take(0, RingKind.Receive);
        Span<Nqe> one = stackalloc Nqe[1];
        uint completions = _guest.TryTake(0, RingKind.Completion, one);
        Assert.Equal(flags == NqeFlags.Sync ? 1u : 0u, completions);
    }

    [Fact]
    public void The_value_of_an_option_lies_in_the_rx_pool()
    {
        uint id = Make.Connected(_guest, _nsm, socket: 0);
        _guest.Post(0, RingKind.Job, Make.Nqe(Op.GetOption, 0, 6 | (11ul << 32), size: 200));
        _ = _nsm.Expect(Op.GetOption, RingKind.Job);
        ulong place = _guest.PoolLayout.RxOffset + PoolLayout.SmallBytes;
        _nsm.Post(RingKind.Completion, Make.Nqe(Op.GetOptionDone, id, 104, place));
        Nqe done = _guest.Take(0, RingKind.Completion);
        Assert.Equal((Op.GetOptionDone, 104ul, place, 0u), (done.Op, done.OpData, done.DataPtr, done.Size));
        _guest.Post(0, RingKind.Send, Make.Nqe(Op.RxCredit, 0, dataPtr: place, size: 104));
        Assert.Equal(place, _nsm.Expect(Op.RxCredit, RingKind.Send).DataPtr);
    }

    [Fact]
    public void A_failed_connect_can_be_tried_again()
    {
        _guest.Claim(4, 0);
        _guest.Post(0, RingKind.Job, Make.Socket(4));
        uint id = _nsm.Expect(Op.Socket, RingKind.Job).Socket;
        for (uint errno = 111; errno >= 110; errno--)
        {
            _guest.Post(0, RingKind.Job, Make.Nqe(Op.Connect, 4, 1, 2, aux: 80));
            _ = _nsm.Expect(Op.Connect, RingKind.Job);
            _nsm.Post(RingKind.Completion, Make.Nqe(Op.ConnectDone, id, size: errno));
            Assert.Equal((Op.ConnectDone, errno), Answer());
        }

        (Op, uint) Answer()
        {
            Nqe done = _guest.Take(0, RingKind.Completion);
            return (done.Op, done.Size);
        }
    }

    /// <summary>Rows show it, and the guest is told without being woken, as often as it connects.</summary>
    [Fact]
    public void A_connect_under_way_tells_its_address_quietly()
    {
        _guest.Claim(4, 0);
        _guest.Subscribe(0);
        _guest.Post(0, RingKind.Job, Make.Socket(4));
        uint id = _nsm.Expect(Op.Socket, RingKind.Job).Socket;
        _nsm.Post(RingKind.Completion, Make.Nqe(Op.Connecting, id, 3, 4, aux: 40000)); // makes no sense, and is dropped
        _guest.Post(0, RingKind.Job, Make.Nqe(Op.Connect, 4, 1, 2, aux: 80));
        _ = _nsm.Expect(Op.Connect, RingKind.Job);
        _ = _guest.DoorbellsRung();
        _guest.ProcessOf(0)->Asleep = 1;
        _nsm.Post(RingKind.Completion, Make.Nqe(Op.Connecting, id, 3, 4, aux: 40001));
        Nqe[] one = new Nqe[1];
        Waiting.Until(() => _guest.TryTake(0, RingKind.Completion, one) == 1, "Connecting without doorbell");
        Assert.Equal((Op.Connecting, 4u, 3ul, 4ul, (ushort)40001), (one[0].Op, one[0].Socket, one[0].OpData, one[0].DataPtr, one[0].Aux));
        Assert.Equal((1u, 0), (_guest.ProcessOf(0)->Asleep, _guest.DoorbellsRung()));
        using Stats stats = _host.Stats();
        Assert.Equal((ConnectionState.Connecting, (ushort)40001), (stats.Row(id).State, stats.Row(id).LocalPort));
        _nsm.Post(RingKind.Completion, Make.Nqe(Op.ConnectDone, id, size: 111));
        Assert.Equal(Op.ConnectDone, _guest.Take(0, RingKind.Completion).Op);
        Assert.Equal((ConnectionState.Open, (ushort)0), (stats.Row(id).State, stats.Row(id).LocalPort));
    }

    [Fact]
    public void Quiet_completions_ring_only_for_who_waits_for_space()
    {
        uint id = Make.Connected(_guest, _nsm, socket: 1);
        for (int i = 0; i < 2; i++)
        {
            _guest.Post(0, RingKind.Send, Make.Nqe(Op.Send, 1, dataPtr: PoolLayout.TxOffset, size: 10));
            _ = _nsm.Expect(Op.Send, RingKind.Send);
        }

        _ = _guest.DoorbellsRung();
        _guest.ProcessOf(0)->Asleep = 1;
        _nsm.Post(RingKind.Completion, Make.Nqe(Op.SendDone, id, dataPtr: PoolLayout.TxOffset, size: 10));
        Nqe[] one = new Nqe[1];
        Waiting.Until(() => _guest.TryTake(0, RingKind.Completion, one) == 1, "a SendDone without doorbell");
        Assert.Equal((1u, 0), (_guest.ProcessOf(0)->Asleep, _guest.DoorbellsRung()));

        _guest.HeaderOf(0)->WantsSpace = 1;
        _nsm.Post(RingKind.Completion, Make.Nqe(Op.SendDone, id, dataPtr: PoolLayout.TxOffset, size: 10));
        Waiting.Until(() => _guest.ProcessOf(0)->Asleep == 0, "a doorbell for who waits for space");
        Waiting.Until(() => _guest.DoorbellsRung() == 1, "a byte in the pipe");
    }

    /// <summary>
    /// Another process of the guest is quicker than CoreEngine: it takes the SendDone as soon as it is published, gives the sleeper its space, and takes the wish away, all
    /// before CoreEngine looks whether somebody wished.
    /// </summary>
    [Fact]
    public void Who_was_given_space_by_another_process_is_woken_though_the_wish_is_gone()
    {
        uint id = Make.Connected(_guest, _nsm, socket: 1);
        _guest.Post(0, RingKind.Send, Make.Nqe(Op.Send, 1, dataPtr: PoolLayout.TxOffset, size: 10));
        _ = _nsm.Expect(Op.Send, RingKind.Send);
        _ = _guest.DoorbellsRung();
        _guest.ProcessOf(0)->Asleep = 1;
        _guest.HeaderOf(0)->SpaceGiven++;
        Assert.Equal(0u, _guest.HeaderOf(0)->WantsSpace);
        _nsm.Post(RingKind.Completion, Make.Nqe(Op.SendDone, id, dataPtr: PoolLayout.TxOffset, size: 10));
        Waiting.Until(() => _guest.ProcessOf(0)->Asleep == 0, "a doorbell for who was given space");
        Waiting.Until(() => _guest.DoorbellsRung() == 1, "a byte in the pipe");
    }

    [Fact]
    public void A_wish_for_credits_reaches_the_guest()
    {
        uint id = Make.Connected(_guest, _nsm, socket: 1);
        _guest.ProcessOf(0)->Asleep = 1;
        _nsm.Post(RingKind.Receive, Make.Nqe(Op.CreditWanted, id));
        Nqe wish = _guest.Take(0, RingKind.Receive);
        Assert.Equal((Op.CreditWanted, 1u), (wish.Op, wish.Socket));
        Waiting.Until(() => _guest.ProcessOf(0)->Asleep == 0, "a doorbell");
    }

    [Fact]
    public void Many_requests_keep_their_order_when_the_nsm_is_slow()
    {
        uint id = Make.Connected(_guest, _nsm, socket: 1);
        var sender = new Thread(() =>
        {
            for (uint i = 0; i < 20000; i++)
            {
                _guest.Post(0, RingKind.Send, Make.Nqe(Op.SetOption, 1, opData: i, size: 4));
            }
        });
        sender.Start();
        for (uint i = 0; i < 20000; i++)
        {
            Nqe option = _nsm.Expect(Op.SetOption, RingKind.Send);
            Assert.Equal((id, (ulong)i), (option.Socket, option.OpData));
        }

        sender.Join();
    }

    [Fact]
    public void The_loop_allocates_nothing()
    {
        uint id = Make.Connected(_guest, _nsm, socket: 1);
        long before = Allocated();
        for (int i = 0; i < 2000; i++)
        {
            _guest.Post(0, RingKind.Send, Make.Nqe(Op.Send, 1, dataPtr: PoolLayout.TxOffset, size: 10));
            _ = _nsm.Expect(Op.Send, RingKind.Send);
            _nsm.Post(RingKind.Completion, Make.Nqe(Op.SendDone, id, dataPtr: PoolLayout.TxOffset, size: 10));
            _ = _guest.Take(0, RingKind.Completion);
            _nsm.Post(RingKind.Receive, Make.Nqe(Op.Data, id, dataPtr: _guest.PoolLayout.RxOffset, size: 64));
            _ = _guest.Take(0, RingKind.Receive);
            _guest.Post(0, RingKind.Send, Make.Nqe(Op.RxCredit, 1, dataPtr: _guest.PoolLayout.RxOffset, size: 64));
            _ = _nsm.Expect(Op.RxCredit, RingKind.Send);
        }

        Assert.Equal(before, Allocated());

        long Allocated()
        {
            long bytes = 0;
            _host.Engine.Loops[0].Execute(new Control.Do(_ => bytes = GC.GetAllocatedBytesForCurrentThread()));
            return bytes;
        }
    }

    [Fact]
    public void Idle_guests_cost_nothing()
    {
        for (uint guest = 2; guest <= 101; guest++)
        {
            _host.Control.AddGuest(guest, 1);
        }

        uint passes = 0;
        Waiting.Until(
            () =>
            {
                passes = _host.Engine.Loops[0].Passes;
                _ = Waiting.Readable(_guest.Connection, 50);
                return passes == _host.Engine.Loops[0].Passes;
            },
            "the loop stands still");

        // A time without anything to wait for is what is measured here.
        _ = Waiting.Readable(_guest.Connection, 200);
        Assert.Equal(passes, _host.Engine.Loops[0].Passes);
        using Stats stats = _host.Stats();
        Assert.Equal(0ul, stats.Guest(50).DoorbellsRung);
    }
}
