using System.Net.Sockets;
using System.Runtime.InteropServices;
using Google.Protobuf.WellKnownTypes;
using Google.Rpc;
using Grpc.Core;
using Grpc.Health.V1;
using Grpc.Net.Client;
using NetKernel.Api;
using NetKernel.Api.V1;
using NetKernel.Channel;
using NetKernel.ControlPlane.Services;
using GuestCounters = NetKernel.Channel.GuestCounters;
using GuestService = NetKernel.Api.V1.GuestService;
using NsmService = NetKernel.Api.V1.NsmService;
using PolicyService = NetKernel.Api.V1.PolicyService;
using TenantService = NetKernel.Api.V1.TenantService;

namespace NetKernel.ControlPlane.Tests;

/// <summary>nkd as a whole over its socket, with scripts as programs and a fake engine. In host mode, so that it needs no bridge.</summary>
public sealed class ApiTests : IAsyncLifetime
{
    private static int _count;

    private readonly string _folder = Directory.CreateTempSubdirectory("nkd-").FullName;
    private FakeEngine _engine = null!;
    private GrpcChannel _channel = null!;
    private Task<int> _daemon = null!;

    private string RunDirectory => Path.Combine(_folder, "run");

    private GuestService.GuestServiceClient Guests => new(_channel.CreateCallInvoker());

    private NsmService.NsmServiceClient Nsms => new(_channel.CreateCallInvoker());

    private TenantService.TenantServiceClient Tenants => new(_channel.CreateCallInvoker());

    private PolicyService.PolicyServiceClient Policies => new(_channel.CreateCallInvoker());

    private StateService.StateServiceClient State => new(_channel.CreateCallInvoker());

    private PlatformService.PlatformServiceClient Platform => new(_channel.CreateCallInvoker());

    public async Task InitializeAsync()
    {
        FakeEngine.WritePrograms(_folder);
        _engine = new FakeEngine(RunDirectory);
        _daemon = Task.Run(() => Daemon.RunAsync(Options($"api-{Environment.ProcessId}-{Interlocked.Increment(ref _count)}", RunDirectory)));
        _channel = Connect(RunDirectory);
        for (int i = 0; i < 1000; i++)
        {
            if (_daemon.IsCompleted)
            {
                _ = await _daemon;
            }

            try
            {
                _ = await Platform.GetStatusAsync(new Empty());
                return;
            }
            catch (RpcException e) when (e.StatusCode == StatusCode.Unavailable)
            {
                await Task.Delay(10);
            }
        }
    }

    public async Task DisposeAsync()
    {
        _ = await Platform.ShutdownAsync(new ShutdownRequest());
        Assert.Equal(0, await _daemon.WaitAsync(TimeSpan.FromSeconds(20)));
        _channel.Dispose();
        _engine.Dispose();
        Assert.False(Directory.Exists(RunDirectory));
        Directory.Delete(_folder, recursive: true);
    }

    [Fact]
    public async Task Guests_are_made_listed_and_deleted()
    {
        Guest made = await Create("web");
        Assert.Equal(("web", 1u, GuestState.Ready, "default", "kernel0"), (made.Name, made.Id, made.State, made.Tenant, made.Nsm));
        Assert.Equal("web", (await Guests.CreateGuestAsync(new CreateGuestRequest { Guest = new Guest { Name = "web" }, AllowExisting = true })).Name);
        await Fails(Create("web"), StatusCode.AlreadyExists, "exists already", "guest.name");
        _ = await Guests.CreateGuestAsync(new CreateGuestRequest { Guest = new Guest { Name = "db", Nsm = "kernel0" } });
        ListGuestsResponse list = await Guests.ListGuestsAsync(new ListGuestsRequest());
        Assert.Equal(["db", "web"], list.Guests.Select(guest => guest.Name));
        _ = await Guests.DeleteGuestAsync(new DeleteGuestRequest { Name = "web" });
        await Fails(Guests.DeleteGuestAsync(new DeleteGuestRequest { Name = "web" }).ResponseAsync, StatusCode.NotFound, "no guest web");
        _ = await Guests.DeleteGuestAsync(new DeleteGuestRequest { Name = "web", AllowMissing = true });

        // The freed id is used again, and the engine was told everything.
        Assert.Equal(1u, (await Create("new")).Id);
        lock (_engine.Requests)
        {
            Assert.Equal(
                [AttachOp.ControlHello, AttachOp.AddNsm, AttachOp.AddGuest, AttachOp.AddGuest, AttachOp.RemoveGuest, AttachOp.AddGuest],
                _engine.Requests.Select(request => request.Op));
            Assert.Equal(RegionFlags.HostMode, _engine.Requests[2].Flags);
        }
    }

