using System.IO.Pipelines;
using Grpc.Core;
using Grpc.Wire;

namespace Grpc.Server;

/// <summary>Requests as they come.</summary>
internal sealed class RequestReader<T>(HttpServerCall call, PipeReader body, Marshaller<T> marshaller) : IAsyncStreamReader<T>
    where T : class
{
    private T? _current;

    public T Current => _current ?? throw new InvalidOperationException("there is no current message: call MoveNext first");

    public async Task<bool> MoveNext(CancellationToken cancellationToken)
    {
        using var either = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken, call.CancellationToken);
        (bool found, T? message) = await Framing.ReadAsync(body, marshaller, call.Options.MaxReceiveMessageSize, either.Token).ConfigureAwait(false);
        _current = message;
        return found;
    }
}

/// <summary>Responses as they go.</summary>
internal sealed class ResponseWriter<T>(HttpServerCall call, Marshaller<T> marshaller) : IServerStreamWriter<T>
{
    public WriteOptions? WriteOptions
    {
        get => call.WriteOptions;
        set => call.WriteOptions = value;
    }

    public Task WriteAsync(T message) => call.SendAsync(message, marshaller, call.CancellationToken);

    public async Task WriteAsync(T message, CancellationToken cancellationToken)
    {
        using var either = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken, call.CancellationToken);
        await call.SendAsync(message, marshaller, either.Token).ConfigureAwait(false);
    }
}
