using System.Net;
using Grpc.Core;
using Grpc.Wire;

namespace Grpc.Client;

/// <summary>The body of a request whose messages are written while the call runs.</summary>
internal sealed class RequestStream<T>(Marshaller<T> marshaller, int? most, Func<Exception, Exception> failure, CancellationToken ending) : HttpContent, IClientStreamWriter<T>
    where T : class
{
    private readonly TaskCompletionSource<Stream> _stream = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly TaskCompletionSource _complete = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private int _writing;

    public WriteOptions? WriteOptions { get; set; }

    public Task WriteAsync(T message) => WriteAsync(message, CancellationToken.None);

    public async Task WriteAsync(T message, CancellationToken cancellationToken)
    {
        ArgumentNullException.ThrowIfNull(message);
        if (_complete.Task.IsCompleted)
        {
            throw new InvalidOperationException("the request stream is complete");
        }

        if (Interlocked.Exchange(ref _writing, 1) != 0)
        {
            throw new InvalidOperationException("one message at a time: the one before has not been written yet");
        }

        try
        {
            byte[] frame = Framing.Write(message, marshaller, most);
            using var either = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken, ending);
            Stream stream = await _stream.Task.WaitAsync(either.Token).ConfigureAwait(false);
            await stream.WriteAsync(frame, either.Token).ConfigureAwait(false);
            await stream.FlushAsync(either.Token).ConfigureAwait(false);
        }
        catch (Exception e) when (e is not (RpcException or InvalidOperationException))
        {
            throw failure(e);
        }
        finally
        {
            Volatile.Write(ref _writing, 0);
        }
    }

    public Task CompleteAsync()
    {
        _ = _complete.TrySetResult();
        return Task.CompletedTask;
    }

    protected override Task SerializeToStreamAsync(Stream stream, TransportContext? context) => SerializeToStreamAsync(stream, context, ending);

    protected override async Task SerializeToStreamAsync(Stream stream, TransportContext? context, CancellationToken cancellationToken)
    {
        await stream.FlushAsync(cancellationToken).ConfigureAwait(false); // the headers go out before the first message
        _ = _stream.TrySetResult(stream);
        await _complete.Task.WaitAsync(cancellationToken).ConfigureAwait(false);
    }

    protected override bool TryComputeLength(out long length)
    {
        length = -1;
        return false;
    }
}
