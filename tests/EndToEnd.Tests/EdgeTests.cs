using NetKernel.Cli.Testbed;

namespace NetKernel.EndToEnd.Tests;

/// <summary>programs/edges.py: names, ports, ends and errors of TCP sockets, case by case. The same program on the kernel's own loopback must print the same.</summary>
[Collection(PrivateCollection.Name)]
public sealed class EdgeTests(PrivateFixture fixture)
{
    [RootFact]
    public void Every_case_is_as_on_the_kernel()
    {
        (CommandResult native, CommandResult ours) = fixture.RunBoth(TimeSpan.FromMinutes(2), "python3", Programs.Path("edges.py"));
        Assert.True(native.Succeeded, native.ToString());
        Assert.Equal(native.Output.Split('\n'), ours.Output.Split('\n'));
        Assert.True(ours.Succeeded, ours.ToString());
    }
}
