using System.Globalization;
using NetKernel.Cli.Testbed;

namespace NetKernel.EndToEnd.Tests;

/// <summary>programs/wait_stress.py: processes and threads that wait for the same sockets in all ways, some of them killed; every byte is read and no wait outlives its data.</summary>
[Collection(SharedInstance.Name)]
public sealed class WaitStressTests(InstanceFixture fixture)
{
    private const int Sockets = 6;

    /// <summary>Seeds; with NK_LONG=1 many more.</summary>
    public static TheoryData<int> Seeds => [.. Enumerable.Range(1, Environment.GetEnvironmentVariable("NK_LONG") == "1" ? 40 : 2)];

    [Theory]
    [MemberData(nameof(Seeds))]
    public void No_wakeup_is_lost(int seed)
    {
        string port = (7400 + (seed % 50)).ToString(CultureInfo.InvariantCulture), number = seed.ToString(CultureInfo.InvariantCulture);
        string sockets = Sockets.ToString(CultureInfo.InvariantCulture);
        using GuestProcess source = fixture.Nk.Outside.Start("python3", Programs.Path("wait_stress.py"), "source", fixture.Nk.Outside.Ipv4, port, sockets, "80", number);
        Programs.AwaitLine(source, "ready");
        using GuestProcess guest = fixture.Nk.Start("a", "python3", Programs.Path("wait_stress.py"), "guest", fixture.Nk.Outside.Ipv4, port, sockets, number);
        CommandResult sent = source.Wait(TimeSpan.FromSeconds(180));
        Assert.True(sent.Succeeded, $"{sent}\n{guest.Output}{guest.Error}");
        CommandResult read = guest.Wait(TimeSpan.FromSeconds(60));
        Assert.True(read.Succeeded, read.ToString());
        Assert.Equal(sent.Output.Split("sent ")[1].Trim(), read.Output.Split(' ')[1]);
    }
}
