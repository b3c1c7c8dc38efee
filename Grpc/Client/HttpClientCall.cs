using System.Globalization;
using System.IO.Pipelines;
using System.Net;
using System.Net.Http.Headers;
using Grpc.Core;
using Grpc.Net.Client;
using Grpc.Wire;

namespace Grpc.Client;

/// <summary>One call over HTTP/2, from its request to its status. It is its own reader of responses.</summary>
internal sealed class HttpClientCall<TRequest, TResponse> : ICall, IAsyncStreamReader<TResponse>
    where TRequest : class
    where TResponse : class
{
    private readonly GrpcChannel _channel;
    private readonly Method<TRequest, TResponse> _method;
    private readonly CallOptions _options;
    private static readonly TimeSpan TimerGrain = TimeSpan.FromMilliseconds(20);

    private readonly CancellationTokenSource _ending;
    private readonly TaskCompletionSource<Metadata> _headers = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly Lock _sync = new();
    private Task<PipeReader?> _responses = Task.FromResult<PipeReader?>(null);
    private HttpResponseMessage? _response;
    private TResponse? _current;
    private Status? _status;
    private Metadata _trailers = [];
    private bool _disposed;

    internal HttpClientCall(GrpcChannel channel, Method<TRequest, TResponse> method, CallOptions options)
    {
        _channel = channel;
        _method = method;
        _options = options;
        _ending = CancellationTokenSource.CreateLinkedTokenSource(options.CancellationToken);
    }

    public Task<Metadata> ResponseHeadersAsync => _headers.Task;

    public TResponse Current => _current ?? throw new InvalidOperationException("there is no current message: call MoveNext first");

    internal CancellationToken Ending => _ending.Token;

    /// <summary>Begins with the one request.</summary>
    internal void Start(TRequest request)
    {
        try
        {
            byte[] frame = Framing.Write(request, _method.RequestMarshaller, _channel.Options.MaxSendMessageSize);
            Begin(new ByteArrayContent(frame));
        }
        catch (RpcException e)
        {
            End(e.Status, []);
        }
    }

    /// <summary>Begins with a stream of requests.</summary>
    internal RequestStream<TRequest> StartStream()
    {
        var content = new RequestStream<TRequest>(_method.RequestMarshaller, _channel.Options.MaxSendMessageSize, Failure, _ending.Token);
        Begin(content);
        return content;
    }

    /// <summary>The only response; fails if there is none, or more than one.</summary>
    internal async Task<TResponse> ReadSingleAsync()
    {
        if (!await MoveNext(CancellationToken.None).ConfigureAwait(false))
        {
            throw Fail(new Status(StatusCode.Internal, "the call succeeded without a response"));
        }

        TResponse response = Current;
        return await MoveNext(CancellationToken.None).ConfigureAwait(false) ? throw Fail(new Status(StatusCode.Internal, "the call has more than one response")) : response;
    }

    public async Task<bool> MoveNext(CancellationToken cancellationToken)
    {
        using CancellationTokenRegistration registration = cancellationToken.UnsafeRegister(static source => ((CancellationTokenSource)source!).Cancel(), _ending);
        try
        {
            PipeReader? body = await _responses.ConfigureAwait(false);
            if (body is not null && _status is null)
            {
                (bool found, TResponse? message) = await Framing.ReadAsync(body, _method.ResponseMarshaller, _channel.Options.MaxReceiveMessageSize, _ending.Token)
                    .ConfigureAwait(false);
                _current = message;
                if (found)
                {
                    return true;
                }

                ReadStatus(_response!.TrailingHeaders, mustHave: true);
            }
        }
        catch (Exception e)
        {
            _ = Fail(StatusOf(e));
        }

        Status status = _status ?? new Status(StatusCode.Unknown, "the call did not begin");
        return status.StatusCode == StatusCode.OK ? false : throw new RpcException(status, _trailers);
    }

    public Status GetStatus() => _status ?? throw new InvalidOperationException("the call has not ended yet");

    public Metadata GetTrailers() => _status is null ? throw new InvalidOperationException("the call has not ended yet") : _trailers;

    public void Dispose()
    {
        lock (_sync)
        {
            if (_disposed)
            {
                return;
            }

            _disposed = true;
        }

        if (_status is null)
        {
            _ = Fail(Status.DefaultCancelled);
        }

        _ending.Cancel();
        _response?.Dispose();
    }

    private void Begin(HttpContent content)
    {
        var request = new HttpRequestMessage(HttpMethod.Post, new Uri(_channel.Address, _method.FullName))
        {
            Version = HttpVersion.Version20,
            VersionPolicy = HttpVersionPolicy.RequestVersionExact,
            Content = content,
        };
        content.Headers.ContentType = new MediaTypeHeaderValue(Headers.ContentType);
        request.Headers.TE.Add(new TransferCodingWithQualityHeaderValue("trailers"));
        request.Headers.UserAgent.Add(new ProductInfoHeaderValue("grpc-dotnet-netkernel", "1.0"));
        _ = request.Headers.TryAddWithoutValidation(Headers.AcceptEncoding, "identity");
        foreach (Metadata.Entry entry in _options.Headers ?? [])
        {
            if (!Headers.IsReserved(entry.Key))
            {
                _ = request.Headers.TryAddWithoutValidation(entry.Key, Headers.Value(entry));
            }
        }

        if (_options.Deadline is { } deadline && deadline != DateTime.MaxValue)
        {
            TimeSpan left = deadline.ToUniversalTime() - DateTime.UtcNow;
            request.Headers.Add(GrpcTimeout.Header, GrpcTimeout.Format(left));
            _ending.CancelAfter(left <= TimeSpan.Zero ? TimeSpan.Zero : left.TotalMilliseconds < uint.MaxValue - 1 ? left : TimeSpan.FromMilliseconds(uint.MaxValue - 2));
        }

        _responses = SendAsync(request);
    }

    private async Task<PipeReader?> SendAsync(HttpRequestMessage request)
    {
        try
        {
            _response = await _channel.Http.SendAsync(request, _ending.Token).ConfigureAwait(false);
            if (_response.StatusCode != HttpStatusCode.OK)
            {
                _ = Fail(new Status(OfHttp(_response.StatusCode), $"HTTP status {(int)_response.StatusCode}"));
                return null;
            }

            if (!Headers.IsGrpc(_response.Content.Headers.ContentType?.ToString()))
            {
                _ = Fail(new Status(StatusCode.Unknown, $"the answer is no gRPC: content type '{_response.Content.Headers.ContentType}'"));
                return null;
            }

            var metadata = new Metadata();
            Read(_response.Headers, metadata);
            _ = _headers.TrySetResult(metadata);
            if (_response.Headers.Contains(Headers.Status))
            {
                ReadStatus(_response.Headers, mustHave: true); // Trailers-Only
                return null;
            }

            return PipeReader.Create(await _response.Content.ReadAsStreamAsync(_ending.Token).ConfigureAwait(false));
        }
        catch (Exception e)
        {
            _ = Fail(StatusOf(e));
            return null;
        }
    }

    private void ReadStatus(HttpResponseHeaders headers, bool mustHave)
    {
        var trailers = new Metadata();
        Read(headers, trailers);
        if (!headers.TryGetValues(Headers.Status, out IEnumerable<string>? codes))
        {
            End(mustHave ? new Status(StatusCode.Internal, "the answer ended without a grpc-status") : Status.DefaultSuccess, trailers);
            return;
        }

        string message = headers.TryGetValues(Headers.Message, out IEnumerable<string>? messages) ? StatusMessage.Decode(messages.First()) : "";
        bool known = int.TryParse(codes.First(), NumberStyles.None, CultureInfo.InvariantCulture, out int code) && code is >= 0 and <= 16;
        End(new Status(known ? (StatusCode)code : StatusCode.Unknown, message), trailers);
    }

    private static void Read(HttpResponseHeaders headers, Metadata metadata)
    {
        foreach ((string name, IEnumerable<string> values) in headers)
        {
            foreach (string value in values)
            {
                try
                {
                    Headers.Read(name.ToLowerInvariant(), value, metadata);
                }
                catch (ArgumentException)
                {
                    // No metadata key.
                }
            }
        }
    }

    private Exception Failure(Exception cause) => _status is { } status ? new RpcException(status, _trailers) : Fail(StatusOf(cause));

    private RpcException Fail(Status status)
    {
        End(status, []);
        _ = _headers.TrySetException(new RpcException(_status!.Value));
        _ = _headers.Task.Exception; // seen: nobody has to ask for headers
        if (_status!.Value.StatusCode != StatusCode.OK)
        {
            _ending.Cancel();
        }

        return new RpcException(_status!.Value, _trailers);
    }

    private void End(Status status, Metadata trailers)
    {
        lock (_sync)
        {
            if (_status is null)
            {
                _trailers = trailers;
                _status = status;
            }
        }
    }

    // Both ends measure the deadline, each by a timer that may be early by the clock's grain: who ends the call first is chance, the status is not.
    private bool Overdue =>
        _options.Deadline is { } deadline && deadline != DateTime.MaxValue && DateTime.UtcNow >= deadline.ToUniversalTime() - TimerGrain;

    private static HttpProtocolException? Http2(Exception e) => e as HttpProtocolException ?? e.InnerException as HttpProtocolException;

    private Status StatusOf(Exception e)
    {
        if (e is RpcException rpc)
        {
            return rpc.Status;
        }

        if (Overdue && !_options.CancellationToken.IsCancellationRequested && (e is OperationCanceledException || _ending.IsCancellationRequested || Http2(e)?.ErrorCode == 8))
        {
            return new Status(StatusCode.DeadlineExceeded, "Deadline Exceeded", e);
        }

        if (e is OperationCanceledException || _ending.IsCancellationRequested)
        {
            return new Status(StatusCode.Cancelled, "the call was cancelled", e);
        }

        // gRPC over HTTP/2, "HTTP2 Transport Mapping", Errors.
        HttpProtocolException? protocol = Http2(e);
        return protocol?.ErrorCode switch
        {
            7 => new Status(StatusCode.Unavailable, "the server refused the stream", e),
            8 => new Status(StatusCode.Cancelled, "the server cancelled the call", e),
            11 => new Status(StatusCode.ResourceExhausted, "the server asks for calm", e),
            12 => new Status(StatusCode.PermissionDenied, "the transport is not secure enough", e),
            not null => new Status(StatusCode.Internal, $"HTTP/2 error {protocol.ErrorCode}", e),
            _ => e is HttpRequestException or IOException ? new Status(StatusCode.Unavailable, "the server cannot be reached: " + (e.InnerException ?? e).Message, e)
                : new Status(StatusCode.Internal, e.Message, e),
        };
    }

    private static StatusCode OfHttp(HttpStatusCode code) => (int)code switch
    {
        400 => StatusCode.Internal,
        401 => StatusCode.Unauthenticated,
        403 => StatusCode.PermissionDenied,
        404 => StatusCode.Unimplemented,
        429 or 502 or 503 or 504 => StatusCode.Unavailable,
        _ => StatusCode.Unknown,
    };
}
