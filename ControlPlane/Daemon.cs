using NetKernel.ControlPlane.Api;
using NetKernel.ControlPlane.Network;
using NetKernel.ControlPlane.Services;
using NetKernel.ControlPlane.State;
using NetKernel.ControlPlane.Supervision;
using NetKernel.ControlPlane.Transport;

namespace NetKernel.ControlPlane;

/// <summary>nkd from start to end: bring the platform up, serve the API, take everything down.</summary>
internal static class Daemon
{
    /// <summary>The NSM that there is from the start.</summary>
    public const string FirstNsm = "kernel0";

    public static async Task<int> RunAsync(NkdOptions options)
    {
        using RunDirectory directory = RunDirectory.Open(options.RunDirectory, options.Instance);
        using InstanceLock? instance = TakeInstance(options, directory);
        if (options.Daemon)
        {
            Terminal.LeaveSession();
        }

        await using WebApplication app = Build(options, directory);
        Platform platform = app.Services.GetRequiredService<Platform>();
        if (options.CleanUp)
        {
            platform.RemoveLeftovers();
            directory.Clear(keepLogs: false);
            return 0;
        }

        bool failed = true;
        try
        {
            await platform.StartAsync();
            await app.Services.GetRequiredService<NsmService>().CreateAsync(FirstNsm, new NsmSpec());
            File.Delete(directory.ApiSocket);
            uint mask = Terminal.SetMask(0x7F); // 0177: the API's socket is for the owner from its first moment
            try
            {
                await app.StartAsync();
            }
            finally
            {
                _ = Terminal.SetMask(mask);
            }

            failed = false;
            if (options.Daemon)
            {
                Console.Out.WriteLine("ready");
                Console.Out.Flush();
                Terminal.Detach(platform.LogOf("nkd"));
            }

            await app.WaitForShutdownAsync();
        }
        catch (InvalidOperationException e)
        {
            throw new ServiceException(FailureCode.Internal, e.Message);
        }
        finally
        {
            await platform.StopAsync();
            directory.Clear(keepLogs: failed);
        }

        return 0;
    }

    private static InstanceLock? TakeInstance(NkdOptions options, RunDirectory directory)
    {
        try
        {
            return InstanceLock.Take(options.Instance);
        }
        catch (ServiceException)
        {
            directory.Clear(keepLogs: true);
            throw;
        }
    }

    private static WebApplication Build(NkdOptions options, RunDirectory directory)
    {
        WebApplicationBuilder builder = WebApplication.CreateSlimBuilder();
        builder.Logging.ClearProviders();
        builder.Logging.AddProvider(new FileLog(Path.Combine(directory.Logs, "nkd.log")));
        builder.Logging.SetMinimumLevel(LogLevel.Information);
        builder.Logging.AddFilter("Microsoft", LogLevel.Warning);
        builder.WebHost.ConfigureKestrel(kestrel => kestrel.ListenUnixSocket(directory.ApiSocket));
        builder.Services.ConfigureHttpJsonOptions(json => json.SerializerOptions.TypeInfoResolverChain.Insert(0, ContractJson.Default));
        builder.Services.Configure<HostOptions>(host => host.ShutdownTimeout = TimeSpan.FromSeconds(2));

        var plan = new AddressPlan(options.Subnet4, options.Subnet6);
        INetwork network = options.Mode switch
        {
            "bridge" => new BridgeNetwork(options.Instance, plan),
            "private" => new PrivateNetwork(options.Instance),
            _ => new HostNetwork(options.Instance, Environment.IsPrivilegedProcess),
        };
        builder.Services.AddSingleton(options);
        builder.Services.AddSingleton(directory);
        builder.Services.AddSingleton(plan);
        builder.Services.AddSingleton(network);
        builder.Services.AddSingleton<Supervisor>();
        builder.Services.AddSingleton<Platform>();
        builder.Services.AddSingleton<StatService>();
        builder.Services.AddSingleton<GuestService>();
        builder.Services.AddSingleton<NsmService>();

        WebApplication app = builder.Build();
        HttpApi.Map(app);
        return app;
    }
}
