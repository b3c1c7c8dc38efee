using NetKernel.Channel;
using NetKernel.Channel.Host;
using NetKernel.ServiceLib.Testing;

namespace NetKernel.Nsm.SharedMem.Tests;

/// <summary>A peer that is there and takes nothing: TCP_USER_TIMEOUT and TCP_SYNCNT end the wait, as tcp(7) says.</summary>
public sealed unsafe class StallTests
{
    private const int Tcp = 6, UserTimeout = 18, SynCount = 7;
    private static readonly byte[] TooMuch = new byte[2 << 20]; // for the receiver

    [Fact]
    public void Data_that_is_not_taken_in_time_ends_the_connection_at_both_ends()
    {
        using SharedMemNsm nsm = new();
        (FakeSocket patient, FakeSocket _) = nsm.Pair(140);
        (FakeSocket client, FakeSocket server) = nsm.Pair(141);
        patient.Send(TooMuch);
        Assert.Equal(0, client.SetOption(Tcp, UserTimeout, 300));
        client.Send(TooMuch);
        nsm.Engine.Until(() => client.ResetError != 0 && server.ResetError != 0, "the time to be up");
        Assert.Equal((Libc.ETIMEDOUT, Libc.ECONNRESET), (client.ResetError, server.ResetError));
        client.Flushed();
        Assert.Equal(Libc.ETIMEDOUT, client.SendError);
        Assert.True(server.Waiting > 100_000); // what it has can be read
        Assert.Equal(0, patient.ResetError); // without the option nobody gives up
    }

    [Fact]
    public void A_stall_that_is_over_counts_no_more()
    {
        using SharedMemNsm nsm = new();
        (FakeSocket first, FakeSocket reader) = nsm.Pair(142);
        (FakeSocket second, FakeSocket _) = nsm.Pair(143);
        Assert.Equal(0, first.SetOption(Tcp, UserTimeout, 3000));
        Assert.Equal(0, second.SetOption(Tcp, UserTimeout, 3000));
        first.Send(TooMuch);
        nsm.Engine.Until(() => reader.Waiting >= 300_000, "what the receiver holds");
        Assert.Equal(TooMuch.Length, reader.Receive(TooMuch.Length).Length);
        second.Send(TooMuch);
        nsm.Engine.Until(() => second.ResetError != 0, "the time to be up"); // the first one's would have been before
        Assert.Equal(0, first.ResetError);
    }

    [Fact]
    public void A_close_waits_no_longer_than_that()
    {
        using SharedMemNsm nsm = new();
        (FakeSocket client, FakeSocket server) = nsm.Pair(144);
        Assert.Equal(0, client.SetOption(Tcp, UserTimeout, 300));
        client.Send(TooMuch);
        client.StartClose();
        nsm.Engine.Until(() => server.ResetError != 0, "the time to be up");
        client.WaitClosed();
        server.Close();
        nsm.AssertEmpty();
    }

    [Theory]
    [InlineData(UserTimeout, 300)]
    [InlineData(SynCount, 1)]
    public void A_connect_to_a_full_backlog_times_out(int option, ulong value)
    {
        using SharedMemNsm nsm = new();
        FakeSocket listener = nsm.Listener(145, backlog: 0);
        FakeSocket first = nsm.First.Socket(), late = nsm.First.Socket();
        Assert.Equal(0, first.Connect(SharedMemNsm.Address2, 145));
        Assert.Equal(0, late.SetOption(Tcp, option, value));
        Assert.Equal(Libc.ETIMEDOUT, late.Connect(SharedMemNsm.Address2, 145));
        FakeSocket server = listener.Accept(out _);
        Assert.Equal(0, late.Connect(SharedMemNsm.Address2, 145)); // it may try again
        listener.Accept(out _).Close();
        foreach (FakeSocket socket in new[] { server, first, late, listener })
        {
            socket.Close();
        }

        nsm.AssertEmpty();
    }

    [Fact]
    public void What_lies_in_a_ring_unread_beyond_the_receivers_buffer_times_out_too()
    {
        using SharedMemNsm nsm = new(directAfter: 0);
        using DirectPair held = new(nsm, 146);
        using DirectPair full = new(nsm, 147);
        Assert.Equal(0, held.Client.SetOption(Tcp, UserTimeout, 300));
        Assert.Equal(0, full.Client.SetOption(Tcp, UserTimeout, 300));
        held.Ends(client: true)->Tail = DirectLayout.RingBytes / 2; // a receive buffer's worth: TCP would have it acknowledged
        full.Ends(client: true)->Tail = DirectLayout.RingBytes;
        nsm.Engine.Until(() => full.Client.ResetError != 0 && full.Server.ResetError != 0, "the time to be up");
        Assert.Equal((Libc.ETIMEDOUT, Libc.ECONNRESET), (full.Client.ResetError, full.Server.ResetError));
        Assert.Equal(0, held.Client.ResetError);
        foreach (FakeSocket socket in new[] { held.Client, held.Server, full.Client, full.Server })
        {
            socket.Close();
        }

        nsm.AssertEmpty();
    }
}
