using System.Security.Cryptography;
using NetKernel.Channel;
using NetKernel.Channel.Host;
using NetKernel.ServiceLib.Testing;

namespace NetKernel.ServiceLib.Tests;

public sealed class HostTests
{
    [Theory]
    [InlineData(1u)]
    [InlineData(3u)]
    public void Echoes_on_every_queue_set(uint loops)
    {
        using EchoNsm nsm = new(loops);
        for (uint q = 0; q < loops; q++)
        {
            FakeSocket socket = nsm.Guest.Socket(queueSet: q);
            Assert.Equal(0, socket.Connect("198.18.0.5", 80));
            byte[] data = RandomNumberGenerator.GetBytes(50_000);
            socket.Send(data);
            Assert.Equal(data, socket.Receive(data.Length));
            socket.Close();
        }

        nsm.Engine.Until(() => nsm.Count == 0, "the tables to be empty");
        Assert.Equal(0, nsm.Engine.Strays);
    }

    [Fact]
    public void Sends_wait_for_credits_and_nothing_is_lost()
    {
        PoolLayout pool = FakeEngine.SmallPool;
        pool.Rx.Small = 80;
        pool.Rx.Medium = 2;
        pool.Rx.Large = 1;
        using EchoNsm nsm = new(pool: pool);
        FakeSocket[] sockets = [nsm.Guest.Socket(), nsm.Guest.Socket(), nsm.Guest.Socket()];
        foreach (FakeSocket socket in sockets)
        {
            Assert.Equal(0, socket.Connect("198.18.0.5", 80));
            socket.Send(new byte[120 * 1000], messageSize: 1000);
        }

        foreach (FakeSocket socket in sockets)
        {
            Assert.Equal(120 * 1000, socket.Receive(120 * 1000).Length);
            Assert.True(socket.MostOut <= SocketSlot.RxEntries);
            socket.Flushed();
        }

        foreach (FakeSocket socket in sockets)
        {
            socket.Close();
        }
    }

    /// <summary>Sockets that are not read hold what they have; one that is read goes on by its own credits, and by what is kept for those that have nothing.</summary>
    [Fact]
    public void Sockets_that_nobody_reads_hold_up_no_other()
    {
        PoolLayout pool = FakeEngine.SmallPool;
        pool.Rx.Small = 60;
        pool.Rx.Medium = 2;
        pool.Rx.Large = 1;
        using EchoNsm nsm = new(pool: pool);
        FakeSocket[] unread = [.. Enumerable.Range(0, 10).Select(_ => nsm.Guest.Socket())];
        foreach (FakeSocket socket in unread)
        {
            Assert.Equal(0, socket.Connect("198.18.0.5", 80));
            socket.Send(new byte[40 * 1000], messageSize: 1000);
        }

        FakeSocket read = nsm.Guest.Socket();
        Assert.Equal(0, read.Connect("198.18.0.5", 80));
        for (int turn = 0; turn < 20; turn++)
        {
            byte[] data = RandomNumberGenerator.GetBytes(8000);
            read.Send(data, messageSize: 1000);
            Assert.Equal(data, read.Receive(data.Length));
        }

        Assert.All(unread, socket => Assert.InRange(socket.Waiting, 1000, 39_000)); // each has something, none has all, and the pool is used up
        foreach (FakeSocket socket in unread)
        {
            Assert.Equal(40 * 1000, socket.Receive(40 * 1000).Length);
            socket.Close();
        }
    }

    [Fact]
    public void A_129th_send_in_flight_is_refused()
    {
        PoolLayout pool = FakeEngine.SmallPool;
        pool.Rx.Small = 16;
        pool.Rx.Medium = 0;
        pool.Rx.Large = 0;
        using EchoNsm nsm = new(pool: pool);
        FakeSocket socket = nsm.Guest.Socket();
        Assert.Equal(0, socket.Connect("198.18.0.5", 80));
        FakeSocket other = nsm.Guest.Socket();
        Assert.Equal(0, other.Connect("198.18.0.5", 80));
        while (socket.SendsOut < SocketSlot.MaxSends)
        {
            socket.Send(new byte[100]);
            Assert.Equal(0, other.SetOption(0, 2, 1, ring: RingKind.Send)); // By now the NSM has it.
        }

        long waiting = socket.Waiting;
        ulong offset = nsm.Guest.Layout.TxHalf.OffsetOf(500);
        socket.SendAt(offset, 100);
        nsm.Engine.Until(() => socket.SendError == Libc.ENOBUFS, "ENOBUFS");
        Assert.Equal(waiting, socket.Waiting);
        socket.Close();
    }

