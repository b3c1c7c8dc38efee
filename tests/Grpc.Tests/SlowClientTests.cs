using Google.Protobuf;
using Grpc.Net.Client;
using Microsoft.AspNetCore.Server.Kestrel.Core;

namespace NetKernel.Grpc.Tests;

/// <summary>
/// Clients that take their time. They are served as long as they get on; who does not is given up after its limit, takes a bounded amount of memory until then, and others are served meanwhile.
/// The limits are short here; those that nkd has are in docs/api.md.
/// </summary>
public sealed class SlowClientTests
{
    private const int Stream = 1, Clients = 8;
    private const int Endless = 1_000_000;

    [Fact]
    public async Task A_request_that_comes_byte_by_byte_is_answered()
    {
        await using ProbeHost host = await ProbeHost.StartAsync();
        using RawHttp2 client = await RawHttp2.ConnectAsync(host.Port);
        byte[] message = RawHttp2.Message(new Note { Text = "slowly" });
        await client.TrickleAsync(
        [
            .. RawHttp2.Preface, .. RawHttp2.Frame(RawHttp2.Type.Headers, RawHttp2.EndHeaders, Stream, RawHttp2.Call("Unary")),
            .. RawHttp2.Frame(RawHttp2.Type.Data, RawHttp2.EndStream, Stream, message),
        ]);
        byte[] answer = [];
        while (answer.Length < message.Length)
        {
            var frame = await client.ReadAsync();
            Assert.NotNull(frame);
            answer = frame.Value.Type == RawHttp2.Type.Data ? [.. answer, .. frame.Value.Payload] : answer;
        }

        Assert.Equal(message, answer); // it echoes
    }

    [Theory]
    [InlineData("half a preface")]
    [InlineData("half a frame")]
    [InlineData("headers without an end")]
    [InlineData("half a message")]
    public async Task A_request_that_never_ends_is_given_up(string what)
    {
        await using ProbeHost host = await ProbeHost.StartAsync(limits: Short);
        byte[] headers = RawHttp2.Call("Unary");
        byte[] begun = what switch
        {
            "half a preface" => RawHttp2.Preface[..10],
            "half a frame" => [.. RawHttp2.Preface, .. RawHttp2.Frame(RawHttp2.Type.Headers, RawHttp2.EndHeaders, Stream, headers)[..20]],
            "headers without an end" => [.. RawHttp2.Preface, .. RawHttp2.Frame(RawHttp2.Type.Headers, 0, Stream, headers[..20])],
            _ =>
            [
                .. RawHttp2.Preface, .. RawHttp2.Frame(RawHttp2.Type.Headers, RawHttp2.EndHeaders, Stream, headers),
                .. RawHttp2.Frame(RawHttp2.Type.Data, 0, Stream, RawHttp2.Message(new Note { Text = "never" })[..4]),
            ],
        };
        await AllAreGivenUp(host, client => client.SendAsync(begun));
    }

