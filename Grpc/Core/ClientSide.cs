using System.Runtime.CompilerServices;

namespace Grpc.Core;

/// <summary>What goes with a call besides its message.</summary>
/// <param name="headers">Sent before the messages.</param>
/// <param name="deadline">When to give up, in UTC.</param>
/// <param name="cancellationToken">Ends the call.</param>
/// <param name="writeOptions">How requests are written.</param>
public struct CallOptions(Metadata? headers = null, DateTime? deadline = null, CancellationToken cancellationToken = default, WriteOptions? writeOptions = null)
{
    /// <summary>Sent before the messages.</summary>
    public Metadata? Headers { get; private set; } = headers;

    /// <summary>When to give up, in UTC.</summary>
    public DateTime? Deadline { get; private set; } = deadline;

    /// <summary>Ends the call.</summary>
    public CancellationToken CancellationToken { get; private set; } = cancellationToken;

    /// <summary>How requests are written.</summary>
    public WriteOptions? WriteOptions { get; private set; } = writeOptions;

    /// <summary>The same with other headers.</summary>
    public readonly CallOptions WithHeaders(Metadata headers) => this with { Headers = headers };

    /// <summary>The same with another deadline.</summary>
    public readonly CallOptions WithDeadline(DateTime deadline) => this with { Deadline = deadline };

    /// <summary>The same with another token.</summary>
    public readonly CallOptions WithCancellationToken(CancellationToken cancellationToken) => this with { CancellationToken = cancellationToken };
}

/// <summary>Makes calls; generated clients use it.</summary>
public abstract class CallInvoker
{
    /// <summary>One message each way, waiting for the answer.</summary>
    public abstract TResponse BlockingUnaryCall<TRequest, TResponse>(Method<TRequest, TResponse> method, string? host, CallOptions options, TRequest request)
        where TRequest : class
        where TResponse : class;

    /// <summary>One message each way.</summary>
    public abstract AsyncUnaryCall<TResponse> AsyncUnaryCall<TRequest, TResponse>(
        Method<TRequest, TResponse> method, string? host, CallOptions options, TRequest request)
        where TRequest : class
        where TResponse : class;

    /// <summary>A stream of responses.</summary>
    public abstract AsyncServerStreamingCall<TResponse> AsyncServerStreamingCall<TRequest, TResponse>(
        Method<TRequest, TResponse> method, string? host, CallOptions options, TRequest request)
        where TRequest : class
        where TResponse : class;

    /// <summary>A stream of requests.</summary>
    public abstract AsyncClientStreamingCall<TRequest, TResponse> AsyncClientStreamingCall<TRequest, TResponse>(
        Method<TRequest, TResponse> method, string? host, CallOptions options)
        where TRequest : class
        where TResponse : class;

    /// <summary>A stream each way.</summary>
    public abstract AsyncDuplexStreamingCall<TRequest, TResponse> AsyncDuplexStreamingCall<TRequest, TResponse>(
        Method<TRequest, TResponse> method, string? host, CallOptions options)
        where TRequest : class
        where TResponse : class;
}

/// <summary>A way to a server.</summary>
public abstract class ChannelBase(string target)
{
    /// <summary>Where to.</summary>
    public string Target { get; } = target;

    /// <summary>Makes calls over this channel.</summary>
    public abstract CallInvoker CreateCallInvoker();

    /// <summary>Ends it.</summary>
    public Task ShutdownAsync() => ShutdownAsyncCore();

    /// <inheritdoc cref="ShutdownAsync"/>
    protected virtual Task ShutdownAsyncCore() => Task.CompletedTask;
}

/// <summary>What generated clients derive from.</summary>
public abstract class ClientBase
{
    /// <summary>For tests that replace the client.</summary>
    protected ClientBase()
        : this(new ClientBaseConfiguration(null!))
    {
    }

    /// <summary>Over a channel.</summary>
    protected ClientBase(ChannelBase channel)
        : this(channel.CreateCallInvoker())
    {
    }

    /// <summary>With an invoker.</summary>
    protected ClientBase(CallInvoker callInvoker)
        : this(new ClientBaseConfiguration(callInvoker))
    {
    }

    /// <summary>With a configuration.</summary>
    protected ClientBase(ClientBaseConfiguration configuration) => Configuration = configuration;

    /// <summary>Makes the calls.</summary>
    protected CallInvoker CallInvoker => Configuration.Invoker;

    internal ClientBaseConfiguration Configuration { get; }

    /// <summary>What a client is made with.</summary>
    protected internal sealed class ClientBaseConfiguration
    {
        internal ClientBaseConfiguration(CallInvoker invoker) => Invoker = invoker;

        internal CallInvoker Invoker { get; }
    }
}

