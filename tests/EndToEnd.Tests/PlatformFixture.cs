using NetKernel.Cli.Demo;
using NetKernel.Cli.Testbed;

namespace NetKernel.EndToEnd.Tests;

/// <summary>
/// One NetKernel for all tests of a collection: [Collection(PlatformFixture.Name)] and a constructor that takes it. Tests that kill parts bring up
/// an instance of their own (NkInstance.Up) and dispose it.
/// </summary>
public sealed class PlatformFixture : IDisposable
{
    public const string Name = "platform";

    private readonly Lazy<NkInstance> _instance = new(() => NkInstance.Up());
    private readonly Lazy<DemoSteps> _demo;

    public PlatformFixture() => _demo = new Lazy<DemoSteps>(() => new DemoSteps(Instance));

    /// <summary>Brought up when a test first asks for it.</summary>
    public NkInstance Instance => _instance.Value;

    /// <summary>The programs of nk demo.</summary>
    public DemoSteps Demo => _demo.Value;

    public void Dispose()
    {
        if (_instance.IsValueCreated)
        {
            _instance.Value.Dispose();
        }
    }
}

[CollectionDefinition(PlatformFixture.Name)]
public sealed class PlatformCollection : ICollectionFixture<PlatformFixture>;

/// <summary>A fact that needs root, for namespaces and a bridge.</summary>
public sealed class RootFactAttribute : FactAttribute
{
    public RootFactAttribute() => Skip = Environment.IsPrivilegedProcess ? null : "needs root";
}

/// <summary>A theory that needs root.</summary>
public sealed class RootTheoryAttribute : TheoryAttribute
{
    public RootTheoryAttribute() => Skip = Environment.IsPrivilegedProcess ? null : "needs root";
}

/// <summary>A fact that takes minutes, or needs what ./nk deps does not install; needs root: with NK_LONG=1 only.</summary>
public sealed class LongFactAttribute : FactAttribute
{
    public LongFactAttribute() => Skip = LongTheoryAttribute.Reason;
}

/// <summary>A theory of that kind.</summary>
public sealed class LongTheoryAttribute : TheoryAttribute
{
    public LongTheoryAttribute() => Skip = Reason;

    internal static string? Reason => Environment.GetEnvironmentVariable("NK_LONG") == "1" && Environment.IsPrivilegedProcess ? null : "takes minutes, as root: NK_LONG=1";
}