    public static TheoryData<Guest, StatusCode, string, string> WrongGuests => new()
    {
        { new Guest { Name = "Bad" }, StatusCode.InvalidArgument, "is no valid guest name", "guest.name" },
        { new Guest { Name = "a", Nsm = "none" }, StatusCode.NotFound, "no NSM none", "guest.nsm" },
        { new Guest { Name = "a", Tenant = "none" }, StatusCode.NotFound, "no tenant none", "guest.tenant" },
        { new Guest { Name = "a", Ipv4 = "8.8.8.8" }, StatusCode.InvalidArgument, "outside the IPv4 subnet", "guest.ipv4" },
        { new Guest { Name = "a", Ipv6 = "nonsense" }, StatusCode.InvalidArgument, "not an IPv6 address", "guest.ipv6" },
        { new Guest { Name = "a", Dns = new Dns { Servers = { "x" } } }, StatusCode.InvalidArgument, "not an IP address", "guest.dns" },
        { new Guest { Name = "a", Labels = { ["a=b"] = "" } }, StatusCode.InvalidArgument, "printable", "guest.labels.a=b" },
    };

    [Theory]
    [MemberData(nameof(WrongGuests))]
    public async Task Wrong_guests_get_a_reason_and_the_field(Guest guest, StatusCode code, string reason, string field)
    {
        await Fails(Guests.CreateGuestAsync(new CreateGuestRequest { Guest = guest }).ResponseAsync, code, reason, field);
        Assert.Empty((await Guests.ListGuestsAsync(new ListGuestsRequest())).Guests);
    }

    public static TheoryData<Nsm, StatusCode, string, string> WrongNsms => new()
    {
        { new Nsm { Name = "kernel0" }, StatusCode.AlreadyExists, "exists already", "nsm.name" },
        { new Nsm { Name = "x", Kind = "dpdk" }, StatusCode.InvalidArgument, "nk-nsm-dpdk is not installed", "nsm.kind" },
        { new Nsm { Name = "x", Kind = "../x" }, StatusCode.InvalidArgument, "no NSMs of kind", "nsm.kind" },
        { new Nsm { Name = "x", CongestionControl = "vegas" }, StatusCode.InvalidArgument, "one of cubic, bbr, reno", "nsm.congestion_control" },
        { new Nsm { Name = "x", CongestionControl = "dctcp" }, StatusCode.InvalidArgument, "one of cubic, bbr, reno", "nsm.congestion_control" },
        { new Nsm { Name = "x", Kind = "mtcp", CongestionControl = "vegas" }, StatusCode.InvalidArgument, "one of cubic, reno, dctcp, bbr", "nsm.congestion_control" },
        { new Nsm { Name = "x", Kind = "mtcp", SendBuffer = 65536 }, StatusCode.InvalidArgument, "has no send buffer", "nsm.send_buffer" },
        { new Nsm { Name = "x", Kind = "mtcp", InitialWindow = 20 }, StatusCode.InvalidArgument, "RFC 6928", "nsm.initial_window" },
        { new Nsm { Name = "x", SendBuffer = -1 }, StatusCode.InvalidArgument, "buffer sizes", "nsm.send_buffer" },
        { new Nsm { Name = "x", MemoryBytes = 5 }, StatusCode.InvalidArgument, "quota of memory", "nsm.memory_bytes" },
    };

