using Grpc.HealthCheck;
using Grpc.Reflection;
using Microsoft.AspNetCore.Server.Kestrel.Core;
using NetKernel.Api.V1;
using NetKernel.ControlPlane.Access;
using NetKernel.ControlPlane.Metrics;
using NetKernel.ControlPlane.Network;
using NetKernel.ControlPlane.Reconcile;
using NetKernel.ControlPlane.Resources;
using NetKernel.ControlPlane.Rpc;
using NetKernel.ControlPlane.Services;
using NetKernel.ControlPlane.State;
using NetKernel.ControlPlane.Store;
using NetKernel.ControlPlane.Supervision;
using NetKernel.ControlPlane.Usage;

namespace NetKernel.ControlPlane;

/// <summary>
/// nkd from start to end: bring the platform up or take it over, and serve the API. SIGTERM ends nkd and leaves everything running for the next one; the call Shutdown
/// (`nk down`), or Ctrl-C, ends everything.
/// </summary>
internal static class Daemon
{
    /// <summary>The NSM that there is from the start.</summary>
    public const string FirstNsm = "kernel0";

    public static async Task<int> RunAsync(NkdOptions options, Action? whenReady = null)
    {
        using RunDirectory directory = RunDirectory.Open(options.RunDirectory, options.Instance);
        using InstanceLock? instance = TakeInstance(options, directory);
        // There is nothing to read again: settings are read at the start, and a restart disturbs no traffic.
        using var hangUp = System.Runtime.InteropServices.PosixSignalRegistration.Create(System.Runtime.InteropServices.PosixSignal.SIGHUP, context => context.Cancel = true);
        if (options.Daemon)
        {
            Terminal.LeaveSession();
        }

        if (options.CleanUp)
        {
            Platform.RemoveLeftovers(options.Instance, directory, NetworkOf(options));
            directory.Clear(keepLogs: false);
            return 0;
        }

        using IStore store = OpenStore(options);
        using IUsageStore usage = OpenUsage(options);
        await using WebApplication app = Build(options, directory, store, usage);
        Platform platform = app.Services.GetRequiredService<Platform>();
        Ending ending = app.Services.GetRequiredService<Ending>();
        bool failed = true;
        MetricsPage? page = null;
        Telemetry? telemetry = null;
        try
        {
            await platform.StartAsync();
            await app.Services.GetRequiredService<AuditLog>().LoadAsync();
            app.Services.GetRequiredService<UsageMeter>().Start();
            if (platform.Registry.IsNew)
            {
                await app.Services.GetRequiredService<Services.NsmService>().CreateAsync(new Nsm { Name = FirstNsm }, validateOnly: false, allowExisting: true);
            }

            Instruments instruments = app.Services.GetRequiredService<Instruments>();
            page = options.Metrics is { } address ? await MetricsPage.StartAsync(address, instruments) : null;
            telemetry = options.OtlpEndpoint is { } collector
                ? Telemetry.Start(new OtlpTarget(collector, options.OtlpProtocol), options.OtlpInterval, options.Instance, instruments) : null;
            File.Delete(directory.ApiSocket);
            await app.StartAsync();

            // Everybody may connect: who may do what is decided by the peer's credentials.
            File.SetUnixFileMode(directory.ApiSocket, (UnixFileMode)0x1B6 /* 0666 */);
            failed = false;
            whenReady?.Invoke();
            if (options.Daemon)
            {
                Console.Out.WriteLine("ready");
                Console.Out.Flush();
                Terminal.Detach(platform.LogOf("nkd"));
            }

            using var manager = ServiceManager.FromEnvironment();
            manager.Ready(platform.IsAlive);
            using var interrupted = System.Runtime.InteropServices.PosixSignalRegistration.Create(
                System.Runtime.InteropServices.PosixSignal.SIGINT, _ => ending.Everything = true);
            await app.WaitForShutdownAsync();
            manager.Stopping();
        }
        catch (InvalidOperationException e)
        {
            throw new ServiceException(FailureCode.Internal, e.Message);
        }
        finally
        {
            await (page?.DisposeAsync() ?? ValueTask.CompletedTask);
            telemetry?.Dispose();
            await app.Services.GetRequiredService<UsageMeter>().StopAsync();

            // A start that failed takes back what it made, but never what was declared before, and nothing of what it found running.
            if (failed ? platform.HasBegun && !platform.TookOver : ending.Everything)
            {
                await platform.StopAsync();
                store.Dispose();
                usage.Dispose();
                directory.Clear(keepLogs: failed, keepState: failed && !platform.Registry.IsNew);
                Forget(options, ending.Purge);
            }
            else
            {
                await platform.LeaveAsync();
                File.Delete(directory.ApiSocket);
            }
        }

        return 0;
    }

    private static INetwork NetworkOf(NkdOptions options) => options.Mode switch
    {
        "bridge" => new BridgeNetwork(options.Instance, new AddressPlan(options.Subnet4, options.Subnet6)),
        "private" => new PrivateNetwork(options.Instance),
        _ => new HostNetwork(options.Instance, Environment.IsPrivilegedProcess),
    };

    private static void Forget(NkdOptions options, bool purge)
    {
        foreach (string path in purge ? new[] { RunDirectory.StateFileIn(options.StateDirectory), RunDirectory.UsageFileIn(options.StateDirectory) } : [])
        {
            foreach (string file in new[] { path, path + "-wal", path + "-shm" })
            {
                File.Delete(file);
            }
        }
    }

