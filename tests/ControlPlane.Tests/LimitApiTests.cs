using System.Net.Sockets;
using Google.Protobuf.WellKnownTypes;
using Grpc.Core;
using NetKernel.Api.V1;
using NetKernel.Channel;

namespace NetKernel.ControlPlane.Tests;

/// <summary>Limits over the API, and what CoreEngine is told of them.</summary>
public sealed class LimitApiTests : NkdOverItsSocket
{
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
    public async Task A_tenants_limit_that_CoreEngine_refuses_is_shown_to_the_caller_and_with_the_tenant_until_it_is_in_force()
    {
        _ = await Tenants.CreateTenantAsync(new CreateTenantRequest { Tenant = new Tenant { Name = "acme" } });
        using AsyncServerStreamingCall<Event> watch = State.Watch(new WatchRequest { Kinds = { "tenant" } });
        for (Event e = await Next(watch); e.Type != Event.Types.Type.Synced;)
        {
            e = await Next(watch);
        }

        Engine.Refusal = (AttachOp.SetLimits, 12, "no room for buckets");
        Tenant changed = await Tenants.UpdateTenantAsync(new UpdateTenantRequest { Tenant = new Tenant { Name = "acme", Limits = new Limits { SendBytesPerSecond = 1000 } } });
        Assert.Equal("its limits are not in force: no room for buckets", changed.Problem);

        // The next try, two seconds later, is not refused; whoever watches hears of both.
        bool refused = false;
        for (Event e = await Next(watch); !refused || e.Tenant.Problem.Length > 0;)
        {
            refused |= e.Tenant.Problem.Length > 0;
            e = await Next(watch);
        }

        Assert.Empty((await Tenants.GetTenantAsync(new GetTenantRequest { Name = "acme" })).Problem);
        Assert.Equal([1000ul, 1000ul], LimitsTold().Where(one => one.Tenant == changed.Id && one.Send > 0).Select(one => one.Send));
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
        Engine.Await(() =>
        {
            again.AddRange(LimitsTold());
            return again.Count >= 2;
        });
        Assert.Equal(told, again);
    }

    [Fact]
    public async Task A_rate_of_connections_reaches_CoreEngine()
    {
        _ = await Guests.CreateGuestAsync(new CreateGuestRequest { Guest = new Guest { Name = "a", Limits = new Limits { ConnectionsPerSecond = 20_000, ConnectionsBurst = 300 } } });
        lock (Engine.Requests)
        {
            Assert.Equal([(20_000ul, 300ul)], Engine.Requests.Where(one => one.Op == AttachOp.SetLimits).Select(one => (one.Limits.ConnectionsPerSecond, one.Limits.ConnectionsBurst)));
        }
    }

    [Fact]
    public async Task Limits_that_cannot_be_enforced_are_refused()
    {
        await Refused(new Limits { PoolBytes = 1 }, "at least", "pool_bytes");
        await Refused(new Limits { SendBurstBytes = 1 }, "needs a rate", "send_burst_bytes");
        await Refused(new Limits { OperationsPerSecond = ulong.MaxValue }, "at most", "operations_per_second");
        await Refused(new Limits { ConnectionsPerSecond = ulong.MaxValue }, "at most", "connections_per_second");
        await Refused(new Limits { ConnectionsBurst = 1 }, "needs a rate", "connections_burst");
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
        lock (Engine.Requests)
        {
            var told = Engine.Requests.Where(one => one.Op == AttachOp.SetLimits)
                .Select(one => (one.Guest, one.Slot, one.Limits.SendBytesPerSecond, one.Limits.SendBurst, one.Limits.OpenConnections)).ToArray();
            _ = Engine.Requests.RemoveAll(one => one.Op == AttachOp.SetLimits);
            return told;
        }
    }

    [Fact]
    public async Task CoreEngine_makes_a_guests_pool_no_larger_than_its_limit_and_it_stays_so()
    {
        _ = await Guests.CreateGuestAsync(new CreateGuestRequest { Guest = new Guest { Name = "a", Limits = new Limits { PoolBytes = 64 << 20 } } });
        _ = await Create("b");
        lock (Engine.Requests)
        {
            Assert.Equal([64ul << 20, 0ul], Engine.Requests.Where(one => one.Op == AttachOp.AddGuest).Select(one => one.Limits.PoolBytes));
        }

        await Fails(Update(new Guest { Name = "a", Limits = new Limits { PoolBytes = 32 << 20 } }, "limits.pool_bytes"), StatusCode.FailedPrecondition, "keeps its size", "guest.limits.pool_bytes");
        await Fails(Update(new Guest { Name = "b", Limits = new Limits { PoolBytes = 32 << 20 } }, "limits.pool_bytes"), StatusCode.FailedPrecondition, "keeps its size");
        var state = new DeclaredState { Guests = { new Guest { Name = "a", Limits = new Limits { PoolBytes = 32 << 20 } } } };
        await Fails(State.ApplyAsync(new ApplyRequest { State = state }).ResponseAsync, StatusCode.FailedPrecondition, "keeps its size");
        _ = await Update(new Guest { Name = "a", Limits = new Limits { OpenConnections = 9 } }, "limits.open_connections");
    }

    [Fact]
    public async Task The_pools_of_a_tenants_guests_are_no_more_than_its_limit()
    {
        _ = await Tenants.CreateTenantAsync(new CreateTenantRequest { Tenant = new Tenant { Name = "acme", Limits = new Limits { PoolBytes = 64 << 20 } } });
        await Fails(Make("a", 0), StatusCode.FailedPrecondition, "needs one of its own", "guest.limits.pool_bytes");
        _ = await Make("a", 40);
        await Fails(Make("b", 25), StatusCode.ResourceExhausted, "67108864 bytes of pools, and 68157440", "guest.limits.pool_bytes");
        _ = await Make("b", 24);
        await Fails(Limit(63), StatusCode.ResourceExhausted, "are asked for", "tenant.limits.pool_bytes");
        _ = await Guests.DeleteGuestAsync(new DeleteGuestRequest { Name = "b" });
        _ = await Limit(40);
        _ = await Limit(0);
        _ = await Make("c", 0);
        await Fails(Limit(100), StatusCode.FailedPrecondition, "c has none", "tenant.limits.pool_bytes");

        Task<Guest> Make(string name, ulong mebibytes) => Guests.CreateGuestAsync(
            new CreateGuestRequest { Guest = new Guest { Name = name, Tenant = "acme", Limits = new Limits { PoolBytes = mebibytes << 20 } } }).ResponseAsync;
        Task<Tenant> Limit(ulong mebibytes) => Tenants.UpdateTenantAsync(new UpdateTenantRequest
        {
            Tenant = new Tenant { Name = "acme", Limits = new Limits { PoolBytes = mebibytes << 20 } },
            UpdateMask = new FieldMask { Paths = { "limits.pool_bytes" } },
        }).ResponseAsync;
    }
}
