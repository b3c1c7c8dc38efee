using NetKernel.Cli.Testbed;

// Each test uses real programs and both cores: one at a time.
[assembly: CollectionBehavior(DisableTestParallelization = true)]

namespace NetKernel.EndToEnd.Tests;

/// <summary>One NetKernel that the tests of a collection share: guests a and b, and a machine outside.</summary>
public sealed class InstanceFixture : IDisposable
{
    public InstanceFixture()
    {
        Nk = NkInstance.Up("e2e");
        Nk.CreateGuest("a");
        Nk.CreateGuest("b");
    }

    /// <summary>The instance.</summary>
    public NkInstance Nk { get; }

    public void Dispose() => Nk.Dispose();
}

[CollectionDefinition(Name)]
public sealed class SharedInstance : ICollectionFixture<InstanceFixture>
{
    public const string Name = "instance";
}

/// <summary>The test programs beside the assembly.</summary>
internal static class Programs
{
    private static readonly HashSet<string> Compiled = [];

    public static string Path(string name) => System.IO.Path.Combine(AppContext.BaseDirectory, "programs", name);

    /// <summary>Compiles a C program of the tests; returns where it is.</summary>
    public static string Compile(NkInstance nk, string name)
    {
        string program = System.IO.Path.Combine(nk.Folder, System.IO.Path.GetFileNameWithoutExtension(name));
        lock (Compiled)
        {
            if (Compiled.Add(program))
            {
                using GuestProcess gcc = GuestProcess.Start(nk.Folder, 9000 + Compiled.Count, ["gcc", "-O1", "-w", "-pthread", "-o", program, Path(name)]);
                CommandResult built = gcc.Wait(TimeSpan.FromSeconds(60));
                Assert.True(built.Succeeded, built.ToString());
            }
        }

        return program;
    }

    /// <summary>Waits for a line of a program's output; fails with what it wrote when it does not come.</summary>
    public static void AwaitLine(GuestProcess process, string line, int seconds = 30) =>
        Assert.True(
            NkInstance.WaitFor(() => process.Output.Contains(line, StringComparison.Ordinal) || process.Ended, TimeSpan.FromSeconds(seconds))
                && process.Output.Contains(line, StringComparison.Ordinal),
            $"no line \"{line}\": {process.Output}{process.Error}");
}
