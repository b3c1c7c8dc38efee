using System.Net.Sockets;
using Google.Protobuf.WellKnownTypes;
using Google.Rpc;
using Grpc.Core;
using Grpc.Net.Client;
using NetKernel.Api;
using NetKernel.Api.V1;
using GuestService = NetKernel.Api.V1.GuestService;
using NsmService = NetKernel.Api.V1.NsmService;
using PolicyService = NetKernel.Api.V1.PolicyService;
using TenantService = NetKernel.Api.V1.TenantService;

namespace NetKernel.ControlPlane.Tests;

/// <summary>nkd as a whole over its socket, with scripts as programs and a fake engine. In host mode, so that it needs no bridge.</summary>
public abstract class NkdOverItsSocket : IAsyncLifetime
{
    private static int _count;

    private readonly string _instance = $"api-{Environment.ProcessId}-{Interlocked.Increment(ref _count)}";
    private Task<int> _daemon = null!;

    protected string Folder { get; } = Directory.CreateTempSubdirectory("nkd-").FullName;

    private protected FakeEngine Engine { get; private set; } = null!;

    protected GrpcChannel Channel { get; private set; } = null!;

    protected string RunDirectory => Path.Combine(Folder, "run");

    protected GuestService.GuestServiceClient Guests => new(Channel.CreateCallInvoker());

    protected NsmService.NsmServiceClient Nsms => new(Channel.CreateCallInvoker());

    protected TenantService.TenantServiceClient Tenants => new(Channel.CreateCallInvoker());

    protected PolicyService.PolicyServiceClient Policies => new(Channel.CreateCallInvoker());

    protected StateService.StateServiceClient State => new(Channel.CreateCallInvoker());

    protected PlatformService.PlatformServiceClient Platform => new(Channel.CreateCallInvoker());

    public async Task InitializeAsync()
    {
        FakeEngine.WritePrograms(Folder);
        Engine = new FakeEngine(RunDirectory);
        var ready = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        _daemon = Task.Run(() => Daemon.RunAsync(Options(_instance, RunDirectory), ready.SetResult));
        Channel = Connect(RunDirectory);
        await NkdHost.ReadyAsync(_daemon, ready.Task);
    }

    public async Task DisposeAsync()
    {
        _ = await Platform.ShutdownAsync(new ShutdownRequest());
        Assert.Equal(0, await _daemon.WaitAsync(TimeSpan.FromSeconds(20)));
        Channel.Dispose();
        Engine.Dispose();
        Assert.False(Directory.Exists(RunDirectory));
        Assert.All(["cpu/", "memory/", ""], hierarchy => Assert.False(Directory.Exists($"/sys/fs/cgroup/{hierarchy}netkernel/{_instance}")));
        Directory.Delete(Folder, recursive: true);
    }

    protected internal static GrpcChannel Connect(string runDirectory) => GrpcChannel.ForAddress("http://localhost", new GrpcChannelOptions
    {
        DisposeHttpClient = true,
        HttpHandler = new SocketsHttpHandler
        {
            ConnectCallback = async (_, stop) =>
            {
                var socket = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
                try
                {
                    await socket.ConnectAsync(new UnixDomainSocketEndPoint(Places.ApiSocket(runDirectory)), stop);
                    return new NetworkStream(socket, ownsSocket: true);
                }
                catch
                {
                    socket.Dispose();
                    throw;
                }
            },
        },
    });

    protected static async Task<Event> Next(AsyncServerStreamingCall<Event> watch)
    {
        using var stop = new CancellationTokenSource(TimeSpan.FromSeconds(30));
        Assert.True(await watch.ResponseStream.MoveNext(stop.Token));
        return watch.ResponseStream.Current;
    }

    private protected static NkdOptions OptionsOf(params string[] arguments) => NkdOptions.Parse(arguments);

    protected static async Task Fails(Task call, StatusCode code, string reason, string? field = null)
    {
        RpcException e = await Assert.ThrowsAsync<RpcException>(() => call);
        Assert.Equal(code, e.StatusCode);
        Assert.Contains(reason, e.Status.Detail);
        Google.Rpc.Status? details = e.GetRpcStatus();
        Assert.NotNull(details);
        Assert.Equal(code == StatusCode.FailedPrecondition, details.GetDetail<PreconditionFailure>() is not null);
        Assert.True(code != StatusCode.NotFound || details.GetDetail<ResourceInfo>() is { ResourceName.Length: > 0 }, "what is not found is named");
        if (field is not null)
        {
            Assert.Equal(field, details.GetDetail<BadRequest>()?.FieldViolations[0].Field);
        }
    }

    private protected NkdOptions Options(string instance, string runDirectory) =>
        OptionsOf("--run-dir", runDirectory, "--instance", instance, "--mode", "host", "--bin-dir", Folder);

    protected Task<Guest> Create(string name) => Guests.CreateGuestAsync(new CreateGuestRequest { Guest = new Guest { Name = name } }).ResponseAsync;

    protected Task<Guest> Update(Guest guest, params string[] paths) =>
        Guests.UpdateGuestAsync(new UpdateGuestRequest { Guest = guest, UpdateMask = new FieldMask { Paths = { paths } } }).ResponseAsync;
}
