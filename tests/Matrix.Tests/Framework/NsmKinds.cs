using System.Reflection;
using NetKernel.Cli.Testbed;
using Xunit.Sdk;

namespace NetKernel.Matrix.Tests.Framework;

/// <summary>
/// The kinds of NSM that the matrix is run over. Every test takes the kind as its argument. NK_MATRIX_NSM chooses: "kernel", "mtcp", or both separated by commas. Without it
/// everything runs over the kernel NSM, and over mtcp what says so (<see cref="EveryNsmAttribute.Always"/>), or with NK_LONG=1 everything, too.
/// </summary>
internal static class NsmKinds
{
    private static readonly string[] Known = ["kernel", "mtcp"];

    public static IEnumerable<string> Chosen(bool always)
    {
        if (Environment.GetEnvironmentVariable("NK_MATRIX_NSM") is { Length: > 0 } chosen)
        {
            return chosen.Split(',').Select(kind => Known.Contains(kind) ? kind : throw new ArgumentException($"NK_MATRIX_NSM: no NSM of kind {kind}"));
        }

        return always || Environment.GetEnvironmentVariable("NK_LONG") == "1" ? Known : Known[..1];
    }

    /// <summary>Starts an instance for a kind. Guests of a user-space stack must not meet in shared memory, or the stack would see nothing of them.</summary>
    public static NkInstance Up(string kind) => kind == "kernel" ? NkInstance.Up("matrix") : NkInstance.Up("matrix", "--shared-memory", "off");

    /// <summary>Makes sure that an instance has an NSM of a kind; its name.</summary>
    public static string Provide(NkInstance nk, string kind)
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
    /// <summary>This test stands for the others over kinds that are not the default: programs and traffic of many sorts, and short.</summary>
    public bool Always { get; set; }

    /// <inheritdoc/>
    public override IEnumerable<object[]> GetData(MethodInfo testMethod) => NsmKinds.Chosen(Always).Select(kind => new object[] { kind });
}

/// <summary>A test of a real program in two worlds; it needs root, for namespaces and a bridge.</summary>
public sealed class ProgramTheoryAttribute : TheoryAttribute
{
    public ProgramTheoryAttribute() => Skip = Environment.IsPrivilegedProcess ? null : "needs root";
}