    [Theory]
    [MemberData(nameof(WrongNsms))]
    public async Task Wrong_nsms_get_a_reason_and_the_field(Nsm nsm, StatusCode code, string reason, string field) =>
        await Fails(Nsms.CreateNsmAsync(new CreateNsmRequest { Nsm = nsm }).ResponseAsync, code, reason, field);

    [Fact]
    public async Task A_taken_address_is_refused_with_its_owner()
    {
        _ = await Guests.CreateGuestAsync(new CreateGuestRequest { Guest = new Guest { Name = "a", Ipv4 = "198.18.7.7" } });
        await Fails(
            Guests.CreateGuestAsync(new CreateGuestRequest { Guest = new Guest { Name = "b", Ipv4 = "198.18.7.7" } }).ResponseAsync, StatusCode.AlreadyExists,
            "belongs to guest a", "guest.ipv4");
    }

    [Fact]
    public async Task What_the_engine_refuses_leaves_no_guest()
    {
        _engine.Refusal = (AttachOp.AddGuest, 12, "no memory for its pool");
        await Fails(Create("a"), StatusCode.Internal, "no memory for its pool");
        Assert.Empty((await Guests.ListGuestsAsync(new ListGuestsRequest())).Guests);
        _ = await Create("a");
    }

    [Fact]
    public async Task A_trial_changes_nothing()
    {
        Guest trial = await Guests.CreateGuestAsync(new CreateGuestRequest { Guest = new Guest { Name = "a" }, ValidateOnly = true });
        Assert.Equal("kernel0", trial.Nsm);
        Assert.Empty((await Guests.ListGuestsAsync(new ListGuestsRequest())).Guests);
    }

    [Fact]
    public async Task A_mask_says_what_an_update_changes()
    {
        Guest made = await Guests.CreateGuestAsync(new CreateGuestRequest { Guest = new Guest { Name = "a", Labels = { ["x"] = "1" } } });
        var wanted = new Guest { Name = "a", Limits = new Limits { OpenConnections = 7, OperationsPerSecond = 9 }, Labels = { ["y"] = "2" } };
        Guest changed = await Update(wanted, "limits.open_connections");
        Assert.Equal((7ul, 0ul), (changed.Limits.OpenConnections, changed.Limits.OperationsPerSecond));
        Assert.Equal("1", changed.Labels["x"]);
        changed = await Update(wanted, "labels");
        Assert.Equal(["y"], changed.Labels.Keys);
        Assert.Equal(7ul, changed.Limits.OpenConnections);
        changed = await Update(new Guest { Name = "a" }, "limits");
        Assert.Null(changed.Limits);
        await Fails(Update(wanted, "ipv4"), StatusCode.InvalidArgument, "cannot be changed", "update_mask");
        await Fails(Update(wanted, "nonsense"), StatusCode.InvalidArgument, "no field nonsense", "update_mask");
        await Fails(Update(new Guest { Name = "a", ResourceVersion = made.ResourceVersion, Labels = { ["z"] = "" } }, "labels"), StatusCode.Aborted, "changed since");
        Assert.True(changed.ResourceVersion > made.ResourceVersion);
    }

    [Fact]
    public async Task Lists_come_in_pages()
    {
        foreach (string name in new[] { "c", "a", "b", "e", "d" })
        {
            _ = await Create(name);
        }

        var seen = new List<string>();
        string token = "";
        do
        {
            ListGuestsResponse page = await Guests.ListGuestsAsync(new ListGuestsRequest { PageSize = 2, PageToken = token });
            seen.AddRange(page.Guests.Select(guest => guest.Name));
            token = page.NextPageToken;
            if (seen.Count == 2)
            {
                _ = await Guests.DeleteGuestAsync(new DeleteGuestRequest { Name = "b" }); // the last of the page before
            }
        }
        while (token.Length > 0);
        Assert.Equal(["a", "b", "c", "d", "e"], seen);
        await Fails(Guests.ListGuestsAsync(new ListGuestsRequest { PageToken = "?" }).ResponseAsync, StatusCode.InvalidArgument, "no page token", "page_token");
    }

