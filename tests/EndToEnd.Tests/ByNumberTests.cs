using NetKernel.Cli.Testbed;

namespace NetKernel.EndToEnd.Tests;

/// <summary>programs/bynumber.py: socket calls through syscall(2), in a guest and natively.</summary>
[Collection(SharedInstance.Name)]
public sealed class ByNumberTests(InstanceFixture fixture)
{
    private static readonly TimeSpan Time = TimeSpan.FromSeconds(60);

    [Fact]
    public void Calls_by_number_are_calls_by_name()
    {
        NkInstance nk = fixture.Nk;
        using GuestProcess echo = nk.Outside.Start("python3", Programs.Path("echo.py"), "0.0.0.0", "7130");
        Programs.AwaitLine(echo, "ready");
        string[] command = ["python3", Programs.Path("bynumber.py"), nk.Outside.Ipv4, "7130"];
        ulong before = nk.TrafficOf("a").Connections;
        CommandResult native = nk.Outside.Run(Time, command);
        CommandResult guest = nk.Run("a", Time, command);
        Assert.True(native.Succeeded, native.ToString());
        Assert.Equal(native.Output, guest.Output);
        Assert.Equal(before + 1, nk.TrafficOf("a").Connections);
    }
}
