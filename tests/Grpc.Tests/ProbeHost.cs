using System.Net.Sockets;
using Grpc.AspNetCore.Server;
using Grpc.HealthCheck;
using Grpc.Net.Client;
using Grpc.Reflection;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Hosting.Server;
using Microsoft.AspNetCore.Hosting.Server.Features;
using Microsoft.AspNetCore.Server.Kestrel.Core;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;

namespace NetKernel.Grpc.Tests;

/// <summary>A server of the probe service on a free port of loopback and on a Unix socket.</summary>
internal sealed class ProbeHost : IAsyncDisposable
{
    private readonly WebApplication _application;
    private readonly string _folder;

    private ProbeHost(WebApplication application, string folder)
    {
        _application = application;
        _folder = folder;
    }

    public string Address => _application.Services.GetRequiredService<IServer>().Features.Get<IServerAddressesFeature>()!.Addresses.First(one => one.Contains("127.0.0.1", StringComparison.Ordinal));

    public int Port => new Uri(Address).Port;

    public string SocketPath => Path.Combine(_folder, "s");

    public ProbeService Service => _application.Services.GetRequiredService<ProbeService>();

    public HealthServiceImpl Health => _application.Services.GetRequiredService<HealthServiceImpl>();

    public static async Task<ProbeHost> StartAsync(Action<GrpcServiceOptions>? configure = null, Action<ListenOptions>? listen = null, Action<KestrelServerLimits>? limits = null)
    {
        string folder = Directory.CreateTempSubdirectory("nk-grpc").FullName;
        WebApplicationBuilder builder = WebApplication.CreateSlimBuilder();
        _ = builder.Logging.ClearProviders();
        _ = builder.WebHost.UseKestrelCore().ConfigureKestrel(options =>
        {
            limits?.Invoke(options.Limits);
            options.Listen(System.Net.IPAddress.Loopback, 0, one =>
            {
                one.Protocols = HttpProtocols.Http2;
                listen?.Invoke(one);
            });
            options.ListenUnixSocket(Path.Combine(folder, "s"), one => one.Protocols = HttpProtocols.Http2);
        });
        _ = builder.Services.AddSingleton<ProbeService>();
        _ = builder.Services.AddSingleton<HealthServiceImpl>();
        _ = builder.Services.AddSingleton(_ => new ReflectionServiceImpl(Probe.Descriptor));
        _ = builder.Services.AddGrpc(configure ?? (_ => { }));
        WebApplication application = builder.Build();
        _ = application.MapGrpcService<ProbeService>();
        _ = application.MapGrpcService<HealthServiceImpl>();
        _ = application.MapGrpcService<ReflectionServiceImpl>();
        await application.StartAsync();
        return new ProbeHost(application, folder);
    }

    public GrpcChannel Channel(GrpcChannelOptions? options = null) => GrpcChannel.ForAddress(Address, options ?? new GrpcChannelOptions());

    public GrpcChannel UnixChannel()
    {
        string path = SocketPath;
        return GrpcChannel.ForAddress("http://localhost", new GrpcChannelOptions
        {
            DisposeHttpClient = true,
            HttpHandler = new SocketsHttpHandler
            {
                ConnectCallback = async (_, cancellation) =>
                {
                    var socket = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
                    await socket.ConnectAsync(new UnixDomainSocketEndPoint(path), cancellation);
                    return new NetworkStream(socket, ownsSocket: true);
                },
            },
        });
    }

    public async ValueTask DisposeAsync()
    {
        await _application.DisposeAsync();
        Directory.Delete(_folder, recursive: true);
    }
}
