using NetKernel.Cli.Testbed;

namespace NetKernel.EndToEnd.Tests;

/// <summary>programs/signals.c: where socket libraries with a runtime inside the application fail (docs/guestlib.md).</summary>
[Collection(SharedInstance.Name)]
public sealed class SignalTests(InstanceFixture fixture)
{
    [Fact]
    public void Handlers_jumps_and_forks_in_the_middle_of_socket_calls()
    {
        NkInstance nk = fixture.Nk;
        string program = Path.Combine(nk.Folder, "signals");
        using (GuestProcess gcc = GuestProcess.Start(nk.Folder, 9001, ["gcc", "-O1", "-pthread", "-o", program, Programs.Path("signals.c")]))
        {
            CommandResult built = gcc.Wait(TimeSpan.FromSeconds(60));
            Assert.True(built.Succeeded, built.ToString());
        }

        using GuestProcess echo = nk.Outside.Start("python3", Programs.Path("echo.py"), "0.0.0.0", "7020");
        Programs.AwaitLine(echo, "ready");
        CommandResult result = nk.Run("a", TimeSpan.FromSeconds(120), program, nk.Outside.Ipv4, "7020");
        Assert.True(result.Succeeded, result.ToString());
        Assert.DoesNotContain("FAILED", result.Output, StringComparison.Ordinal);
    }
}
