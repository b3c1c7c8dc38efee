using NetKernel.Channel;
using NetKernel.Testing;

namespace NetKernel.CoreEngine.Tests;

public sealed unsafe class LoopsTests : IDisposable
{
    private readonly EngineHost _host;
    private readonly FakeNsm _nsm;
    private readonly FakeGuest _guest;

    public LoopsTests() => (_host, _nsm, _guest) = EngineHost.WithGuest(loops: 3);

    public void Dispose()
    {
        _guest.Dispose();
        _nsm.Dispose();
        _host.Dispose();
    }

    [Fact]
    public void Each_loop_serves_its_queue_sets_with_ids_of_its_own()
    {
        for (uint q = 0; q < 7; q++)
        {
            uint id = Make.Connected(_guest, _nsm, socket: 100 + q, q, subscribe: true);
            Assert.Equal(q / 3, id);
            _guest.Post(q, RingKind.Send, Make.Nqe(Op.Send, 100 + q, dataPtr: PoolLayout.TxOffset, size: 7));
            Assert.Equal((id, (byte)q), Seen(_nsm.Expect(Op.Send, RingKind.Send, q % 3)));
            _nsm.Post(RingKind.Receive, Make.Nqe(Op.Data, id, dataPtr: _guest.PoolLayout.RxOffset, size: 7), q % 3);
            Assert.Equal(100 + q, _guest.Take(q, RingKind.Receive).Socket);
        }

        using Stats stats = _host.Stats();
        Assert.Equal((3, 2, 2), (stats.Rows(0), stats.Rows(1), stats.Rows(2)));

        static (uint, byte) Seen(Nqe e) => (e.Socket, e.QueueSet);
    }

    [Fact]
    public void A_connection_can_be_accepted_on_another_loop_than_its_listeners()
    {
        uint listener = Make.Listening(_guest, _nsm, socket: 1, port: 80, q: 0);
        _guest.Subscribe(1);
        for (uint handle = 1; handle <= 100; handle++)
        {
            _nsm.Post(RingKind.Receive, Make.Nqe(Op.NewConnection, listener, size: handle));
            Assert.Equal(handle, _guest.Take(0, RingKind.Receive).Size);
            uint socket = 10 + handle;
            _guest.Claim(socket, 1);
            _guest.Post(1, RingKind.Send, Make.Nqe(Op.Accept, socket, handle, 1));
            Nqe accept = _nsm.Expect(Op.Accept, RingKind.Send, loop: 1);
            Assert.Equal(handle, accept.OpData);
            _nsm.Post(RingKind.Completion, Make.Nqe(Op.AcceptDone, accept.Socket), loop: 1);
            Assert.Equal(socket, _guest.Take(1, RingKind.Completion).Socket);
        }
    }

    [Fact]
    public void A_process_is_taken_leave_of_by_all_loops()
    {
        using var other = new OtherProcess("attach", _host.GuestSocket(1));
        uint slot = other.Ready();
        for (uint q = 0; q < 3; q++)
        {
            _ = Make.Connected(_guest, _nsm, socket: q, q, subscribe: true);
            _guest.SlotOf(q)->Holders = ProcessMask.Of(slot);
        }

        other.Kill();
        for (uint loop = 0; loop < 3; loop++)
        {
            _ = _nsm.Expect(Op.Close, RingKind.Send, loop);
        }

        Waiting.Until(() => _guest.ProcessOf(slot)->State == ProcessState.Free, "the slot is free");
    }

    [Fact]
    public void An_nsms_end_is_told_on_all_loops()
    {
        for (uint q = 0; q < 3; q++)
        {
            _ = Make.Connected(_guest, _nsm, socket: q, q, subscribe: true);
        }

        _nsm.Dispose();
        for (uint q = 0; q < 3; q++)
        {
            Assert.Equal(Op.Reset, _guest.Take(q, RingKind.Receive).Op);
        }
    }
}
