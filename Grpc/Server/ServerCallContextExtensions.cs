using Grpc.Server;
using Microsoft.AspNetCore.Http;

namespace Grpc.Core;

/// <summary>The way to the HTTP request behind a call.</summary>
public static class ServerCallContextExtensions
{
    /// <summary>The request.</summary>
    public static HttpContext GetHttpContext(this ServerCallContext serverCallContext) =>
        serverCallContext is HttpServerCall call ? call.Http : throw new InvalidOperationException("this call did not come over HTTP");
}
