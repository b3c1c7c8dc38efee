using System.Net.Sockets;
using Google.Protobuf.WellKnownTypes;
using Grpc.Core;
using NetKernel.Api.V1;

namespace NetKernel.ControlPlane.Tests;

/// <summary>NSMs over the API.</summary>
public sealed class NsmApiTests : NkdOverItsSocket
{
    public static TheoryData<Nsm, StatusCode, string, string> WrongNsms => new()
    {
        { new Nsm { Name = "kernel0" }, StatusCode.AlreadyExists, "exists already", "nsm.name" },
        { new Nsm { Name = "x", Kind = "dpdk" }, StatusCode.InvalidArgument, "nk-nsm-dpdk is not installed", "nsm.kind" },
        { new Nsm { Name = "x", Kind = "../x" }, StatusCode.InvalidArgument, "no NSMs of kind", "nsm.kind" },
        { new Nsm { Name = "x", CongestionControl = "vegas" }, StatusCode.InvalidArgument, "one of cubic, bbr, reno", "nsm.congestion_control" },
        { new Nsm { Name = "x", CongestionControl = "dctcp" }, StatusCode.InvalidArgument, "one of cubic, bbr, reno", "nsm.congestion_control" },
        { new Nsm { Name = "x", Kind = "mtcp", CongestionControl = "vegas" }, StatusCode.InvalidArgument, "one of cubic, reno, dctcp, bbr", "nsm.congestion_control" },
        { new Nsm { Name = "x", Kind = "mtcp", SendBuffer = 65536 }, StatusCode.InvalidArgument, "has no send buffer", "nsm.send_buffer" },
        { new Nsm { Name = "x", Kind = "mtcp", Cores = 9 }, StatusCode.InvalidArgument, "loop", "nsm.cores" },
        { new Nsm { Name = "x", Kind = "kernel", Cores = 2 }, StatusCode.InvalidArgument, "the kernel's", "nsm.cores" },
        { new Nsm { Name = "x", InitialWindow = 20 }, StatusCode.InvalidArgument, "bridge mode", "nsm.initial_window" },
        { new Nsm { Name = "x", Kind = "mtcp", InitialWindow = 20 }, StatusCode.InvalidArgument, "RFC 6928", "nsm.initial_window" },
        { new Nsm { Name = "x", Kind = "mtcp", Link = "tap" }, StatusCode.InvalidArgument, "in host mode", "nsm.link" },
        { new Nsm { Name = "x", Link = "xdp" }, StatusCode.InvalidArgument, "for kind mtcp", "nsm.link" },
        { new Nsm { Name = "x", Vlan = 5 }, StatusCode.InvalidArgument, "for kind mtcp", "nsm.vlan" },
        { new Nsm { Name = "x", SendBuffer = -1 }, StatusCode.InvalidArgument, "buffer sizes", "nsm.send_buffer" },
        { new Nsm { Name = "x", MemoryBytes = 5 }, StatusCode.InvalidArgument, "quota of memory", "nsm.memory_bytes" },
    };

    [Theory]
    [MemberData(nameof(WrongNsms))]
    public async Task Wrong_nsms_get_a_reason_and_the_field(Nsm nsm, StatusCode code, string reason, string field) =>
        await Fails(Nsms.CreateNsmAsync(new CreateNsmRequest { Nsm = nsm }).ResponseAsync, code, reason, field);

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
    public async Task In_host_mode_an_NSM_cannot_be_drained_and_it_is_said_what_to_do_instead()
    {
        var request = new UpdateNsmRequest { Nsm = new Nsm { Name = "kernel0", Drained = true } };
        const string Why = "in host mode a guest has one NSM, and cannot leave kernel0 while programs run in it: end the programs, then `nk guest update GUEST --nsm OTHER`";
        await Fails(Nsms.UpdateNsmAsync(request).ResponseAsync, StatusCode.FailedPrecondition, Why, null);
        request.ValidateOnly = true;
        await Fails(Nsms.UpdateNsmAsync(request).ResponseAsync, StatusCode.FailedPrecondition, Why);
        await Fails(State.ApplyAsync(new ApplyRequest { State = new DeclaredState { Nsms = { request.Nsm } } }).ResponseAsync, StatusCode.FailedPrecondition, Why);
        Assert.False((await Nsms.GetNsmAsync(new GetNsmRequest { Name = "kernel0" })).Drained);

        // Without programs a guest goes to another NSM.
        _ = await Nsms.CreateNsmAsync(new CreateNsmRequest { Nsm = new Nsm { Name = "second" } });
        _ = await Create("a");
        Assert.Equal("second", (await Update(new Guest { Name = "a", Nsm = "second" }, "nsm")).Nsm);
        Policy policy = await Policies.CreatePolicyAsync(new CreatePolicyRequest { Policy = new Policy { Name = "p", Match = new PolicyMatch { Port = 80 }, Nsms = { "second" } } });
        Assert.StartsWith("not in force: in host mode all connections of a guest go to one NSM", policy.Problem);
    }

    [Fact]
    public async Task A_time_for_what_is_left_goes_with_a_drain_or_a_move_only()
    {
        var nsm = new UpdateNsmRequest { Nsm = new Nsm { Name = "kernel0", Labels = { ["a"] = "b" } }, DrainSeconds = 5 };
        await Fails(Nsms.UpdateNsmAsync(nsm).ResponseAsync, StatusCode.InvalidArgument, "goes with drained", "drain_seconds");
        _ = await Create("a");
        var guest = new UpdateGuestRequest { Guest = new Guest { Name = "a", Labels = { ["a"] = "b" } }, DrainSeconds = 5 };
        await Fails(Guests.UpdateGuestAsync(guest).ResponseAsync, StatusCode.InvalidArgument, "goes with an NSM to move to", "drain_seconds");
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
}
