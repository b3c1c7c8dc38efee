using Google.Protobuf.Reflection;
using Google.Protobuf.WellKnownTypes;
using Grpc.Core;
using Grpc.Net.Client;
using NetKernel.Api.V1;

namespace NetKernel.ControlPlane.Tests;

/// <summary>
/// What a tenant may do, call by call, over a connection of a user that the tenant names: acme has the guest "mine", the tenant other has "theirs". Every call of every service
/// must have its line here.
/// </summary>
public sealed class TenantAccessTests
{
    private const uint AcmeUser = 54321, Nobody = 54322;

    private static readonly StatusCode[] Refused = [StatusCode.PermissionDenied, StatusCode.NotFound];

    [Fact]
    public async Task A_tenant_sees_and_changes_its_own_and_nothing_else()
    {
        if (!Environment.IsPrivilegedProcess)
        {
            return; // nobody else can be played
        }

        await using NkdHost host = await NkdHost.StartAsync();
        CallInvoker root = host.Operator.CreateCallInvoker();
        var tenants = new TenantService.TenantServiceClient(root);
        var guests = new GuestService.GuestServiceClient(root);
        _ = await tenants.CreateTenantAsync(new CreateTenantRequest { Tenant = new Tenant { Name = "acme", Uids = { AcmeUser } } });
        _ = await tenants.CreateTenantAsync(new CreateTenantRequest { Tenant = new Tenant { Name = "other" } });
        _ = await guests.CreateGuestAsync(new CreateGuestRequest { Guest = new Guest { Name = "mine", Tenant = "acme" } });
        _ = await guests.CreateGuestAsync(new CreateGuestRequest { Guest = new Guest { Name = "theirs", Tenant = "other" } });
        _ = await new PolicyService.PolicyServiceClient(root).CreatePolicyAsync(
            new CreatePolicyRequest { Policy = new Policy { Name = "p", Nsms = { "kernel0" }, Match = new PolicyMatch { Tenant = "other" } } });

        using GrpcChannel channel = host.Connect(AcmeUser);
        Dictionary<string, Func<Task>> checks = Checks(channel.CreateCallInvoker());
        FileDescriptor[] files =
        [
            GuestReflection.Descriptor, NsmReflection.Descriptor, TenantReflection.Descriptor, PolicyReflection.Descriptor, StateReflection.Descriptor,
            ConnectionReflection.Descriptor, PlatformReflection.Descriptor, AuditReflection.Descriptor, CaptureReflection.Descriptor, UsageReflection.Descriptor,
        ];
        Assert.Equal(
            files.SelectMany(file => file.Services).SelectMany(service => service.Methods).Select(method => $"{method.Service.Name}/{method.Name}").Order(StringComparer.Ordinal),
            checks.Keys.Order(StringComparer.Ordinal));
        foreach ((string method, Func<Task> check) in checks)
        {
            try
            {
                await check();
            }
            catch (Exception e)
            {
                Assert.Fail($"{method}: {e}");
            }
        }

        Assert.Equal("theirs", (await guests.GetGuestAsync(new GetGuestRequest { Name = "theirs" })).Name);
    }

    [Fact]
    public async Task A_user_without_a_role_may_nothing()
    {
        if (!Environment.IsPrivilegedProcess)
        {
            return;
        }

        await using NkdHost host = await NkdHost.StartAsync();
        using GrpcChannel channel = host.Connect(Nobody);
        RpcException e = await Assert.ThrowsAsync<RpcException>(
            () => new PlatformService.PlatformServiceClient(channel.CreateCallInvoker()).GetStatusAsync(new Empty()).ResponseAsync);
        Assert.Equal(StatusCode.PermissionDenied, e.StatusCode);
        Assert.Contains($"user {Nobody} has no role here", e.Status.Detail);
    }

