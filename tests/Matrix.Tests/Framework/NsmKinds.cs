using System.Reflection;
using NetKernel.Cli.Testbed;
using Xunit.Sdk;

namespace NetKernel.Matrix.Tests.Framework;

/// <summary>
/// The kinds of NSM that the matrix is run over. Every test takes the kind as its argument. NK_MATRIX_NSM chooses, several separated by commas. Without it everything runs over the
/// kernel NSM, and over the others what says so (<see cref="EveryNsmAttribute"/>), or with NK_LONG=1 everything, too.
/// </summary>
internal static class NsmKinds
{
    /// <summary>The kernel NSM and the user-space stack, by which guests reach each other too; and shared memory between guests, with the kernel NSM for the world outside.</summary>
    public const string Kernel = "kernel", Mtcp = "mtcp", Shared = "shared";

    private static readonly string[] Known = [Kernel, Mtcp, Shared];

    public static IEnumerable<string> Chosen(params string[] always)
    {
        if (Environment.GetEnvironmentVariable("NK_MATRIX_NSM") is { Length: > 0 } chosen)
        {
            return chosen.Split(',').Select(kind => Known.Contains(kind) ? kind : throw new ArgumentException($"NK_MATRIX_NSM: no NSM of kind {kind}"));
        }

        return Environment.GetEnvironmentVariable("NK_LONG") == "1" ? Known : [Kernel, .. always];
    }

    /// <summary>Starts an instance for a kind. Guests of a stack under test must not meet in shared memory, or it would see nothing of them.</summary>
    public static NkInstance Up(string kind) => kind == Shared ? NkInstance.Up("matrix") : NkInstance.Up("matrix", "--shared-memory", "off");

    /// <summary>Makes sure that an instance has an NSM of a kind; its name.</summary>
    public static string Provide(NkInstance nk, string kind)
    {
        if (kind != Mtcp)
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
    /// <summary>This test stands for the others over the user-space stack: programs and traffic of many sorts, and short.</summary>
    public bool Mtcp { get; set; }

    /// <summary>This one does over shared memory.</summary>
    public bool Shared { get; set; }

    /// <inheritdoc/>
    public override IEnumerable<object[]> GetData(MethodInfo testMethod)
    {
        string[] always = [Mtcp ? NsmKinds.Mtcp : "", Shared ? NsmKinds.Shared : ""];
        return NsmKinds.Chosen([.. always.Where(kind => kind.Length > 0)]).Select(kind => new object[] { kind });
    }
}

/// <summary>A test of a real program in two worlds; it needs root, for namespaces and a bridge.</summary>
public sealed class ProgramTheoryAttribute : TheoryAttribute
{
    public ProgramTheoryAttribute() => Skip = Environment.IsPrivilegedProcess ? null : "needs root";
}
