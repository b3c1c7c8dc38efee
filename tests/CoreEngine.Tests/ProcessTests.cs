using NetKernel.Channel;
using NetKernel.Channel.Host;
using NetKernel.Testing;

namespace NetKernel.CoreEngine.Tests;

public sealed unsafe class ProcessTests : IDisposable
{
    private readonly EngineHost _host;
    private readonly FakeNsm _nsm;
    private readonly FakeGuest _guest;

    public ProcessTests() => (_host, _nsm, _guest) = EngineHost.WithGuest();

    public void Dispose()
    {
        _guest.Dispose();
        _nsm.Dispose();
        _host.Dispose();
    }

    [Fact]
    public void A_killed_process_gives_everything_back()
    {
        using var other = new OtherProcess("attach", _host.GuestSocket(1));
        uint slot = other.Ready();
        Assert.Equal((uint)other.Id, _guest.ProcessOf(slot)->Pid);
        ProcessMask bit = ProcessMask.Of(slot);

        // What it holds, set up on its behalf: a socket of its own on its queue set, one shared with us, one half claimed.
        uint own = Make.Connected(_guest, _nsm, socket: 1);
        _guest.SlotOf(1)->Holders = bit;
        _guest.Post(slot, RingKind.Job, Make.Socket(2));
        uint onItsSet = _nsm.Expect(Op.Socket, RingKind.Job).Socket;
        _guest.Claim(2, slot);
        _guest.SlotOf(2)->Holders = bit;
        uint shared = Make.Connected(_guest, _nsm, socket: 3);
        _guest.SlotOf(3)->Holders.Set(slot);
        _guest.Claim(4, 0);
        _guest.SlotOf(4)->Holders = default;
        _guest.SlotOf(4)->State = SocketState.ClaimedBy(slot);
        _guest.TxOwners[0] = TxOwner.Filling | slot;
        _guest.TxOwners[1] = TxOwner.Filling | 0;
        _guest.TxOwners[2] = TxOwner.InFlight | 2;
        ulong word = ((ulong)(slot + 1) << 48) | 1;
        _guest.HeaderOf(slot)->SendLock = word;
        _guest.SlotOf(3)->RxLock = word;
        _guest.SlotOf(3)->TxLock = (1ul << 48) | 1; // ours

        // It had published a request without ringing; the request counts.
        Nqe last = Make.Nqe(Op.SetOption, 2, opData: 42, size: 4);
        Assert.Equal(1u, _guest.TryPost(slot, RingKind.Send, [last]));
        other.Kill();

        Assert.Equal(42ul, _nsm.Expect(Op.SetOption, RingKind.Send).OpData);
        var closed = new HashSet<uint> { _nsm.Expect(Op.Close, RingKind.Send).Socket, _nsm.Expect(Op.Close, RingKind.Send).Socket };
        Assert.Equal([own, onItsSet], closed);
        Waiting.Until(() => _guest.ProcessOf(slot)->State == ProcessState.Free, "the slot is free");
        Assert.Equal((SocketState.Open, ProcessMask.Of(0)), (_guest.SlotOf(3)->State, _guest.SlotOf(3)->Holders));
        Assert.Equal(SocketState.Free, _guest.SlotOf(4)->State);
        Assert.Equal((0u, TxOwner.Filling), (_guest.TxOwners[0], _guest.TxOwners[1]));
        Assert.Equal((0ul, 0ul, (1ul << 48) | 1), (_guest.HeaderOf(slot)->SendLock, _guest.SlotOf(3)->RxLock, _guest.SlotOf(3)->TxLock));
        Assert.True(_guest.HeaderOf(slot)->Subscribers.IsEmpty);

        // Nobody drains its queue set: CoreEngine settles what still comes.
        foreach (uint id in closed)
        {
            _nsm.Post(RingKind.Completion, Make.Nqe(Op.Closed, id));
        }

        Waiting.Until(() => _guest.SlotOf(2)->State == SocketState.Free, "its socket is free");
        Assert.Equal(0u, _guest.RingOf(slot, RingKind.Completion)->Tail);
        using Stats stats = _host.Stats();
        Waiting.Until(() => stats.Rows() == 1, "one row is left");
        Assert.Equal(ConnectionState.Established, stats.Row(shared).State);
    }

    [Fact]
    public void A_process_that_has_been_let_in_and_has_not_subscribed_yet_misses_no_answer_when_another_ends()
    {
        using var other = new OtherProcess("attach", _host.GuestSocket(1));
        uint slot = other.Ready();
        uint left = Make.Connected(_guest, _nsm, socket: 1);
        _guest.SlotOf(1)->Holders = ProcessMask.Of(slot);
        _ = _guest.HeaderOf(0)->Subscribers.Unshare(0);
        other.Kill();
        Assert.Equal(left, _nsm.Expect(Op.Close, RingKind.Send).Socket);
        Waiting.Until(() => _guest.ProcessOf(slot)->State == ProcessState.Free, "the slot is free");

        _guest.Subscribe(0);
        _ = Make.Connected(_guest, _nsm, socket: 2);
    }

