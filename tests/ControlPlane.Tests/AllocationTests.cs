using System.Net;
using System.Net.Sockets;
using FsCheck;
using FsCheck.Fluent;
using NetKernel.Api;
using NetKernel.ControlPlane.Network;

[assembly: CollectionBehavior(DisableTestParallelization = true)]

namespace NetKernel.ControlPlane.Tests;

/// <summary>Addresses and names.</summary>
public sealed class AllocationTests
{
    private static readonly AddressPlan Plan = new();

    [Fact]
    public void Guests_start_at_198_18_1_1()
    {
        Assert.Equal("198.18.1.1", Plan.Ipv4(1).ToString());
        Assert.Equal("198.18.1.254", Plan.Ipv4(254).ToString());
        Assert.Equal("198.18.2.1", Plan.Ipv4(255).ToString());
        Assert.Equal("2001:2::1:1", Plan.Ipv6(1).ToString());
    }

    [Fact]
    public void Every_address_is_inside_its_subnet_its_own_and_no_network_or_broadcast_address()
    {
        var seen = new HashSet<IPAddress>();
        for (uint n = 1; n <= Plan.Capacity; n++)
        {
            IPAddress four = Plan.Ipv4(n);
            byte last = four.GetAddressBytes()[3];
            Assert.True(Plan.Subnet4.Contains(four) && last is not (0 or 255) && seen.Add(four), four.ToString());
            IPAddress six = Plan.Ipv6(n);
            Assert.True(Plan.Subnet6.Contains(six) && seen.Add(six), six.ToString());
        }

        Assert.DoesNotContain(IPAddress.Parse("198.18.0.250"), seen);
        Assert.DoesNotContain(IPAddress.Parse("2001:2::fa"), seen);
    }

    [Fact]
    public void Any_subnet_large_enough_works() => Prop.ForAll(
        Gen.Choose(8, 22).SelectMany(prefix => Gen.Choose(1, 1 << 20).Select(n => (prefix, n))).ToArbitrary(),
        pair =>
        {
            var plan = new AddressPlan($"{Masked(pair.prefix)}/{pair.prefix}", "2001:2::/64");
            uint n = 1 + ((uint)pair.n % plan.Capacity);
            return plan.Subnet4.Contains(plan.Ipv4(n));
        }).QuickCheckThrowOnFailure();

    [Theory]
    [InlineData("198.18.0.0/24", "2001:2::/64")]
    [InlineData("2001:2::/64", "2001:2::/64")]
    [InlineData("198.18.0.0/16", "2001:2::/112")]
    [InlineData("198.18.0.0/16", "198.19.0.0/16")]
    [InlineData("nonsense", "2001:2::/64")]
    public void Other_subnets_are_refused(string four, string six) => Assert.Throws<FormatException>(() => new AddressPlan(four, six));

    [Theory]
    [InlineData("198.19.0.1", AddressFamily.InterNetwork, "outside")]
    [InlineData("2001:2::1", AddressFamily.InterNetwork, "not an IPv4 address")]
    [InlineData("x", AddressFamily.InterNetworkV6, "not an IPv6 address")]
    public void A_wanted_address_must_fit(string text, AddressFamily family, string reason) =>
        Assert.Contains(reason, Assert.Throws<FormatException>(() => Plan.Wanted(text, family)).Message);

    [Fact]
    public void Names_are_exactly_those_of_the_rule() => Prop.ForAll(
        ArbMap.Default.ArbFor<string>(),
        text =>
        {
            string name = text ?? "";
            bool expected = System.Text.RegularExpressions.Regex.IsMatch(name, "^(?!-)[a-z0-9-]{1,24}(?<!-)\\z");
            return Api.Names.Problem("guest", name) is null == expected;
        }).QuickCheckThrowOnFailure();

    [Theory]
    [InlineData("a", true)]
    [InlineData("web-1", true)]
    [InlineData("-a", false)]
    [InlineData("a-", false)]
    [InlineData("a/b", false)]
    [InlineData("..", false)]
    [InlineData("Web", false)]
    [InlineData("", false)]
    [InlineData("abcdefghijklmnopqrstuvwxy", false)]
    public void Names(string name, bool good) => Assert.Equal(good, Api.Names.Problem("guest", name) is null);

    [Theory]
    [InlineData("nk-br", "nk", true)]
    [InlineData("nk-g-web", "nk", true)]
    [InlineData("nk-nsm-kernel0", "nk", true)]
    [InlineData("nk-out", "nk", true)]
    [InlineData("nk-two-br", "nk", false)]
    [InlineData("nk2-br", "nk", false)]
    [InlineData("other", "nk", false)]
    public void Namespaces_of_an_instance_are_told_from_others(string name, string instance, bool ours) =>
        Assert.Equal(ours, NetworkNamespace.BelongsTo(name, instance));

    private static string Masked(int prefix)
    {
        uint address = 0xC6120000u & (uint.MaxValue << (32 - prefix));
        return new IPAddress(BitConverter.GetBytes(IPAddress.HostToNetworkOrder((int)address))).ToString();
    }
}