    [Fact]
    public async Task A_watch_tells_what_there_is_and_what_comes()
    {
        _ = await Create("a");
        using AsyncServerStreamingCall<Event> watch = State.Watch(new WatchRequest { Kinds = { "guest" } });
        Event first = await Next(watch);
        Assert.Equal((Event.Types.Type.Added, "a"), (first.Type, first.Guest.Name));
        Event synced = await Next(watch);
        Assert.Equal(Event.Types.Type.Synced, synced.Type);
        _ = await Create("b");
        _ = await Update(new Guest { Name = "b", Labels = { ["k"] = "v" } }, "labels");
        _ = await Guests.DeleteGuestAsync(new DeleteGuestRequest { Name = "b" });
        var told = new List<(Event.Types.Type, string)>();
        do
        {
            Event e = await Next(watch);
            told.Add((e.Type, e.Guest.Name));
        }
        while (told[^1].Item1 != Event.Types.Type.Deleted);
        Assert.Equal((Event.Types.Type.Added, "b"), told[0]);
        Assert.Contains((Event.Types.Type.Modified, "b"), told);

        // The same again from the version at which the first one was synced.
        using AsyncServerStreamingCall<Event> again = State.Watch(new WatchRequest { Kinds = { "guest" }, ResourceVersion = synced.ResourceVersion });
        Assert.Equal(
            [Event.Types.Type.Added, Event.Types.Type.Modified, Event.Types.Type.Deleted], [(await Next(again)).Type, (await Next(again)).Type, (await Next(again)).Type]);
    }

    [Fact]
    public async Task Apply_shows_the_difference_and_then_makes_it()
    {
        _ = await Create("old");
        DeclaredState wanted = State.Export(new ExportRequest());
        wanted.Guests.Clear();
        wanted.Guests.Add(new Guest { Name = "new", Tenant = "acme", Labels = { ["tier"] = "web" } });
        wanted.Tenants.Add(new Tenant { Name = "acme", MaxGuests = 3 });
        ApplyResponse trial = await State.ApplyAsync(new ApplyRequest { State = wanted, Prune = true, DryRun = true });
        Assert.Equal(
            [(Change.Types.Action.Delete, "guest", "old"), (Change.Types.Action.Create, "tenant", "acme"), (Change.Types.Action.Create, "guest", "new")],
            trial.Changes.Select(change => (change.Action, change.Kind, change.Name)));
        Assert.Equal(["old"], (await Guests.ListGuestsAsync(new ListGuestsRequest())).Guests.Select(guest => guest.Name));
        ApplyResponse done = await State.ApplyAsync(new ApplyRequest { State = wanted, Prune = true });
        Assert.Equal(trial.Changes, done.Changes);
        Guest guest = Assert.Single((await Guests.ListGuestsAsync(new ListGuestsRequest())).Guests);
        Assert.Equal(("new", "acme", GuestState.Ready), (guest.Name, guest.Tenant, guest.State));
        Assert.Empty((await State.ApplyAsync(new ApplyRequest { State = wanted, Prune = true })).Changes);

        // All or nothing: the second guest is wrong, so the first is not made either.
        wanted.Guests.Add(new Guest { Name = "fine" });
        wanted.Guests.Add(new Guest { Name = "bad", Ipv4 = "x" });
        await Fails(State.ApplyAsync(new ApplyRequest { State = wanted }).ResponseAsync, StatusCode.InvalidArgument, "not an IPv4 address", "guest.ipv4");
        _ = Assert.Single((await Guests.ListGuestsAsync(new ListGuestsRequest())).Guests);
    }

