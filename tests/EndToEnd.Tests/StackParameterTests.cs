using NetKernel.Cli.Testbed;

namespace NetKernel.EndToEnd.Tests;

/// <summary>What an operator sets of an NSM's stack is what its connections have: seen by a program, not in a configuration.</summary>
public sealed class StackParameterTests : IDisposable
{
    // Right after connect(2), of IPv4 and of IPv6: tcpi_snd_cwnd.
    private const string Program = """
        import socket, struct, sys
        for address in sys.argv[1:]:
            c = socket.create_connection((address, 7070), timeout=30)
            print(struct.unpack_from("I", c.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 104), 80)[0], end=" ")
        print()
        """;

    private static readonly TimeSpan Time = TimeSpan.FromSeconds(60);

    private readonly NkInstance _nk = NkInstance.Up("stack");

    public void Dispose() => _nk.Dispose();

    [RootFact]
    public void The_initial_window_changes_for_new_connections_of_guests_that_are_there()
    {
        _nk.CreateGuest("a");
        using GuestProcess echo = _nk.Outside.Start("python3", Programs.Path("echo.py"), "0.0.0.0", "7070");
        using GuestProcess echo6 = _nk.Outside.Start("python3", Programs.Path("echo.py"), _nk.Outside.Ipv6, "7070");
        Programs.AwaitLine(echo, "ready");
        Programs.AwaitLine(echo6, "ready");
        Assert.Equal("10 10", Windows());
        Update("20");
        Assert.Equal("20 20", Windows());
        Update("0");
        Assert.Equal("10 10", Windows());
        Update("30");
        _nk.CreateGuest("b");
        Assert.Equal("30 30", Windows("b"));
    }

    private void Update(string window)
    {
        CommandResult result = _nk.Nk("nsm", "update", "kernel0", "--initcwnd", window);
        Assert.True(result.Succeeded, result.ToString());
    }

    private string Windows(string guest = "a")
    {
        CommandResult result = _nk.Run(guest, Time, "python3", "-c", Program, _nk.Outside.Ipv4, _nk.Outside.Ipv6);
        Assert.True(result.Succeeded, result.ToString());
        return result.Output.Trim();
    }
}
