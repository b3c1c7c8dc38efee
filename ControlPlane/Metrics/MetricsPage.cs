using System.Net;
using Microsoft.AspNetCore.Server.Kestrel.Core;
using NetKernel.ControlPlane.Services;

namespace NetKernel.ControlPlane.Metrics;

/// <summary>
/// /metrics for Prometheus, on an address of its own and with nothing else behind it: whoever reaches that address reads the usage of all tenants.
/// </summary>
internal sealed class MetricsPage : IAsyncDisposable
{
    private readonly WebApplication _app;
    private readonly PrometheusText _text;

    private MetricsPage(WebApplication app, PrometheusText text)
    {
        _app = app;
        _text = text;
    }

    public static async Task<MetricsPage> StartAsync(IPEndPoint address, Instruments instruments)
    {
        WebApplicationBuilder builder = WebApplication.CreateSlimBuilder();
        builder.Logging.ClearProviders();
        builder.WebHost.ConfigureKestrel(kestrel => kestrel.Listen(address, listen => listen.Protocols = HttpProtocols.Http1));
        WebApplication app = builder.Build();
        var text = new PrometheusText(instruments.Meter);
        app.MapGet("/metrics", () => Results.Text(text.Page(), PrometheusText.ContentType));
        app.MapGet("/healthz", () => "ok\n");
        try
        {
            await app.StartAsync();
            return new MetricsPage(app, text);
        }
        catch (IOException e)
        {
            text.Dispose();
            await app.DisposeAsync();
            throw new ServiceException(FailureCode.FailedPrecondition, $"cannot serve metrics on {address}: {e.Message.TrimEnd('.')}; choose another with --metrics");
        }
    }

    public async ValueTask DisposeAsync()
    {
        await _app.StopAsync(new CancellationToken(canceled: true));
        await _app.DisposeAsync();
        _text.Dispose();
    }
}
