using NetKernel.Channel;
using NetKernel.Channel.Host;
using NetKernel.Testing;

namespace NetKernel.CoreEngine.Tests;

public sealed unsafe class ProgramTests : IDisposable
{
    private readonly RunDirectory _directory = new();

    public void Dispose() => _directory.Dispose();

    [Theory]
    [InlineData("--run-dir is missing")]
    [InlineData("unknown argument '--nonsense'", "--nonsense")]
    [InlineData("--loops must be 1 to 8, not '0'", "--run-dir", "/tmp/x", "--loops", "0")]
    [InlineData("--loops must be 1 to 8, not 'many'", "--run-dir", "/tmp/x", "--loops=many")]
    [InlineData("--hugepages must be auto or off, not 'yes'", "--run-dir", "/tmp/x", "--hugepages", "yes")]
    [InlineData("--run-dir needs a directory", "--run-dir")]
    public void A_bad_command_line_gets_one_clear_line(string line, params string[] args)
    {
        using var engine = new EngineProcess(args);
        Assert.StartsWith($"nk-engine: {line}", engine.ReadLog());
        Assert.Null(engine.ReadLog());
        Assert.Equal(2, engine.Wait());
    }

    [Fact]
    public void It_ends_in_order_and_leaves_no_sockets()
    {
        using var engine = new EngineProcess("--run-dir", _directory.Path, "--loops", "2");
        Assert.Contains("event=started", engine.ReadLog());
        engine.IgnoreLog();
        using var control = new FakeControlPlane(_directory.EngineSocket);
        control.AddGuest(1, 1);
        using var guest = new FakeGuest(_directory.GuestSocket("g1"));
        Assert.Equal(2u, guest.Header->Counts.Loops);
        Assert.Equal((UnixFileMode)0x180, File.GetUnixFileMode(_directory.EngineSocket));
        Assert.Equal((UnixFileMode)0x1B6, File.GetUnixFileMode(_directory.GuestSocket("g1")));
        engine.Terminate();
        Assert.Equal(0, engine.Wait());
        Waiting.Until(() => guest.IsCutOff, "end of file in the pipe");
        Assert.Equal(RegionState.Detached, guest.Header->State);
        Assert.Empty(Directory.GetFiles(_directory.Path, "*", SearchOption.AllDirectories));
    }

    [Fact]
    public void The_control_plane_can_end_it()
    {
        using var engine = new EngineProcess("--run-dir", _directory.Path);
        _ = engine.ReadLog();
        using var control = new FakeControlPlane(_directory.EngineSocket);
        _ = control.Ask(FakeControlPlane.Message(AttachOp.Stop));
        Assert.Equal(0, engine.Wait());
    }

    [Fact]
    public void A_killed_engine_is_noticed_and_its_sockets_are_no_obstacle()
    {
        using var engine = new EngineProcess("--run-dir", _directory.Path);
        _ = engine.ReadLog();
        using var control = new FakeControlPlane(_directory.EngineSocket);
        control.AddGuest(1, 1);
        using var guest = new FakeGuest(_directory.GuestSocket("g1"));
        engine.Kill();
        _ = engine.Wait();
        Waiting.Until(() => guest.IsCutOff, "end of file in the pipe");
        using var next = new EngineProcess("--run-dir", _directory.Path);
        Assert.Contains("event=started", next.ReadLog());
        using var again = new FakeControlPlane(_directory.EngineSocket);
        Assert.False(File.Exists(_directory.GuestSocket("g1")));
        again.AddGuest(1, 1);
        using var second = new EngineProcess("--run-dir", _directory.Path);
        Assert.Contains("another nk-engine serves", second.ReadLog());
        Assert.Equal(1, second.Wait());
    }

