using NetKernel.Cli.Testbed;

namespace NetKernel.EndToEnd.Tests;

/// <summary>programs/connecting.py: the name of a socket while it connects. The kernel's own loopback is the oracle.</summary>
[Collection(SharedInstance.Name)]
public sealed class ConnectingTests(InstanceFixture fixture)
{
    private NkInstance Nk => fixture.Nk;

    [Fact]
    public void By_the_kernel_NSM_over_IPv4() => Check(Nk.Outside.Start(Server("0.0.0.0", 7050)), Nk.Outside.Ipv4, 7050, "127.0.0.1");

    [Fact]
    public void By_the_kernel_NSM_over_IPv6() => Check(Nk.Outside.Start(Server("::", 7051)), Nk.Outside.Ipv6, 7051, "::1");

    [Fact]
    public void By_shared_memory() => Check(Nk.Start("b", Server(Nk.Ipv4("b"), 7052)), Nk.Ipv4("b"), 7052, "127.0.0.1");

    internal static string[] Server(string address, int port) => ["python3", Programs.Path("connecting.py"), "server", address, $"{port}"];

    internal static string[] Client(string address, int port) => ["python3", Programs.Path("connecting.py"), "client", address, $"{port}"];

    private void Check(GuestProcess server, string address, int port, string loopback)
    {
        string expected = Programs.RunNatively(Server(loopback, 0), at => Client(loopback, at));
        using (server)
        {
            Programs.AwaitLine(server, "ready");
            CommandResult client = Nk.Run("a", TimeSpan.FromSeconds(60), Client(address, port));
            Assert.Equal(expected, client.Output + client.Error);
        }
    }
}