    [Fact]
    public async Task Policies_choose_the_nsm_of_a_new_guest()
    {
        _ = await Nsms.CreateNsmAsync(new CreateNsmRequest { Nsm = new Nsm { Name = "fast" } });
        _ = await Policies.CreatePolicyAsync(new CreatePolicyRequest
        {
            Policy = new Policy { Name = "web", Nsms = { "missing", "fast", "kernel0" }, Match = new PolicyMatch { Labels = { ["tier"] = "web" } } },
        });
        Assert.Equal("fast", (await Guests.CreateGuestAsync(new CreateGuestRequest { Guest = new Guest { Name = "a", Labels = { ["tier"] = "web" } } })).Nsm);
        Assert.Equal("kernel0", (await Create("b")).Nsm);
        Policy flows = await Policies.CreatePolicyAsync(new CreatePolicyRequest { Policy = new Policy { Name = "flows", Nsms = { "fast" }, Match = new PolicyMatch { Port = 80 } } });
        Assert.Contains("not in force", flows.Problem);
    }

    [Fact]
    public async Task A_tenant_is_asked_for_its_own_limit_and_kept_while_it_has_guests()
    {
        _ = await Tenants.CreateTenantAsync(new CreateTenantRequest { Tenant = new Tenant { Name = "acme", MaxGuests = 1 } });
        _ = await Guests.CreateGuestAsync(new CreateGuestRequest { Guest = new Guest { Name = "a", Tenant = "acme" } });
        await Fails(
            Guests.CreateGuestAsync(new CreateGuestRequest { Guest = new Guest { Name = "b", Tenant = "acme" } }).ResponseAsync, StatusCode.ResourceExhausted, "may have 1 guests",
            "guest.tenant");
        await Fails(Tenants.DeleteTenantAsync(new DeleteTenantRequest { Name = "acme" }).ResponseAsync, StatusCode.FailedPrecondition, "has 1 guests");
    }

    [Fact]
    public async Task CoreEngine_is_told_the_limits_of_guests_whenever_they_change()
    {
        _ = await Guests.CreateGuestAsync(new CreateGuestRequest { Guest = new Guest { Name = "a", Limits = new Limits { SendBytesPerSecond = 1000, SendBurstBytes = 7 } } });
        Assert.Equal([(1u, 0u, 1000ul, 7ul, 0ul)], LimitsTold());
        _ = await Update(new Guest { Name = "a", Limits = new Limits { OpenConnections = 9 } }, "limits.open_connections");
        _ = await Update(new Guest { Name = "a", Labels = { ["x"] = "1" } }, "labels");
        Assert.Equal([(1u, 0u, 1000ul, 7ul, 9ul)], LimitsTold());
        _ = await Update(new Guest { Name = "a" }, "limits");
        Assert.Equal([(1u, 0u, 0ul, 0ul, 0ul)], LimitsTold());
        _ = await Create("b");
        Assert.Empty(LimitsTold());
    }

    [Fact]
    public async Task CoreEngine_is_told_the_limits_of_tenants_by_calls_and_apply()
    {
        Tenant acme = await Tenants.CreateTenantAsync(new CreateTenantRequest { Tenant = new Tenant { Name = "acme", Limits = new Limits { SendBytesPerSecond = 1000 } } });
        Assert.Equal([(0u, acme.Id, 1000ul, 0ul, 0ul)], LimitsTold());
        var state = new DeclaredState
        {
            Tenants = { new Tenant { Name = "acme", Limits = new Limits { SendBytesPerSecond = 2000 } } },
            Guests = { new Guest { Name = "a", Tenant = "acme", Limits = new Limits { OpenConnections = 3 } } },
        };
        _ = await State.ApplyAsync(new ApplyRequest { State = state });
        Assert.Equal([(0u, acme.Id, 2000ul, 0ul, 0ul), (1u, 0u, 0ul, 0ul, 3ul)], LimitsTold());
        _ = await Guests.DeleteGuestAsync(new DeleteGuestRequest { Name = "a" });
        _ = await Tenants.DeleteTenantAsync(new DeleteTenantRequest { Name = "acme" });
        Assert.Equal([(0u, acme.Id, 0ul, 0ul, 0ul)], LimitsTold());
    }

