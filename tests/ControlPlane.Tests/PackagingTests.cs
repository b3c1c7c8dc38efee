namespace NetKernel.ControlPlane.Tests;

/// <summary>The settings that the package brings are settings.</summary>
public sealed class PackagingTests
{
    [Fact]
    public void Every_remark_in_the_packages_configuration_file_that_shows_a_setting_can_be_put_in_force()
    {
        string folder = AppContext.BaseDirectory;
        while (!File.Exists(Path.Combine(folder, "NetKernel.sln")))
        {
            folder = Path.GetDirectoryName(folder)!;
        }

        string[] lines = [.. File.ReadLines(Path.Combine(folder, "packaging", "nkd.conf")).Where(line => line.StartsWith('#') && line.Contains(" = ", StringComparison.Ordinal) && !line.StartsWith("# ", StringComparison.Ordinal)).Select(line => line[1..])];
        Assert.True(lines.Length >= 8);
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
}
