using Google.Protobuf.WellKnownTypes;
using Grpc.Core;
using Grpc.Net.Client;
using NetKernel.Api.V1;

namespace NetKernel.ControlPlane.Tests.Usage;

/// <summary>UsageService of a whole nkd, out of a counter file that the test writes.</summary>
public sealed class UsageApiTests
{
    private const uint AcmeUser = 54331;

    [Fact]
    public async Task Usage_now_and_over_a_time_as_the_operator_and_a_tenant_see_it()
    {
        await using NkdHost host = await NkdHost.StartAsync();
        CallInvoker root = host.Operator.CreateCallInvoker();
        var tenants = new TenantService.TenantServiceClient(root);
        var guests = new GuestService.GuestServiceClient(root);
        var usage = new UsageService.UsageServiceClient(root);
        _ = await tenants.CreateTenantAsync(new CreateTenantRequest { Tenant = new Tenant { Name = "acme", Uids = { AcmeUser } } });
        _ = await tenants.CreateTenantAsync(new CreateTenantRequest { Tenant = new Tenant { Name = "other" } });
        Guest mine = await guests.CreateGuestAsync(new CreateGuestRequest { Guest = new Guest { Name = "mine", Tenant = "acme" } });
        Guest theirs = await guests.CreateGuestAsync(new CreateGuestRequest { Guest = new Guest { Name = "theirs", Tenant = "other" } });
        using var stats = new StatsWriter(host.RunDirectory);
        stats.Guest(mine.Id, since: 1, nsm: 1, sent: 5000, received: 70, nqes: 30, open: 2, connects: 3, failed: 1);
        stats.Guest(theirs.Id, since: 2, nsm: 1, sent: 900, received: 8, nqes: 10);

        // The first look is always fresh.
        GetUsageResponse now = await usage.GetUsageAsync(new GetUsageRequest { GroupBy = UsageGroup.GuestAndNsm });
        Api.V1.Usage of = now.Usage.Single(one => one.Guest == "mine");
        Assert.Equal(("acme", "kernel0", 5000ul, 70ul, 30ul, 60ul), (of.Tenant, of.Nsm, of.Total.SentBytes, of.Total.ReceivedBytes, of.Total.Operations, of.Total.Nqes));
        Assert.Equal((3ul, 1ul, 2ul), (of.Total.Connects, of.Total.ConnectsFailed, of.Open));
        Assert.Contains(now.Usage, one => one.Tenant.Length == 0 && one.Total.EngineCpuNanoseconds > 0);

        // What a guest did before it went stays, also under the name that another one gets. It went after its last 100 bytes.
        stats.Guest(theirs.Id, since: 2, nsm: 1, sent: 1000, received: 8, nqes: 11);
        _ = await guests.DeleteGuestAsync(new DeleteGuestRequest { Name = "theirs" });
        stats.Clear(theirs.Id);
        Guest again = await guests.CreateGuestAsync(new CreateGuestRequest { Guest = new Guest { Name = "theirs", Tenant = "other" } });
        stats.Guest(again.Id, since: 3, nsm: 1, sent: 2000, received: 1, nqes: 1);
        UsagePoint[] points = await UntilAsync(usage, new QueryUsageRequest { GroupBy = UsageGroup.Tenant, Tenant = "other" }, all => all.Sum(one => (long)one.Amounts.SentBytes) == 3000);
        Assert.Equal(9ul, Assert.Single(points).Amounts.ReceivedBytes);
        points = await QueryAsync(usage, new QueryUsageRequest { GroupBy = UsageGroup.Guest, StepSeconds = 10 });
        Assert.Equal(3000, points.Where(one => one.Guest == "theirs").Sum(one => (long)one.Amounts.SentBytes));
        Assert.All(points, one => Assert.Equal(TimeSpan.FromSeconds(10), one.End.ToDateTime() - one.Start.ToDateTime()));

        await RefusedAsync(usage, new QueryUsageRequest { StepSeconds = 7 }, StatusCode.InvalidArgument);
        await RefusedAsync(
            usage, new QueryUsageRequest { From = Timestamp.FromDateTime(DateTime.UtcNow.AddDays(-30)), To = Timestamp.FromDateTime(DateTime.UtcNow.AddDays(-29)), StepSeconds = 60 },
            StatusCode.InvalidArgument);
        await RefusedAsync(
            usage, new QueryUsageRequest { From = Timestamp.FromDateTime(DateTime.UtcNow), To = Timestamp.FromDateTime(DateTime.UtcNow.AddDays(-1)) }, StatusCode.InvalidArgument);

        if (Environment.IsPrivilegedProcess)
        {
            using GrpcChannel channel = host.Connect(AcmeUser);
            var own = new UsageService.UsageServiceClient(channel.CreateCallInvoker());
            foreach (UsageGroup by in new[] { UsageGroup.Unspecified, UsageGroup.Tenant, UsageGroup.Guest, UsageGroup.Nsm, UsageGroup.GuestAndNsm })
            {
                Assert.Equal(5000ul, Assert.Single((await own.GetUsageAsync(new GetUsageRequest { GroupBy = by })).Usage).Total.SentBytes);
                Assert.Equal(5000ul, Assert.Single(await QueryAsync(own, new QueryUsageRequest { GroupBy = by })).Amounts.SentBytes);
            }

            Assert.Empty((await own.GetUsageAsync(new GetUsageRequest { Guest = "theirs" })).Usage);
            Assert.Empty(await QueryAsync(own, new QueryUsageRequest { Guest = "theirs" }));
            await RefusedAsync(own, new QueryUsageRequest { Tenant = "other" }, StatusCode.PermissionDenied);
            RpcException e = await Assert.ThrowsAsync<RpcException>(() => own.GetUsageAsync(new GetUsageRequest { Tenant = "other" }).ResponseAsync);
            Assert.Equal(StatusCode.PermissionDenied, e.StatusCode);
        }
    }

    private static async Task<UsagePoint[]> QueryAsync(UsageService.UsageServiceClient usage, QueryUsageRequest request)
    {
        using AsyncServerStreamingCall<QueryUsageResponse> call = usage.QueryUsage(request);
        var points = new List<UsagePoint>();
        while (await call.ResponseStream.MoveNext(CancellationToken.None))
        {
            points.AddRange(call.ResponseStream.Current.Points);
        }

        return [.. points];
    }

    // nkd looks at most once a second, and tells nobody.
    private static Task<UsagePoint[]> UntilAsync(UsageService.UsageServiceClient usage, QueryUsageRequest request, Func<UsagePoint[], bool> enough) => Eventually.FindAsync(
        async () => await QueryAsync(usage, request) is { } points && enough(points) ? points : null, "the history has it");

    private static async Task RefusedAsync(UsageService.UsageServiceClient usage, QueryUsageRequest request, StatusCode code) =>
        Assert.Equal(code, (await Assert.ThrowsAsync<RpcException>(() => QueryAsync(usage, request))).StatusCode);
}
