using NetKernel.Cli.Testbed;

namespace NetKernel.EndToEnd.Tests;

/// <summary>docs/compatibility.md says what the programs say.</summary>
[Collection(SharedInstance.Name)]
public sealed class CompatibilityTests(InstanceFixture fixture)
{
    [Fact]
    public void The_table_is_up_to_date()
    {
        // The columns beside the kernel NSM's take two minutes, in which programs wait for effects that there are not.
        bool write = Environment.GetEnvironmentVariable("NK_WRITE_COMPATIBILITY") == "1";
        bool all = write || Environment.GetEnvironmentVariable("NK_LONG") == "1";
        string made = Compatibility.Write(fixture.Nk, all);
        string path = Path.Combine(Repository(), "docs", "compatibility.md");
        if (write)
        {
            File.WriteAllText(path, made);
        }

        string[] kept = File.ReadAllLines(path);
        if (kept.Any(line => line.StartsWith($"Linux {Compatibility.KernelVersion()};", StringComparison.Ordinal)))
        {
            Assert.Equal(all ? kept : kept.Select(KernelColumn), made.TrimEnd('\n').Split('\n').Select(line => all ? line : KernelColumn(line)));
        }
        else
        {
            // Another kernel may have options that the table calls unknown, or lack some; that nothing is accepted that it refuses was checked above.
            Assert.Equal(kept.Count(line => line.StartsWith("| ", StringComparison.Ordinal)), made.Split('\n').Count(line => line.StartsWith("| ", StringComparison.Ordinal)));
        }
    }

    private static string KernelColumn(string line) => line.StartsWith('|') ? string.Join('|', line.Split('|').Take(3)) : line;

    private static string Repository()
    {
        string? folder = AppContext.BaseDirectory;
        while (folder is not null && !File.Exists(Path.Combine(folder, "ARCHITECTURE.md")))
        {
            folder = Path.GetDirectoryName(folder);
        }

        return folder ?? throw new InvalidOperationException("no repository around the tests");
    }
}