    private static SqliteStore OpenStore(NkdOptions options) => OpenFile(options, () => SqliteStore.Open(RunDirectory.StateFileIn(options.StateDirectory)));

    private static SqliteUsageStore OpenUsage(NkdOptions options) =>
        OpenFile(options, () => SqliteUsageStore.Open(RunDirectory.UsageFileIn(options.StateDirectory), options.UsageLevels));

    private static T OpenFile<T>(NkdOptions options, Func<T> open)
    {
        try
        {
            _ = Directory.CreateDirectory(options.StateDirectory);
            return open();
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new ServiceException(FailureCode.FailedPrecondition, $"cannot use the state directory {options.StateDirectory}: {e.Message.TrimEnd('.')}; choose another with --state-dir");
        }
        catch (StoreException e)
        {
            throw new ServiceException(FailureCode.FailedPrecondition, e.Message);
        }
    }

    private static InstanceLock? TakeInstance(NkdOptions options, RunDirectory directory)
    {
        try
        {
            return InstanceLock.Take(options.Instance);
        }
        catch (ServiceException)
        {
            if (!File.Exists(directory.EngineSocket))
            {
                directory.Clear(keepLogs: true, keepState: true);
            }

            throw;
        }
    }

    private static WebApplication Build(NkdOptions options, RunDirectory directory, IStore store, IUsageStore usage)
    {
        WebApplicationBuilder builder = WebApplication.CreateSlimBuilder();
        builder.Logging.ClearProviders();
        builder.Logging.AddProvider(new FileLog(Path.Combine(directory.Logs, "nkd.log"), options.LogsJson));
        builder.Logging.SetMinimumLevel(LogLevel.Information);
        builder.Logging.AddFilter("Microsoft", LogLevel.Warning);
        ClientCertificates? overTcp = options.Listen is { } endpoint ? ClientCertificates.Load(options.TlsDirectory, endpoint) : null;
        builder.WebHost.UseKestrelHttpsConfiguration().ConfigureKestrel(kestrel =>
        {
            kestrel.ListenUnixSocket(directory.ApiSocket, listen => listen.Protocols = HttpProtocols.Http2);
            overTcp?.Listen(kestrel);
        });
        builder.Services.Configure<HostOptions>(host => host.ShutdownTimeout = TimeSpan.FromSeconds(2));

        IServiceCollection services = builder.Services;
        services.AddSingleton(options).AddSingleton(directory).AddSingleton(new AddressPlan(options.Subnet4, options.Subnet6)).AddSingleton(NetworkOf(options)).AddSingleton(store);
        services.AddSingleton<Supervisor>().AddSingleton<Registry>().AddSingleton<Platform>().AddSingleton<Callers>().AddSingleton<AuditLog>().AddSingleton<Ending>();
        services.AddSingleton(usage).AddSingleton(TimeProvider.System).AddSingleton<Collector>().AddSingleton<UsageMeter>().AddSingleton<UsageQueries>().AddSingleton<Instruments>().AddSingleton<UsageRpc>();
        services.AddSingleton<StatService>().AddSingleton<ConnectionTable>().AddSingleton<ApplyService>();
        services.AddSingleton<Services.GuestService>().AddSingleton<Services.NsmService>().AddSingleton<Services.TenantService>().AddSingleton<Services.PolicyService>();
        services.AddSingleton<GuestRpc>().AddSingleton<NsmRpc>().AddSingleton<TenantRpc>().AddSingleton<PolicyRpc>().AddSingleton<StateRpc>();
        services.AddSingleton<PlatformRpc>().AddSingleton<ConnectionRpc>().AddSingleton<AuditRpc>().AddSingleton<CaptureRpc>();
        services.AddSingleton<HealthServiceImpl>().AddSingleton(_ => new ReflectionServiceImpl(
            Api.V1.GuestService.Descriptor, Api.V1.NsmService.Descriptor, Api.V1.TenantService.Descriptor, Api.V1.PolicyService.Descriptor, StateService.Descriptor,
            PlatformService.Descriptor, ConnectionService.Descriptor, AuditService.Descriptor, CaptureService.Descriptor, UsageService.Descriptor));
        services.AddGrpc(grpc => grpc.Interceptors.Add<AuditLog>());

        WebApplication app = builder.Build();
        app.MapGrpcService<GuestRpc>();
        app.MapGrpcService<NsmRpc>();
        app.MapGrpcService<TenantRpc>();
        app.MapGrpcService<PolicyRpc>();
        app.MapGrpcService<StateRpc>();
        app.MapGrpcService<PlatformRpc>();
        app.MapGrpcService<ConnectionRpc>();
        app.MapGrpcService<AuditRpc>();
        app.MapGrpcService<CaptureRpc>();
        app.MapGrpcService<UsageRpc>();
        app.MapGrpcService<HealthServiceImpl>();
        app.MapGrpcService<ReflectionServiceImpl>();
        app.MapGet("/healthz", () => "ok\n");
        app.Services.GetRequiredService<HealthServiceImpl>().SetStatus("", Grpc.Health.V1.HealthCheckResponse.Types.ServingStatus.Serving);
        return app;
    }
}