    private static Dictionary<string, Func<Task>> Checks(CallInvoker invoker)
    {
        var usage = new UsageService.UsageServiceClient(invoker);
        var guests = new GuestService.GuestServiceClient(invoker);
        var nsms = new NsmService.NsmServiceClient(invoker);
        var tenants = new TenantService.TenantServiceClient(invoker);
        var policies = new PolicyService.PolicyServiceClient(invoker);
        var state = new StateService.StateServiceClient(invoker);
        var platform = new PlatformService.PlatformServiceClient(invoker);
        var policy = new Policy { Name = "q", Nsms = { "kernel0" } };
        return new Dictionary<string, Func<Task>>
        {
            ["GuestService/GetGuest"] = async () =>
            {
                Assert.Equal("acme", (await guests.GetGuestAsync(new GetGuestRequest { Name = "mine" })).Tenant);
                await Denied(guests.GetGuestAsync(new GetGuestRequest { Name = "theirs" }).ResponseAsync);
            },
            ["GuestService/ListGuests"] = async () =>
            {
                Assert.Equal(["mine"], (await guests.ListGuestsAsync(new ListGuestsRequest())).Guests.Select(guest => guest.Name));
                Assert.Empty((await guests.ListGuestsAsync(new ListGuestsRequest { Tenant = "other" })).Guests);
            },
            ["GuestService/CreateGuest"] = async () =>
            {
                Assert.Equal("acme", (await guests.CreateGuestAsync(new CreateGuestRequest { Guest = new Guest { Name = "made" } })).Tenant);
                await Denied(guests.CreateGuestAsync(new CreateGuestRequest { Guest = new Guest { Name = "x", Tenant = "other" } }).ResponseAsync);
                RpcException taken = await Assert.ThrowsAsync<RpcException>(
                    () => guests.CreateGuestAsync(new CreateGuestRequest { Guest = new Guest { Name = "theirs" }, AllowExisting = true }).ResponseAsync);
                Assert.Equal((StatusCode.AlreadyExists, "the name theirs is taken: choose another"), (taken.StatusCode, taken.Status.Detail));
            },
            ["GuestService/UpdateGuest"] = async () =>
            {
                Assert.Equal("v", (await guests.UpdateGuestAsync(new UpdateGuestRequest { Guest = new Guest { Name = "mine", Labels = { ["k"] = "v" } } })).Labels["k"]);
                await Denied(guests.UpdateGuestAsync(new UpdateGuestRequest { Guest = new Guest { Name = "theirs", Labels = { ["k"] = "v" } } }).ResponseAsync);
            },
            ["GuestService/DeleteGuest"] = async () =>
            {
                _ = await guests.DeleteGuestAsync(new DeleteGuestRequest { Name = "made" });
                await Denied(guests.DeleteGuestAsync(new DeleteGuestRequest { Name = "theirs", Force = true, AllowMissing = true }).ResponseAsync);
            },
            ["NsmService/GetNsm"] = async () => Assert.Equal((1, 0), ((await nsms.GetNsmAsync(new GetNsmRequest { Name = "kernel0" })) is var nsm ? (nsm.Guests, nsm.Pid) : default)),
            ["NsmService/ListNsms"] = async () => Assert.Equal(1, (await nsms.ListNsmsAsync(new ListNsmsRequest())).Nsms.Single().Guests),
            ["NsmService/CreateNsm"] = () => Denied(nsms.CreateNsmAsync(new CreateNsmRequest { Nsm = new Nsm { Name = "x" } }).ResponseAsync),
            ["NsmService/UpdateNsm"] = () => Denied(nsms.UpdateNsmAsync(new UpdateNsmRequest { Nsm = new Nsm { Name = "kernel0", CpuMillicores = 10 } }).ResponseAsync),
            ["NsmService/DeleteNsm"] = () => Denied(nsms.DeleteNsmAsync(new DeleteNsmRequest { Name = "kernel0" }).ResponseAsync),
            ["TenantService/GetTenant"] = async () =>
            {
                Assert.Equal("acme", (await tenants.GetTenantAsync(new GetTenantRequest { Name = "acme" })).Name);
                await Denied(tenants.GetTenantAsync(new GetTenantRequest { Name = "other" }).ResponseAsync);
            },
            ["TenantService/ListTenants"] = async () => Assert.Equal(["acme"], (await tenants.ListTenantsAsync(new ListTenantsRequest())).Tenants.Select(tenant => tenant.Name)),
            ["TenantService/CreateTenant"] = () => Denied(tenants.CreateTenantAsync(new CreateTenantRequest { Tenant = new Tenant { Name = "x" } }).ResponseAsync),
            ["TenantService/UpdateTenant"] = () => Denied(tenants.UpdateTenantAsync(new UpdateTenantRequest { Tenant = new Tenant { Name = "acme", MaxGuests = 9 } }).ResponseAsync),
            ["TenantService/DeleteTenant"] = () => Denied(tenants.DeleteTenantAsync(new DeleteTenantRequest { Name = "acme" }).ResponseAsync),
            ["PolicyService/GetPolicy"] = () => Denied(policies.GetPolicyAsync(new GetPolicyRequest { Name = "p" }).ResponseAsync),
            ["PolicyService/ListPolicies"] = async () => Assert.Empty((await policies.ListPoliciesAsync(new ListPoliciesRequest())).Policies),
            ["PolicyService/CreatePolicy"] = () => Denied(policies.CreatePolicyAsync(new CreatePolicyRequest { Policy = policy }).ResponseAsync),
            ["PolicyService/UpdatePolicy"] = () => Denied(policies.UpdatePolicyAsync(new UpdatePolicyRequest { Policy = policy }).ResponseAsync),
            ["PolicyService/DeletePolicy"] = () => Denied(policies.DeletePolicyAsync(new DeletePolicyRequest { Name = "p" }).ResponseAsync),
            ["StateService/Export"] = async () =>
            {
                DeclaredState all = await state.ExportAsync(new ExportRequest());
                Assert.Equal((0, 0, 0), (all.Tenants.Count, all.Nsms.Count, all.Policies.Count));
                Assert.Equal(["mine"], all.Guests.Select(guest => guest.Name));
            },
            ["StateService/Apply"] = async () =>
            {
                await Denied(state.ApplyAsync(new ApplyRequest { State = new DeclaredState { Nsms = { new Nsm { Name = "x" } } } }).ResponseAsync);
                await Denied(state.ApplyAsync(new ApplyRequest { State = new DeclaredState { Guests = { new Guest { Name = "x", Tenant = "other" } } } }).ResponseAsync);

                // Pruning takes its own guests only.
                ApplyResponse trial = await state.ApplyAsync(new ApplyRequest { State = new DeclaredState(), Prune = true, DryRun = true });
                Assert.Equal(["mine"], trial.Changes.Select(change => change.Name));
            },
            ["StateService/Watch"] = async () =>
            {
                using AsyncServerStreamingCall<Event> watch = state.Watch(new WatchRequest(), deadline: DateTime.UtcNow.AddSeconds(30));
                var seen = new List<string>();
                while (await watch.ResponseStream.MoveNext(CancellationToken.None) && watch.ResponseStream.Current is { Type: not Event.Types.Type.Synced } e)
                {
                    seen.Add(e.Guest?.Name ?? e.Tenant?.Name ?? e.Nsm?.Name ?? e.Policy.Name);
                    Assert.True(e.Nsm is null or { Guests: 1, Pid: 0, Connections: 0 }, e.ToString()); // no more than a list shows
                }

                Assert.Equal(["acme", "kernel0", "mine"], seen);
            },
            ["ConnectionService/ListConnections"] = async () =>
            {
                // There is no counter file here; the own guest is known, the other one is not.
                var connections = new ConnectionService.ConnectionServiceClient(invoker);
                Assert.Equal(StatusCode.Unavailable, await CodeOf(connections.ListConnections(new ListConnectionsRequest { Guest = "mine" })));
                Assert.Equal(StatusCode.NotFound, await CodeOf(connections.ListConnections(new ListConnectionsRequest { Guest = "theirs" })));
            },
            ["PlatformService/GetStatus"] = async () =>
            {
                PlatformStatus status = await platform.GetStatusAsync(new Empty());
                Assert.Equal(("tenant acme", 1), (status.Role, status.Guests));
            },
            ["PlatformService/GetCounters"] = async () =>
                Assert.Equal(StatusCode.Unavailable, (await Assert.ThrowsAsync<RpcException>(() => platform.GetCountersAsync(new Empty()).ResponseAsync)).StatusCode),
            ["PlatformService/Shutdown"] = () => Denied(platform.ShutdownAsync(new ShutdownRequest()).ResponseAsync),
            ["CaptureService/Capture"] = async () =>
            {
                using AsyncServerStreamingCall<CaptureResponse> capture = new CaptureService.CaptureServiceClient(invoker).Capture(new CaptureRequest { Guest = "mine" });
                RpcException refused = await Assert.ThrowsAsync<RpcException>(() => capture.ResponseStream.MoveNext(CancellationToken.None));
                Assert.Equal(StatusCode.PermissionDenied, refused.StatusCode);
            },
            ["UsageService/GetUsage"] = async () =>
            {
                // What it sees of its own, with counters: UsageApiTests.
                Assert.Empty((await usage.GetUsageAsync(new GetUsageRequest { Guest = "theirs" })).Usage);
                await Denied(usage.GetUsageAsync(new GetUsageRequest { Tenant = "other" }).ResponseAsync);
            },
            ["UsageService/QueryUsage"] = async () =>
            {
                using AsyncServerStreamingCall<QueryUsageResponse> all = usage.QueryUsage(new QueryUsageRequest());
                Assert.True(await all.ResponseStream.MoveNext(CancellationToken.None));
                Assert.Empty(all.ResponseStream.Current.Points);
                using AsyncServerStreamingCall<QueryUsageResponse> others = usage.QueryUsage(new QueryUsageRequest { Tenant = "other" });
                await Denied(others.ResponseStream.MoveNext(CancellationToken.None));
            },
            ["AuditService/ListAudit"] = async () =>
            {
                ListAuditResponse audit = await new AuditService.AuditServiceClient(invoker).ListAuditAsync(new ListAuditRequest());
                Assert.NotEmpty(audit.Entries);
                Assert.All(audit.Entries, entry => Assert.Equal("acme", entry.Tenant));
            },
        };
    }

    private static async Task Denied(Task call) => Assert.Contains((await Assert.ThrowsAsync<RpcException>(() => call)).StatusCode, Refused);

    private static async Task<StatusCode> CodeOf(AsyncServerStreamingCall<ListConnectionsResponse> call)
    {
        using (call)
        {
            return (await Assert.ThrowsAsync<RpcException>(() => call.ResponseStream.MoveNext(CancellationToken.None))).StatusCode;
        }
    }
}
