using System.Text.Json;
using NetKernel.Cli.Testbed;

namespace NetKernel.EndToEnd.Tests;

/// <summary>docs/examples/state.yaml, run as it says: tenants, NSMs, policies, guests and limits in one file.</summary>
public sealed class ApplyTests : IDisposable
{
    private readonly NkInstance _nk = NkInstance.Up("apply");

    public void Dispose() => _nk.Dispose();

    [RootFact]
    public void The_example_of_the_documents_is_shown_applied_kept_and_taken_back()
    {
        string file = Path.Combine(Repository(), "docs", "examples", "state.yaml");
        string before = Nk("export").Output;
        CommandResult shown = Nk("apply", "-f", file, "--dry-run");
        Assert.Equal("9 changes would be made (nothing has been changed)\n", shown.Error);
        foreach (string line in new[] { "+ tenant acme", "+ nsm bulk", "    + cpu_millicores: 500", "+ policy far", "+ guest front", "    + nsm: \"m0\"", "+ guest other" })
        {
            Assert.Contains(line, shown.Output.Split('\n'));
        }

        Assert.Equal(before, Nk("export").Output);
        Assert.StartsWith("9 changes are made\n", Nk("apply", "-f", file).Error, StringComparison.Ordinal);
        Assert.Equal("nothing to change: everything is as declared\n", Nk("apply", "-f", file).Error);
        foreach (string guest in new[] { "front", "batch", "other" })
        {
            Assert.True(NkInstance.WaitFor(() => _nk.StateOf(guest) == "ready", TimeSpan.FromSeconds(30)), guest);
        }

        Assert.Equal(("m0", "bulk", "kernel0"), (NsmOf("front"), NsmOf("batch"), NsmOf("other")));
        JsonElement limits = _nk.List("guest", "list").EnumerateArray().First(one => one.GetProperty("name").GetString() == "front").GetProperty("limits");
        Assert.Equal((125_000_000, 4 << 20), (limits.GetProperty("sendBytesPerSecond").GetInt64(), limits.GetProperty("sendBurstBytes").GetInt64()));
        Assert.All(_nk.List("policy", "list").EnumerateArray(), one => Assert.False(one.TryGetProperty("problem", out JsonElement problem), problem.ToString()));

        // What is exported is the same state, and an instance can be cut down to a part of it.
        string exported = Path.Combine(_nk.Folder, "exported.yaml");
        File.WriteAllText(exported, Nk("export").Output);
        Assert.Equal("nothing to change: everything is as declared\n", Nk("apply", "-f", exported, "--prune").Error);
        string less = Path.Combine(_nk.Folder, "less.yaml");
        File.WriteAllText(less, "nsms:\n- name: kernel0\n");
        Assert.Contains("- guest front\n", Nk("apply", "-f", less, "--prune").Output);
        Assert.Equal(before, Nk("export").Output);
    }

    private string NsmOf(string guest) =>
        _nk.List("guest", "list").EnumerateArray().First(one => one.GetProperty("name").GetString() == guest).GetProperty("nsm").GetString()!;

    private CommandResult Nk(params string[] arguments)
    {
        CommandResult result = _nk.Nk(arguments);
        Assert.True(result.Succeeded, result.ToString());
        return result;
    }

    internal static string Repository()
    {
        DirectoryInfo folder = new(AppContext.BaseDirectory);
        while (!File.Exists(Path.Combine(folder.FullName, "NetKernel.sln")))
        {
            folder = folder.Parent!;
        }

        return folder.FullName;
    }
}