    [Fact]
    public async Task A_killed_engine_is_told_the_limits_again()
    {
        _ = await Tenants.CreateTenantAsync(new CreateTenantRequest { Tenant = new Tenant { Name = "acme", Limits = new Limits { SendBytesPerSecond = 1000 } } });
        _ = await Guests.CreateGuestAsync(new CreateGuestRequest { Guest = new Guest { Name = "a", Limits = new Limits { OpenConnections = 3 } } });
        (uint, uint, ulong, ulong, ulong)[] told = LimitsTold();
        Assert.Equal(2, told.Length);
        _ = Network.ProcessesInside.SendSignal((await Platform.GetStatusAsync(new Empty())).EnginePid, 9);
        var again = new List<(uint, uint, ulong, ulong, ulong)>();
        for (int i = 0; i < 1000 && again.Count < 2; i++)
        {
            again.AddRange(LimitsTold());
            await Task.Delay(10);
        }

        Assert.Equal(told, again);
    }

    [Fact]
    public async Task Limits_that_cannot_be_enforced_are_refused()
    {
        await Refused(new Limits { PoolBytes = 1 }, "cannot be enforced", "pool_bytes");
        await Refused(new Limits { SendBurstBytes = 1 }, "needs a rate", "send_burst_bytes");
        await Refused(new Limits { OperationsPerSecond = ulong.MaxValue }, "at most", "operations_per_second");
        Assert.Empty(LimitsTold());

        async Task Refused(Limits limits, string why, string field)
        {
            await Fails(
                Guests.CreateGuestAsync(new CreateGuestRequest { Guest = new Guest { Name = "a", Limits = limits } }).ResponseAsync, StatusCode.InvalidArgument, why, "guest.limits." + field);
            await Fails(
                Tenants.CreateTenantAsync(new CreateTenantRequest { Tenant = new Tenant { Name = "t", Limits = limits } }).ResponseAsync, StatusCode.InvalidArgument, why,
                "tenant.limits." + field);
        }
    }

    // What SetLimits have come since the last look: guest, tenant, and some of the limits.
    private (uint Guest, uint Tenant, ulong Send, ulong Burst, ulong Open)[] LimitsTold()
    {
        lock (_engine.Requests)
        {
            var told = _engine.Requests.Where(one => one.Op == AttachOp.SetLimits)
                .Select(one => (one.Guest, one.Slot, one.Limits.SendBytesPerSecond, one.Limits.SendBurst, one.Limits.OpenConnections)).ToArray();
            _ = _engine.Requests.RemoveAll(one => one.Op == AttachOp.SetLimits);
            return told;
        }
    }

    [Fact]
    public async Task Every_change_has_an_audit_entry_and_so_has_every_refusal()
    {
        _ = await Create("a");
        await Fails(Create("a"), StatusCode.AlreadyExists, "exists already");
        _ = await Guests.GetGuestAsync(new GetGuestRequest { Name = "a" });
        _ = await Guests.DeleteGuestAsync(new DeleteGuestRequest { Name = "a" });
        ListAuditResponse audit = await new AuditService.AuditServiceClient(_channel.CreateCallInvoker()).ListAuditAsync(new ListAuditRequest { Target = "guest/a" });
        Assert.Equal(
            [("GuestService/DeleteGuest", "OK"), ("GuestService/CreateGuest", "AlreadyExists"), ("GuestService/CreateGuest", "OK")],
            audit.Entries.Select(entry => (entry.Method, entry.Result.Split(':')[0])));
        Assert.All(audit.Entries, entry => Assert.StartsWith("operator uid ", entry.Caller));
    }

    [Fact]
    public async Task A_detached_guest_shows_its_reason()
    {
        _ = await Create("a");
        _engine.Tell(AttachOp.GuestDetached, guest: 1, nsm: 0, "job ring: impossible index");
        Guest guest = new();
        for (int i = 0; i < 500 && guest.State != GuestState.Detached; i++)
        {
            guest = await Guests.GetGuestAsync(new GetGuestRequest { Name = "a" });
            await Task.Delay(5);
        }

        Assert.Equal((GuestState.Detached, "job ring: impossible index"), (guest.State, guest.Reason));
        _ = await Guests.DeleteGuestAsync(new DeleteGuestRequest { Name = "a" });
    }

