using NetKernel.Channel;
using NetKernel.Testing;

namespace NetKernel.CoreEngine.Tests;

public sealed unsafe class ViolationTests : IDisposable
{
    private readonly EngineHost _host;
    private readonly FakeNsm _nsm;
    private readonly FakeGuest _neighbour;
    private readonly FakeGuest _guest;
    private readonly uint _id;
    private readonly uint _neighbourId;

    public ViolationTests()
    {
        (_host, _nsm, _neighbour) = EngineHost.WithGuest();
        _host.Control.AddGuest(2, 1);
        _guest = new FakeGuest(_host.GuestSocket(2));
        _neighbourId = Make.Connected(_neighbour, _nsm, socket: 1);
        _id = Make.Connected(_guest, _nsm, socket: 1); // socket 1 is connected, 2 is a listener
        _ = Make.Listening(_guest, _nsm, socket: 2, port: 80);
    }

    public void Dispose()
    {
        _guest.Dispose();
        _neighbour.Dispose();
        _nsm.Dispose();
        _host.Dispose();
    }

    public static TheoryData<string, RingKind, Op, uint, ulong, ulong, uint> Hostile()
    {
        const ulong Tx = PoolLayout.TxOffset;
        ulong rx = PoolLayout.Default.RxOffset;
        return new()
        {
            { "operation 0x00 on the job", RingKind.Job, Op.None, 1, 0, 0, 0 },
            { "operation 0xff on the send", RingKind.Send, (Op)255, 1, 0, 0, 0 },
            { "operation 0x08 on the job", RingKind.Job, Op.Send, 1, 0, Tx, 1 },
            { "operation 0x01 on the send", RingKind.Send, Op.Socket, 5, 0, 0, 0 },
            { "operation 0x88 on the send", RingKind.Send, Op.SendDone, 1, 0, Tx, 1 },
            { "operation 0x40 on the send", RingKind.Send, Op.Data, 1, 0, Tx, 1 },
            { "socket id 16384 out of range", RingKind.Job, Op.Socket, 16384, 0, 0, 0 },
            { "socket id 4294967295 out of range", RingKind.Send, Op.Close, uint.MaxValue, 0, 0, 0 },
            { "socket id 99999 out of range", RingKind.Send, Op.Accept, 9, 1, 99999, 0 },
            { "socket id 1 is in use", RingKind.Job, Op.Socket, 1, 2, 0, 0 },
            { "socket id 1 is in use", RingKind.Send, Op.Accept, 1, 1, 2, 0 },
            { "socket id 9 was never made", RingKind.Send, Op.Send, 9, 0, Tx, 1 },
            { "socket id 9 was never made", RingKind.Send, Op.Shutdown, 9, 0, 0, 0 },
            { "outside the TX pool", RingKind.Send, Op.Send, 1, 0, 0, 1 },
            { "outside the TX pool", RingKind.Send, Op.Send, 1, 0, Tx - 1, 1 },
            { "outside the TX pool", RingKind.Send, Op.Send, 1, 0, rx, 1 },
            { "outside the TX pool", RingKind.Send, Op.Send, 1, 0, ulong.MaxValue, 1 },
            { "outside the TX pool", RingKind.Send, Op.Send, 1, 0, Tx, 0 },
            { "outside the TX pool", RingKind.Send, Op.Send, 1, 0, Tx + 1, 2048 },
            { "outside the TX pool", RingKind.Send, Op.Send, 1, 0, Tx, uint.MaxValue },
            { "outside the RX pool", RingKind.Send, Op.RxCredit, 1, 0, Tx, 1 },
            { "socket option of 9 bytes", RingKind.Send, Op.SetOption, 1, 0, 0, 9 },
            { "socket option of 0 bytes", RingKind.Job, Op.SetOption, 1, 0, 0, 0 },
            { "shutdown(3)", RingKind.Send, Op.Shutdown, 1, 3, 0, 0 },
            { "does not listen", RingKind.Send, Op.Accept, 9, 1, 1, 0 },
            { "does not listen", RingKind.Send, Op.Decline, 1, 1, 0, 0 },
            { "impossible connection handle", RingKind.Send, Op.Accept, 9, 0, 2, 0 },
            { "impossible connection handle", RingKind.Send, Op.Decline, 2, 1ul << 32, 0, 0 },
        };
    }

    [Theory]
    [MemberData(nameof(Hostile))]
    public void A_hostile_element_costs_its_guest_everything_and_nobody_else_anything(
        string reason, RingKind ring, Op op, uint socket, ulong opData, ulong dataPtr, uint size)
    {
        _guest.Post(0, ring, Make.Nqe(op, socket, opData, dataPtr, size));
        AssertDetached(reason);
    }

