using Grpc.Core;
using Grpc.Wire;

namespace Grpc.Net.Client;

/// <summary>Settings of a channel.</summary>
public sealed class GrpcChannelOptions
{
    /// <summary>Makes the connections: a SocketsHttpHandler with TLS settings, or with a ConnectCallback for a Unix socket. Null: the usual.</summary>
    public HttpMessageHandler? HttpHandler { get; set; }

    /// <summary>Whether the handler ends with the channel.</summary>
    public bool DisposeHttpClient { get; set; }

    /// <summary>Most bytes of a message that is received; null: no limit. 4 MB.</summary>
    public int? MaxReceiveMessageSize { get; set; } = Framing.DefaultMaxMessageBytes;

    /// <summary>Most bytes of a message that is sent; null: no limit.</summary>
    public int? MaxSendMessageSize { get; set; }
}

/// <summary>A way to a server over HTTP/2.</summary>
public sealed class GrpcChannel : ChannelBase, IDisposable
{
    private readonly bool _owns;

    private GrpcChannel(Uri address, GrpcChannelOptions options)
        : base(address.Authority)
    {
        Address = address;
        Options = options;
        _owns = options.HttpHandler is null || options.DisposeHttpClient;
        Http = new HttpMessageInvoker(
            options.HttpHandler ?? new SocketsHttpHandler { EnableMultipleHttp2Connections = true, PooledConnectionIdleTimeout = Timeout.InfiniteTimeSpan }, _owns);
    }

    internal Uri Address { get; }

    internal GrpcChannelOptions Options { get; }

    internal HttpMessageInvoker Http { get; }

    /// <summary>To http://host:port (without TLS) or https://host:port.</summary>
    public static GrpcChannel ForAddress(string address) => ForAddress(new Uri(address), new GrpcChannelOptions());

    /// <summary>With settings.</summary>
    public static GrpcChannel ForAddress(string address, GrpcChannelOptions channelOptions) => ForAddress(new Uri(address), channelOptions);

    /// <summary>With settings.</summary>
    public static GrpcChannel ForAddress(Uri address, GrpcChannelOptions channelOptions) => new(address, channelOptions);

    /// <inheritdoc/>
    public override CallInvoker CreateCallInvoker() => new Grpc.Client.HttpCallInvoker(this);

    /// <summary>Ends the connections and every call.</summary>
    public void Dispose()
    {
        if (_owns)
        {
            Http.Dispose();
        }
    }

    /// <inheritdoc/>
    protected override Task ShutdownAsyncCore()
    {
        Dispose();
        return Task.CompletedTask;
    }
}
