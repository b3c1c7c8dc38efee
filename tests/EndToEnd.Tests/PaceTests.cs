using System.Text.Json;
using NetKernel.Cli.Testbed;

namespace NetKernel.EndToEnd.Tests;

/// <summary>A guest that may open one connection a second wants hundreds: it waits, its neighbour does not, and the operator is told who waits.</summary>
public sealed class PaceTests : IDisposable
{
    private const string Listener = """
        import socket
        s = socket.create_server(('0.0.0.0', 7045), backlog=4096)
        print('ready', flush=True)
        while True: s.accept()[0].close()
        """;

    private const string Storm = """
        import socket
        for i in range(400):
            s = socket.create_connection(('198.18.0.250', 7045), timeout=100)
            s.close()
            if i == 0: print('begun', flush=True)
        """;

    private static readonly TimeSpan Long = TimeSpan.FromSeconds(120);

    private readonly NkInstance _nk = NkInstance.Up("pace");

    public void Dispose() => _nk.Dispose();

    [Fact]
    public void A_guest_held_to_its_rate_of_connections_waits_and_its_neighbour_does_not()
    {
        _nk.CreateGuest("a");
        _nk.CreateGuest("b");
        using GuestProcess listener = _nk.Outside.Start("python3", "-c", Listener);
        Programs.AwaitLine(listener, "ready");
        Limit("1");
        using GuestProcess held = _nk.Start("a", "python3", "-c", Storm);
        Programs.AwaitLine(held, "begun");
        CommandResult free = _nk.Run("b", Long, "python3", "-c", Storm);
        Assert.True(free.Succeeded, free.ToString());
        Assert.False(held.Ended, "400 connections at one a second are through already");
        Assert.NotEqual(0ul, Held("a"));
        Assert.Contains("guest a is held", File.ReadAllText(Path.Combine(_nk.RunDirectory, "log", "nkd.log")), StringComparison.Ordinal);
        Limit("100k");
        CommandResult rest = held.Wait(Long);
        Assert.True(rest.Succeeded, rest.ToString());
    }

    private ulong Held(string guest) =>
        _nk.List("stat").GetProperty("guests").EnumerateArray().First(row => row.GetProperty("name").GetString() == guest) is var row && row.TryGetProperty("held", out JsonElement held)
            ? ulong.Parse(held.ToString(), System.Globalization.CultureInfo.InvariantCulture) : 0;

    private void Limit(string rate)
    {
        CommandResult done = _nk.Nk("guest", "update", "a", "--limit-conn-rate", rate);
        Assert.True(done.Succeeded, done.ToString());
    }
}
