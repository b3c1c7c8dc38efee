using NetKernel.Cli.Testbed;

namespace NetKernel.EndToEnd.Tests;

/// <summary>
/// programs/datagrams.py: what datagram sockets do, case by case. The kernel is the oracle: the same program over its own loopback must print the same.
/// </summary>
[Collection(SharedInstance.Name)]
public sealed class DatagramTests(InstanceFixture fixture)
{
    private static readonly Lazy<string> Native4 = new(() => RunNatively("127.0.0.1"));
    private static readonly Lazy<string> Native6 = new(() => RunNatively("::1"));

    private NkInstance Nk => fixture.Nk;

    [Fact]
    public void Guest_to_guest_over_IPv4() => Check(Nk.Start("b", Server(7101)), Nk.Ipv4("b"), 7101, fromGuest: true, Native4.Value);

    [Fact]
    public void Guest_to_guest_over_IPv6() => Check(Nk.Start("b", Server(7102, "::")), Nk.Ipv6("b"), 7102, fromGuest: true, Native6.Value);

    [Fact]
    public void Guest_to_a_machine_outside() => Check(Nk.Outside.Start(Server(7103)), Nk.Outside.Ipv4, 7103, fromGuest: true, Native4.Value);

    [Fact]
    public void A_machine_outside_to_a_guest_over_IPv6() =>
        Check(Nk.Start("b", Server(7104, "::")), Nk.Ipv6("b"), 7104, fromGuest: false, Native6.Value);

    [Fact]
    public void Options_are_honoured_as_in_the_kernel()
    {
        (string[] native, string[] guest) = DatagramOptions.Run(Nk);
        Assert.Equal(native, guest);
    }

    private static string[] Server(int port, string address = "0.0.0.0") => ["python3", Programs.Path("datagrams.py"), "server", address, $"{port}"];

    private static string[] Client(string address, int port) => ["python3", Programs.Path("datagrams.py"), "client", address, $"{port}"];

    private static string RunNatively(string address) => Programs.RunNatively(Server(0, address), port => Client(address, port));

    private void Check(GuestProcess server, string address, int port, bool fromGuest, string expected)
    {
        using (server)
        {
            Programs.AwaitLine(server, "ready");
            CommandResult client = fromGuest
                ? Nk.Run("a", TimeSpan.FromSeconds(120), Client(address, port)) : Nk.Outside.Run(TimeSpan.FromSeconds(120), Client(address, port));
            Assert.Equal(expected, client.Output);
            Assert.True(client.Succeeded, client.ToString());
        }
    }
}
