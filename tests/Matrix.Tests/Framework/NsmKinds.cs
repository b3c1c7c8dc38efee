using System.Reflection;
using Xunit.Sdk;

namespace NetKernel.Matrix.Tests.Framework;

/// <summary>
/// The kinds of NSM that the matrix is run over. Every test takes the kind as its argument: a new kind is accepted when it has a line here and everything passes.
/// NK_MATRIX_NSM narrows it down: "kernel", or several separated by commas.
/// </summary>
internal static class NsmKinds
{
    private static readonly string[] Known = ["kernel"];

    public static IEnumerable<string> Chosen => Environment.GetEnvironmentVariable("NK_MATRIX_NSM") is { Length: > 0 } chosen
        ? chosen.Split(',').Select(kind => Known.Contains(kind) ? kind : throw new ArgumentException($"NK_MATRIX_NSM: no NSM of kind {kind}"))
        : Known;

    /// <summary>Makes sure that an instance has an NSM of a kind; its name.</summary>
    public static string Provide(Cli.Testbed.NkInstance nk, string kind)
    {
        if (kind == "kernel")
        {
            return "kernel0";
        }

        Assert.Equal(0, nk.Nk("nsm", "create", kind + "0", "--kind", kind).ExitCode);
        return kind + "0";
    }
}

/// <summary>Runs a test once per kind of NSM.</summary>
public sealed class EveryNsmAttribute : DataAttribute
{
    /// <inheritdoc/>
    public override IEnumerable<object[]> GetData(MethodInfo testMethod) => NsmKinds.Chosen.Select(kind => new object[] { kind });
}

/// <summary>A test of a real program in two worlds; it needs root, for namespaces and a bridge.</summary>
public sealed class ProgramTheoryAttribute : TheoryAttribute
{
    public ProgramTheoryAttribute() => Skip = Environment.IsPrivilegedProcess ? null : "needs root";
}