/// <summary>What generated clients derive from.</summary>
public abstract class ClientBase<T> : ClientBase
    where T : ClientBase<T>
{
    /// <inheritdoc/>
    protected ClientBase()
    {
    }

    /// <inheritdoc/>
    protected ClientBase(ChannelBase channel)
        : base(channel)
    {
    }

    /// <inheritdoc/>
    protected ClientBase(CallInvoker callInvoker)
        : base(callInvoker)
    {
    }

    /// <inheritdoc/>
    protected ClientBase(ClientBaseConfiguration configuration)
        : base(configuration)
    {
    }

    /// <summary>Another client of the same kind.</summary>
    protected abstract T NewInstance(ClientBaseConfiguration configuration);
}

/// <summary>What every call has once it is under way.</summary>
internal interface ICall : IDisposable
{
    Task<Metadata> ResponseHeadersAsync { get; }

    Status GetStatus();

    Metadata GetTrailers();
}

/// <summary>A call of one message each way; it can be awaited.</summary>
public sealed class AsyncUnaryCall<TResponse> : IDisposable
{
    private readonly ICall _call;

    internal AsyncUnaryCall(ICall call, Task<TResponse> response)
    {
        _call = call;
        ResponseAsync = response;
    }

    /// <summary>The answer.</summary>
    public Task<TResponse> ResponseAsync { get; }

    /// <summary>What came before it.</summary>
    public Task<Metadata> ResponseHeadersAsync => _call.ResponseHeadersAsync;

    /// <summary>Awaits the answer.</summary>
    public TaskAwaiter<TResponse> GetAwaiter() => ResponseAsync.GetAwaiter();

    /// <summary>How it ended; only when it has.</summary>
    public Status GetStatus() => _call.GetStatus();

    /// <summary>What came after it; only when it has ended.</summary>
    public Metadata GetTrailers() => _call.GetTrailers();

    /// <summary>Ends the call if it goes on.</summary>
    public void Dispose() => _call.Dispose();
}

/// <summary>A call that is answered by a stream.</summary>
public sealed class AsyncServerStreamingCall<TResponse> : IDisposable
{
    private readonly ICall _call;

    internal AsyncServerStreamingCall(ICall call, IAsyncStreamReader<TResponse> responses)
    {
        _call = call;
        ResponseStream = responses;
    }

    /// <summary>The answers.</summary>
    public IAsyncStreamReader<TResponse> ResponseStream { get; }

    /// <summary>What came before them.</summary>
    public Task<Metadata> ResponseHeadersAsync => _call.ResponseHeadersAsync;

    /// <summary>How it ended; only when it has.</summary>
    public Status GetStatus() => _call.GetStatus();

    /// <summary>What came after the messages; only when it has ended.</summary>
    public Metadata GetTrailers() => _call.GetTrailers();

    /// <summary>Ends the call if it goes on.</summary>
    public void Dispose() => _call.Dispose();
}

/// <summary>A call with a stream of requests.</summary>
public sealed class AsyncClientStreamingCall<TRequest, TResponse> : IDisposable
{
    private readonly ICall _call;

    internal AsyncClientStreamingCall(ICall call, IClientStreamWriter<TRequest> requests, Task<TResponse> response)
    {
        _call = call;
        RequestStream = requests;
        ResponseAsync = response;
    }

    /// <summary>The requests.</summary>
    public IClientStreamWriter<TRequest> RequestStream { get; }

    /// <summary>The answer.</summary>
    public Task<TResponse> ResponseAsync { get; }

    /// <summary>What came before it.</summary>
    public Task<Metadata> ResponseHeadersAsync => _call.ResponseHeadersAsync;

    /// <summary>Awaits the answer.</summary>
    public TaskAwaiter<TResponse> GetAwaiter() => ResponseAsync.GetAwaiter();

    /// <summary>How it ended; only when it has.</summary>
    public Status GetStatus() => _call.GetStatus();

    /// <summary>What came after it; only when it has ended.</summary>
    public Metadata GetTrailers() => _call.GetTrailers();

    /// <summary>Ends the call if it goes on.</summary>
    public void Dispose() => _call.Dispose();
}

/// <summary>A call with a stream each way.</summary>
public sealed class AsyncDuplexStreamingCall<TRequest, TResponse> : IDisposable
{
    private readonly ICall _call;

    internal AsyncDuplexStreamingCall(ICall call, IClientStreamWriter<TRequest> requests, IAsyncStreamReader<TResponse> responses)
    {
        _call = call;
        RequestStream = requests;
        ResponseStream = responses;
    }

    /// <summary>The requests.</summary>
    public IClientStreamWriter<TRequest> RequestStream { get; }

    /// <summary>The answers.</summary>
    public IAsyncStreamReader<TResponse> ResponseStream { get; }

    /// <summary>What came before them.</summary>
    public Task<Metadata> ResponseHeadersAsync => _call.ResponseHeadersAsync;

    /// <summary>How it ended; only when it has.</summary>
    public Status GetStatus() => _call.GetStatus();

    /// <summary>What came after the messages; only when it has ended.</summary>
    public Metadata GetTrailers() => _call.GetTrailers();

    /// <summary>Ends the call if it goes on.</summary>
    public void Dispose() => _call.Dispose();
}