    [Fact]
    public void Malformed_messages_cost_their_sender_the_connection()
    {
        using var engine = new EngineProcess("--run-dir", _directory.Path);
        _ = engine.ReadLog();
        engine.IgnoreLog();
        using var control = new FakeControlPlane(_directory.EngineSocket);
        control.AddGuest(1, 1);
        foreach (string path in (string[])[_directory.EngineSocket, _directory.GuestSocket("g1")])
        {
            foreach (AttachOp op in Enum.GetValues<AttachOp>())
            {
                if (op is AttachOp.ControlHello or AttachOp.NsmHello || (op is AttachOp.Adopted or AttachOp.Left or AttachOp.Nudge && path != _directory.EngineSocket))
                {
                    continue;
                }

                int fd = SeqPacket.Connect(path);
                Assert.Equal(0, SeqPacket.Send(fd, FakeControlPlane.Message(op), []));
                if (op == AttachOp.Bell && path != _directory.EngineSocket)
                {
                    int[] bell = new int[1];
                    Assert.Equal(1, SeqPacket.Receive(fd, out _, bell, out _, wait: true));
                    _ = Libc.Close(bell[0]);
                    _ = Libc.Close(fd);
                    continue;
                }

                if (op == AttachOp.Pair && path != _directory.EngineSocket)
                {
                    // A region that the guest is no side of, as there is none.
                    Assert.Equal(0, SeqPacket.Receive(fd, out AttachMessage answer, default, out _, wait: true));
                    Assert.Equal(13, answer.Error); // EACCES
                    _ = Libc.Close(fd);
                    continue;
                }

                Assert.True(Waiting.Readable(fd, 10000));
                Assert.Equal(-Libc.EPIPE, SeqPacket.Receive(fd, out _, default, out _, wait: true));
                _ = Libc.Close(fd);
            }

            int torn = SeqPacket.Connect(path);
            int bytes = 0;
            _ = Libc.WriteFast(torn, &bytes, 3);
            Assert.True(Waiting.Readable(torn, 10000));
            _ = Libc.Close(torn);
        }

        // An fd that is no pipe.
        int eventfd = Libc.EventFd(0, 0);
        int connection = SeqPacket.Connect(_directory.GuestSocket("g1"));
        _ = SeqPacket.Send(connection, FakeControlPlane.Message(AttachOp.Attach), [eventfd]);
        Assert.Equal(-Libc.EPIPE, SeqPacket.Receive(connection, out _, default, out _, wait: true));
        _ = Libc.Close(connection);
        _ = Libc.Close(eventfd);
        using var guest = new FakeGuest(_directory.GuestSocket("g1"));
        Assert.Equal(0u, guest.Slot);
    }

    [Theory]
    [InlineData(0u, 1u, "ok", Libc.EINVAL)]
    [InlineData(1024u, 1u, "ok", Libc.EINVAL)]
    [InlineData(2u, 0u, "ok", Libc.EINVAL)]
    [InlineData(2u, 1u, "../up", Libc.EINVAL)]
    [InlineData(2u, 1u, "", Libc.EINVAL)]
    [InlineData(1u, 1u, "other", Libc.EEXIST)]
    [InlineData(2u, 1u, "g1", Libc.EEXIST)]
    public void Guests_that_cannot_be_are_refused_with_a_reason(uint id, uint nsm, string name, int errno)
    {
        using var host = new EngineHost();
        host.Control.AddGuest(1, 1);
        AttachMessage answer = host.Control.Ask(FakeControlPlane.Message(AttachOp.AddGuest, id, nsm, name));
        Assert.Equal(errno, answer.Error);
        Assert.NotEmpty(FakeControlPlane.TextOf(answer));
    }

    [Fact]
    public void Killed_processes_leak_nothing()
    {
        using var engine = new EngineProcess("--run-dir", _directory.Path);
        _ = engine.ReadLog();
        engine.IgnoreLog();
        using var control = new FakeControlPlane(_directory.EngineSocket);
        control.AddNsm(1);
        using var nsm = new FakeNsm(_directory.EngineSocket, 1);
        control.AddGuest(1, 1);
        using var guest = new FakeGuest(_directory.GuestSocket("g1"));
        using var stats = new Stats(Path.Combine(_directory.Path, "engine.stats"));
        int before = 0;
        for (int i = 0; i < 12; i++)
        {
            using var other = new OtherProcess("attach", _directory.GuestSocket("g1"));
            uint slot = other.Ready();
            uint id = Make.Connected(guest, nsm, socket: 1);
            guest.SlotOf(1)->Holders = ProcessMask.Of(slot);
            other.Kill();
            Assert.Equal(id, nsm.Expect(Op.Close, RingKind.Send).Socket);
            nsm.Post(RingKind.Completion, Make.Nqe(Op.Closed, id));
            Assert.Equal(Op.Closed, guest.Take(0, RingKind.Completion).Op);
            Waiting.Until(() => guest.ProcessOf(slot)->State == ProcessState.Free && guest.SlotOf(1)->State == SocketState.Free, "all is back");

            // The runtime under the engine may open one or two of its own meanwhile; ten deaths that leak would show.
            Waiting.Until(() => before == 0 || engine.Descriptors <= before + 2, "no descriptor more than before");
            before = i == 1 ? engine.Descriptors : before;
        }

        Assert.Equal((0, 0ul, 1ul), (stats.Rows(), stats.Guest(1).Open, stats.Guest(1).Processes));
    }
}
