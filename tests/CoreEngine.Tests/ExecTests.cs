using System.Globalization;
using NetKernel.Channel;
using NetKernel.Channel.Host;
using NetKernel.Testing;

namespace NetKernel.CoreEngine.Tests;

/// <summary>Programs that take a process over, and sockets that are with somebody who is not among their holders.</summary>
public sealed unsafe class ExecTests : IDisposable
{
    private readonly EngineHost _host;
    private readonly FakeNsm _nsm;
    private readonly FakeGuest _guest;

    public ExecTests() => (_host, _nsm, _guest) = EngineHost.WithGuest();

    public void Dispose()
    {
        _guest.Dispose();
        _nsm.Dispose();
        _host.Dispose();
    }

    [Fact]
    public void After_its_exec_a_process_has_another_slot_and_gives_the_old_one_back_when_it_has_found_its_sockets()
    {
        Assert.Equal((0u, 0u), (_guest.Slot, _guest.Answer.Flags >> 31));
        _ = Make.Connected(_guest, _nsm, socket: 1);
        uint lost = Make.Connected(_guest, _nsm, socket: 2);
        using var again = new FakeGuest(_host.GuestSocket(1));
        Assert.Equal((1u, 1u), (again.Slot, again.Answer.Flags >> 31));
        again.Subscribe(0);
        again.SlotOf(1)->Holders.Share(1);
        again.Tell(AttachOp.Adopted, 0);
        Assert.Equal(lost, _nsm.Expect(Op.Close, RingKind.Send).Socket);
        Waiting.Until(() => again.ProcessOf(0)->State == ProcessState.Free, "the old slot is free");
        Waiting.Until(() => _guest.IsCutOff, "end of file in the old pipe");
        Assert.Equal((SocketState.Open, ProcessMask.Of(1)), (again.SlotOf(1)->State, again.SlotOf(1)->Holders));
        Assert.Equal(ProcessState.Live, again.ProcessOf(1)->State);
    }

    [Fact]
    public void A_program_that_inherits_nothing_leaves_nothing_of_its_process()
    {
        uint id = Make.Connected(_guest, _nsm, socket: 1);
        _guest.SlotOf(1)->Inode = 1; // nobody has that
        _guest.BreakPipe();
        Assert.Equal(id, _nsm.Expect(Op.Close, RingKind.Send).Socket);
        Waiting.Until(() => _guest.ProcessOf(0)->State == ProcessState.Free, "the slot is free");
    }

    [Fact]
    public void A_program_without_the_library_keeps_what_it_inherits_and_no_lock()
    {
        int fd = Libc.Socket(2, 1, 0);
        try
        {
            _ = Make.Connected(_guest, _nsm, socket: 1);
            uint lost = Make.Connected(_guest, _nsm, socket: 2);
            _guest.SlotOf(1)->Inode = InodeOf(fd);
            _guest.SlotOf(2)->Inode = 1;
            _guest.SlotOf(1)->TxLock = (1ul << 48) | 1;
            _guest.HeaderOf(0)->DrainLock = (1ul << 48) | 1;
            _guest.TxOwners[0] = TxOwner.Filling;
            Nqe last = Make.Nqe(Op.SetOption, 2, opData: 42, size: 4);
            Assert.Equal(1u, _guest.TryPost(0, RingKind.Send, [last])); // without ringing
            _guest.BreakPipe();
            Assert.Equal(42ul, _nsm.Expect(Op.SetOption, RingKind.Send).OpData);
            Assert.Equal(lost, _nsm.Expect(Op.Close, RingKind.Send).Socket);
            Waiting.Until(() => _guest.TxOwners[0] == TxOwner.Free, "its chunk is free");
            Assert.Equal((0ul, 0ul), (_guest.SlotOf(1)->TxLock, _guest.HeaderOf(0)->DrainLock));
            Assert.Equal((SocketState.Open, ProcessMask.Of(0)), (_guest.SlotOf(1)->State, _guest.SlotOf(1)->Holders));
            Assert.Equal(ProcessState.Live, _guest.ProcessOf(0)->State);
        }
        finally
        {
            _ = Libc.Close(fd);
        }
    }

