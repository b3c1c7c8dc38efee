using NetKernel.Api.V1;
using NetKernel.ControlPlane.Resources;
using NetKernel.ControlPlane.Services;

namespace NetKernel.ControlPlane.Tests;

/// <summary>Which network modes an NSM may have, by the instance's.</summary>
public sealed class NetworkModeTests
{
    [Theory]
    [InlineData("kernel", "bridge", "", "")]
    [InlineData("kernel", "bridge", "bridge", "")]
    [InlineData("kernel", "bridge", "host", "host")]
    [InlineData("kernel", "host", "host", "")]
    [InlineData("mtcp", "bridge", "bridge", "")]
    [InlineData("mtcp", "private", "private", "")]
    public void WhatWorksIsDeclared(string kind, string instance, string wanted, string declared) =>
        Assert.Equal(declared, NetworkModes.Declared(kind, new Nsm { NetworkMode = wanted }, null, instance));

    [Theory]
    [InlineData("kernel", "bridge", "nat", 0u, "nsm.network_mode", "it is bridge, host or private")]
    [InlineData("kernel", "bridge", "private", 0u, "nsm.network_mode", "this instance is in bridge mode")]
    [InlineData("kernel", "host", "bridge", 0u, "nsm.network_mode", "this instance is in host mode")]
    [InlineData("kernel", "private", "host", 0u, "nsm.network_mode", "this instance is in private mode")]
    [InlineData("mtcp", "bridge", "host", 0u, "nsm.network_mode", "needs an interface of its own")]
    [InlineData("kernel", "bridge", "host", 20u, "nsm.initial_window", "the host's routes")]
    public void WhatDoesNotIsRefusedWithTheField(string kind, string instance, string wanted, uint window, string field, string reason)
    {
        ServiceException refused = Assert.Throws<ServiceException>(() => NetworkModes.Declared(kind, new Nsm { NetworkMode = wanted, InitialWindow = window }, null, instance));
        Assert.Equal(field, refused.Field);
        Assert.Contains(reason, refused.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void AModeDoesNotChange()
    {
        var host = new Nsm { Name = "n", NetworkMode = "host" };
        Assert.Equal("host", NetworkModes.Declared("kernel", new Nsm(), host, "bridge"));
        Assert.Equal("NSM n is in host mode: delete it to change that", Assert.Throws<ServiceException>(() => NetworkModes.Declared("kernel", new Nsm { NetworkMode = "bridge" }, host, "bridge")).Message);
        var plain = new Nsm { Name = "n" };
        Assert.Equal("NSM n is in bridge mode: delete it to change that", Assert.Throws<ServiceException>(() => NetworkModes.Declared("kernel", host, plain, "bridge")).Message);
    }
}