    [Fact]
    public void What_was_asked_for_by_one_that_left_while_the_other_holder_was_taken_leave_of_comes_before_the_close()
    {
        using var other = new OtherProcess("attach", _host.GuestSocket(1));
        uint slot = other.Ready();
        uint id = Make.Connected(_guest, _nsm, socket: 1);
        _guest.SlotOf(1)->Holders.Set(slot);

        // The NSM takes nothing for a while: requests stay in the guest's ring, and taking leave waits for them.
        uint asked = _nsm.Layout.Counts.RingSlots + 8;
        for (uint i = 0; i < asked; i++)
        {
            _guest.Post(0, RingKind.Send, Make.Nqe(Op.SetOption, 1, opData: i, size: 4));
        }

        other.Kill();
        _ = other.Wait();
        _host.Control.AddGuest(2, 1); // the loops have heard of the end by then,
        _host.Control.AddGuest(3, 1); // and have begun

        // Our last request, and we are gone; the dead one still seems to hold the socket.
        _guest.Post(0, RingKind.Send, Make.Nqe(Op.SetOption, 1, opData: asked, size: 4));
        _guest.SlotOf(1)->Holders = ProcessMask.Of(slot);
        for (uint i = 0; i <= asked; i++)
        {
            Assert.Equal(i, _nsm.Expect(Op.SetOption, RingKind.Send).OpData);
        }

        Assert.Equal(id, _nsm.Expect(Op.Close, RingKind.Send).Socket);
    }

    [Fact]
    public void Completions_that_nobody_drains_free_their_chunks()
    {
        using var other = new OtherProcess("attach", _host.GuestSocket(1));
        uint slot = other.Ready();
        uint id = Make.Connected(_guest, _nsm, socket: 1, q: slot, subscribe: true);
        _guest.SlotOf(1)->Holders = ProcessMask.Of(slot);
        _guest.HeaderOf(slot)->Subscribers = ProcessMask.Of(slot);
        for (uint chunk = 0; chunk < 3; chunk++)
        {
            _guest.TxOwners[chunk] = TxOwner.InFlight | 1;
            _guest.Post(slot, RingKind.Send, Make.Nqe(Op.Send, 1, dataPtr: PoolLayout.TxOffset + (chunk * PoolLayout.SmallBytes), size: 9));
            _ = _nsm.Expect(Op.Send, RingKind.Send);
        }

        _nsm.Post(RingKind.Completion, Make.Nqe(Op.SendDone, id, dataPtr: PoolLayout.TxOffset, size: 9));
        Waiting.Until(() => _guest.RingOf(slot, RingKind.Completion)->Tail != _guest.RingOf(slot, RingKind.Completion)->Head, "a completion waits");
        other.Kill();
        _ = _nsm.Expect(Op.Close, RingKind.Send);
        Assert.Equal(TxOwner.Free, _guest.TxOwners[0]);
        _nsm.Post(RingKind.Completion, Make.Nqe(Op.SendDone, id, dataPtr: PoolLayout.TxOffset + PoolLayout.SmallBytes, size: 9));
        Waiting.Until(() => _guest.TxOwners[1] == TxOwner.Free, "the second chunk is free");
        _nsm.Post(RingKind.Completion, Make.Nqe(Op.Closed, id)); // without having answered the third
        Waiting.Until(() => _guest.TxOwners[2] == TxOwner.Free && _guest.SlotOf(1)->State == SocketState.Free, "everything is free");
    }

    [Fact]
    public void A_forked_child_keeps_what_its_parent_held()
    {
        _ = Make.Listening(_guest, _nsm, socket: 1, port: 80);
        uint child = 5;
        _guest.ProcessOf(child)->Parent = 0;
        _guest.ProcessOf(child)->State = ProcessState.Forking;
        _guest.SlotOf(1)->Holders.Set(child);
        _guest.HeaderOf(0)->Subscribers.Share(child);
        using var other = new OtherProcess("fork", _host.GuestSocket(1), $"{child}");
        _ = other.Ready();
        Waiting.Until(() => _guest.ProcessOf(child)->Pid == (uint)other.Id, "the child is known");
        _guest.ProcessOf(child)->State = ProcessState.Live;
        other.Kill();
        Waiting.Until(() => _guest.ProcessOf(child)->State == ProcessState.Free, "the child's slot is free");
        Assert.Equal((ProcessMask.Of(0), ProcessMask.Of(0), SocketState.Open), (_guest.SlotOf(1)->Holders, _guest.HeaderOf(0)->Subscribers, _guest.SlotOf(1)->State));
    }

