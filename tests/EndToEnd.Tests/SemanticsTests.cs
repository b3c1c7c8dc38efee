using NetKernel.Cli.Testbed;

namespace NetKernel.EndToEnd.Tests;

/// <summary>
/// programs/semantics.py: what sockets do, case by case. The kernel is the oracle: the same program over its own loopback must print the same.
/// </summary>
[Collection(SharedInstance.Name)]
public sealed class SemanticsTests(InstanceFixture fixture)
{
    private static readonly Lazy<string> Native4 = new(() => RunNatively("127.0.0.1"));
    private static readonly Lazy<string> Native6 = new(() => RunNatively("::1"));

    private NkInstance Nk => fixture.Nk;

    [Fact]
    public void Guest_to_guest_over_IPv4() => Check(Nk.Start("b", Server(7001)), Nk.Ipv4("b"), 7001, fromGuest: true, Native4.Value);

    [Fact]
    public void Guest_to_guest_over_IPv6() => Check(Nk.Start("b", Server(7002, "::")), Nk.Ipv6("b"), 7002, fromGuest: true, Native6.Value);

    [Fact]
    public void Guest_to_guest_in_the_direct_form()
    {
        using NkInstance nk = DirectForm.Up("semdir");
        Check(nk, nk.Start("b", Server(7005)), nk.Ipv4("b"), 7005, fromGuest: true, Native4.Value);
        Assert.True(DirectForm.Mapped(nk) >= 2, "nothing went in the direct form");
    }

    [Fact]
    public void Guest_to_a_machine_outside() =>
        Check(Nk.Outside.Start(Server(7003)), Nk.Outside.Ipv4, 7003, fromGuest: true, Native4.Value);

    [Fact]
    public void A_machine_outside_to_a_guest_over_IPv6() =>
        Check(Nk.Start("b", Server(7004, "::")), Nk.Ipv6("b"), 7004, fromGuest: false, Native6.Value);

    private static string[] Server(int port, string address = "0.0.0.0") => ["python3", Programs.Path("semantics.py"), "server", address, $"{port}"];

    private static string[] Client(string address, int port) => ["python3", Programs.Path("semantics.py"), "client", address, $"{port}"];

    private static string RunNatively(string address) => Programs.RunNatively(Server(0, address), port => Client(address, port));

    private void Check(GuestProcess server, string address, int port, bool fromGuest, string expected) => Check(Nk, server, address, port, fromGuest, expected);

    private static void Check(NkInstance nk, GuestProcess server, string address, int port, bool fromGuest, string expected)
    {
        using (server)
        {
            Programs.AwaitLine(server, "ready");
            CommandResult client = fromGuest
                ? nk.Run("a", TimeSpan.FromSeconds(120), Client(address, port)) : nk.Outside.Run(TimeSpan.FromSeconds(120), Client(address, port));
            Assert.Equal(expected, client.Output);
            Assert.True(client.Succeeded, client.ToString());
        }
    }
}
