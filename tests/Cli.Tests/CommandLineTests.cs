using NetKernel.Cli.Commands;

namespace NetKernel.Cli.Tests;

/// <summary>Command lines as a user mistypes them: one line on standard error, and the right exit code. A process each, as output is the process's.</summary>
public sealed class CommandLineTests
{
    [Theory]
    [InlineData("frob", "there is no 'frob'")]
    [InlineData("guest lst", "there is no 'lst'")]
    [InlineData("guest create", "'name' missing")]
    [InlineData("guest create Bad_Name", "'Bad_Name' is no valid guest name")]
    [InlineData("guest create aaaaaaaaaaaaaaaaaaaaaaaaa", "is no valid guest name")]
    [InlineData("nsm create -x", "'-x' is no valid NSM name")]
    [InlineData("nsm create a --sndbuf many", "--sndbuf many: a number of bytes")]
    [InlineData("nsm create a --cpu half", "--cpu half: it is a whole number")]
    [InlineData("policy update p", "what is to change?")]
    [InlineData("guest list -o xml", "'xml' not recognized")]
    [InlineData("up --mode foo", "'foo' not recognized")]
    [InlineData("run -- ls", "'--guest' is required")]
    [InlineData("run --guest a", "which program?")]
    [InlineData("run --guest A! -- ls", "'A!' is no valid guest name")]
    [InlineData("guest list --instance No", "'No' is no valid instance name")]
    public void A_wrong_command_line_is_one_line_and_exit_code_2(string line, string expected)
    {
        NkProcess nk = NkProcess.Run(line.Split(' '));
        Assert.Equal(2, nk.ExitCode);
        Assert.Empty(nk.Output);
        Assert.Contains(expected, Assert.Single(nk.ErrorLines));
    }

    [Theory]
    [InlineData("guest list", "NetKernel is not up in")]
    [InlineData("nsm list -o json", "NetKernel is not up in")]
    [InlineData("conn list", "NetKernel is not up in")]
    [InlineData("stat", "NetKernel is not up in")]
    [InlineData("status", "NetKernel is not up in")]
    [InlineData("guest delete a", "NetKernel is not up in")]
    [InlineData("run --guest a -- ls", "NetKernel is not up in")]
    public void Without_nkd_every_command_says_so(string line, string expected)
    {
        NkProcess nk = NkProcess.Run([.. line.Split(' ')]);
        Assert.Equal(1, nk.ExitCode);
        Assert.Empty(nk.Output);
        Assert.Contains(expected, Assert.Single(nk.ErrorLines));
    }

    [Theory]
    [InlineData("run --guest a -- no-such-program", 127)]
    [InlineData("run --guest a -- /etc/passwd", 126)]
    public void Run_tells_what_cannot_be_run_before_anything_else(string line, int code)
    {
        NkProcess nk = NkProcess.Run(line.Split(' '));
        Assert.Equal(code, nk.ExitCode);
        Assert.Single(nk.ErrorLines);
    }

    [Fact]
    public void Down_when_nothing_is_up_is_no_failure()
    {
        NkProcess nk = NkProcess.Run("down");
        Assert.Equal(0, nk.ExitCode);
        Assert.Contains("nothing to do", Assert.Single(nk.ErrorLines));
    }

    [Fact]
    public void Help_and_version_go_to_standard_output()
    {
        Assert.Contains("guest", NkProcess.Run("--help").Output);
        Assert.Equal("0.1.0\n", NkProcess.Run("--version").Output);
    }

    [Fact]
    public void Doctor_prints_json_that_parses()
    {
        NkProcess nk = NkProcess.Run("doctor", "-o", "json");
        Assert.Empty(nk.Error);
        System.Text.Json.JsonElement findings = System.Text.Json.JsonDocument.Parse(nk.Output).RootElement;
        Assert.All(findings.EnumerateArray(), finding => Assert.Contains(finding.GetProperty("state").GetString(), new[] { "ok", "warn", "fail" }));
        Assert.Equal(findings.EnumerateArray().Any(finding => finding.GetProperty("state").GetString() == "fail") ? 1 : 0, nk.ExitCode);
    }

    [Theory]
    [InlineData("0", 0)]
    [InlineData("262144", 262144)]
    [InlineData("256k", 262144)]
    [InlineData("1M", 1048576)]
    public void Sizes_have_binary_multiples(string text, long bytes) => Assert.Equal(bytes, Changes.Bytes("--sndbuf", text));

    [Theory]
    [InlineData("")]
    [InlineData("k")]
    [InlineData("-1")]
    [InlineData("1.5M")]
    [InlineData("99999999999999999999")]
    public void Other_sizes_are_refused(string text) => Assert.Equal(2, Assert.Throws<CliException>(() => Changes.Bytes("--sndbuf", text)).Code);
}