    [Fact]
    public async Task NSMs_are_made_and_deleted_but_not_from_under_their_guests()
    {
        Nsm made = await Nsms.CreateNsmAsync(new CreateNsmRequest { Nsm = new Nsm { Name = "second", CongestionControl = "reno", SendBuffer = 65536 } });
        Assert.Equal((2u, NsmState.Ready, "kernel"), (made.Id, made.State, made.Kind));
        _ = await Guests.CreateGuestAsync(new CreateGuestRequest { Guest = new Guest { Name = "a", Nsm = "second" } });
        await Fails(Nsms.DeleteNsmAsync(new DeleteNsmRequest { Name = "second" }).ResponseAsync, StatusCode.FailedPrecondition, "serves 1 guests (a)");
        _ = await Guests.DeleteGuestAsync(new DeleteGuestRequest { Name = "a" });
        _ = await Nsms.DeleteNsmAsync(new DeleteNsmRequest { Name = "second" });
        _ = Assert.Single((await Nsms.ListNsmsAsync(new ListNsmsRequest())).Nsms);
    }

    [Fact]
    public async Task What_an_nsm_gets_at_its_start_changes_by_starting_it_again()
    {
        Nsm before = await Nsms.GetNsmAsync(new GetNsmRequest { Name = "kernel0" });
        var request = new UpdateNsmRequest { Nsm = new Nsm { Name = "kernel0", SendBuffer = 65536 }, UpdateMask = new FieldMask { Paths = { "send_buffer" } } };
        await Fails(Nsms.UpdateNsmAsync(request).ResponseAsync, StatusCode.FailedPrecondition, "allow_restart");
        request.AllowRestart = true;
        Nsm after = await Nsms.UpdateNsmAsync(request);
        Assert.Equal((65536, NsmState.Ready), (after.SendBuffer, after.State));
        Assert.NotEqual(before.Pid, after.Pid);
    }

    [Fact]
    public async Task A_killed_engine_is_started_and_told_everything_again()
    {
        _ = await Create("a");
        int pid = (await Platform.GetStatusAsync(new Empty())).EnginePid;
        lock (_engine.Requests)
        {
            _engine.Requests.Clear();
        }

        _ = Network.ProcessesInside.SendSignal(pid, 9);
        for (int i = 0; i < 500; i++)
        {
            lock (_engine.Requests)
            {
                if (_engine.Requests.Count >= 3)
                {
                    break;
                }
            }

            await Task.Delay(10);
        }

        lock (_engine.Requests)
        {
            Assert.Equal([AttachOp.ControlHello, AttachOp.AddNsm, AttachOp.AddGuest], _engine.Requests.Select(request => request.Op));
        }
    }

    [Fact]
    public async Task A_second_nkd_is_refused()
    {
        ServiceException refused = await Assert.ThrowsAsync<ServiceException>(() => Daemon.RunAsync(Options("other", RunDirectory)));
        Assert.Equal(FailureCode.AlreadyExists, refused.Code);
        Assert.Contains($"pid {Environment.ProcessId}", refused.Message);
    }

    [Fact]
    public async Task Health_and_reflection_are_served()
    {
        HealthCheckResponse health = await new Health.HealthClient(_channel.CreateCallInvoker()).CheckAsync(new HealthCheckRequest());
        Assert.Equal(HealthCheckResponse.Types.ServingStatus.Serving, health.Status);
        var reflection = new Grpc.Reflection.V1Alpha.ServerReflection.ServerReflectionClient(_channel.CreateCallInvoker());
        using var call = reflection.ServerReflectionInfo();
        await call.RequestStream.WriteAsync(new Grpc.Reflection.V1Alpha.ServerReflectionRequest { ListServices = "" });
        Assert.True(await call.ResponseStream.MoveNext(CancellationToken.None));
        Assert.Contains("netkernel.v1.GuestService", call.ResponseStream.Current.ListServicesResponse.Service.Select(service => service.Name));
    }

