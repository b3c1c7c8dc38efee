using NetKernel.Channel;
using NetKernel.Channel.Host;
using NetKernel.Testing;

namespace NetKernel.CoreEngine.Tests;

public sealed unsafe class NsmDeathTests : IDisposable
{
    private readonly EngineHost _host;
    private readonly FakeNsm _nsm;
    private readonly FakeGuest _guest;

    public NsmDeathTests() => (_host, _nsm, _guest) = EngineHost.WithGuest();

    public void Dispose()
    {
        _guest.Dispose();
        _nsm.Dispose();
        _host.Dispose();
    }

    [Fact]
    public void Connections_are_reset_and_their_chunks_freed()
    {
        uint id = Make.Connected(_guest, _nsm, socket: 1);
        _guest.TxOwners[0] = TxOwner.InFlight | 1;
        _guest.TxOwners[5] = TxOwner.InFlight | 1;
        _guest.TxOwners[6] = TxOwner.Filling | 0;
        _guest.Post(0, RingKind.Send, Make.Nqe(Op.Send, 1, dataPtr: PoolLayout.TxOffset, size: 4));
        Assert.Equal(id, _nsm.Expect(Op.Send, RingKind.Send).Socket);
        _guest.Post(0, RingKind.Job, Make.Nqe(Op.GetOption, 1, 1, size: 4));
        _ = _nsm.Expect(Op.GetOption, RingKind.Job);
        uint epoch = _guest.Header->NsmEpoch;
        _nsm.Dispose();

        Nqe failed = _guest.Take(0, RingKind.Completion);
        Assert.Equal((Op.GetOptionDone, (uint)Libc.ECONNRESET), (failed.Op, failed.Size));
        Nqe reset = _guest.Take(0, RingKind.Receive);
        Assert.Equal((Op.Reset, 1u, (ulong)Libc.ECONNRESET, NqeFlags.Abort), (reset.Op, reset.Socket, reset.OpData, reset.Flags));
        Assert.Equal((0u, 0u, TxOwner.Filling), (_guest.TxOwners[0], _guest.TxOwners[5], _guest.TxOwners[6]));
        Assert.Equal(1u, _host.Control.News(AttachOp.NsmLost).Nsm);

        // The next NSM writes elsewhere: what lies in the part of the dead one stays readable, the new part's is void for sockets from before.
        Assert.Equal((epoch + 1, 0u, epoch + 1), (_guest.Header->NsmEpoch, _guest.Header->RxEpochs[0], _guest.Header->RxEpochs[1]));

        // The socket stays, dead, until it is closed; new ones have no network.
        _guest.Post(0, RingKind.Send, Make.Nqe(Op.Send, 1, dataPtr: PoolLayout.TxOffset, size: 4));
        Assert.Equal((ulong)Libc.ECONNRESET, _guest.Take(0, RingKind.Completion).OpData);
        _guest.Post(0, RingKind.Job, Make.Socket(2));
        _guest.Post(0, RingKind.Job, Make.Nqe(Op.Connect, 2));
        Assert.Equal((uint)Libc.ENETDOWN, _guest.Take(0, RingKind.Completion).Size);
        _guest.Post(0, RingKind.Send, Make.Nqe(Op.Close, 1));
        _guest.Post(0, RingKind.Send, Make.Nqe(Op.Close, 2));
        Assert.Equal((Op.Closed, 1u), Completion());
        Assert.Equal((Op.Closed, 2u), Completion());
        using Stats stats = _host.Stats();
        Assert.Equal((0, 0ul), (stats.Rows(), stats.Guest(1).Open));
    }

    private (Op, uint) Completion()
    {
        Nqe done = _guest.Take(0, RingKind.Completion);
        return (done.Op, done.Socket);
    }

    [Fact]
    public void Closing_connections_are_finished()
    {
        _ = Make.Connected(_guest, _nsm, socket: 1);
        _guest.SlotOf(1)->State = SocketState.Closing;
        _guest.Post(0, RingKind.Send, Make.Nqe(Op.Close, 1));
        _ = _nsm.Expect(Op.Close, RingKind.Send);
        _nsm.Dispose();
        Assert.Equal((Op.Closed, 1u), Completion());
        Waiting.Until(() => _guest.SlotOf(1)->State == SocketState.Free, "the slot is free");
    }

