using NetKernel.Api.V1;
using NetKernel.ControlPlane.Resources;
using NetKernel.ControlPlane.Services;

namespace NetKernel.ControlPlane.Tests;

/// <summary>Which links and VLANs an NSM may have.</summary>
public sealed class LinkRulesTests
{
    [Theory]
    [InlineData("mtcp", "bridge", "packet", 0u)]
    [InlineData("mtcp", "bridge", "xdp", 1u)]
    [InlineData("mtcp", "bridge", "tap", 4094u)]
    [InlineData("mtcp", "private", "", 0u)]
    [InlineData("kernel", "host", "", 0u)]
    public void WhatWorksIsTaken(string kind, string mode, string link, uint vlan) => LinkRules.Check(kind, new Nsm { Link = link, Vlan = vlan }, null, mode);

    [Theory]
    [InlineData("mtcp", "bridge", "dpdk", 0u, "nsm.link", "it is one of packet, xdp, tap")]
    [InlineData("mtcp", "bridge", "", 4095u, "nsm.vlan", "it is 1 to 4094")]
    [InlineData("mtcp", "private", "tap", 0u, "nsm.link", "needs bridge mode")]
    [InlineData("mtcp", "private", "", 7u, "nsm.vlan", "needs bridge mode")]
    [InlineData("kernel", "bridge", "packet", 0u, "nsm.link", "for kind mtcp")]
    [InlineData("kernel", "bridge", "", 7u, "nsm.vlan", "for kind mtcp")]
    public void WhatDoesNotIsRefusedWithTheField(string kind, string mode, string link, uint vlan, string field, string reason)
    {
        ServiceException refused = Assert.Throws<ServiceException>(() => LinkRules.Check(kind, new Nsm { Link = link, Vlan = vlan }, null, mode));
        Assert.Equal(field, refused.Field);
        Assert.Contains(reason, refused.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void ALinkDoesNotChange()
    {
        var before = new Nsm { Name = "m0", Kind = "mtcp" };
        LinkRules.Check("mtcp", new Nsm { Link = "packet" }, before, "bridge");
        ServiceException refused = Assert.Throws<ServiceException>(() => LinkRules.Check("mtcp", new Nsm { Link = "tap" }, before, "bridge"));
        Assert.Equal(("nsm.link", "NSM m0 has a packet link: delete it to change that"), (refused.Field, refused.Message));
    }
}
