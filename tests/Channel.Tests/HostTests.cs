using NetKernel.Channel.Host;
using NetKernel.Testing;

namespace NetKernel.Channel.Tests;

public sealed unsafe class HostTests : IDisposable
{
    private readonly RunDirectory _directory = new();
    private readonly int _listener;
    private readonly int _client;
    private readonly int _server;

    public HostTests()
    {
        string path = Path.Combine(_directory.Path, "x.sock");
        _listener = SeqPacket.Listen(path);
        _client = SeqPacket.Connect(path);
        _server = SeqPacket.Accept(_listener);
        Assert.True(_listener >= 0 && _client >= 0 && _server >= 0);
    }

    public void Dispose()
    {
        SeqPacket.CloseAll([_listener, _client, _server]);
        _directory.Dispose();
    }

    [Fact]
    public void A_message_carries_its_fields_its_fds_and_its_senders_pid()
    {
        using var region = SharedRegion.Create("x", 8192);
        region.Start[5000] = 42;
        AttachMessage message = FakeControlPlane.Message(AttachOp.AddGuest, 7, 3, "näme");
        Assert.Equal(0, SeqPacket.Send(_client, message, [region.Fd, region.Fd]));
        int[] fds = new int[4];
        Assert.Equal(2, SeqPacket.Receive(_server, out AttachMessage got, fds, out int pid));
        Assert.Equal((AttachOp.AddGuest, 7u, 3u, 2u, Environment.ProcessId), (got.Op, got.Guest, got.Nsm, got.Fds, pid));
        Assert.Equal("näme", SeqPacket.Get(new ReadOnlySpan<byte>(got.Name, 40)));
        Assert.NotEqual(region.Fd, fds[0]);
        _ = Libc.Close(fds[1]);
        using var mapped = SharedRegion.Open(fds[0], 8192);
        Assert.Equal(42, mapped.Start[5000]);
        Assert.Equal(Environment.ProcessId, SeqPacket.PeerPid(_server, out uint uid));
        Assert.Equal(Environment.UserName == "root" ? 0u : uid, uid);
    }

    [Fact]
    public void What_is_not_a_message_is_refused_and_its_fds_are_closed()
    {
        int[] fds = new int[4];
        Assert.Equal(-Libc.EAGAIN, SeqPacket.Receive(_server, out _, fds, out _));
        byte* bytes = stackalloc byte[AttachMessage.Length + 1];
        foreach (int length in (int[])[1, 255, 257])
        {
            Assert.Equal(length, Libc.WriteFast(_client, bytes, (nuint)length));
            Assert.Equal(-Libc.EPROTO, SeqPacket.Receive(_server, out _, fds, out _));
        }

        new Span<byte>(bytes, AttachMessage.Length).Clear();
        ((AttachMessage*)bytes)->Version = ControlHeader.Version + 1;
        _ = Libc.WriteFast(_client, bytes, AttachMessage.Length);
        Assert.Equal(-Libc.EPROTO, SeqPacket.Receive(_server, out _, fds, out _));
        ((AttachMessage*)bytes)->Version = ControlHeader.Version;
        ((AttachMessage*)bytes)->Fds = 1; // says so, brings none
        _ = Libc.WriteFast(_client, bytes, AttachMessage.Length);
        Assert.Equal(-Libc.EPROTO, SeqPacket.Receive(_server, out _, fds, out _));
    }

    [Fact]
    public void More_fds_than_wanted_are_closed_and_refused()
    {
        int* pipe = stackalloc int[2];
        _ = Libc.Pipe2(pipe, Libc.O_CLOEXEC);
        Assert.Equal(0, SeqPacket.Send(_client, FakeControlPlane.Message(AttachOp.Attach), [pipe[1], pipe[1], pipe[1]]));
        Assert.Equal(-Libc.EPROTO, SeqPacket.Receive(_server, out _, new int[1], out _));
        _ = Libc.Close(pipe[1]);
        Assert.True(Waiting.Readable(pipe[0], 5000), "somebody still holds the write end");
        _ = Libc.Close(pipe[0]);
    }

    [Fact]
    public void The_end_of_a_connection_is_told()
    {
        _ = Libc.Shutdown(_client, 2);
        Assert.Equal(-Libc.EPIPE, SeqPacket.Receive(_server, out _, default, out _));
    }

    [Fact]
    public void A_path_that_does_not_fit_or_is_not_there_is_an_errno()
    {
        Assert.Equal(-Libc.EINVAL, SeqPacket.Listen("/tmp/" + new string('x', 120)));
        Assert.Equal(-Libc.ENOENT, SeqPacket.Connect(Path.Combine(_directory.Path, "nobody.sock")));
    }

    [Fact]
    public void A_region_is_sealed_against_every_change_of_size()
    {
        using var region = SharedRegion.Create("sealed", 8192);
        Assert.Equal(-1, Libc.Truncate(region.Fd, 4096));
        Assert.Equal(-1, Libc.Truncate(region.Fd, 16384));
        Assert.Equal(-1, Libc.Fcntl(region.Fd, Libc.F_ADD_SEALS, 0x10));
        region.Start[8191] = 1;
        Assert.False(region.IsHuge);
    }

    [Theory]
    [InlineData("short", "short")]
    [InlineData("", "")]
    [InlineData("exactly seven and more", "exactly")]
    public void Text_fields_are_cut_to_fit(string text, string kept)
    {
        Span<byte> field = stackalloc byte[8];
        SeqPacket.Put(field, text);
        Assert.Equal(kept, SeqPacket.Get(field));
    }
}