    [Fact]
    public void Requests_for_sockets_that_are_not_are_answered()
    {
        using EchoNsm nsm = new();
        FakeSocket nobody = nsm.Engine.NewSocket(nsm.Guest);
        Assert.Equal(Libc.EBADF, nobody.Bind("198.18.0.5", 1));
        Assert.Equal(Libc.EBADF, nobody.Listen());
        Assert.Equal(Libc.EBADF, nobody.Connect("198.18.0.5", 1));
        Assert.Equal(Libc.EBADF, nobody.SetOption(1, 2, 3));
        Assert.Equal(Libc.EBADF, nobody.GetOption(1, 2, 3, out _));
        nobody.Send("x"u8);
        nobody.Flushed();
        Assert.Equal(Libc.EPIPE, nobody.SendError);
        nobody.Credit(PoolLayout.TxOffset, 1);
        nobody.Shutdown(2);
        nobody.Close();
    }

    [Fact]
    public void A_refused_socket_answers_everything_with_its_errno()
    {
        using EchoNsm nsm = new();
        FakeSocket socket = nsm.Guest.Socket(type: Libc.SOCK_DGRAM);
        Assert.Equal(94, socket.Bind("198.18.0.5", 1));
        Assert.Equal(94, socket.Connect("198.18.0.5", 1));
        Assert.Equal(94, socket.SetOption(1, 2, 3));
        socket.Send("x"u8);
        socket.Flushed();
        Assert.Equal(94, socket.SendError);
        socket.Close();
        Assert.Equal(0, nsm.Stack.Sockets);
    }

    [Fact]
    public void Options_come_through_a_chunk_that_is_no_data()
    {
        using EchoNsm nsm = new();
        FakeSocket socket = nsm.Guest.Socket();
        for (int i = 0; i < 2000; i++)
        {
            Assert.Equal(0, socket.GetOption(5, 100, 60, out byte[] value));
            Assert.Equal(Enumerable.Repeat((byte)5, 60), value);
        }

        Assert.Equal(0, socket.GetOption(5, 100, 0, out byte[] nothing));
        Assert.Empty(nothing);
        Assert.Equal(92, socket.SetOption(0, 7, 1));
        Assert.Equal(Libc.EINVAL, socket.SetOption(0, 2, 1, length: 9));
        Assert.Equal(Libc.EINVAL, socket.SetOption(0, 2, 1, length: 0));
        socket.Close();
    }

    [Fact]
    public void Announces_at_most_32_and_takes_each_handle_once()
    {
        using EchoNsm nsm = new();
        FakeSocket listener = nsm.Guest.Socket();
        Assert.Equal(0, listener.Listen(100));
        nsm.Engine.Until(() => listener.Announced.Count == 32, "32 announced");
        uint handle = listener.NextAnnounced().Size;
        FakeSocket first = listener.Accept(handle, nsm.Guest, out int error);
        Assert.Equal(0, error);
        FakeSocket second = listener.Accept(handle, nsm.Guest, out error);
        Assert.Equal(Libc.ECONNABORTED, error);
        nsm.Engine.Until(() => second.ResetError == Libc.ECONNABORTED, "Reset");
        nsm.Engine.Until(() => listener.Announced.Count == 32, "another one");
        second.Close();
        first.Close();
        listener.Close();
        Assert.Equal(0, nsm.Stack.Pending);
        Assert.Equal(0, nsm.Stack.Sockets);
    }

    [Fact]
    public void Guests_come_and_go_and_bad_ones_are_refused()
    {
        using EchoNsm nsm = new();
        for (uint i = 0; i < 50; i++)
        {
            using FakeGuest guest = nsm.Engine.AddGuest(1000 + i);
            FakeSocket socket = guest.Socket();
            Assert.Equal(0, socket.Connect("198.18.0.5", 1));
            socket.Send(new byte[100_000]);
            FakeSocket listener = guest.Socket();
            Assert.Equal(0, listener.Listen(5));
            nsm.Engine.RemoveGuest(guest);
            Assert.Equal(0u, nsm.Count);
        }

        AttachMessage twice = new() { Op = AttachOp.GuestAdded, Guest = 1, Pool = FakeEngine.SmallPool };
        Assert.Equal(Libc.EEXIST, nsm.Engine.Ask(in twice, nsm.Guest.Pool.Fd).Error);
        twice.Guest = 2;
        Assert.Equal(Libc.EINVAL, nsm.Engine.Ask(in twice).Error);
        twice.Pool.Rx.Large = 4000; // Larger than the file: touching it would be SIGBUS.
        Assert.Equal(Libc.EINVAL, nsm.Engine.Ask(in twice, nsm.Guest.Pool.Fd).Error);
        AttachMessage unknown = new() { Op = AttachOp.GuestRemoved, Guest = 77 };
        Assert.Equal(Libc.ENOENT, nsm.Engine.Ask(in unknown).Error);
    }

    [Fact]
    public void Impossible_indices_of_a_ring_end_the_loop()
    {
        using EchoNsm nsm = new();
        FakeSocket socket = nsm.Guest.Socket();
        Assert.Equal(0, socket.Connect("198.18.0.5", 1));
        unsafe
        {
            ((RingHeader*)(nsm.Engine.Region + nsm.Engine.Layout.RingOf(0, RingKind.Send)))->Tail += 1 << 20;
        }

        socket.Request(RingKind.Job, Op.Listen);
        nsm.WaitExit();
        Assert.Equal(HostExit.EngineGone, nsm.Exit);
    }
}