    [Theory]
    [InlineData(RingKind.Job, true, "job ring")]
    [InlineData(RingKind.Send, true, "send ring")]
    [InlineData(RingKind.Completion, false, "completion ring")]
    [InlineData(RingKind.Receive, false, "receive ring")]
    public void A_torn_index_is_one(RingKind ring, bool tail, string reason)
    {
        RingHeader* header = _guest.RingOf(0, ring);
        if (tail)
        {
            header->Tail -= 7;
            _guest.Ring(0);
        }
        else
        {
            // The consumer's index is looked at only when the ring seems full.
            header->Head -= 5000;
            for (int i = 0; i < 40; i++)
            {
                for (uint socket = 1; socket <= 40 && ring == RingKind.Completion; socket++)
                {
                    _ = _guest.TryPost(0, RingKind.Job, [Make.Nqe(Op.Bind, 1)]);
                }

                if (ring == RingKind.Receive)
                {
                    for (int n = 0; n < 40; n++)
                    {
                        _nsm.Post(RingKind.Receive, Make.Nqe(Op.PeerClosed, _id));
                    }
                }

                _guest.Ring(0);
            }
        }

        AssertDetached($"impossible index in the {reason}");
    }

    [Fact]
    public void Too_many_sends_in_flight_are_one()
    {
        for (uint i = 0; i < SocketSlot.MaxSends; i++)
        {
            _guest.Post(0, RingKind.Send, Make.Nqe(Op.Send, 1, dataPtr: PoolLayout.TxOffset, size: 1));
        }

        for (uint i = 0; i < SocketSlot.MaxSends; i++)
        {
            _ = _nsm.Expect(Op.Send, RingKind.Send);
        }

        _guest.Post(0, RingKind.Send, Make.Nqe(Op.Send, 1, dataPtr: PoolLayout.TxOffset, size: 1));
        AssertDetached("more than 128 sends");
    }

    [Fact]
    public void A_second_control_request_is_one()
    {
        _guest.Post(0, RingKind.Job, Make.Nqe(Op.GetOption, 1, size: 4));
        _ = _nsm.Expect(Op.GetOption, RingKind.Job);
        _guest.Post(0, RingKind.Job, Make.Nqe(Op.GetOption, 1, size: 4));
        AssertDetached("a second control request");
    }

    [Fact]
    public void Not_draining_is_one_in_the_end()
    {
        Nqe bad = Make.Nqe(Op.Bind, 1); // refused by CoreEngine at once, so nothing slows the guest down
        var batch = new Nqe[64];
        Array.Fill(batch, bad);
        long end = Environment.TickCount64 + 20000;
        while (Volatile.Read(ref _guest.Header->State) == RegionState.Running && Environment.TickCount64 < end)
        {
            _ = _guest.TryPost(0, RingKind.Job, batch);
            _guest.Ring(0);
        }

        AssertDetached("does not drain");
    }

    [Fact]
    public void What_is_parked_arrives_in_order_once_the_guest_drains()
    {
        const uint Count = 5000;
        uint sent = 0;
        var batch = new Nqe[1];
        while (sent < Count)
        {
            batch[0] = Make.Nqe(Op.Send, 3 + (sent % 3), dataPtr: PoolLayout.TxOffset + sent, size: 1);
            if (sent < 3)
            {
                _guest.Claim(3 + sent, 0);
                _guest.Post(0, RingKind.Job, Make.Socket(3 + sent));
                _ = _nsm.Expect(Op.Socket, RingKind.Job);
            }

            sent += _guest.TryPost(0, RingKind.Send, batch); // not connected: answered with ENOTCONN
            _guest.Ring(0);
        }

        using Stats stats = _host.Stats();
        Waiting.Until(() => stats.Guest(2).NqesFromGuest >= Count && stats.Guest(2).Parked >= Count - 1024, "the rest is parked");
        for (uint i = 0; i < Count; i++)
        {
            Nqe done = _guest.Take(0, RingKind.Completion);
            Assert.Equal((Op.SendDone, PoolLayout.TxOffset + i), (done.Op, done.DataPtr));
        }

        Waiting.Until(() => stats.Guest(2).Parked == 0, "nothing is parked");
    }

    private void AssertDetached(string reason)
    {
        AttachMessage news = _host.Control.News(AttachOp.GuestDetached);
        Assert.Equal(2u, news.Guest);
        Assert.Contains(reason, FakeControlPlane.TextOf(news));
        Assert.Equal(RegionState.Detached, _guest.Header->State);
        Waiting.Until(() => _guest.IsCutOff, "the pipe is closed");
        AttachException refused = Assert.Throws<AttachException>(() => new FakeGuest(_host.GuestSocket(2)));
        Assert.Contains(reason, refused.Text);
        Waiting.Until(() => _nsm.GuestsRemoved == 1, "the NSM has been told");
        using Stats stats = _host.Stats();
        Waiting.Until(() => stats.Rows() == 1, "only the neighbour's row is left");

        _neighbour.Post(0, RingKind.Send, Make.Nqe(Op.Send, 1, dataPtr: PoolLayout.TxOffset, size: 1));
        Nqe send;
        while ((send = _nsm.Take(RingKind.Send)).Socket != _neighbourId)
        {
        }

        _nsm.Post(RingKind.Completion, Make.Nqe(Op.SendDone, _neighbourId, dataPtr: PoolLayout.TxOffset, size: 1));
        Assert.Equal(Op.SendDone, _neighbour.Take(0, RingKind.Completion).Op);
        Assert.False(_neighbour.IsCutOff);

        // The operator removes it and makes it anew.
        _host.Control.RemoveGuest(2);
        _host.Control.AddGuest(2, 1);
        using var again = new FakeGuest(_host.GuestSocket(2));
        Assert.Equal(RegionState.Running, again.Header->State);
    }
}
