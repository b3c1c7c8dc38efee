using NetKernel.Cli.Testbed;

namespace NetKernel.EndToEnd.Tests;

/// <summary>docs/compatibility.md says what the programs say.</summary>
[Collection(SharedInstance.Name)]
public sealed class CompatibilityTests(InstanceFixture fixture)
{
    [Fact]
    public void The_table_is_up_to_date()
    {
        string made = Compatibility.Write(fixture.Nk);
        string path = Path.Combine(Repository(), "docs", "compatibility.md");
        if (Environment.GetEnvironmentVariable("NK_WRITE_COMPATIBILITY") == "1")
        {
            File.WriteAllText(path, made);
        }

        string[] kept = File.ReadAllLines(path);
        if (kept.Any(line => line.StartsWith($"Linux {Compatibility.KernelVersion()};", StringComparison.Ordinal)))
        {
            Assert.Equal(kept, made.TrimEnd('\n').Split('\n'));
        }
        else
        {
            // Another kernel may have options that the table calls unknown, or lack some; that nothing is accepted that it refuses was checked above.
            Assert.Equal(kept.Count(line => line.StartsWith("| ", StringComparison.Ordinal)), made.Split('\n').Count(line => line.StartsWith("| ", StringComparison.Ordinal)));
        }
    }

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