    [Fact]
    public void Listeners_are_made_again_at_the_next_nsm()
    {
        _guest.Claim(3, 0);
        _guest.Post(0, RingKind.Job, Make.Socket(3, domain: 10));
        _ = _nsm.Expect(Op.Socket, RingKind.Job);
        for (uint i = 0; i < 40; i++)
        {
            _guest.Post(0, RingKind.Job, Make.Nqe(Op.SetOption, 3, opData: i, dataPtr: 6 | ((ulong)i << 32), size: 4));
        }

        _guest.Post(0, RingKind.Job, Make.Nqe(Op.Bind, 3, aux: 0, flags: NqeFlags.Wildcard | NqeFlags.V6Only));
        Nqe request;
        while ((request = _nsm.Take(RingKind.Job)).Op == Op.SetOption)
        {
        }

        _nsm.Post(RingKind.Completion, Make.Nqe(Op.BindDone, request.Socket, 1, 2, aux: 5555));
        Assert.Equal((Op.BindDone, 3u), Completion());
        _guest.Post(0, RingKind.Job, Make.Nqe(Op.Listen, 3, 17));
        _nsm.Post(RingKind.Completion, Make.Done(_nsm.Expect(Op.Listen, RingKind.Job)));
        Assert.Equal((Op.ListenDone, 3u), Completion());
        _nsm.Post(RingKind.Receive, Make.Nqe(Op.NewConnection, request.Socket, size: 99));
        Assert.Equal(99u, _guest.Take(0, RingKind.Receive).Size);
        _nsm.Dispose();
        _ = _host.Control.News(AttachOp.NsmLost);

        // Without NSM a listener waits; its requests fail.
        _guest.Post(0, RingKind.Job, Make.Nqe(Op.GetOption, 3, 1, size: 4));
        Assert.Equal((Op.GetOptionDone, 3u), Completion());

        using var next = new FakeNsm(_host.EngineSocket, 1);
        Nqe made = next.Expect(Op.Socket, RingKind.Job);
        Assert.Equal(10ul | (1ul << 16), made.OpData);
        for (uint i = 8; i < 40; i++)
        {
            Nqe option = next.Expect(Op.SetOption, RingKind.Job);
            Assert.Equal((made.Socket, (ulong)i), (option.Socket, option.OpData));
        }

        Nqe bind = next.Expect(Op.Bind, RingKind.Job);
        Assert.Equal((made.Socket, (ushort)5555, NqeFlags.Wildcard | NqeFlags.V6Only), (bind.Socket, bind.Aux, bind.Flags));
        Nqe listen = next.Expect(Op.Listen, RingKind.Job);
        Assert.Equal(17ul, listen.OpData);
        next.Post(RingKind.Completion, Make.Done(bind));
        next.Post(RingKind.Completion, Make.Done(listen));
        next.Post(RingKind.Receive, Make.Nqe(Op.NewConnection, made.Socket, size: 100));
        Nqe news = _guest.Take(0, RingKind.Receive);
        Assert.Equal((Op.NewConnection, 3u, 100u | (1u << 29)), (news.Op, news.Socket, news.Size)); // and that the NSM has the second part now
        Span<Nqe> one = stackalloc Nqe[1];
        Assert.Equal(0u, _guest.TryTake(0, RingKind.Completion, one)); // the guest never asked for any of this
    }

