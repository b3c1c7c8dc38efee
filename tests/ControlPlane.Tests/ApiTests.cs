using System.Net.Sockets;
using Google.Protobuf.WellKnownTypes;
using Grpc.Core;
using Grpc.Health.V1;
using NetKernel.Api.V1;
using GuestService = NetKernel.Api.V1.GuestService;

namespace NetKernel.ControlPlane.Tests;

/// <summary>What all of the API has: trials, masks, pages, watches, apply, the audit log, health.</summary>
public sealed class ApiTests : NkdOverItsSocket
{
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
    public async Task Every_change_has_an_audit_entry_and_so_has_every_refusal()
    {
        _ = await Create("a");
        await Fails(Create("a"), StatusCode.AlreadyExists, "exists already");
        _ = await Guests.GetGuestAsync(new GetGuestRequest { Name = "a" });
        _ = await Guests.DeleteGuestAsync(new DeleteGuestRequest { Name = "a" });
        ListAuditResponse audit = await new AuditService.AuditServiceClient(Channel.CreateCallInvoker()).ListAuditAsync(new ListAuditRequest { Target = "guest/a" });
        Assert.Equal(
            [("GuestService/DeleteGuest", "OK"), ("GuestService/CreateGuest", "AlreadyExists"), ("GuestService/CreateGuest", "OK")],
            audit.Entries.Select(entry => (entry.Method, entry.Result.Split(':')[0])));
        Assert.All(audit.Entries, entry => Assert.StartsWith("operator uid ", entry.Caller));
    }

    [Fact]
    public async Task Health_and_reflection_are_served()
    {
        HealthCheckResponse health = await new Health.HealthClient(Channel.CreateCallInvoker()).CheckAsync(new HealthCheckRequest());
        Assert.Equal(HealthCheckResponse.Types.ServingStatus.Serving, health.Status);
        var reflection = new Grpc.Reflection.V1Alpha.ServerReflection.ServerReflectionClient(Channel.CreateCallInvoker());
        using var call = reflection.ServerReflectionInfo();
        await call.RequestStream.WriteAsync(new Grpc.Reflection.V1Alpha.ServerReflectionRequest { ListServices = "" });
        Assert.True(await call.ResponseStream.MoveNext(CancellationToken.None));
        Assert.Contains("netkernel.v1.GuestService", call.ResponseStream.Current.ListServicesResponse.Service.Select(service => service.Name));
    }
}
