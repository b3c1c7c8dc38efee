using NetKernel.Api.V1;
using NetKernel.Channel;
using NetKernel.ControlPlane.Resources;

namespace NetKernel.ControlPlane.Tests;

/// <summary>What CoreEngine and the bridge are told follows from policies, NSMs and the guest's own NSM.</summary>
public sealed unsafe class FlowTableTests
{
    private static readonly Guest Web = new() { Name = "web", Tenant = "default", Nsm = "k0", Labels = { ["tier"] = "web" } };

    private Snapshot _now = Snapshot.Empty;

    public FlowTableTests()
    {
        foreach ((string name, uint id) in new[] { ("k0", 1u), ("k1", 2u), ("m0", 3u), ("m1", 4u) })
        {
            _now = _now with { Nsms = _now.Nsms.Add(name, new NsmRecord(new Nsm { Name = name, Id = id, Kind = "kernel" }) { Ready = true }) };
        }
    }

    [Fact]
    public void Without_policies_there_is_the_guests_own_NSM()
    {
        FlowTable table = FlowTable.For(Web, _now);
        Assert.True(table.IsPlain("k0"));
        Assert.Equal([(0, 0, "k0"), (6, 0, "k0"), (17, 0, "k0")], Arrivals(table));
    }

    [Fact]
    public void Policies_are_asked_by_priority_and_name_until_one_is_for_everything()
    {
        Add("b", new PolicyMatch { Port = 443 }, 0, "m0", "k1");
        Add("a", new PolicyMatch { Destination = "198.18.4.0/24", Protocol = "tcp" }, 0, "k1");
        Add("c", new PolicyMatch { Labels = { ["tier"] = "web" } }, 1, "k1", "k0");
        Add("d", new PolicyMatch { Port = 22 }, 2, "m0"); // never asked
        Add("e", new PolicyMatch { Guest = "other", Port = 23 }, 0, "m0");
        FlowTable table = FlowTable.For(Web, _now);
        RuleMessage[] rules = table.Messages();
        Assert.Equal(3, rules.Length);
        Assert.Equal((120u, 6u, 0u, 2, 0), (rules[0].PrefixBits, rules[0].Protocol, rules[0].Port, rules[0].Nsms[0], rules[0].Nsms[1]));
        Assert.Equal((0ul, 0x0004_12C6_FFFF_0000ul), (rules[0].DestinationLow, rules[0].DestinationHigh));
        Assert.Equal((0u, 443u, 3, 2, 0), (rules[1].PrefixBits, rules[1].Port, rules[1].Nsms[0], rules[1].Nsms[1], rules[1].Nsms[2]));
        Assert.Equal((1, 2, 0), (rules[2].Nsms[0], rules[2].Nsms[1], rules[2].Nsms[2])); // its own first
        Assert.Equal([(0, 0, "k0"), (6, 0, "k0"), (6, 443, "m0"), (17, 0, "k0"), (17, 443, "m0")], Arrivals(table));
    }

    [Fact]
    public void What_arrives_goes_to_the_next_while_an_NSM_is_away_and_drained_ones_are_left_out()
    {
        Add("all", null, 0, "k1", "k0");
        _now.Nsms["k0"].Ready = false;
        Assert.Equal((0, 0, "k1"), Arrivals(FlowTable.For(Web, _now))[0]);
        _now.Nsms["k0"].Ready = true;
        Assert.Equal((0, 0, "k0"), Arrivals(FlowTable.For(Web, _now))[0]);
        Drain("k0");
        Assert.Equal(["k1"], FlowTable.For(Web, _now).Nsms.Select(nsm => nsm.Name));
        Drain("k1");
        FlowTable none = FlowTable.For(Web, _now);
        Assert.Equal((1, 0), (none.Messages().Length, none.Messages()[0].Nsms[0]));
        Assert.Empty(none.Arrivals());
    }

    [Fact]
    public void A_fourth_NSM_is_left_out_and_said()
    {
        Add("a", new PolicyMatch { Port = 1 }, 0, "m0", "m1", "k1");
        FlowTable table = FlowTable.For(Web, _now);
        Assert.Equal(["k0", "m0", "m1"], table.Nsms.Select(nsm => nsm.Name).Order());
        Assert.Contains("k1", table.Problem, StringComparison.Ordinal);
    }

    [Fact]
    public void No_more_rules_than_CoreEngine_takes()
    {
        for (uint port = 1; port <= RuleMessage.MaxRules + 5; port++)
        {
            Add($"p{port}", new PolicyMatch { Port = port }, 0, "k1");
        }

        FlowTable table = FlowTable.For(Web, _now);
        Assert.Equal((int)RuleMessage.MaxRules, table.Messages().Length);
        Assert.NotNull(table.Problem);
    }

    private void Add(string name, PolicyMatch? match, int priority, params string[] nsms) =>
        _now = _now with { Policies = _now.Policies.Add(name, new Policy { Name = name, Priority = priority, Match = match, Nsms = { nsms } }) };

    private void Drain(string name)
    {
        Nsm nsm = _now.Nsms[name].Declared.Clone();
        nsm.Drained = true;
        _now.Nsms[name].Declared = nsm;
    }

    private static (int Protocol, int Port, string Nsm)[] Arrivals(FlowTable table) =>
        [.. table.Arrivals().Select(one => ((int)one.Protocol, (int)one.Port, one.Nsm.Name)).Order()];
}
