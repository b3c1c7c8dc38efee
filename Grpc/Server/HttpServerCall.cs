using System.Globalization;
using Grpc.AspNetCore.Server;
using Grpc.Core;
using Grpc.Wire;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.Features;

namespace Grpc.Server;

/// <summary>One call over HTTP/2: its context, its deadline and its end.</summary>
internal sealed class HttpServerCall : ServerCallContext, IDisposable
{
    private readonly HttpContext _http;
    private readonly CancellationTokenSource _ended;
    private readonly ITimer? _timer;
    private readonly SemaphoreSlim _writing = new(1, 1);
    private Metadata? _requestHeaders;
    private Metadata? _trailers;
    private int _finished;

    internal HttpServerCall(HttpContext http, GrpcServiceOptions options, string method, TimeSpan? timeout, TimeProvider time)
    {
        _http = http;
        Options = options;
        MethodCore = method;
        _ended = CancellationTokenSource.CreateLinkedTokenSource(http.RequestAborted);
        DeadlineCore = DateTime.MaxValue;
        if (timeout is { } left)
        {
            DateTime now = time.GetUtcNow().UtcDateTime;
            DeadlineCore = left < DateTime.MaxValue - now ? now + left : DateTime.MaxValue;
            _timer = time.CreateTimer(static call => ((HttpServerCall)call!).Expire(), this, left < MostTimer ? left : MostTimer, Timeout.InfiniteTimeSpan);
        }
    }

    // A timer's own bound.
    private static TimeSpan MostTimer => TimeSpan.FromMilliseconds(uint.MaxValue - 1);

    internal GrpcServiceOptions Options { get; }

    internal bool Expired { get; private set; }

    /// <inheritdoc/>
    protected override string MethodCore { get; }

    /// <inheritdoc/>
    protected override string HostCore => _http.Request.Host.Value ?? "";

    /// <inheritdoc/>
    protected override string PeerCore
    {
        get
        {
            System.Net.IPAddress? address = _http.Connection.RemoteIpAddress;
            return address switch
            {
                null => "unix:",
                { AddressFamily: System.Net.Sockets.AddressFamily.InterNetworkV6 } => string.Create(CultureInfo.InvariantCulture, $"ipv6:[{address}]:{_http.Connection.RemotePort}"),
                _ => string.Create(CultureInfo.InvariantCulture, $"ipv4:{address}:{_http.Connection.RemotePort}"),
            };
        }
    }

    /// <inheritdoc/>
    protected override DateTime DeadlineCore { get; }

    /// <inheritdoc/>
    protected override Metadata RequestHeadersCore => _requestHeaders ??= ReadHeaders();

    /// <inheritdoc/>
    protected override CancellationToken CancellationTokenCore => _ended.Token;

    /// <inheritdoc/>
    protected override Metadata ResponseTrailersCore => _trailers ??= [];

    /// <inheritdoc/>
    protected override Status StatusCore { get; set; } = Status.DefaultSuccess;

    /// <inheritdoc/>
    protected override WriteOptions? WriteOptionsCore { get; set; }

    /// <inheritdoc/>
    protected override IDictionary<object, object> UserStateCore => (IDictionary<object, object>)_http.Items!;

    /// <summary>Of the connection underneath; null behind another transport.</summary>
    internal HttpContext Http => _http;

    /// <inheritdoc/>
    protected override async Task WriteResponseHeadersAsyncCore(Metadata responseHeaders)
    {
        if (_http.Response.HasStarted)
        {
            throw new InvalidOperationException("the response headers have been sent already");
        }

        foreach (Metadata.Entry entry in responseHeaders)
        {
            _http.Response.Headers.Append(entry.Key, Headers.Value(entry));
        }

        await _http.Response.BodyWriter.FlushAsync(_ended.Token).ConfigureAwait(false);
    }

    /// <summary>Sends one message; ends when there is room for the next.</summary>
    internal async Task SendAsync<T>(T message, Marshaller<T> marshaller, CancellationToken cancellation)
    {
        ArgumentNullException.ThrowIfNull(message);
        byte[] frame = Framing.Write(message, marshaller, Options.MaxSendMessageSize);
        await _writing.WaitAsync(cancellation).ConfigureAwait(false);
        try
        {
            if (_finished != 0)
            {
                throw new InvalidOperationException("the call has ended");
            }

            System.IO.Pipelines.FlushResult result = await _http.Response.BodyWriter.WriteAsync(frame, cancellation).ConfigureAwait(false);
            if (result.IsCompleted)
            {
                // The connection or stream is gone, which the token says a moment later: until then every write would succeed at once, into the void.
                throw new OperationCanceledException("nobody takes the call's answers any more");
            }
        }
        finally
        {
            _ = _writing.Release();
        }
    }

    /// <summary>Ends the call with what has become of it.</summary>
    internal void Finish(Exception? failure)
    {
        if (Interlocked.Exchange(ref _finished, 1) != 0)
        {
            return;
        }

        Status status = StatusCore;
        Metadata? extra = null;
        if (Expired)
        {
            status = new Status(StatusCode.DeadlineExceeded, "Deadline Exceeded");
        }
        else if (failure is RpcException rpc)
        {
            status = rpc.Status;
            extra = rpc.Trailers;
        }
        else if (failure is OperationCanceledException && _http.RequestAborted.IsCancellationRequested)
        {
            status = Status.DefaultCancelled;
        }
        else if (failure is not null)
        {
            status = new Status(StatusCode.Unknown, Options.EnableDetailedErrors == true ? "Exception was thrown by handler. " + failure.Message : "Exception was thrown by handler.");
        }

        WriteTrailers(status, extra);
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        _timer?.Dispose();
        _ended.Dispose();
        _writing.Dispose();
    }

    private void WriteTrailers(Status status, Metadata? extra)
    {
        // Trailers-Only: all in the headers, when nothing has been sent.
        IHttpResponseTrailersFeature? feature = _http.Features.Get<IHttpResponseTrailersFeature>();
        bool alone = !_http.Response.HasStarted;
        if (!alone && (feature is null || feature.Trailers.IsReadOnly))
        {
            return;
        }

        IHeaderDictionary target = alone ? _http.Response.Headers : feature!.Trailers;
        foreach (Metadata.Entry entry in (_trailers ?? []).Concat(extra ?? []))
        {
            target.Append(entry.Key, Headers.Value(entry));
        }

        target[Headers.Status] = ((int)status.StatusCode).ToString(CultureInfo.InvariantCulture);
        if (!string.IsNullOrEmpty(status.Detail))
        {
            target[Headers.Message] = StatusMessage.Encode(status.Detail);
        }
    }

    private void Expire()
    {
        if (_finished != 0)
        {
            return;
        }

        Expired = true;
        try
        {
            _ended.Cancel();
        }
        catch (ObjectDisposedException)
        {
            // The call ended at the same moment.
        }
    }

    private Metadata ReadHeaders()
    {
        var metadata = new Metadata();
        foreach ((string name, Microsoft.Extensions.Primitives.StringValues values) in _http.Request.Headers)
        {
            foreach (string? value in values)
            {
                if (value is not null && !name.StartsWith(':'))
                {
                    try
                    {
                        Headers.Read(name, value, metadata);
                    }
                    catch (ArgumentException)
                    {
                        // A header name that is no metadata key: HTTP allows more characters.
                    }
                }
            }
        }

        return metadata;
    }
}
