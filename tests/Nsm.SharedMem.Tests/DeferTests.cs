using NetKernel.Channel.Host;
using NetKernel.ServiceLib.Testing;

namespace NetKernel.Nsm.SharedMem.Tests;

/// <summary>TCP_DEFER_ACCEPT: a listener hears of a connection when that has brought something, or its end, or the time is up.</summary>
public sealed class DeferTests
{
    private const int Tcp = 6, DeferAccept = 9;

    [Fact]
    public void A_silent_connection_is_not_announced_and_takes_no_place()
    {
        using SharedMemNsm nsm = new();
        FakeSocket listener = Listener(nsm, 120, seconds: 100, backlog: 0);
        FakeSocket[] silent = [Client(nsm, 120), Client(nsm, 120), Client(nsm, 120)];
        AssertNotAnnounced(nsm, listener);
        silent[1].Send("hello"u8);
        FakeSocket server = listener.Accept(out _);
        Assert.Equal("hello"u8.ToArray(), server.Receive(5));
        AssertNotAnnounced(nsm, listener);
        silent[0].Shutdown(1);
        FakeSocket ended = listener.Accept(out _);
        ended.Ended();
        Assert.True(ended.PeerClosed);
        Array.ForEach([silent[1], server, silent[0], ended], socket => socket.Close());
        listener.Close(); // the third one is reset by that, as the kernel does
        silent[2].Ended();
        Assert.Equal(Libc.ECONNRESET, silent[2].ResetError);
        silent[2].Close();
        nsm.AssertEmpty();
    }

    [Fact]
    public void One_that_is_closed_is_announced_and_one_that_is_reset_is_not()
    {
        using SharedMemNsm nsm = new();
        FakeSocket listener = Listener(nsm, 121, seconds: 100);
        FakeSocket closed = Client(nsm, 121), reset = Client(nsm, 121);
        reset.Close(abort: true);
        AssertNotAnnounced(nsm, listener);
        closed.StartClose();
        FakeSocket server = listener.Accept(out _);
        closed.WaitClosed();
        server.Ended();
        server.Close();
        listener.Close();
        nsm.AssertEmpty();
    }

    [Fact]
    public void After_its_time_it_is_announced_without_data()
    {
        using SharedMemNsm nsm = new();
        FakeSocket listener = Listener(nsm, 122, seconds: 1);
        FakeSocket client = Client(nsm, 122);
        FakeSocket server = listener.Accept(out _);
        client.Send("late"u8);
        Assert.Equal("late"u8.ToArray(), server.Receive(4));
        client.Close();
        server.Close();
        listener.Close();
        nsm.AssertEmpty();
    }

    private static FakeSocket Listener(SharedMemNsm nsm, int port, int seconds, int backlog = 128)
    {
        FakeSocket listener = nsm.Listener(port, backlog: backlog);
        Assert.Equal(0, listener.SetOption(Tcp, DeferAccept, (ulong)seconds));
        return listener;
    }

    private static FakeSocket Client(SharedMemNsm nsm, int port)
    {
        FakeSocket client = nsm.First.Socket();
        Assert.Equal(0, client.Connect(SharedMemNsm.Address2, port));
        return client;
    }

    /// <summary>What is asked after everything else of both guests is answered after it.</summary>
    private static void AssertNotAnnounced(SharedMemNsm nsm, FakeSocket listener)
    {
        FakeSocket asks = nsm.First.Socket();
        Assert.Equal(0, asks.GetOption(Tcp, DeferAccept, 4, out _));
        asks.Close();
        Assert.Equal(0, listener.GetOption(Tcp, DeferAccept, 4, out _));
        Assert.Empty(listener.Announced);
    }
}
