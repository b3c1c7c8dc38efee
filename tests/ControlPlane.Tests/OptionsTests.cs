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
    [InlineData("--loops 9", "loops are 1 to 8")]
    [InlineData("--loops many", "loops are 1 to 8")]
    [InlineData("--hugepages yes", "it is auto or off")]
    [InlineData("--placement fast", "it is spread, saving, or CPUs")]
    [InlineData("--placement 0-1023", "CPUs that nkd may run on")]
    [InlineData("--subnet4 198.18.0.0/30", "not an IPv4 subnet of /22 or larger")]
    [InlineData("--instance UP", "is no valid instance name")]
    [InlineData("--metrics 9464", "it is ADDRESS:PORT")]
    [InlineData("--otlp-endpoint collector:4317", "it is http://HOST:PORT")]
    [InlineData("--otlp-endpoint http://me:pass@collector:4317", "--otlp-endpoint: otlp-endpoint has a password in it")]
    [InlineData("--otlp-protocol thrift", "it is grpc or http/protobuf")]
    [InlineData("--otlp-interval 0", "it is a number of seconds")]
    [InlineData("--log-format xml", "it is json or text")]
    [InlineData("--usage-retention 2h,1h,1d", "it is three times")]
    public void Wrong_options_are_named(string line, string reason)
    {
        ServiceException wrong = Assert.Throws<ServiceException>(() => NkdOptions.Parse([.. "--mode host".Split(' '), "--bin-dir", _folder, .. line.Split(' ')]));
        Assert.Equal(FailureCode.InvalidArgument, wrong.Code);
        Assert.Contains(reason, wrong.Message);
    }

    [Fact]
    public void A_file_gives_way_to_the_environment_and_that_to_flags()
    {
        string file = Path.Combine(_folder, "nkd.conf");
        File.WriteAllText(file, "# settings\nmode = host\nloops = 2   # two\n\nsubnet4=198.19.0.0/16\nstate-dir = /var/lib/nk\n");
        NkdOptions options = NkdOptions.Parse(
            ["--bin-dir", _folder, "--config", file, "--state-dir", "/else"], name => name switch { "NETKERNEL_LOOPS" => "3", "NETKERNEL_STATE_DIR" => "/env", _ => null });
        Assert.Equal(("host", 3, "198.19.0.0/16", "/else"), (options.Mode, options.Loops, options.Subnet4, options.StateDirectory));
    }

    [Theory]
    [InlineData("mode = host\ncolor = red", "nkd.conf:2: there is no setting 'color': there are mode, loops")]
    [InlineData("mode = host\n\nloops = many", "nkd.conf:3: loops = many: loops are 1 to 8")]
    [InlineData("host", "nkd.conf:1: 'host' is no line of NAME = VALUE")]
    [InlineData("mode = host\nmode = bridge", "nkd.conf:2: mode is set twice, first in ")]
    [InlineData("subnet6 = 198.18.0.0/16", "nkd.conf:1: subnet6 = 198.18.0.0/16: ")]
    public void What_is_wrong_in_a_file_is_named_with_its_line(string text, string complaint)
    {
        string file = Path.Combine(_folder, "nkd.conf");
        File.WriteAllText(file, text);
        Assert.Contains(complaint, Assert.Throws<ServiceException>(() => NkdOptions.Parse(["--bin-dir", _folder, "--config", file], _ => null)).Message);
    }

    [Fact]
    public void What_is_wrong_in_the_environment_is_named_with_its_variable() => Assert.Contains(
        "NETKERNEL_HUGEPAGES: hugepages = yes: it is auto or off",
        Assert.Throws<ServiceException>(() => NkdOptions.Parse(["--mode", "host", "--bin-dir", _folder], name => name == "NETKERNEL_HUGEPAGES" ? "yes" : null)).Message);

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