    [Fact]
    public void Of_many_processes_on_a_queue_set_only_the_holders_of_a_socket_are_woken_for_it()
    {
        uint id = Make.Connected(_guest, _nsm, socket: 1, subscribe: true);
        uint[] others = [3, 70, 255];
        foreach (uint process in others)
        {
            _guest.HeaderOf(0)->Subscribers.Share(process);
            _guest.ProcessOf(process)->Asleep = 1;
        }

        _guest.SlotOf(1)->Holders.Share(70);
        ulong offset = _guest.PoolLayout.RxOffset;
        _nsm.Post(RingKind.Receive, Make.Nqe(Op.Data, id, dataPtr: offset, size: 1));
        Assert.Equal(Op.Data, _guest.Take(0, RingKind.Receive).Op);
        Waiting.Until(() => _guest.ProcessOf(70)->Asleep == 0, "the other holder is woken");
        Assert.Equal((1u, 1u), (_guest.ProcessOf(3)->Asleep, _guest.ProcessOf(255)->Asleep));

        // Of a socket that nobody holds any more somebody may still wait for the end: all are woken.
        _guest.SlotOf(1)->Holders = default;
        _guest.SlotOf(1)->State = SocketState.ClosedBy(0);
        _guest.Post(0, RingKind.Send, Make.Nqe(Op.Close, 1));
        _ = _nsm.Expect(Op.Close, RingKind.Send);
        _guest.HeaderOf(0)->WantsSpace = 1;
        _nsm.Post(RingKind.Completion, Make.Nqe(Op.Closed, id));
        Waiting.Until(() => _guest.ProcessOf(3)->Asleep == 0 && _guest.ProcessOf(255)->Asleep == 0, "all are woken");
    }

    [Fact]
    public void Two_hundred_and_fifty_six_processes_and_no_more()
    {
        var others = new List<OtherProcess>();
        try
        {
            for (uint slot = 1; slot < 256; slot++)
            {
                _guest.ProcessOf(slot)->State = slot < 252 ? ProcessState.Live : ProcessState.Free;
            }

            for (int i = 0; i < 4; i++)
            {
                others.Add(new OtherProcess("attach", _host.GuestSocket(1)));
                Assert.Equal(252u + (uint)i, others[^1].Ready());
            }

            uint id = Make.Connected(_guest, _nsm, socket: 1, q: 255, subscribe: true);
            _guest.SlotOf(1)->Holders = ProcessMask.Of(255);
            others[3].Kill();
            Assert.Equal(id, _nsm.Expect(Op.Close, RingKind.Send).Socket);
            Waiting.Until(() => _guest.ProcessOf(255)->State == ProcessState.Free, "the last slot is free");
            others[3] = new OtherProcess("attach", _host.GuestSocket(1));
            Assert.Equal(255u, others[3].Ready());
        }
        finally
        {
            others.ForEach(other => other.Kill());
        }
    }

    [Fact]
    public void A_child_that_never_came_is_given_back_with_its_parent()
    {
        using var other = new OtherProcess("attach", _host.GuestSocket(1));
        uint slot = other.Ready();
        _guest.ProcessOf(9)->Parent = slot;
        _guest.ProcessOf(9)->State = ProcessState.Forking;
        _guest.Claim(1, slot);
        _guest.SlotOf(1)->Holders = ProcessMask.Of(slot);
        _guest.SlotOf(1)->Holders.Set(9);
        other.Kill();
        Waiting.Until(() => _guest.ProcessOf(9)->State == ProcessState.Free, "the claimed slot is free");
        Assert.Equal((SocketState.Free, default), (_guest.SlotOf(1)->State, _guest.SlotOf(1)->Holders));
    }

    [Fact]
    public void A_guest_full_of_processes_is_told_so()
    {
        for (uint slot = 1; slot < 256; slot++)
        {
            _guest.ProcessOf(slot)->State = ProcessState.Live;
        }

        using var other = new OtherProcess("attach", _host.GuestSocket(1));
        Assert.NotEqual(0, other.Wait());
    }

    [Fact]
    public void Only_processes_in_the_guests_namespace_attach()
    {
        AttachMessage request = FakeControlPlane.Message(AttachOp.AddGuest, 2, 1, "g2");
        request.NetworkNamespace = 12345;
        Assert.Equal(0, _host.Control.Ask(request).Error);
        AttachException refused = Assert.Throws<AttachException>(() => new FakeGuest(_host.GuestSocket(2)));
        Assert.Equal(Libc.EACCES, refused.Errno);
        Assert.Contains("namespace", refused.Text);

        string link = new FileInfo("/proc/self/ns/net").LinkTarget!;
        request = FakeControlPlane.Message(AttachOp.AddGuest, 3, 1, "g3");
        request.NetworkNamespace = ulong.Parse(link[(link.IndexOf('[') + 1)..^1]);
        Assert.Equal(0, _host.Control.Ask(request).Error);
        using var guest = new FakeGuest(_host.GuestSocket(3));
        Assert.Equal(3u, guest.Answer.Guest);
    }
}
