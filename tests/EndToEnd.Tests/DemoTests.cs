using NetKernel.Cli.Demo;

namespace NetKernel.EndToEnd.Tests;

/// <summary>Each program of nk demo, with its result checked.</summary>
[Collection(PlatformFixture.Name)]
public sealed class DemoTests(PlatformFixture platform)
{
    public static TheoryData<string> Steps => [.. DemoSteps.Names];

    [RootTheory]
    [MemberData(nameof(Steps))]
    public void A_program_of_the_demo_works(string step) => Assert.NotEmpty(platform.Demo.RunStep(step));
}