    [Fact]
    public async Task Counters_and_connections_come_from_the_counter_file()
    {
        await Fails(Platform.GetCountersAsync(new Empty()).ResponseAsync, StatusCode.Unavailable, "CoreEngine is being started");
        _ = await Create("a");
        WriteStats();
        Counters stats = await Platform.GetCountersAsync(new Empty());
        Api.V1.GuestCounters guest = Assert.Single(stats.Guests);
        Assert.Equal((2 * 1000ul, 2 * 11ul), (guest.BytesSent, guest.NqesFromGuest));
        Assert.Equal(2, stats.PerLoop.Count);

        Connection[] rows = await Connections("a");
        Assert.Equal(2, rows.Length);
        Assert.Equal(("198.18.1.1:80", "established", "a", "kernel0"), (rows[0].Local, rows[0].State, rows[0].Guest, rows[0].Nsm));
        await Fails(Connections("zz"), StatusCode.NotFound, "no guest zz", "guest");
    }

    internal static GrpcChannel Connect(string runDirectory) => GrpcChannel.ForAddress("http://localhost", new GrpcChannelOptions
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

    private static async Task<Event> Next(AsyncServerStreamingCall<Event> watch)
    {
        using var stop = new CancellationTokenSource(TimeSpan.FromSeconds(30));
        Assert.True(await watch.ResponseStream.MoveNext(stop.Token));
        return watch.ResponseStream.Current;
    }

    private static NkdOptions OptionsOf(params string[] arguments) => NkdOptions.Parse(arguments);

    private static async Task Fails(Task call, StatusCode code, string reason, string? field = null)
    {
        RpcException e = await Assert.ThrowsAsync<RpcException>(() => call);
        Assert.Equal(code, e.StatusCode);
        Assert.Contains(reason, e.Status.Detail);
        Google.Rpc.Status? details = e.GetRpcStatus();
        Assert.NotNull(details);
        if (field is not null)
        {
            Assert.Equal(field, details.GetDetail<BadRequest>()?.FieldViolations[0].Field);
        }
    }

    private NkdOptions Options(string instance, string runDirectory) =>
        OptionsOf("--run-dir", runDirectory, "--instance", instance, "--mode", "host", "--bin-dir", _folder);

    private Task<Guest> Create(string name) => Guests.CreateGuestAsync(new CreateGuestRequest { Guest = new Guest { Name = name } }).ResponseAsync;

    private Task<Guest> Update(Guest guest, params string[] paths) =>
        Guests.UpdateGuestAsync(new UpdateGuestRequest { Guest = guest, UpdateMask = new FieldMask { Paths = { paths } } }).ResponseAsync;

    private async Task<Connection[]> Connections(string guest)
    {
        using var call = new ConnectionService.ConnectionServiceClient(_channel.CreateCallInvoker()).ListConnections(new ListConnectionsRequest { Guest = guest });
        var rows = new List<Connection>();
        while (await call.ResponseStream.MoveNext(CancellationToken.None))
        {
            rows.AddRange(call.ResponseStream.Current.Connections);
        }

        return [.. rows];
    }

    // Two loops, rows 0 and 1 for guests, NSMs and connections.
    private void WriteStats()
    {
        var header = new CountersHeader { Magic = CountersHeader.MagicValue, LayoutVersion = ControlHeader.Version, Loops = 2, Guests = 2, Nsms = 2, Connections = 2, Pid = 1 };
        byte[] file = new byte[header.TotalLength];
        MemoryMarshal.Write(file, header);
        for (uint loop = 0; loop < 2; loop++)
        {
            MemoryMarshal.Write(file.AsSpan((int)header.GuestOf(loop, 1)), new GuestCounters { BytesSent = 1000, NqesFromGuest = 11 });
            MemoryMarshal.Write(file.AsSpan((int)header.ConnectionOf(loop, 1)), new ConnectionRow
            {
                State = ConnectionState.Established,
                Guest = 1,
                Nsm = 1,
                LocalPort = 80,
                LocalHigh = BitConverter.ToUInt64([0, 0, 255, 255, 198, 18, 1, 1]),
            });
        }

        File.WriteAllBytes(Path.Combine(RunDirectory, "engine.stats"), file);
    }
}