    /// <summary>
    /// By the window of the stream, by the socket's buffers when the windows are as wide as they can be, and by the window of the connection. On that one Kestrel keeps no time: the call ends when
    /// the client goes.
    /// </summary>
    [Theory]
    [InlineData(0, 0, "reset")]
    [InlineData(int.MaxValue, int.MaxValue - 65535, "deaf")]
    [InlineData(int.MaxValue, 0, "goes")]
    public async Task A_client_that_reads_no_answers_is_given_up_and_they_do_not_gather(int streamWindow, int connectionWindow, string how)
    {
        await using ProbeHost host = await ProbeHost.StartAsync(limits: Short);
        byte[] window = [0, 4, (byte)(streamWindow >> 24), (byte)(streamWindow >> 16), (byte)(streamWindow >> 8), (byte)streamWindow]; // SETTINGS_INITIAL_WINDOW_SIZE
        byte[] wider = [(byte)(connectionWindow >> 24), (byte)(connectionWindow >> 16), (byte)(connectionWindow >> 8), (byte)connectionWindow];
        byte[] request = RawHttp2.Message(new Note { Number = Endless, Data = ByteString.CopyFrom(new byte[1024]) }); // a gigabyte of answers
        using RawHttp2 client = await RawHttp2.ConnectAsync(host.Port);
        await client.SendAsync(
            RawHttp2.Preface, RawHttp2.Frame(RawHttp2.Type.Settings, 0, 0, window), connectionWindow == 0 ? [] : RawHttp2.Frame(RawHttp2.Type.WindowUpdate, 0, 0, wider),
            RawHttp2.Frame(RawHttp2.Type.Headers, RawHttp2.EndHeaders, Stream, RawHttp2.Call("Count")), RawHttp2.Frame(RawHttp2.Type.Data, RawHttp2.EndStream, Stream, request));
        using GrpcChannel channel = host.Channel();
        Assert.Equal("another", (await new Probe.ProbeClient(channel).UnaryAsync(new Note { Text = "another" })).Text);
        if (how == "reset")
        {
            await client.EndAsync(Stream);
        }
        else if (how == "goes")
        {
            client.Dispose();
        }

        await host.Service.CountEnded.Task.WaitAsync(TimeSpan.FromSeconds(60));
        Assert.InRange(host.Service.Counted, 0, Endless / 20); // windows and buffers, the kernel's too, and what is written into the void until the handler hears of the end
        Assert.Equal("after", (await new Probe.ProbeClient(channel).UnaryAsync(new Note { Text = "after" })).Text);
    }

    /// <summary>A stream of requests may be silent for longer than a message may take.</summary>
    [Fact]
    public async Task A_stream_of_requests_may_be_silent()
    {
        await using ProbeHost host = await ProbeHost.StartAsync(limits: Short);
        using GrpcChannel channel = host.Channel();
        var client = new Probe.ProbeClient(channel);
        using var talk = client.Talk();
        await talk.RequestStream.WriteAsync(new Note { Text = "a" });
        Assert.True(await talk.ResponseStream.MoveNext(CancellationToken.None));

        // Who sends one message, and half of it, is given up meanwhile: so the time for that has passed.
        using RawHttp2 slow = await RawHttp2.ConnectAsync(host.Port);
        await slow.SendAsync(RawHttp2.Preface, RawHttp2.Frame(RawHttp2.Type.Headers, RawHttp2.EndHeaders, Stream, RawHttp2.Call("Unary")), RawHttp2.Frame(RawHttp2.Type.Data, 0, Stream, [0, 0]));
        await slow.EndAsync(Stream);
        await talk.RequestStream.WriteAsync(new Note { Text = "b" });
        Assert.True(await talk.ResponseStream.MoveNext(CancellationToken.None));
        Assert.Equal("B", talk.ResponseStream.Current.Text);
        await talk.RequestStream.CompleteAsync();
        Assert.False(await talk.ResponseStream.MoveNext(CancellationToken.None));
    }

    private static async Task AllAreGivenUp(ProbeHost host, Func<RawHttp2, Task> begin)
    {
        List<RawHttp2> clients = [];
        try
        {
            for (int i = 0; i < Clients; i++)
            {
                clients.Add(await RawHttp2.ConnectAsync(host.Port));
                await begin(clients[i]);
            }

            using GrpcChannel channel = host.Channel();
            Assert.Equal("meanwhile", (await new Probe.ProbeClient(channel).UnaryAsync(new Note { Text = "meanwhile" })).Text);
            foreach (RawHttp2 client in clients)
            {
                await client.EndAsync(Stream);
            }
        }
        finally
        {
            clients.ForEach(client => client.Dispose());
        }
    }

    // Kestrel looks once a second, and takes no shorter times of grace than that.
    private static void Short(KestrelServerLimits limits)
    {
        limits.KeepAliveTimeout = TimeSpan.FromSeconds(2);
        limits.RequestHeadersTimeout = TimeSpan.FromSeconds(2);
        limits.MinRequestBodyDataRate = new MinDataRate(bytesPerSecond: 240, gracePeriod: TimeSpan.FromSeconds(2));
        limits.MinResponseDataRate = new MinDataRate(bytesPerSecond: 1 << 20, gracePeriod: TimeSpan.FromSeconds(2)); // it allows the time that what is buffered takes at this rate
    }
}
