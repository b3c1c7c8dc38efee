using NetKernel.ServiceLib;
using NetKernel.Stack;

namespace NetKernel.Nsm.Mtcp.Tests;

/// <summary>What a guest's connection takes in the NSM, without what is in flight (docs/mtcp.md).</summary>
public sealed unsafe class SizeTests
{
    [Fact]
    public void A_hundred_thousand_connections_take_a_quarter_of_a_gigabyte()
    {
        int host = (sizeof(Connection) + sizeof(MtcpSocket) + 127) & ~127; // as ConnectionTable has them
        Assert.InRange(host, 1, 1280);
        Assert.InRange(100_000L * (host + TcpLayer.BytesPerConnection), 1, 256_000_000);
    }
}
