using System.Net;
using System.Net.Sockets;
using System.Text.Json;
using NetKernel.Cli.Testbed;

namespace NetKernel.EndToEnd.Tests;

/// <summary>
/// The Grafana dashboard's queries, asked by Prometheus itself of a NetKernel that serves: each gives something. (Grafana is in no registry that the tests use; what it would draw is
/// what these queries give.)
/// </summary>
[Trait("Category", "Package")]
public sealed class DashboardTests
{
    private static readonly TimeSpan Time = TimeSpan.FromSeconds(90);

    [LongFact]
    public void Every_query_of_the_dashboard_gives_something_in_a_real_Prometheus()
    {
        (int page, int prometheus) = (FreePort(), FreePort());
        using NkInstance nk = NkInstance.Up("board", "--metrics", $"127.0.0.1:{page}", "--shared-memory", "off");
        string configuration = Path.Combine(nk.Folder, "prometheus.yml");
        File.WriteAllText(configuration, $$"""
            global: { scrape_interval: 1s }
            scrape_configs:
              - job_name: netkernel
                static_configs: [{ targets: ["127.0.0.1:{{page}}"] }]
            """);
        nk.CreateGuest("web");
        nk.CreateGuest("client");
        using GuestProcess server = nk.Start("web", "python3", "-m", "http.server", "80");
        Assert.True(nk.WaitForListener("web", 80, Time), server.Error);
        using GuestProcess sink = nk.Start("web", "iperf3", "-s");
        Assert.True(nk.WaitForListener("web", 5201, Time), sink.Error);
        using GuestProcess steady = nk.Start("client", "iperf3", "-c", nk.Ipv4("web"), "-b", "10M", "-t", "300"); // a round-trip time is that of connections that last
        using GuestProcess client = nk.Start(
            "client", "sh", "-c", $"while :; do curl -s -o /dev/null http://{nk.Ipv4("web")}/; curl -s -o /dev/null http://{nk.Ipv4("web")}:9/; sleep 0.2; done");
        Assert.NotEqual(0, nk.Nk("guest", "create", "web").ExitCode); // a call that fails
        using GuestProcess monitor = nk.StartRaw(
            ["prometheus", $"--config.file={configuration}", $"--storage.tsdb.path={nk.Folder}/tsdb", $"--web.listen-address=127.0.0.1:{prometheus}"]);
        using var http = new HttpClient { BaseAddress = new Uri($"http://127.0.0.1:{prometheus}/") };
        Dictionary<string, string> waiting = Queries().ToDictionary(query => query, _ => "not asked");
        Assert.True(
            NkInstance.WaitFor(
                () =>
                {
                    Assert.False(monitor.Ended, "prometheus ends; is it installed (apt-get install prometheus)? " + monitor.Error);
                    _ = nk.Nk("guest", "create", "web");
                    foreach (string query in waiting.Keys.ToArray())
                    {
                        waiting[query] = Ask(http, query);
                        if (waiting[query].Length == 0)
                        {
                            _ = waiting.Remove(query);
                        }
                    }

                    return waiting.Count == 0;
                },
                Time),
            string.Join('\n', waiting.Select(one => $"{one.Key}: {one.Value}")));
    }

    /// <summary>All queries of the panels and of the variables, as Grafana asks them with everything chosen.</summary>
    private static string[] Queries()
    {
        string text = File.ReadAllText(Path.Combine(ApplyTests.Repository(), "packaging", "grafana", "netkernel.json"));
        JsonElement board = JsonDocument.Parse(text).RootElement;
        string[] queries =
        [
            .. board.GetProperty("panels").EnumerateArray().SelectMany(panel => panel.TryGetProperty("targets", out JsonElement targets) ? targets.EnumerateArray().ToArray() : [])
                .Select(target => target.GetProperty("expr").GetString()!),
            .. board.GetProperty("templating").GetProperty("list").EnumerateArray().Select(one => one.GetProperty("query").ToString())
                .Where(query => query.StartsWith("label_values(", StringComparison.Ordinal)).Select(query => query["label_values(".Length..query.LastIndexOf(',')]),
        ];
        Assert.True(queries.Length > 20, "the dashboard asks next to nothing");
        return [.. queries.Select(query => query.Replace("$__rate_interval", "10s").Replace("$tenant", ".*").Replace("$guest", ".*").Replace("$nsm", ".*")).Distinct()];
    }

    /// <summary>Empty when there is a result; else why not.</summary>
    private static string Ask(HttpClient http, string query)
    {
        try
        {
            using HttpResponseMessage answer = http.GetAsync("api/v1/query?query=" + Uri.EscapeDataString(query)).GetAwaiter().GetResult();
            string text = answer.Content.ReadAsStringAsync().GetAwaiter().GetResult();
            return answer.StatusCode != HttpStatusCode.OK ? text
                : JsonDocument.Parse(text).RootElement.GetProperty("data").GetProperty("result").GetArrayLength() > 0 ? "" : "no result";
        }
        catch (HttpRequestException e)
        {
            return e.Message;
        }
    }

    private static int FreePort()
    {
        using var listener = new TcpListener(IPAddress.Loopback, 0);
        listener.Start();
        return ((IPEndPoint)listener.LocalEndpoint).Port;
    }
}
