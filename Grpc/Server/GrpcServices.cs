using Grpc.AspNetCore.Server;

namespace Microsoft.Extensions.DependencyInjection;

/// <summary>gRPC in the container.</summary>
public static class GrpcServicesExtensions
{
    /// <summary>With the usual settings.</summary>
    public static IServiceCollection AddGrpc(this IServiceCollection services) => services.AddGrpc(_ => { });

    /// <summary>With settings.</summary>
    public static IServiceCollection AddGrpc(this IServiceCollection services, Action<GrpcServiceOptions> configureOptions)
    {
        _ = services.AddRouting();
        return services.Configure(configureOptions);
    }
}
