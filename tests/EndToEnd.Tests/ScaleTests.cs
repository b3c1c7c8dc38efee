using System.Globalization;
using NetKernel.Cli.Testbed;
using Xunit.Abstractions;

namespace NetKernel.EndToEnd.Tests;

/// <summary>Many connections at once, and many one after the other: all work, and nothing is left behind. `./nk bench churn` measures the speed.</summary>
[Trait("Category", "Fault")]
public sealed class ScaleTests(ITestOutputHelper output) : IDisposable
{
    private const int Count = 10_000;

    /// <summary>Completions that a sleeping process may not have been told of (SwitchLoop.MostQuiet).</summary>
    private const int MostQuiet = 256;

    private readonly NkInstance _nk = NkInstance.Up("scale");

    public void Dispose() => _nk.Dispose();

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void Ten_thousand_connections_are_open_in_one_guest(bool guestListens)
    {
        _nk.CreateGuest("a");
        string[] listen = ["python3", Programs.Path("many.py"), "server", "0.0.0.0", "7020"];
        using GuestProcess server = guestListens ? _nk.Start("a", listen) : _nk.Outside.Start(listen);
        Programs.AwaitLine(server, "ready");
        string pipe = Path.Combine(_nk.Folder, "go");
        using GuestProcess fifo = _nk.StartRaw(["mkfifo", pipe]);
        Assert.True(fifo.Wait(TimeSpan.FromSeconds(10)).Succeeded);
        string[] connect =
        [
            "python3", Programs.Path("many.py"), "client", guestListens ? _nk.Ipv4("a") : _nk.Outside.Ipv4, "7020", Count.ToString(CultureInfo.InvariantCulture), pipe,
        ];
        using GuestProcess client = guestListens ? _nk.Outside.Start(connect) : _nk.Start("a", connect);
        Programs.AwaitLine(client, "open", 120);
        Programs.AwaitLine(client, "echoed", 120);
        Assert.Contains(string.Create(CultureInfo.InvariantCulture, $"echoed {3 * Count} wrong 0"), client.Output, StringComparison.Ordinal);
        InUse full = InUse.Of(_nk.EnginePid, "a");
        Assert.True(full.Sockets >= Count, $"sockets in use: {full.Sockets}");
        Assert.True(_nk.TrafficOf("a").Open >= Count);
        output.WriteLine($"{full}; {_nk.TrafficOf("a")}");
        File.WriteAllText(pipe, "close\n");
        Programs.AwaitLine(client, "closed", 60);
        Assert.True(client.Wait(TimeSpan.FromSeconds(30)).Succeeded);
        int left = guestListens ? 1 : 0;
        Assert.True(
            NkInstance.WaitFor(() => InUse.Of(_nk.EnginePid, "a").Sockets <= left + MostQuiet && _nk.TrafficOf("a").Open == (ulong)left, TimeSpan.FromSeconds(60)),
            $"still in use: {InUse.Of(_nk.EnginePid, "a")}, connections {_nk.TrafficOf("a").Open}");

        // The process sleeps now and has not been told of the last ones; whatever wakes it frees them.
        server.Kill();
        InUse nothing = default;
        Assert.True(NkInstance.WaitFor(() => InUse.Of(_nk.EnginePid, "a") == nothing, TimeSpan.FromSeconds(30)), $"still in use: {InUse.Of(_nk.EnginePid, "a")}");
    }

    [Fact]
    public void Short_connections_leave_nothing_behind()
    {
        _nk.CreateGuest("a");
        _ = _nk.Outside.Run(TimeSpan.FromSeconds(5), "sh", "-c", "echo 1024 65000 >/proc/sys/net/ipv4/ip_local_port_range");
        string folder = Path.Combine(_nk.Folder, "www");
        _ = Directory.CreateDirectory(folder, (UnixFileMode)0x1ED);
        File.WriteAllText(Path.Combine(folder, "index.html"), "served");
        string configuration = Path.Combine(_nk.Folder, "nginx.conf");
        File.WriteAllText(
            configuration,
            $$"""
            worker_processes 1; daemon off; pid {{_nk.Folder}}/nginx.pid; error_log {{_nk.Folder}}/nginx.log;
            events { worker_connections 512; }
            http { access_log off; server { listen 80 backlog=1024; root {{folder}}; } }
            """);
        using GuestProcess nginx = _nk.Start("a", "nginx", "-c", configuration);
        Assert.True(_nk.WaitForListener("a", 80, TimeSpan.FromSeconds(20)), nginx.Error);
        Round(2);
        (int Engine, int Nsm, ulong Open) before = Now();
        Traffic start = _nk.TrafficOf("a");
        for (int i = 0; i < 4; i++)
        {
            Round(2);
        }

        Assert.True(
            NkInstance.WaitFor(() => Now() == before && InUse.Of(_nk.EnginePid, "a").Sockets <= 1 + MostQuiet, TimeSpan.FromSeconds(60)),
            $"before {before}, after {Now()}, {InUse.Of(_nk.EnginePid, "a")}");
        ulong connections = (_nk.TrafficOf("a") - start).Connections;
        output.WriteLine($"{connections} connections");
        Assert.True(connections > 1000);
    }

    private (int Engine, int Nsm, ulong Open) Now() =>
        (InUse.Descriptors(_nk.EnginePid), InUse.Descriptors(_nk.NsmPid()), _nk.TrafficOf("a").Open);

    private void Round(int seconds)
    {
        CommandResult wrk = _nk.Outside.Run(
            TimeSpan.FromSeconds(60), "wrk", "-t1", "-c32", string.Create(CultureInfo.InvariantCulture, $"-d{seconds}s"), "-H", "Connection: close", $"http://{_nk.Ipv4("a")}/");
        Assert.True(wrk.Succeeded, wrk.ToString());
        Assert.DoesNotContain("Socket errors", wrk.Output, StringComparison.Ordinal);
        Assert.DoesNotContain("Non-2xx", wrk.Output, StringComparison.Ordinal);
    }
}
