using NetKernel.ControlPlane.Services;
using NetKernel.ControlPlane.Store;

namespace NetKernel.ControlPlane.Tests;

/// <summary>A start that fails loses nothing that was declared before.</summary>
public sealed class FailedStartTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("nkd-").FullName;
    private readonly string _instance = $"failed-{Environment.ProcessId}";

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Fact]
    public async Task What_was_declared_before_is_kept()
    {
        FakeEngine.WritePrograms(_folder);
        string run = Path.Combine(_folder, "run"), file = Path.Combine(run, "state.db");
        Directory.CreateDirectory(run);
        using (SqliteStore store = SqliteStore.Open(file))
        {
            _ = await store.CommitAsync(new Transaction(
                [], Write.Put("/settings", "mode host, subnets 198.18.0.0/16 2001:2::/64"u8.ToArray()), Write.Put("/tenant/default", [])));
        }

        // With other settings it is refused, and nothing is touched.
        ServiceException other = await Assert.ThrowsAsync<ServiceException>(() => Daemon.RunAsync(Options("--subnet4", "198.19.0.0/16")));
        Assert.Contains("start with the same", other.Message);

        // CoreEngine does not start: nobody listens on its socket.
        ServiceException silent = await Assert.ThrowsAsync<ServiceException>(() => Daemon.RunAsync(Options()));
        Assert.Contains("CoreEngine did not start", silent.Message);
        using SqliteStore kept = SqliteStore.Open(file);
        Assert.Equal(2, (await kept.RangeAsync(KeyRange.Prefix("/"))).Items.Count);
    }

    [Fact]
    public async Task A_state_directory_that_cannot_be_is_refused_with_what_to_do()
    {
        FakeEngine.WritePrograms(_folder);
        File.WriteAllText(Path.Combine(_folder, "file"), "");
        ServiceException wrong = await Assert.ThrowsAsync<ServiceException>(() => Daemon.RunAsync(Options("--state-dir", Path.Combine(_folder, "file", "x"))));
        Assert.Contains("choose another with --state-dir", wrong.Message);
    }

    private NkdOptions Options(params string[] more) => NkdOptions.Parse(
        ["--run-dir", Path.Combine(_folder, "run"), "--instance", _instance, "--mode", "host", "--bin-dir", _folder, .. more], _ => null);
}
