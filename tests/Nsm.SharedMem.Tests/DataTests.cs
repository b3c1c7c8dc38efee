using System.Security.Cryptography;
using NetKernel.Channel;
using NetKernel.Channel.Host;
using NetKernel.ServiceLib.Testing;

namespace NetKernel.Nsm.SharedMem.Tests;

/// <summary>Bytes arrive once, in order, unchanged, and only as fast as they are read.</summary>
public sealed class DataTests
{
    [Theory]
    [InlineData(1, 20_000, 1)]
    [InlineData(64, 400_000, 1)]
    [InlineData(1000, 4 << 20, 1)]
    [InlineData(2049, 4 << 20, 1)]
    [InlineData(8192, 16 << 20, 1)]
    [InlineData(65536, 32 << 20, 1)]
    [InlineData(8192, 8 << 20, 3)]
    public void Both_ways_at_once_with_messages_of_any_size(int message, int total, uint loops)
    {
        using SharedMemNsm nsm = new(loops);
        (FakeSocket client, FakeSocket server) = nsm.Pair(100, clientSet: 0, serverSet: loops - 1);
        byte[] there = RandomNumberGenerator.GetBytes(total);
        byte[] back = RandomNumberGenerator.GetBytes(total);
        Exchange(nsm, [(client, there), (server, back)], [(server, there), (client, back)], message);
        client.Close();
        server.Close();
        nsm.AssertEmpty();
    }

    [Fact]
    public void Many_connections_share_the_pools_and_none_starves()
    {
        using SharedMemNsm nsm = new();
        List<(FakeSocket Socket, byte[] Data)> senders = [];
        List<(FakeSocket Socket, byte[] Data)> receivers = [];
        for (int i = 0; i < 32; i++)
        {
            (FakeSocket client, FakeSocket server) = nsm.Pair(101);
            byte[] data = RandomNumberGenerator.GetBytes(200_000 + (i * 1111));
            senders.Add((client, data));
            receivers.Add((server, data));
        }

        Exchange(nsm, senders, receivers, 5000);
        foreach ((FakeSocket socket, byte[] _) in senders.Concat(receivers))
        {
            socket.StartClose();
        }

        nsm.AssertEmpty();
    }

    [Fact]
    public void A_receiver_that_does_not_read_stops_its_sender_and_nobody_else()
    {
        using SharedMemNsm nsm = new();
        (FakeSocket stuck, FakeSocket reader) = nsm.Pair(102);
        (FakeSocket other, FakeSocket otherReader) = nsm.Pair(103);
        for (int i = 0; i < 20; i++)
        {
            Assert.True(nsm.First.TryPut(new byte[65536], out ulong place));
            stuck.SendAt(place, 65536);
        }

        byte[] data = RandomNumberGenerator.GetBytes(3 << 20);
        Exchange(nsm, [(other, data)], [(otherReader, data)], 8192);
        Assert.InRange(reader.Waiting, 1, 700_000);
        Assert.True(stuck.SendsOut > 0);
        Assert.Equal(20 * 65536, reader.Receive(20 * 65536).Length);
        stuck.Flushed();
    }

    [Fact]
    public void SO_RCVBUF_bounds_what_waits_for_the_program()
    {
        using SharedMemNsm nsm = new();
        FakeSocket listener = nsm.Second.Socket();
        Assert.Equal(0, listener.SetOption(Libc.SOL_SOCKET, 8, 20_000));
        Assert.Equal(0, listener.Bind("0.0.0.0", 104, NqeFlags.Wildcard));
        Assert.Equal(0, listener.Listen());
        FakeSocket client = nsm.First.Socket();
        Assert.Equal(0, client.Connect(SharedMemNsm.Address2, 104));
        FakeSocket server = listener.Accept(out _);
        for (int i = 0; i < 40; i++)
        {
            Assert.True(nsm.First.TryPut(new byte[4096], out ulong place));
            client.SendAt(place, 4096);
        }

        nsm.Engine.Until(() => server.Waiting >= 20_000, "what fits");
        FakeSocket marker = nsm.First.Socket();
        Assert.Equal(Libc.ECONNREFUSED, marker.Connect(SharedMemNsm.Address2, 9));
        Assert.InRange(server.Waiting, 20_000, 20_000 + 65536);
        Assert.Equal(40 * 4096, server.Receive(40 * 4096).Length);
    }

    /// <summary>Sends everything and reads everything, on one thread, as CoreEngine would forward it.</summary>
    internal static void Exchange(
        SharedMemNsm nsm, IReadOnlyList<(FakeSocket Socket, byte[] Data)> senders, IReadOnlyList<(FakeSocket Socket, byte[] Data)> receivers, int message)
    {
        int[] sent = new int[senders.Count];
        int[] got = new int[receivers.Count];
        byte[] buffer = new byte[1 << 20];
        int left = senders.Sum(sender => sender.Data.Length);
        nsm.Engine.Until(
            () =>
            {
                bool moved = false;
                for (int i = 0; i < senders.Count; i++)
                {
                    (FakeSocket socket, byte[] data) = senders[i];
                    while (sent[i] < data.Length && socket.SendsOut < SocketSlot.MaxSends
                        && socket.Guest.TryPut(data.AsSpan(sent[i], Math.Min(message, data.Length - sent[i])), out ulong place))
                    {
                        int n = Math.Min(message, data.Length - sent[i]);
                        socket.SendAt(place, (uint)n);
                        sent[i] += n;
                        moved = true;
                    }
                }

                for (int i = 0; i < receivers.Count; i++)
                {
                    (FakeSocket socket, byte[] data) = receivers[i];
                    int n = socket.Read(buffer);
                    Assert.True(buffer.AsSpan(0, n).SequenceEqual(data.AsSpan(got[i], n)), $"bytes {got[i]} to {got[i] + n} differ");
                    got[i] += n;
                    left -= n;
                    moved |= n != 0;
                }

                _ = moved && nsm.Engine.Pump();
                return left == 0;
            },
            "all bytes");
    }
}
