using System.Net.Sockets;
using Google.Protobuf.WellKnownTypes;
using Grpc.Core;
using Grpc.Net.Client;
using NetKernel.Api;
using NetKernel.Api.V1;

namespace NetKernel.Cli;

/// <summary>nkd's API. Every failure is a <see cref="CliException"/> with one line.</summary>
internal sealed class NkdClient : IDisposable
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(30);

    private readonly GrpcChannel _channel;
    private readonly GuestService.GuestServiceClient _guests;
    private readonly NsmService.NsmServiceClient _nsms;
    private readonly TenantService.TenantServiceClient _tenants;
    private readonly PolicyService.PolicyServiceClient _policies;
    private readonly StateService.StateServiceClient _state;
    private readonly PlatformService.PlatformServiceClient _platform;

    public NkdClient(string runDirectory)
    {
        Remote? remote = Remote.TryParse(runDirectory);
        RunDirectory = remote?.Address ?? runDirectory;
        SocketsHttpHandler handler = remote is not null ? new SocketsHttpHandler { UseProxy = false, SslOptions = remote.Tls() } : new SocketsHttpHandler
        {
            UseProxy = false,
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
        };
        _channel = GrpcChannel.ForAddress(remote?.Address ?? "http://localhost", new GrpcChannelOptions { HttpHandler = handler, DisposeHttpClient = true, MaxReceiveMessageSize = 64 << 20 });
        CallInvoker invoker = _channel.CreateCallInvoker();
        _guests = new(invoker);
        _nsms = new(invoker);
        _tenants = new(invoker);
        _policies = new(invoker);
        _state = new(invoker);
        _platform = new(invoker);
    }

    public string RunDirectory { get; }

    public PlatformStatus Status() => Call(options => _platform.GetStatus(new Empty(), options));

    /// <summary>Null when nkd does not answer.</summary>
    public PlatformStatus? TryStatus()
    {
        try
        {
            return Status();
        }
        catch (CliException)
        {
            return null;
        }
    }

    public void Shutdown(bool purge = false) => Call(options => _platform.Shutdown(new ShutdownRequest { Purge = purge }, options));

    public Counters Counters() => Call(options => _platform.GetCounters(new Empty(), options));

    public Guest[] Guests(bool processes = false, string tenant = "") => Pages(token =>
    {
        ListGuestsResponse page = Call(options => _guests.ListGuests(new ListGuestsRequest { PageToken = token, Processes = processes, Tenant = tenant, PageSize = 1000 }, options));
        return (page.Guests, page.NextPageToken);
    });

    public Guest Guest(string name, bool processes = false) => Call(options => _guests.GetGuest(new GetGuestRequest { Name = name, Processes = processes }, options));

    public Guest CreateGuest(Guest guest, bool mustBeNew, bool dryRun = false) =>
        Call(options => _guests.CreateGuest(new CreateGuestRequest { Guest = guest, AllowExisting = !mustBeNew, ValidateOnly = dryRun }, options));

    public Guest UpdateGuest(Guest guest, IEnumerable<string> paths, uint drainSeconds = 0) => Call(options => _guests.UpdateGuest(
        new UpdateGuestRequest { Guest = guest, UpdateMask = new FieldMask { Paths = { paths } }, DrainSeconds = drainSeconds }, options));

    public void DeleteGuest(string name, bool force) => Call(options => _guests.DeleteGuest(new DeleteGuestRequest { Name = name, Force = force }, options));

    public Nsm[] Nsms() => Pages(token =>
    {
        ListNsmsResponse page = Call(options => _nsms.ListNsms(new ListNsmsRequest { PageToken = token }, options));
        return (page.Nsms, page.NextPageToken);
    });

    public Nsm CreateNsm(Nsm nsm) => Call(options => _nsms.CreateNsm(new CreateNsmRequest { Nsm = nsm }, options));

    public Nsm UpdateNsm(Nsm nsm, IEnumerable<string> paths, bool restart, uint drainSeconds = 0, bool dryRun = false) => Call(options => _nsms.UpdateNsm(
        new UpdateNsmRequest { Nsm = nsm, UpdateMask = new FieldMask { Paths = { paths } }, AllowRestart = restart, DrainSeconds = drainSeconds, ValidateOnly = dryRun }, options));

    public void DeleteNsm(string name) => Call(options => _nsms.DeleteNsm(new DeleteNsmRequest { Name = name }, options));

    public Tenant[] Tenants() => Pages(token =>
    {
        ListTenantsResponse page = Call(options => _tenants.ListTenants(new ListTenantsRequest { PageToken = token }, options));
        return (page.Tenants, page.NextPageToken);
    });

    public Tenant CreateTenant(Tenant tenant) => Call(options => _tenants.CreateTenant(new CreateTenantRequest { Tenant = tenant }, options));

    public Tenant UpdateTenant(Tenant tenant, IEnumerable<string> paths) =>
        Call(options => _tenants.UpdateTenant(new UpdateTenantRequest { Tenant = tenant, UpdateMask = new FieldMask { Paths = { paths } } }, options));

    public void DeleteTenant(string name) => Call(options => _tenants.DeleteTenant(new DeleteTenantRequest { Name = name }, options));

    public Policy[] Policies() => Pages(token =>
    {
        ListPoliciesResponse page = Call(options => _policies.ListPolicies(new ListPoliciesRequest { PageToken = token }, options));
        return (page.Policies, page.NextPageToken);
    });

    public Policy CreatePolicy(Policy policy) => Call(options => _policies.CreatePolicy(new CreatePolicyRequest { Policy = policy }, options));

    public Policy UpdatePolicy(Policy policy, IEnumerable<string> paths) =>
        Call(options => _policies.UpdatePolicy(new UpdatePolicyRequest { Policy = policy, UpdateMask = new FieldMask { Paths = { paths } } }, options));

    public void DeletePolicy(string name) => Call(options => _policies.DeletePolicy(new DeletePolicyRequest { Name = name }, options));

    public Connection[] Connections(string guest = "", string nsm = "", bool paths = false)
    {
        var client = new ConnectionService.ConnectionServiceClient(_channel.CreateCallInvoker());
        return Stream(options => client.ListConnections(new ListConnectionsRequest { Guest = guest, Nsm = nsm, Paths = paths }, options)).SelectMany(batch => batch.Connections).ToArray();
    }

    public GetUsageResponse Usage(GetUsageRequest request)
    {
        var client = new UsageService.UsageServiceClient(_channel.CreateCallInvoker());
        return Call(options => client.GetUsage(request, options));
    }

    /// <summary>All points, and an answer that says what time they are of.</summary>
    public (UsagePoint[] Points, QueryUsageResponse About) Usage(QueryUsageRequest request)
    {
        var client = new UsageService.UsageServiceClient(_channel.CreateCallInvoker());
        QueryUsageResponse[] batches = [.. Stream(options => client.QueryUsage(request, options))];
        return ([.. batches.SelectMany(batch => batch.Points)], batches[0]);
    }

    public ApplyResponse Apply(ApplyRequest request) => Call(options => _state.Apply(request, options));

    public DeclaredState Export() => Call(options => _state.Export(new ExportRequest(), options));

    /// <summary>Until somebody stops reading, or nkd ends.</summary>
    public IEnumerable<Event> Watch(params IEnumerable<string> kinds) =>
        Stream(_ => _state.Watch(new WatchRequest { Kinds = { kinds } }, new CallOptions()));

    /// <summary>Until a limit of the request, or <paramref name="stop"/>.</summary>
    public IEnumerable<CaptureResponse> Capture(CaptureRequest request, CancellationToken stop)
    {
        var client = new CaptureService.CaptureServiceClient(_channel.CreateCallInvoker());
        return Stream(_ => client.Capture(request, new CallOptions(cancellationToken: stop)), stop);
    }

    public AuditEntry[] Audit(string target, string tenant, int most)
    {
        var client = new AuditService.AuditServiceClient(_channel.CreateCallInvoker());
        var found = new List<AuditEntry>();
        string token = "";
        do
        {
            ListAuditResponse page = Call(options => client.ListAudit(
                new ListAuditRequest { Target = target, Tenant = tenant, PageToken = token, PageSize = Math.Min(1000, most - found.Count) }, options));
            found.AddRange(page.Entries);
            token = page.NextPageToken;
        }
        while (token.Length > 0 && found.Count < most);
        return [.. found];
    }

    public void Dispose() => _channel.Dispose();

    private static T[] Pages<T>(Func<string, (IEnumerable<T> Items, string Next)> read)
    {
        var all = new List<T>();
        string token = "";
        do
        {
            (IEnumerable<T> items, token) = read(token);
            all.AddRange(items);
        }
        while (token.Length > 0);
        return [.. all];
    }

    private T Call<T>(Func<CallOptions, T> call)
    {
        try
        {
            return call(new CallOptions(deadline: DateTime.UtcNow + Patience));
        }
        catch (RpcException e)
        {
            throw Failed(e);
        }
    }

    private IEnumerable<T> Stream<T>(Func<CallOptions, AsyncServerStreamingCall<T>> open, CancellationToken stop = default)
    {
        using AsyncServerStreamingCall<T> call = open(new CallOptions(deadline: DateTime.UtcNow + Patience));
        while (true)
        {
            try
            {
                if (!call.ResponseStream.MoveNext(CancellationToken.None).GetAwaiter().GetResult())
                {
                    yield break;
                }
            }
            catch (Exception e) when (stop.IsCancellationRequested && e is RpcException or OperationCanceledException)
            {
                yield break;
            }
            catch (RpcException e)
            {
                throw Failed(e);
            }

            yield return call.ResponseStream.Current;
        }
    }

    private CliException Failed(RpcException e)
    {
        // A status with details, or with a text that the server wrote, comes from nkd; else the way to it failed.
        bool answered = e.GetRpcStatus() is not null;
        return !answered && Cause(e) is { } socket
            ? CliException.Failure(
                socket == SocketError.AccessDenied
                    ? $"no permission to speak to nkd in {RunDirectory}: run as the user who did `nk up`, most often root"
                    : $"NetKernel is not up in {RunDirectory}: `nk up` starts it (--run-dir or --instance names another)")
            : e.StatusCode switch
            {
                StatusCode.DeadlineExceeded => CliException.Failure($"nkd in {RunDirectory} does not answer: log/nkd.log says more; `nk down` ends it"),
                StatusCode.InvalidArgument => CliException.Usage(e.Status.Detail),
                StatusCode.Unimplemented => CliException.Failure($"this nkd does not know that call ({e.Status.Detail}): nk and nkd are of different versions"),
                StatusCode.Unavailable when !answered =>
                    CliException.Failure($"NetKernel is not up in {RunDirectory}: `nk up` starts it (--run-dir or --instance names another)"),
                _ => CliException.Failure(e.Status.Detail),
            };
    }

    private static SocketError? Cause(Exception e)
    {
        for (Exception? at = e; at is not null; at = at.InnerException ?? (at as RpcException)?.Status.DebugException)
        {
            if (at is SocketException socket)
            {
                return socket.SocketErrorCode;
            }
        }

        return null;
    }
}
