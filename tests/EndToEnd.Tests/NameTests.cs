using NetKernel.Cli.Testbed;

namespace NetKernel.EndToEnd.Tests;

/// <summary>
/// Names: programs/names.c and ordinary programs ask programs/dnsserver.py, which runs outside, from a guest and natively from outside; both must print the same.
/// </summary>
[Collection(SharedInstance.Name)]
public sealed class NameTests(InstanceFixture fixture)
{
    private NkInstance Nk => fixture.Nk;

    [Theory]
    [InlineData("infos")]
    [InlineData("hosts")]
    [InlineData("reverse")]
    [InlineData("queries")]
    public void Calls_give_what_they_give_natively_over_TCP(string section)
    {
        using NameBed bed = new(Nk, "names-tcp", "use-vc");
        // The C library takes an answer to another question over TCP; this library does not.
        bed.Same([bed.Program, section], line => !line.Contains("wrongquestion", StringComparison.Ordinal));
        Assert.DoesNotContain("udp", bed.Log, StringComparison.Ordinal);
    }
}
