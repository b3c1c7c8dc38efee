using Grpc.AspNetCore.Server;
using Grpc.Core;
using Grpc.Wire;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.Features;
using Microsoft.AspNetCore.Server.Kestrel.Core.Features;
using Microsoft.Extensions.Logging;

namespace Grpc.Server;

/// <summary>Runs one method's handler for HTTP requests: checks the protocol, gives the handler its context, ends the call with a status.</summary>
internal sealed partial class CallHandler(
    string method, bool streamsRequests, GrpcServiceOptions options, TimeProvider time, ILogger logger, Func<HttpServerCall, HttpContext, Task> body)
{
    private const int CancelCode = 8; // RFC 9113, 7: CANCEL

    internal async Task HandleAsync(HttpContext http)
    {
        if (!HttpMethods.IsPost(http.Request.Method) || !Headers.IsGrpc(http.Request.ContentType))
        {
            http.Response.StatusCode = HttpMethods.IsPost(http.Request.Method) ? StatusCodes.Status415UnsupportedMediaType : StatusCodes.Status405MethodNotAllowed;
            return;
        }

        if (!HttpProtocol.IsHttp2(http.Request.Protocol) && !HttpProtocol.IsHttp3(http.Request.Protocol))
        {
            http.Response.StatusCode = StatusCodes.Status426UpgradeRequired;
            return;
        }

        http.Response.ContentType = Headers.ContentType;
        http.Response.Headers[Headers.AcceptEncoding] = "identity";
        if (http.Features.Get<IHttpMaxRequestBodySizeFeature>() is { IsReadOnly: false } size)
        {
            size.MaxRequestBodySize = null; // a stream has no length; each message has its limit
        }

        if (streamsRequests && http.Features.Get<IHttpMinRequestBodyDataRateFeature>() is { } rate)
        {
            rate.MinDataRate = null; // a stream may be silent; who sends one message only is not to take for ever
        }

        TimeSpan? timeout = null;
        Status wrong = default;
        if (http.Request.Headers.TryGetValue(Headers.Encoding, out var encoding) && encoding.ToString() is not ("identity" or ""))
        {
            wrong = new Status(StatusCode.Unimplemented, $"grpc-encoding '{encoding}' is not supported; send identity");
        }
        else if (http.Request.Headers.TryGetValue(GrpcTimeout.Header, out var text))
        {
            wrong = GrpcTimeout.TryParse(text.ToString(), out TimeSpan parsed) ? default : new Status(StatusCode.Internal, $"'{text}' is no grpc-timeout");
            timeout = parsed;
        }

        using var call = new HttpServerCall(http, options, method, wrong == default ? timeout : null, time);
        if (wrong != default)
        {
            call.Finish(new RpcException(wrong));
            return;
        }

        Exception? failure = null;
        Task running = body(call, http);
        try
        {
            // A handler that does not look at its token must not hold up an answer that is due.
            await running.WaitAsync(call.CancellationToken).ConfigureAwait(false);
        }
        catch (Exception e)
        {
            failure = e;
            if (e is not (RpcException or OperationCanceledException))
            {
                LogFailure(logger, method, e);
            }
        }

        call.Finish(failure);
        if (!running.IsCompleted)
        {
            await EndEarly(http, running).ConfigureAwait(false);
        }
        else if (call.Expired)
        {
            await http.Response.CompleteAsync().ConfigureAwait(false);
        }
    }

    /// <summary>The handler goes on without anybody to answer: its client has its status, and the request is not disposed under it.</summary>
    private async Task EndEarly(HttpContext http, Task running)
    {
        await http.Response.CompleteAsync().ConfigureAwait(false);
        http.Features.Get<IHttpResetFeature>()?.Reset(CancelCode);
        try
        {
            await running.ConfigureAwait(false);
        }
        catch (Exception e)
        {
            if (e is not (RpcException or OperationCanceledException))
            {
                LogFailure(logger, method, e);
            }
        }
    }

    [LoggerMessage(Level = LogLevel.Error, Message = "{Method}: the handler failed")]
    private static partial void LogFailure(ILogger logger, string method, Exception exception);
}