    [Fact]
    public void A_listener_that_cannot_be_made_again_is_reset()
    {
        _ = Make.Listening(_guest, _nsm, socket: 3, port: 80);
        _nsm.Dispose();
        _ = _host.Control.News(AttachOp.NsmLost);
        using var next = new FakeNsm(_host.EngineSocket, 1);
        _ = next.Expect(Op.Socket, RingKind.Job);
        Nqe bind = next.Expect(Op.Bind, RingKind.Job);
        Nqe listen = next.Expect(Op.Listen, RingKind.Job);
        next.Post(RingKind.Completion, Make.Done(bind, errno: Libc.EADDRINUSE));
        next.Post(RingKind.Completion, Make.Done(listen, errno: Libc.EINVAL));
        Nqe reset = _guest.Take(0, RingKind.Receive);
        Assert.Equal((Op.Reset, 3u, (ulong)Libc.EADDRINUSE), (reset.Op, reset.Socket, reset.OpData));
        _guest.Post(0, RingKind.Send, Make.Nqe(Op.Close, 3));
        next.Post(RingKind.Completion, Make.Done(next.Expect(Op.Close, RingKind.Send)));
        Assert.Equal((Op.Closed, 3u), Completion());
    }

    [Fact]
    public void A_guest_may_come_before_its_nsm()
    {
        _host.Control.AddGuest(2, 9);
        using var guest = new FakeGuest(_host.GuestSocket(2));
        guest.Post(0, RingKind.Job, Make.Socket(0));
        guest.Post(0, RingKind.Job, Make.Nqe(Op.Bind, 0));
        Assert.Equal((uint)Libc.ENETDOWN, guest.Take(0, RingKind.Completion).Size);
        AttachException refused = Assert.Throws<AttachException>(() => new FakeNsm(_host.EngineSocket, 9));
        Assert.Equal(Libc.ENOENT, refused.Errno);
        _host.Control.AddNsm(9);
        using var nsm = new FakeNsm(_host.EngineSocket, 9);
        Waiting.Until(
            () =>
            {
                guest.Post(0, RingKind.Send, Make.Nqe(Op.Close, 0));
                Assert.Equal(Op.Closed, guest.Take(0, RingKind.Completion).Op);
                guest.Post(0, RingKind.Job, Make.Socket(0));
                guest.Post(0, RingKind.Job, Make.Nqe(Op.GetOption, 0, 1, size: 4));
                Nqe[] one = new Nqe[1];
                uint heard = 0;
                Waiting.Until(() => (heard = nsm.TryTake(RingKind.Job, one)) == 1 || guest.TryTake(0, RingKind.Completion, one) == 1, "an answer");
                return heard == 1;
            },
            "the guest is routed");
    }

    [Fact]
    public void A_second_nsm_of_the_same_id_is_refused()
    {
        AttachException refused = Assert.Throws<AttachException>(() => new FakeNsm(_host.EngineSocket, 1));
        Assert.Equal(Libc.EBUSY, refused.Errno);
    }

    [Fact]
    public void Impossible_indices_cost_the_nsm_its_connection()
    {
        _ = Make.Connected(_guest, _nsm, socket: 1);
        _nsm.RingOf(0, RingKind.Receive)->Tail += 1_000_000;
        _nsm.Ring();
        Assert.Equal(Op.Reset, _guest.Take(0, RingKind.Receive).Op);
        Assert.Contains("indices", FakeControlPlane.TextOf(_host.Control.News(AttachOp.NsmLost)));
    }

    [Fact]
    public void Removing_a_guest_frees_its_ids_once_the_nsm_agrees()
    {
        uint first = Make.Connected(_guest, _nsm, socket: 1);
        _host.Control.RemoveGuest(1);
        Waiting.Until(() => _nsm.GuestsRemoved == 1, "the NSM has heard of it");
        using Stats stats = _host.Stats();
        Waiting.Until(() => stats.Rows() == 0 && stats.Nsm(1).Open == 0, "no row is left");
        Assert.Equal(RegionState.Detached, _guest.Header->State);
        Waiting.Until(() => _guest.IsCutOff, "end of file in the pipe");
        _host.Control.AddGuest(1, 1);
        using var again = new FakeGuest(_host.GuestSocket(1));
        Assert.Equal(Op.Socket, _nsm.TryTake(RingKind.Job, new Nqe[1]) == 0 ? Op.Socket : Op.None);
        Assert.NotEqual(first, Make.Connected(again, _nsm, socket: 1)); // ids rest a while
    }
}
