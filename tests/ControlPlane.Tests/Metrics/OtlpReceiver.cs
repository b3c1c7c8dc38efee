using System.Collections.Concurrent;
using System.Net;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Hosting.Server;
using Microsoft.AspNetCore.Hosting.Server.Features;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Server.Kestrel.Core;
using Microsoft.Extensions.DependencyInjection;

namespace NetKernel.ControlPlane.Tests.Metrics;

/// <summary>A small collector: takes OTLP over gRPC or HTTP, and keeps the bytes.</summary>
internal sealed class OtlpReceiver : IAsyncDisposable
{
    private readonly WebApplication _app;

    private OtlpReceiver(WebApplication app) => _app = app;

    public ConcurrentQueue<Fields> Metrics { get; } = new();

    public ConcurrentQueue<Fields> Traces { get; } = new();

    public Uri Address { get; private set; } = null!;

    private readonly SemaphoreSlim _arrived = new(0);

    /// <summary>Looks after each arrival until there is what is looked for.</summary>
    public async Task<T> UntilAsync<T>(Func<T?> find)
        where T : class
    {
        while (true)
        {
            if (find() is { } found)
            {
                return found;
            }

            Assert.True(await _arrived.WaitAsync(Eventually.Deadline), "it does not arrive");
        }
    }

    public static async Task<OtlpReceiver> StartAsync(bool grpc)
    {
        WebApplicationBuilder builder = WebApplication.CreateSlimBuilder();
        builder.WebHost.ConfigureKestrel(kestrel => kestrel.Listen(IPAddress.Loopback, 0, listen => listen.Protocols = grpc ? HttpProtocols.Http2 : HttpProtocols.Http1));
        WebApplication app = builder.Build();
        var receiver = new OtlpReceiver(app);
        const string Service = "/opentelemetry.proto.collector.";
        app.MapPost(grpc ? Service + "metrics.v1.MetricsService/Export" : "/v1/metrics", (Delegate)(Func<HttpContext, Task>)(http => receiver.TakeAsync(http, receiver.Metrics, grpc)));
        app.MapPost(grpc ? Service + "trace.v1.TraceService/Export" : "/v1/traces", (Delegate)(Func<HttpContext, Task>)(http => receiver.TakeAsync(http, receiver.Traces, grpc)));
        await app.StartAsync();
        receiver.Address = new Uri(app.Services.GetRequiredService<IServer>().Features.Get<IServerAddressesFeature>()!.Addresses.Single());
        return receiver;
    }

    public async ValueTask DisposeAsync()
    {
        await _app.StopAsync();
        await _app.DisposeAsync();
    }

    private async Task TakeAsync(HttpContext http, ConcurrentQueue<Fields> to, bool grpc)
    {
        using var body = new MemoryStream();
        await http.Request.Body.CopyToAsync(body);
        byte[] bytes = body.ToArray();
        Assert.Equal(grpc ? "application/grpc" : "application/x-protobuf", http.Request.ContentType);
        if (grpc)
        {
            Assert.Equal(0, bytes[0]); // not compressed
            bytes = bytes[5..];
            http.Response.ContentType = "application/grpc";
            http.Response.DeclareTrailer("grpc-status");
            await http.Response.Body.WriteAsync(new byte[5]);
            http.Response.AppendTrailer("grpc-status", "0");
        }

        to.Enqueue(new Fields(bytes));
        _ = _arrived.Release();
    }
}
