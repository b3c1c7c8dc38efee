using System.Globalization;
using System.Reflection;
using Grpc.AspNetCore.Server;
using Grpc.Core;
using Grpc.Server;
using Grpc.Wire;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Routing;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Options;

namespace Microsoft.AspNetCore.Builder;

/// <summary>Services of a server.</summary>
public static class GrpcEndpointRouteBuilderExtensions
{
    /// <summary>
    /// Serves the generated service base of <typeparamref name="TService"/>. The service is a singleton of the container (or is made once here);
    /// unknown methods of any service are answered with Unimplemented.
    /// </summary>
    public static GrpcServiceEndpointConventionBuilder MapGrpcService<TService>(this IEndpointRouteBuilder builder)
        where TService : class
    {
        ArgumentNullException.ThrowIfNull(builder);
        IServiceProvider services = builder.ServiceProvider;
        TService service = ActivatorUtilities.GetServiceOrCreateInstance<TService>(services);
        BindServiceMethodAttribute attribute = Ancestors(typeof(TService)).Select(type => type.GetCustomAttribute<BindServiceMethodAttribute>(inherit: false))
            .FirstOrDefault(found => found is not null) ?? throw new InvalidOperationException($"{typeof(TService).Name} derives from no generated service base");
        MethodInfo bind = attribute.BindType.GetMethods(BindingFlags.Public | BindingFlags.Static)
            .First(method => method.Name == attribute.BindMethodName && method.GetParameters() is [{ ParameterType: var first }, _] && first == typeof(ServiceBinderBase));
        GrpcServiceOptions options = services.GetRequiredService<IOptions<GrpcServiceOptions>>().Value;
        var binder = new EndpointBinder(
            builder, options, options.Interceptors.Resolve(services), services.GetService<TimeProvider>() ?? TimeProvider.System,
            services.GetRequiredService<ILoggerFactory>().CreateLogger("Grpc"));
        _ = bind.Invoke(null, [binder, service]);
        MapUnknown(builder);
        return new GrpcServiceEndpointConventionBuilder(binder.Endpoints);
    }

    private static IEnumerable<Type> Ancestors(Type type)
    {
        for (Type? at = type; at is not null; at = at.BaseType)
        {
            yield return at;
        }
    }

    private static void MapUnknown(IEndpointRouteBuilder builder)
    {
        if (builder.DataSources.SelectMany(source => source.Endpoints).Any(endpoint => endpoint.DisplayName == Unknown))
        {
            return;
        }

        builder.Map("{unimplementedService}/{unimplementedMethod}", http =>
        {
            if (!Headers.IsGrpc(http.Request.ContentType))
            {
                http.Response.StatusCode = StatusCodes.Status404NotFound;
                return Task.CompletedTask;
            }

            http.Response.ContentType = Headers.ContentType;
            http.Response.Headers[Headers.Status] = ((int)StatusCode.Unimplemented).ToString(CultureInfo.InvariantCulture);
            http.Response.Headers[Headers.Message] = StatusMessage.Encode($"{http.Request.Path} is not known here");
            return Task.CompletedTask;
        }).WithDisplayName(Unknown).Add(endpoint => ((RouteEndpointBuilder)endpoint).Order = int.MaxValue);
    }

    private const string Unknown = "gRPC - unimplemented";
}

/// <summary>All endpoints of a service, for conventions such as access rules.</summary>
public sealed class GrpcServiceEndpointConventionBuilder : IEndpointConventionBuilder
{
    private readonly List<IEndpointConventionBuilder> _endpoints;

    internal GrpcServiceEndpointConventionBuilder(List<IEndpointConventionBuilder> endpoints) => _endpoints = endpoints;

    /// <inheritdoc/>
    public void Add(Action<EndpointBuilder> convention) => _endpoints.ForEach(endpoint => endpoint.Add(convention));
}
