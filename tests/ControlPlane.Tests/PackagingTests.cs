using NetKernel.ControlPlane.Configuration;

namespace NetKernel.ControlPlane.Tests;

/// <summary>The settings that the package brings are settings.</summary>
public sealed class PackagingTests
{
    [Fact]
    public void Every_remark_in_the_packages_configuration_file_that_shows_a_setting_can_be_put_in_force()
    {
        string folder = Root();
        string[] lines = [.. Examples(Path.Combine(folder, "packaging", "nkd.conf"), "#")];
        string programs = Directory.CreateTempSubdirectory("nkd-conf-").FullName;
        try
        {
            FakeEngine.WritePrograms(programs);
            string file = Path.Combine(programs, "nkd.conf");
            File.WriteAllLines(file, lines);
            NkdOptions options = NkdOptions.Parse(["--config", file, "--bin-dir", programs], _ => null);
            Assert.Equal(("bridge", 1, "/etc/netkernel/pki"), (options.Mode, options.Loops, options.TlsDirectory));
        }
        finally
        {
            Directory.Delete(programs, recursive: true);
        }
    }

    [Fact]
    public void The_packages_configuration_file_and_the_documents_name_all_settings_and_no_others()
    {
        string[] expected = [.. Setting.Names.Order()];
        Assert.Equal(expected, Examples(Path.Combine(Root(), "packaging", "nkd.conf"), "#").Select(NameIn).Order());

        // The block of docs/operations.md behind "Settings of nkd", where a remark may hold an example.
        IEnumerable<string> shown = Examples(Path.Combine(Root(), "docs", "operations.md"), "    ", "    # ").Select(NameIn);
        Assert.Equal(expected, shown.Order());

        static string NameIn(string line) => line.Split(" = ")[0].Trim();
    }

    /// <summary>Lines NAME = VALUE behind one of these beginnings.</summary>
    private static IEnumerable<string> Examples(string file, params string[] beginnings) => File.ReadLines(file)
        .Select(line => beginnings.OrderByDescending(one => one.Length).FirstOrDefault(one => line.StartsWith(one, StringComparison.Ordinal)) is { } one ? line[one.Length..] : "")
        .Where(line => line.Length > 0 && char.IsAsciiLetterLower(line[0]) && line.Split('#')[0].Contains(" = ", StringComparison.Ordinal));

    private static string Root()
    {
        string folder = AppContext.BaseDirectory;
        while (!File.Exists(Path.Combine(folder, "NetKernel.sln")))
        {
            folder = Path.GetDirectoryName(folder)!;
        }

        return folder;
    }
}
