namespace Grpc.Core;

/// <summary>Flags for messages that are written.</summary>
[Flags]
public enum WriteFlags
{
    /// <summary>May wait for more before it is sent.</summary>
    BufferHint = 1,

    /// <summary>Not compressed, whatever the call's setting.</summary>
    NoCompress = 2,
}

/// <summary>How messages are written.</summary>
public sealed class WriteOptions(WriteFlags flags = default)
{
    /// <summary>The usual.</summary>
    public static readonly WriteOptions Default = new();

    /// <summary>The flags.</summary>
    public WriteFlags Flags { get; } = flags;
}

/// <summary>A stream of messages that come.</summary>
public interface IAsyncStreamReader<out T>
{
    /// <summary>The message that MoveNext found.</summary>
    T Current { get; }

    /// <summary>Waits for the next message; false at the end.</summary>
    Task<bool> MoveNext(CancellationToken cancellationToken);
}

/// <summary>A stream of messages that go.</summary>
public interface IAsyncStreamWriter<in T>
{
    /// <summary>How messages are written from now on.</summary>
    WriteOptions? WriteOptions { get; set; }

    /// <summary>Writes one; the task ends when there is room for the next (flow control). One at a time.</summary>
    Task WriteAsync(T message);

    /// <summary>Writes one, unless cancelled.</summary>
    Task WriteAsync(T message, CancellationToken cancellationToken) =>
        cancellationToken.CanBeCanceled ? throw new NotSupportedException("this stream cannot cancel a write") : WriteAsync(message);
}

/// <summary>The client's stream of requests.</summary>
public interface IClientStreamWriter<in T> : IAsyncStreamWriter<T>
{
    /// <summary>No more will follow.</summary>
    Task CompleteAsync();
}

/// <summary>The server's stream of responses.</summary>
public interface IServerStreamWriter<in T> : IAsyncStreamWriter<T>;

/// <summary>Reading streams with await foreach.</summary>
public static class AsyncStreamReaderExtensions
{
    /// <summary>The next message, or false at the end.</summary>
    public static Task<bool> MoveNext<T>(this IAsyncStreamReader<T> streamReader)
        where T : class => streamReader.MoveNext(CancellationToken.None);

    /// <summary>All that come.</summary>
    public static async IAsyncEnumerable<T> ReadAllAsync<T>(
        this IAsyncStreamReader<T> streamReader, [System.Runtime.CompilerServices.EnumeratorCancellation] CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(streamReader);
        while (await streamReader.MoveNext(cancellationToken).ConfigureAwait(false))
        {
            yield return streamReader.Current;
        }
    }
}
