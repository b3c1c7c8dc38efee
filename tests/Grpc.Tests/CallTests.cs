using Google.Protobuf;
using Google.Rpc;
using Grpc.Core;
using Grpc.Net.Client;

namespace NetKernel.Grpc.Tests;

/// <summary>Our client against our server: all kinds of calls, how they end, and what goes with them.</summary>
public sealed class CallTests : IAsyncLifetime
{
    private ProbeHost _host = null!;
    private GrpcChannel _channel = null!;
    private Probe.ProbeClient _client = null!;

    public async Task InitializeAsync()
    {
        _host = await ProbeHost.StartAsync();
        _channel = _host.Channel();
        _client = new Probe.ProbeClient(_channel);
    }

    public async Task DisposeAsync()
    {
        _channel.Dispose();
        await _host.DisposeAsync();
    }

    [Fact]
    public async Task A_unary_call_answers()
    {
        Note note = await _client.UnaryAsync(new Note { Text = "hello", Number = 7 });
        Assert.Equal(("hello", 7), (note.Text, note.Number));
        Assert.Equal("hello", _client.Unary(new Note { Text = "hello" }).Text);
    }

    [Fact]
    public async Task A_unix_socket_carries_calls()
    {
        using GrpcChannel channel = _host.UnixChannel();
        Note note = await new Probe.ProbeClient(channel).UnaryAsync(new Note { Text = "peer" });
        Assert.Equal("unix: localhost /netkernel.test.Probe/Unary", note.Text);
    }

    [Fact]
    public async Task A_client_streams()
    {
        using AsyncClientStreamingCall<Note, Note> call = _client.Collect();
        for (int i = 1; i <= 100; i++)
        {
            await call.RequestStream.WriteAsync(new Note { Number = i, Text = "x" });
        }

        await call.RequestStream.CompleteAsync();
        Note sum = await call;
        Assert.Equal((5050, 100), (sum.Number, sum.Text.Length));
        Assert.Equal(StatusCode.OK, call.GetStatus().StatusCode);
        await Assert.ThrowsAsync<InvalidOperationException>(() => call.RequestStream.WriteAsync(new Note()));
    }

    [Fact]
    public async Task A_server_streams_and_fails_after_its_messages()
    {
        using AsyncServerStreamingCall<Note> call = _client.Count(new Note { Number = 1000, Text = "fail" });
        var numbers = new List<int>();
        RpcException failure = await Assert.ThrowsAsync<RpcException>(async () =>
        {
            await foreach (Note note in call.ResponseStream.ReadAllAsync())
            {
                numbers.Add(note.Number);
            }
        });
        Assert.Equal(Enumerable.Range(1, 1000), numbers);
        Assert.Equal(new Status2(StatusCode.DataLoss, "ünlucky: 100%"), new Status2(failure.StatusCode, failure.Status.Detail));
    }

    [Fact]
    public async Task Both_stream_turn_by_turn()
    {
        using AsyncDuplexStreamingCall<Note, Note> call = _client.Talk();
        for (int i = 0; i < 20; i++)
        {
            await call.RequestStream.WriteAsync(new Note { Text = "ping", Number = i });
            Assert.True(await call.ResponseStream.MoveNext(CancellationToken.None));
            Assert.Equal(("PING", i), (call.ResponseStream.Current.Text, call.ResponseStream.Current.Number));
        }

        await call.RequestStream.CompleteAsync();
        Assert.False(await call.ResponseStream.MoveNext(CancellationToken.None));
    }

    [Theory]
    [InlineData(StatusCode.NotFound, "no such guest")]
    [InlineData(StatusCode.Unauthenticated, "who?")]
    [InlineData(StatusCode.InvalidArgument, "100% ünknown\nname")]
    public async Task A_status_arrives_as_it_was_sent(StatusCode code, string detail)
    {
        RpcException failure = await Assert.ThrowsAsync<RpcException>(async () => await _client.UnaryAsync(new Note { Text = $"fail {code} {detail}" }));
        Assert.Equal((code, detail), (failure.StatusCode, failure.Status.Detail));
    }

