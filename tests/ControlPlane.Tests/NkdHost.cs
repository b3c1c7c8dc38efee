using System.Net.Sockets;
using System.Runtime.InteropServices;
using Google.Protobuf.WellKnownTypes;
using Grpc.Core;
using Grpc.Net.Client;
using NetKernel.Api;
using NetKernel.Api.V1;

namespace NetKernel.ControlPlane.Tests;

/// <summary>nkd in this process, in host mode, with scripts as programs and a fake engine.</summary>
internal sealed class NkdHost : IAsyncDisposable
{
    private static int _count;

    private readonly string _folder;
    private readonly TaskCompletionSource _ready = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly Task<int> _daemon;

    private NkdHost(string folder, string[] more)
    {
        _folder = folder;
        FakeEngine.WritePrograms(folder);
        Engine = new FakeEngine(RunDirectory);
        string instance = $"host-{Environment.ProcessId}-{Interlocked.Increment(ref _count)}";
        _daemon = Task.Run(() => Daemon.RunAsync(NkdOptions.Parse(["--run-dir", RunDirectory, "--instance", instance, "--mode", "host", "--bin-dir", folder, .. more]), _ready.SetResult));
        Operator = Connect(uid: null);
    }

    public string RunDirectory => Path.Combine(_folder, "run");

    public FakeEngine Engine { get; }

    /// <summary>A channel of the user who runs nkd.</summary>
    public GrpcChannel Operator { get; }

    public static async Task<NkdHost> StartAsync(params string[] more)
    {
        string folder = Directory.CreateTempSubdirectory("nkd-").FullName;
        File.SetUnixFileMode(folder, (UnixFileMode)0x1C9 /* 0711: other users reach the socket */);
        var host = new NkdHost(folder, more);
        await ReadyAsync(host._daemon, host._ready.Task);
        return host;
    }

    /// <summary>Until nkd serves; what ends it before fails the test.</summary>
    public static async Task ReadyAsync(Task<int> daemon, Task ready)
    {
        if (await Task.WhenAny(daemon, ready).WaitAsync(Eventually.Deadline) == daemon)
        {
            Assert.Fail($"nkd ended with {await daemon}");
        }
    }

    /// <summary>A channel that another user of this machine makes (root only); null: this one.</summary>
    public GrpcChannel Connect(uint? uid) => GrpcChannel.ForAddress("http://localhost", new GrpcChannelOptions
    {
        DisposeHttpClient = true,
        HttpHandler = new SocketsHttpHandler
        {
            ConnectCallback = (_, _) =>
            {
                var done = new TaskCompletionSource<Stream>();

                // Credentials are a thread's on Linux, and the socket keeps those of the thread that connected. The thread ends afterwards.
                var thread = new Thread(() =>
                {
                    var socket = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
                    try
                    {
                        if (uid is { } user && SysCall(117 /* setresuid */, user, user, user) != 0)
                        {
                            throw new InvalidOperationException("cannot become another user");
                        }

                        socket.Connect(new UnixDomainSocketEndPoint(Places.ApiSocket(RunDirectory)));
                        done.SetResult(new NetworkStream(socket, ownsSocket: true));
                    }
                    catch (Exception e)
                    {
                        socket.Dispose();
                        done.SetException(e);
                    }
                });
                thread.Start();
                return new ValueTask<Stream>(done.Task);
            },
        },
    });

    public async ValueTask DisposeAsync()
    {
        _ = await new PlatformService.PlatformServiceClient(Operator.CreateCallInvoker()).ShutdownAsync(new ShutdownRequest());
        Assert.Equal(0, await _daemon.WaitAsync(TimeSpan.FromSeconds(20)));
        Operator.Dispose();
        Engine.Dispose();
        Directory.Delete(_folder, recursive: true);
    }

    [DllImport("libc", EntryPoint = "syscall", SetLastError = true)]
    private static extern long SysCall(long number, long a, long b, long c);
}
