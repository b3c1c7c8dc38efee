using Microsoft.Extensions.DependencyInjection;

namespace Grpc.AspNetCore.Server;

/// <summary>Settings of all services of a server.</summary>
public sealed class GrpcServiceOptions
{
    /// <summary>Most bytes of a message that is received; null: no limit. 4 MB.</summary>
    public int? MaxReceiveMessageSize { get; set; } = Wire.Framing.DefaultMaxMessageBytes;

    /// <summary>Most bytes of a message that is sent; null: no limit.</summary>
    public int? MaxSendMessageSize { get; set; }

    /// <summary>Whether a client is told the message of an exception that a handler did not mean for it.</summary>
    public bool? EnableDetailedErrors { get; set; }

    /// <summary>Called around every handler, first one outermost (see <see cref="Core.Interceptors.Interceptor"/>).</summary>
    public InterceptorCollection Interceptors { get; } = new();
}

/// <summary>The interceptors of a server, outermost first.</summary>
public sealed class InterceptorCollection
{
    private readonly List<(Type Type, object[] Arguments)> _registered = [];

    /// <summary>Adds one, taken from the container or made with these arguments.</summary>
    public void Add<TInterceptor>(params object[] args)
        where TInterceptor : Core.Interceptors.Interceptor => _registered.Add((typeof(TInterceptor), args));

    internal IReadOnlyList<Core.Interceptors.Interceptor> Resolve(IServiceProvider services) =>
    [
        .. _registered.Select(one => (Core.Interceptors.Interceptor)(one.Arguments.Length == 0
            ? ActivatorUtilities.GetServiceOrCreateInstance(services, one.Type) : ActivatorUtilities.CreateInstance(services, one.Type, one.Arguments))),
    ];
}