    [Fact]
    public void An_exported_socket_is_closed_with_the_last_reference_to_its_file()
    {
        int fd = Libc.Socket(2, 1, 0);
        int flying = Fly(fd, out int other);
        uint id = Make.Connected(_guest, _nsm, socket: 1);
        _guest.SlotOf(1)->Inode = InodeOf(fd);
        _guest.Tell(AttachOp.Export, 1, fd);
        _guest.SlotOf(1)->Exported = 1;

        // Its holder leaves, having closed its fd: the file is still in a message.
        _ = Libc.Close(fd);
        _ = _guest.SlotOf(1)->Holders.Unshare(0);
        _guest.Tell(AttachOp.Left, 1);
        uint second = Make.Connected(_guest, _nsm, socket: 2); // all this time
        Assert.NotEqual(id, second);
        Assert.Equal(SocketState.Open, _guest.SlotOf(1)->State);

        // The message is dropped with the connection that it came over.
        _ = Libc.Close(flying);
        _ = Libc.Close(other);
        Assert.Equal(id, _nsm.Expect(Op.Close, RingKind.Send).Socket);
        _nsm.Post(RingKind.Completion, Make.Nqe(Op.Closed, id));
        _ = _guest.Take(0, RingKind.Completion);
        Waiting.Until(() => _guest.SlotOf(1)->State == SocketState.Free, "the slot is free");
    }

    [Fact]
    public void An_exported_socket_survives_its_process_and_its_events_wait()
    {
        int fd = Libc.Socket(2, 1, 0);
        using var other = new OtherProcess("attach", _host.GuestSocket(1));
        uint slot = other.Ready();
        uint id = Make.Connected(_guest, _nsm, socket: 1, q: slot, subscribe: true);
        _ = _guest.HeaderOf(slot)->Subscribers.Unshare(0);
        _guest.SlotOf(1)->Holders = ProcessMask.Of(slot);
        _guest.SlotOf(1)->Inode = InodeOf(fd);
        _guest.Tell(AttachOp.Export, 1, fd);
        _guest.SlotOf(1)->Exported = 1;
        other.Kill();
        Waiting.Until(() => _guest.ProcessOf(slot)->State == ProcessState.Free, "the slot is free");
        _nsm.Post(RingKind.Receive, Make.Nqe(Op.Data, id, dataPtr: _guest.PoolLayout.RxOffset, size: 7));
        Assert.Equal(SocketState.Open, _guest.SlotOf(1)->State);

        // Its next holder finds what has come meanwhile.
        _guest.Subscribe(slot);
        _guest.SlotOf(1)->Holders.Share(0);
        Assert.Equal((Op.Data, 7u), (_guest.Take(slot, RingKind.Receive) is var data ? data.Op : default, data.Size));

        // And closes it: as no other reference is left, at once.
        _ = Libc.Close(fd);
        _ = _guest.SlotOf(1)->Holders.Unshare(0);
        _guest.Tell(AttachOp.Left, 1);
        Assert.Equal(id, _nsm.Expect(Op.Close, RingKind.Send).Socket);
    }

    [Fact]
    public void Exports_that_are_not_true_hurt_nobody()
    {
        int fd = Libc.Socket(2, 1, 0);
        int* ends = stackalloc int[2];
        _ = Libc.Pipe2(ends, Libc.O_CLOEXEC);
        uint id = Make.Connected(_guest, _nsm, socket: 1);
        _guest.SlotOf(1)->Inode = 1;
        _guest.Tell(AttachOp.Export, 1, fd); // not the file of that socket
        _guest.Tell(AttachOp.Export, 1, ends[0]); // no socket at all
        _guest.Tell(AttachOp.Export, uint.MaxValue, fd);
        _guest.Tell(AttachOp.Left, uint.MaxValue);
        _guest.Tell(AttachOp.Left, 1); // it is held
        _guest.Tell(AttachOp.Adopted, 77);
        _ = Make.Connected(_guest, _nsm, socket: 2);
        Assert.Equal(SocketState.Open, _guest.SlotOf(1)->State);

        // Exported by the word alone: closed when its last holder says that it has left.
        _guest.SlotOf(1)->Exported = 1;
        _ = _guest.SlotOf(1)->Holders.Unshare(0);
        _guest.Tell(AttachOp.Left, 1);
        Assert.Equal(id, _nsm.Expect(Op.Close, RingKind.Send).Socket);
        _ = Libc.Close(fd);
        _ = Libc.Close(ends[0]);
        _ = Libc.Close(ends[1]);
    }

    private static ulong InodeOf(int fd)
    {
        string link = new FileInfo(string.Create(CultureInfo.InvariantCulture, $"/proc/self/fd/{fd}")).LinkTarget!;
        return ulong.Parse(link[(link.IndexOf('[') + 1)..^1], CultureInfo.InvariantCulture);
    }

    /// <summary>Sends an fd into a socket pair, where nobody receives it.</summary>
    private static int Fly(int fd, out int other)
    {
        int* ends = stackalloc int[2];
        Assert.Equal(0, (int)Libc.Syscall(53, 1, 5 | 0x80000, 0, (nint)ends, 0, 0)); // socketpair(AF_UNIX, SOCK_SEQPACKET)
        AttachMessage message = FakeControlPlane.Message(AttachOp.Left);
        Assert.Equal(0, SeqPacket.Send(ends[0], message, [fd]));
        other = ends[1];
        return ends[0];
    }
}