    [Fact]
    public async Task A_handlers_exception_is_not_told()
    {
        RpcException failure = await Assert.ThrowsAsync<RpcException>(async () => await _client.UnaryAsync(new Note { Text = "throw" }));
        Assert.Equal(StatusCode.Unknown, failure.StatusCode);
        Assert.DoesNotContain("secret", failure.Status.Detail, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Details_name_the_field()
    {
        RpcException failure = await Assert.ThrowsAsync<RpcException>(async () => await _client.UnaryAsync(new Note { Text = "details" }));
        BadRequest? bad = failure.GetRpcStatus()?.GetDetail<BadRequest>();
        Assert.Equal("text", bad?.FieldViolations[0].Field);
        Assert.Null(new RpcException(new global::Grpc.Core.Status(StatusCode.Internal, "")).GetRpcStatus());
    }

    [Fact]
    public async Task Metadata_goes_both_ways()
    {
        byte[] bytes = [0, 1, 255, 128];
        using AsyncUnaryCall<Note> call = _client.UnaryAsync(
            new Note { Text = "metadata" }, new Metadata { { "X-Text", "a, b" }, { "x-bytes-bin", bytes } });
        _ = await call;
        Metadata headers = await call.ResponseHeadersAsync;
        Assert.Equal("a, b", headers.GetValue("x-text"));
        Assert.Equal(bytes, headers.GetValueBytes("x-bytes-bin"));
        Assert.Equal("a, b", call.GetTrailers().GetValue("x-end"));
        Assert.Equal(bytes, call.GetTrailers().GetValueBytes("x-end-bin"));
    }

    [Theory]
    [InlineData("sleep")]
    [InlineData("deaf")]
    public async Task A_deadline_ends_a_call_on_both_sides(string text)
    {
        RpcException failure = await Assert.ThrowsAsync<RpcException>(
            async () => await _client.UnaryAsync(new Note { Text = text }, deadline: DateTime.UtcNow.AddMilliseconds(200)));
        Assert.Equal(StatusCode.DeadlineExceeded, failure.StatusCode);
        if (text == "sleep")
        {
            await _host.Service.Cancelled.Task.WaitAsync(TimeSpan.FromSeconds(10));
        }

        _host.Service.Cancelled.TrySetResult();
    }

    [Fact]
    public async Task A_cancelled_call_is_cancelled_on_the_server()
    {
        using var cancel = new CancellationTokenSource();
        using AsyncUnaryCall<Note> call = _client.UnaryAsync(new Note { Text = "sleep" }, cancellationToken: cancel.Token);
        await _client.UnaryAsync(new Note()); // the first one is under way: calls of a connection are read in order
        await cancel.CancelAsync();
        RpcException failure = await Assert.ThrowsAsync<RpcException>(async () => await call);
        Assert.Equal(StatusCode.Cancelled, failure.StatusCode);
        await _host.Service.Cancelled.Task.WaitAsync(TimeSpan.FromSeconds(10));
    }

    [Fact]
    public async Task A_disposed_stream_ends_the_handler()
    {
        AsyncServerStreamingCall<Note> call = _client.Count(new Note { Number = int.MaxValue, Data = ByteString.CopyFrom(new byte[1000]) });
        Assert.True(await call.ResponseStream.MoveNext(CancellationToken.None));
        call.Dispose();
        Assert.Equal(StatusCode.Cancelled, call.GetStatus().StatusCode);
        Assert.Equal("still there", (await _client.UnaryAsync(new Note { Text = "still there" })).Text);
    }

    [Fact]
    public async Task Messages_have_limits_in_both_directions()
    {
        RpcException big = await Assert.ThrowsAsync<RpcException>(async () => await _client.UnaryAsync(new Note { Data = ByteString.CopyFrom(new byte[5 << 20]) }));
        Assert.Equal(StatusCode.ResourceExhausted, big.StatusCode);
        big = await Assert.ThrowsAsync<RpcException>(async () => await _client.UnaryAsync(new Note { Text = "big", Number = 5 << 20 }));
        Assert.Equal(StatusCode.ResourceExhausted, big.StatusCode);
        Assert.Equal(3 << 20, (await _client.UnaryAsync(new Note { Text = "big", Number = 3 << 20 })).Data.Length);
        using GrpcChannel narrow = _host.Channel(new GrpcChannelOptions { MaxSendMessageSize = 100 });
        big = await Assert.ThrowsAsync<RpcException>(async () => await new Probe.ProbeClient(narrow).UnaryAsync(new Note { Data = ByteString.CopyFrom(new byte[200]) }));
        Assert.Equal(StatusCode.ResourceExhausted, big.StatusCode);
    }

    [Fact]
    public async Task Nobody_there_is_unavailable()
    {
        int port = _host.Port;
        await _host.DisposeAsync();
        using GrpcChannel channel = GrpcChannel.ForAddress($"http://127.0.0.1:{port}");
        RpcException failure = await Assert.ThrowsAsync<RpcException>(async () => await new Probe.ProbeClient(channel).UnaryAsync(new Note()));
        Assert.Equal(StatusCode.Unavailable, failure.StatusCode);
        _host = await ProbeHost.StartAsync();
    }

    private sealed record Status2(StatusCode Code, string Detail);
}
