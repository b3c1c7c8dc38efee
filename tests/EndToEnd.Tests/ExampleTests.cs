using NetKernel.Cli.Testbed;

namespace NetKernel.EndToEnd.Tests;

/// <summary>docs/examples/list-guests.py, run as docs/api.md says, with Debian's Python, whose package python3-grpcio is.</summary>
public sealed class ExampleTests : IDisposable
{
    private readonly NkInstance _nk = NkInstance.Up("example");

    public void Dispose() => _nk.Dispose();

    [RootFact]
    public void A_program_without_generated_code_lists_guests()
    {
        // More than a page of its.
        for (int i = 1; i <= 101; i++)
        {
            _nk.CreateGuest($"g{i:D3}");
        }

        using GuestProcess python = GuestProcess.Start(
            _nk.Folder, 9200, [File.Exists("/usr/bin/python3") ? "/usr/bin/python3" : "python3", Path.Combine(ApplyTests.Repository(), "docs", "examples", "list-guests.py"), "unix:" + Path.Combine(_nk.RunDirectory, "nkd.sock")]);
        CommandResult result = python.Wait(TimeSpan.FromSeconds(60));
        Assert.True(result.Succeeded, result.ToString());
        Assert.Equal(Enumerable.Range(1, 101).Select(i => $"g{i:D3} {_nk.Ipv4($"g{i:D3}")} kernel0"), result.Output.Split('\n', StringSplitOptions.RemoveEmptyEntries));
    }
}
