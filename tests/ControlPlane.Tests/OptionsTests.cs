using NetKernel.ControlPlane.Services;

namespace NetKernel.ControlPlane.Tests;

public sealed class OptionsTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("nkd-").FullName;

    public OptionsTests() => FakeEngine.WritePrograms(_folder);

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Theory]
    [InlineData("--frob", "--frob needs a value")]
    [InlineData("--frob 1", "unknown option --frob")]
    [InlineData("--mode vm", "it is bridge or host")]
    [InlineData("--loops 9", "--loops is 1 to 8")]
    [InlineData("--loops many", "--loops is 1 to 8")]
    [InlineData("--hugepages yes", "it is auto or off")]
    [InlineData("--subnet4 198.18.0.0/30", "not an IPv4 subnet of /22 or larger")]
    [InlineData("--instance UP", "is no valid instance name")]
    public void Wrong_options_are_named(string line, string reason)
    {
        ServiceException wrong = Assert.Throws<ServiceException>(() => NkdOptions.Parse([.. "--mode host".Split(' '), "--bin-dir", _folder, .. line.Split(' ')]));
        Assert.Equal(FailureCode.InvalidArgument, wrong.Code);
        Assert.Contains(reason, wrong.Message);
    }

    [Fact]
    public void A_missing_program_says_what_to_do()
    {
        File.Delete(Path.Combine(_folder, "nk-engine"));
        Assert.Contains("nk-engine is not built", Assert.Throws<ServiceException>(() => NkdOptions.Parse(["--bin-dir", _folder])).Message);
    }

    [Fact]
    public async Task A_run_directory_too_long_for_sockets_is_refused()
    {
        NkdOptions options = NkdOptions.Parse(["--mode", "host", "--bin-dir", _folder, "--run-dir", "/tmp/" + new string('x', 90)]);
        Assert.Contains("too long", (await Assert.ThrowsAsync<ServiceException>(() => Daemon.RunAsync(options))).Message);
    }

    [Theory]
    [InlineData("reno cubic", "reno", "cubic")]
    [InlineData("reno bbr", "bbr", "bbr")]
    [InlineData("reno bbr", "dctcp", "reno")]
    [InlineData("", "", "cubic")]
    public void The_default_congestion_control_is_one_that_may_be_had(string permitted, string current, string expected) =>
        Assert.Equal(expected, Congestion.Choose(permitted.Split(' ', StringSplitOptions.RemoveEmptyEntries), current.Split(' ', StringSplitOptions.RemoveEmptyEntries)));
}
