namespace NetKernel.Bench.Tcp;

/// <summary>The programs that are measured, with their command lines.</summary>
internal static class Workloads
{
    private const int IperfPort = 5201, SockperfPort = 11111, NginxPort = 80, RedisPort = 6379;

    private const string NginxConfig = """
        daemon off;
        worker_processes 1;
        user www-data;
        pid @/nginx.pid;
        error_log @/error.log;
        events { worker_connections 1024; }
        http {
            access_log off;
            sendfile on;
            tcp_nopush on;
            keepalive_requests 100000000;
            client_body_temp_path @/tmp-body;
            proxy_temp_path @/tmp-proxy;
            fastcgi_temp_path @/tmp-fastcgi;
            uwsgi_temp_path @/tmp-uwsgi;
            scgi_temp_path @/tmp-scgi;
            server {
                listen 80 backlog=4096;
                root @/www;
            }
        }
        """;

    /// <summary>Those of the parts that were asked for.</summary>
    public static Workload[] Of(BenchOptions options) => [.. All(options.Seconds).Where(workload => options.Parts.Contains(workload.Name))];

    private static Workload[] All(int seconds) =>
    [
        new(
            "streams", "Streams (iperf3)", IperfPort, _ => ["iperf3", "-s"], "GB", 1e9,
            [.. Streams(seconds)], ["iperf3"]),
        new(
            "rtt", "64-byte request and response (sockperf ping-pong, whole round trip)", SockperfPort,
            _ => ["sockperf", "server", "--tcp", "-i", "0.0.0.0", "-p", "11111"], "100,000 round trips", 1e5,
            [
                new(
                    "64 B, 1 connection",
                    host => ["sockperf", "ping-pong", "--tcp", "-i", host, "-p", "11111", "-m", "64", "-t", Text.Invariant($"{seconds}")], ToolOutput.Sockperf,
                    new("p50", Text.Micros, AtMost: 2.0), new("p99", Text.Micros)),
            ],
            ["sockperf"]),
        new(
            "short", "Short connections (wrk, Connection: close, nginx with 1 worker)", NginxPort, Nginx, "100,000 connections", 1e5,
            [
                new(
                    "32 at a time",
                    host => ["wrk", "-t1", "-c32", Text.Invariant($"-d{seconds}s"), "-H", "Connection: close", $"http://{host}/index.html"], ToolOutput.Wrk,
                    new Metric("connections", Text.PerSecond)),
            ],
            ["nginx", "wrk"], PrepareNginx),
        new(
            "nginx", "nginx, keep-alive (wrk, 1 worker, page of 200 B)", NginxPort, Nginx, "100,000 requests", 1e5,
            [
                new(
                    "32 connections", host => ["wrk", "-t1", "-c32", Text.Invariant($"-d{seconds}s"), $"http://{host}/index.html"], ToolOutput.Wrk,
                    new Metric("requests", Text.PerSecond, AtLeast: 0.7)),
            ],
            ["nginx", "wrk"], PrepareNginx),
        new(
            "redis", "redis (redis-benchmark, 50 connections, no pipelining)", RedisPort,
            folder =>
            [
                "redis-server", "--port", "6379", "--bind", "0.0.0.0", "--protected-mode", "no", "--save", "", "--appendonly", "no", "--dir", folder,
            ],
            "100,000 requests", 1e5, [Redis("SET", seconds), Redis("GET", seconds)], ["redis-server", "redis-benchmark"]),
    ];

    private static IEnumerable<BenchCase> Streams(int seconds)
    {
        foreach ((string size, string name) in new[] { ("64", "64 B"), ("1K", "1 KB"), ("8K", "8 KB"), ("64K", "64 KB") })
        {
            double? goal = size is "8K" or "64K" ? 0.8 : null;
            foreach (int connections in new[] { 1, 8 })
            {
                foreach (bool reverse in new[] { false, true })
                {
                    yield return new BenchCase(
                        Text.Invariant($"{name}, {connections} connection{(connections == 1 ? "" : "s")}, server {(reverse ? "sends" : "receives")}"),
                        host =>
                        [
                            "iperf3", "-c", host, "-J", "-t", Text.Invariant($"{seconds}"), "-l", size, "-P", Text.Invariant($"{connections}"),
                            .. reverse ? (string[])["-R"] : [],
                        ],
                        ToolOutput.Iperf, new Metric("rate", Text.Bits, AtLeast: goal));
                }
            }
        }
    }

    // redis-benchmark counts requests and not time: about as many as a second's worth on this class of machine.
    private static BenchCase Redis(string test, int seconds)
    {
        int requests = 50_000 * seconds;
        return new BenchCase(
            test,
            host => ["redis-benchmark", "-h", host, "-p", "6379", "-t", test.ToLowerInvariant(), "-c", "50", "-n", Text.Invariant($"{requests}"), "--csv"],
            output => ToolOutput.Redis(output, requests), new Metric("requests", Text.PerSecond, AtLeast: 0.7));
    }

    private static string[] Nginx(string folder) => ["nginx", "-c", Path.Combine(folder, "nginx.conf"), "-p", folder, "-e", Path.Combine(folder, "error.log")];

    private static void PrepareNginx(string folder)
    {
        string www = Directory.CreateDirectory(Path.Combine(folder, "www"), (UnixFileMode)0x1ED).FullName;
        File.WriteAllText(Path.Combine(www, "index.html"), "<!doctype html><title>NetKernel</title><p>".PadRight(199, '.') + "\n");
        File.WriteAllText(Path.Combine(folder, "nginx.conf"), NginxConfig.Replace("@", folder, StringComparison.Ordinal));
    }
}
