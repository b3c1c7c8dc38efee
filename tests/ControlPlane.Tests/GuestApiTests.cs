using System.Net.Sockets;
using Google.Protobuf.WellKnownTypes;
using Grpc.Core;
using NetKernel.Api.V1;
using NetKernel.Channel;

namespace NetKernel.ControlPlane.Tests;

/// <summary>Guests over the API, and what chooses for them.</summary>
public sealed class GuestApiTests : NkdOverItsSocket
{
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
        lock (Engine.Requests)
        {
            Assert.Equal(
                [AttachOp.ControlHello, AttachOp.AddNsm, AttachOp.AddGuest, AttachOp.AddGuest, AttachOp.RemoveGuest, AttachOp.AddGuest],
                Engine.Requests.Select(request => request.Op));
            Assert.Equal(RegionFlags.HostMode, Engine.Requests[2].Flags);
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
        { new Guest { Name = "a", CongestionControl = "dctcp" }, StatusCode.InvalidArgument, "one of cubic, bbr, reno", "guest.congestion_control" },
        { new Guest { Name = "a", Labels = { ["a=b"] = "" } }, StatusCode.InvalidArgument, "printable", "guest.labels.a=b" },
    };

    [Theory]
    [MemberData(nameof(WrongGuests))]
    public async Task Wrong_guests_get_a_reason_and_the_field(Guest guest, StatusCode code, string reason, string field)
    {
        await Fails(Guests.CreateGuestAsync(new CreateGuestRequest { Guest = guest }).ResponseAsync, code, reason, field);
        Assert.Empty((await Guests.ListGuestsAsync(new ListGuestsRequest())).Guests);
    }

    [Fact]
    public async Task A_congestion_control_is_passed_on_and_an_NSM_without_it_is_named()
    {
        Guest made = await Guests.CreateGuestAsync(new CreateGuestRequest { Guest = new Guest { Name = "a", CongestionControl = "reno" } });
        Assert.Equal(("reno", ""), (made.CongestionControl, made.Problem));
        made = await Update(new Guest { Name = "a" }, "congestion_control");
        Assert.Equal("", made.CongestionControl);
        lock (Engine.Requests)
        {
            Assert.Equal("reno", CongestionIn(Engine.Requests.Single(request => request.Op == AttachOp.AddGuest)));
            Assert.Equal("", CongestionIn(Engine.Requests.Single(request => request.Op == AttachOp.SetCongestion)));
        }

        Engine.Tell(AttachOp.CongestionTold, made.Id, 1, "there is no congestion control reno");
        await ProblemIs("NSM kernel0: its congestion control is not in force: there is no congestion control reno");
        Engine.Tell(AttachOp.CongestionTold, made.Id, 1, "");
        await ProblemIs("");

        // What CoreEngine does not take is shown, and told again.
        Engine.Refusal = (AttachOp.SetCongestion, 5, "not now");
        Assert.Equal("its congestion control is not in force: not now", (await Update(new Guest { Name = "a", CongestionControl = "cubic" }, "congestion_control")).Problem);
        await ProblemIs("");
    }

    private async Task ProblemIs(string problem) =>
        _ = await Eventually.FindAsync(async () => (await Guests.GetGuestAsync(new GetGuestRequest { Name = "a" })).Problem == problem ? problem : null, "guest a's problem: " + problem);

    private static unsafe string CongestionIn(AttachMessage message) => NetKernel.Channel.Host.SeqPacket.Get(new ReadOnlySpan<byte>(message.Congestion, AttachMessage.CongestionBytes));

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
        Engine.Refusal = (AttachOp.AddGuest, 12, "no memory for its pool");
        await Fails(Create("a"), StatusCode.Internal, "no memory for its pool");
        Assert.Empty((await Guests.ListGuestsAsync(new ListGuestsRequest())).Guests);
        _ = await Create("a");
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
    public async Task Conditions_of_a_policy_change_one_by_one()
    {
        _ = await Policies.CreatePolicyAsync(new CreatePolicyRequest
        {
            Policy = new Policy { Name = "web", Nsms = { "kernel0" }, Match = new PolicyMatch { Guest = "a", Port = 80, Labels = { ["tier"] = "web" } } },
        });
        Policy changed = await Change(new PolicyMatch { Labels = { ["zone"] = "1" } }, "match.labels", "match.port");
        Assert.Equal(new PolicyMatch { Guest = "a", Labels = { ["zone"] = "1" } }, changed.Match);
        changed = await Change(null, "match.labels", "match.guest");
        Assert.Equal(new PolicyMatch(), changed.Match);

        async Task<Policy> Change(PolicyMatch? match, params string[] paths) =>
            await Policies.UpdatePolicyAsync(new UpdatePolicyRequest { Policy = new Policy { Name = "web", Match = match }, UpdateMask = new FieldMask { Paths = { paths } } });
    }

    [Fact]
    public async Task A_detached_guest_shows_its_reason()
    {
        _ = await Create("a");
        using AsyncServerStreamingCall<Event> watch = State.Watch(new WatchRequest { Kinds = { "guest" } });
        Event now = await Next(watch);
        Engine.Tell(AttachOp.GuestDetached, guest: 1, nsm: 0, "job ring: impossible index");
        while (now.Guest?.State != GuestState.Detached)
        {
            now = await Next(watch);
        }

        Guest guest = await Guests.GetGuestAsync(new GetGuestRequest { Name = "a" });
        Assert.Equal((GuestState.Detached, "job ring: impossible index"), (guest.State, guest.Reason));
        _ = await Guests.DeleteGuestAsync(new DeleteGuestRequest { Name = "a" });
    }
}
