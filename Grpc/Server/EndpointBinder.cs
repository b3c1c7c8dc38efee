using Grpc.AspNetCore.Server;
using Grpc.Core;
using Grpc.Core.Interceptors;
using Grpc.Wire;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Routing;
using Microsoft.Extensions.Logging;

namespace Grpc.Server;

/// <summary>Makes an endpoint of every method of a service.</summary>
internal sealed class EndpointBinder(
    IEndpointRouteBuilder endpoints, GrpcServiceOptions options, IReadOnlyList<Interceptor> interceptors, TimeProvider time, ILogger logger) : ServiceBinderBase
{
    internal List<IEndpointConventionBuilder> Endpoints { get; } = [];

    public override void AddMethod<TRequest, TResponse>(Method<TRequest, TResponse> method, UnaryServerMethod<TRequest, TResponse>? handler)
    {
        UnaryServerMethod<TRequest, TResponse> outermost = Around(
            handler!, (interceptor, inner) => (request, context) => interceptor.UnaryServerHandler(request, context, inner));
        Map(method, async (call, http) =>
        {
            TRequest request = await ReadOne(method, call, http).ConfigureAwait(false);
            TResponse response = await outermost(request, call).ConfigureAwait(false);
            await Answer(method, call, response).ConfigureAwait(false);
        });
    }

    public override void AddMethod<TRequest, TResponse>(Method<TRequest, TResponse> method, ClientStreamingServerMethod<TRequest, TResponse>? handler)
    {
        ClientStreamingServerMethod<TRequest, TResponse> outermost = Around(
            handler!, (interceptor, inner) => (requests, context) => interceptor.ClientStreamingServerHandler(requests, context, inner));
        Map(method, async (call, http) =>
        {
            TResponse response = await outermost(Requests(method, call, http), call).ConfigureAwait(false);
            await Answer(method, call, response).ConfigureAwait(false);
        });
    }

    public override void AddMethod<TRequest, TResponse>(Method<TRequest, TResponse> method, ServerStreamingServerMethod<TRequest, TResponse>? handler)
    {
        ServerStreamingServerMethod<TRequest, TResponse> outermost = Around(
            handler!, (interceptor, inner) => (request, responses, context) => interceptor.ServerStreamingServerHandler(request, responses, context, inner));
        Map(method, async (call, http) =>
        {
            TRequest request = await ReadOne(method, call, http).ConfigureAwait(false);
            await outermost(request, new ResponseWriter<TResponse>(call, method.ResponseMarshaller), call).ConfigureAwait(false);
        });
    }

    public override void AddMethod<TRequest, TResponse>(Method<TRequest, TResponse> method, DuplexStreamingServerMethod<TRequest, TResponse>? handler)
    {
        DuplexStreamingServerMethod<TRequest, TResponse> outermost = Around(
            handler!, (interceptor, inner) => (requests, responses, context) => interceptor.DuplexStreamingServerHandler(requests, responses, context, inner));
        Map(method, (call, http) => outermost(Requests(method, call, http), new ResponseWriter<TResponse>(call, method.ResponseMarshaller), call));
    }

    private static RequestReader<TRequest> Requests<TRequest, TResponse>(Method<TRequest, TResponse> method, HttpServerCall call, HttpContext http)
        where TRequest : class => new(call, http.Request.BodyReader, method.RequestMarshaller);

    private static async Task<TRequest> ReadOne<TRequest, TResponse>(Method<TRequest, TResponse> method, HttpServerCall call, HttpContext http)
        where TRequest : class
    {
        RequestReader<TRequest> requests = Requests(method, call, http);
        if (!await requests.MoveNext(call.CancellationToken).ConfigureAwait(false))
        {
            throw new RpcException(new Status(StatusCode.Internal, "the request has no message"));
        }

        TRequest request = requests.Current;
        return await requests.MoveNext(call.CancellationToken).ConfigureAwait(false)
            ? throw new RpcException(new Status(StatusCode.Internal, "the request has more than one message"))
            : request;
    }

    // A handler may set a status instead of throwing: then there is nothing to send.
    private static Task Answer<TRequest, TResponse>(Method<TRequest, TResponse> method, HttpServerCall call, TResponse? response) =>
        call.Status.StatusCode != StatusCode.OK ? Task.CompletedTask
        : response is null ? throw new RpcException(new Status(StatusCode.Internal, "the handler returned no message"))
        : call.SendAsync(response, method.ResponseMarshaller, call.CancellationToken);

    private THandler Around<THandler>(THandler handler, Func<Interceptor, THandler, THandler> wrap)
    {
        for (int i = interceptors.Count - 1; i >= 0; i--)
        {
            handler = wrap(interceptors[i], handler);
        }

        return handler;
    }

    private void Map(IMethod method, Func<HttpServerCall, HttpContext, Task> body)
    {
        var handler = new CallHandler(method.FullName, method.Type is MethodType.ClientStreaming or MethodType.DuplexStreaming, options, time, logger, body);
        Endpoints.Add(endpoints.Map(method.FullName, handler.HandleAsync).WithDisplayName("gRPC - " + method.FullName));
    }
}
