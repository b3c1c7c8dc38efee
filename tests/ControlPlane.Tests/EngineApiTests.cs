using System.Net.Sockets;
using System.Runtime.InteropServices;
using Google.Protobuf.WellKnownTypes;
using Grpc.Core;
using NetKernel.Api.V1;
using NetKernel.Channel;
using NetKernel.ControlPlane.Services;
using GuestCounters = NetKernel.Channel.GuestCounters;

namespace NetKernel.ControlPlane.Tests;

/// <summary>CoreEngine behind the API: killed, refused to a second nkd, its counters.</summary>
public sealed class EngineApiTests : NkdOverItsSocket
{
    [Fact]
    public async Task A_killed_engine_is_started_and_told_everything_again()
    {
        _ = await Create("a");
        int pid = (await Platform.GetStatusAsync(new Empty())).EnginePid;
        lock (Engine.Requests)
        {
            Engine.Requests.Clear();
        }

        _ = Network.ProcessesInside.SendSignal(pid, 9);
        Engine.Await(() => Engine.Requests.Count >= 3);
        lock (Engine.Requests)
        {
            Assert.Equal([AttachOp.ControlHello, AttachOp.AddNsm, AttachOp.AddGuest], Engine.Requests.Select(request => request.Op));
        }
    }

    [Fact]
    public async Task A_watcher_that_does_not_read_is_told_to_begin_again_and_nothing_is_kept_for_it()
    {
        _ = await Create("a");
        using AsyncServerStreamingCall<Event> watch = State.Watch(new WatchRequest { Kinds = { "guest" } });
        Assert.Equal(Event.Types.Type.Added, (await Next(watch)).Type);
        Assert.Equal(Event.Types.Type.Synced, (await Next(watch)).Type);
        const int Changes = 5 * Rpc.StateRpc.MostUnread; // what the stream's windows hold, too
        for (int i = 0; i < Changes; i++)
        {
            Engine.Tell(AttachOp.GuestDetached, 1, 1, $"reason {i}");
        }

        Guest last = await Eventually.FindAsync(
            async () => await Guests.GetGuestAsync(new GetGuestRequest { Name = "a" }) is { } now && now.Reason == $"reason {Changes - 1}" ? now : null, "nkd has heard all");
        int read = 0;
        RpcException ended = await Assert.ThrowsAsync<RpcException>(async () =>
        {
            for (; ; read++)
            {
                _ = await Next(watch);
            }
        });
        Assert.Equal(StatusCode.ResourceExhausted, ended.StatusCode);
        Assert.InRange(read, Rpc.StateRpc.MostUnread, Changes - 1);

        // Another one sees how it is.
        using AsyncServerStreamingCall<Event> again = State.Watch(new WatchRequest { Kinds = { "guest" } });
        Assert.Equal(last.Reason, (await Next(again)).Guest.Reason);
    }

    [Fact]
    public async Task A_second_nkd_is_refused()
    {
        ServiceException refused = await Assert.ThrowsAsync<ServiceException>(() => Daemon.RunAsync(Options("other", RunDirectory)));
        Assert.Equal(FailureCode.AlreadyExists, refused.Code);
        Assert.Contains($"pid {Environment.ProcessId}", refused.Message);
    }

    [Fact]
    public async Task Counters_and_connections_come_from_the_counter_file()
    {
        await Fails(Platform.GetCountersAsync(new Empty()).ResponseAsync, StatusCode.Unavailable, "CoreEngine is being started");
        _ = await Create("a");
        WriteStats();
        Counters stats = await Platform.GetCountersAsync(new Empty());
        Api.V1.GuestCounters guest = Assert.Single(stats.Guests);
        Assert.Equal((2 * 1000ul, 2 * 11ul), (guest.BytesSent, guest.NqesFromGuest));
        Assert.Equal(2, stats.PerLoop.Count);

        Connection[] rows = await Connections("a");
        Assert.Equal(2, rows.Length);
        Assert.Equal(("198.18.1.1:80", "established", "a", "kernel0"), (rows[0].Local, rows[0].State, rows[0].Guest, rows[0].Nsm));
        await Fails(Connections("zz"), StatusCode.NotFound, "no guest zz", "guest");
    }

    private async Task<Connection[]> Connections(string guest)
    {
        using var call = new ConnectionService.ConnectionServiceClient(Channel.CreateCallInvoker()).ListConnections(new ListConnectionsRequest { Guest = guest });
        var rows = new List<Connection>();
        while (await call.ResponseStream.MoveNext(CancellationToken.None))
        {
            rows.AddRange(call.ResponseStream.Current.Connections);
        }

        return [.. rows];
    }

    // Two loops, rows 0 and 1 for guests, NSMs and connections.
    private void WriteStats()
    {
        var header = new CountersHeader { Magic = CountersHeader.MagicValue, LayoutVersion = ControlHeader.Version, Loops = 2, Guests = 2, Nsms = 2, Connections = 2, Pid = 1 };
        byte[] file = new byte[header.TotalLength];
        MemoryMarshal.Write(file, header);
        for (uint loop = 0; loop < 2; loop++)
        {
            MemoryMarshal.Write(file.AsSpan((int)header.GuestOf(loop, 1)), new GuestCounters { BytesSent = 1000, NqesFromGuest = 11 });
            MemoryMarshal.Write(file.AsSpan((int)header.ConnectionOf(loop, 1)), new ConnectionRow
            {
                State = ConnectionState.Established,
                Guest = 1,
                Nsm = 1,
                LocalPort = 80,
                LocalHigh = BitConverter.ToUInt64([0, 0, 255, 255, 198, 18, 1, 1]),
            });
        }

        File.WriteAllBytes(Path.Combine(RunDirectory, "engine.stats"), file);
    }
}
