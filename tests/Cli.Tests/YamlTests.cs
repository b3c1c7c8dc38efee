using NetKernel.Api.V1;
using NetKernel.Cli.Commands;
using NetKernel.Cli.Config;

namespace NetKernel.Cli.Tests;

/// <summary>Declared states as files: what is written is read again, and what is wrong is refused with its line.</summary>
public sealed class YamlTests
{
    private static readonly DeclaredState State = new()
    {
        Tenants = { new Tenant { Name = "acme", MaxGuests = 3, Uids = { 1000, 1001 } } },
        Nsms = { new Nsm { Name = "wan", Kind = "kernel", CongestionControl = "bbr", SendBuffer = 4 << 20 } },
        Policies = { new Policy { Name = "p", Nsms = { "wan" }, Match = new PolicyMatch { Labels = { ["tier"] = "web: \"x\"" } } } },
        Guests =
        {
            new Guest
            {
                Name = "web", Tenant = "acme", Ipv4 = "198.18.1.1", Ipv6 = "2001:2::1", Labels = { ["a"] = "true", ["b"] = "", ["c"] = "1" },
                Dns = new Dns { Servers = { "198.18.0.53" } }, Limits = new Limits { SendBytesPerSecond = 125_000_000 },
            },
        },
    };

    [Fact]
    public void What_is_exported_is_read_again_as_the_same() => Assert.Equal(State, Read(ApplyCommand.Declared(State)));

    [Fact]
    public void A_file_as_a_person_writes_it_is_read()
    {
        DeclaredState state = Read(
            """
            # what we have
            nsms:
              - name: wan
                send_buffer: 4M
            """ + "\n---\nguests:\n- {name: web, tenant: acme, labels: {tier: web}}\n- name: db\n  limits:\n");
        Assert.Equal(4 << 20, state.Nsms[0].SendBuffer);
        Assert.Equal(["web", "db"], state.Guests.Select(guest => guest.Name));
        Assert.Equal("web", state.Guests[0].Labels["tier"]);
        Assert.Null(state.Guests[1].Limits);
    }

    [Theory]
    [InlineData("guests:\n- name: a\n  color: red\n", "f.yaml:3: a Guest has no field 'color': it has name, tenant")]
    [InlineData("guests:\n- name: a\n  id: 7\n", "f.yaml:3: 'id' is told by nkd and cannot be declared")]
    [InlineData("nsms:\n- name: a\n  send_buffer: lots\n", "f.yaml:3: 'lots' is no value of 'send_buffer'")]
    [InlineData("guests: web\n", "f.yaml:1: 'guests' is a list")]
    [InlineData("guests:\n- web\n", "f.yaml:2: here belong fields of a Guest")]
    [InlineData("guests:\n- name: [a]\n", "f.yaml:2: 'name' is a single value")]
    [InlineData("guests:\n- labels: x\n", "f.yaml:2: 'labels' is a mapping")]
    [InlineData("a: [\n", "this is not YAML")]
    [InlineData("- a\n", "f.yaml:1: here belong fields of a DeclaredState: tenants, nsms, policies, guests")]
    public void What_is_wrong_is_refused_with_its_line(string text, string complaint)
    {
        CliException e = Assert.Throws<CliException>(() => Read(text));
        Assert.Contains(complaint, e.Message, StringComparison.Ordinal);
        Assert.Equal(2, e.Code);
    }

    [Fact]
    public void A_difference_reads_like_a_diff()
    {
        var answer = new ApplyResponse
        {
            Changes =
            {
                new Change { Action = Change.Types.Action.Create, Kind = "guest", Name = "web", Fields = { new FieldChange { Field = "nsm", After = "\"wan\"" } } },
                new Change { Action = Change.Types.Action.Update, Kind = "nsm", Name = "wan", Fields = { new FieldChange { Field = "send_buffer", Before = "1", After = "2" } } },
                new Change { Action = Change.Types.Action.Delete, Kind = "guest", Name = "old", Fields = { new FieldChange { Field = "nsm", Before = "\"wan\"" } } },
            },
        };
        Assert.Equal("+ guest web\n    + nsm: \"wan\"\n~ nsm wan\n    - send_buffer: 1\n    + send_buffer: 2\n- guest old\n", ApplyCommand.Difference(answer));
    }

    private static DeclaredState Read(string text)
    {
        var state = new DeclaredState();
        YamlMessage.Read("f.yaml", text, state);
        return state;
    }
}
