using NetKernel.Bench.Tcp;

namespace NetKernel.Bench.Tests;

/// <summary>The figures are taken rightly out of what the programs print (captured from iperf3 3.12, sockperf 3.7, wrk 4.1.0, redis-benchmark 7.0.15).</summary>
public class ToolOutputTests
{
    private const string Sockperf = """
        sockperf: Test ended
        sockperf: [Total Run] RunTime=1.000 sec; Warm up time=400 msec; SentMessages=42773; ReceivedMessages=42772
        sockperf: ========= Printing statistics for Server No: 0
        sockperf: [Valid Duration] RunTime=0.550 sec; SentMessages=24064; ReceivedMessages=24064
        sockperf: ---> percentile 99.990 = 2889.974
        sockperf: ---> percentile 99.900 = 1257.699
        sockperf: ---> percentile 99.000 =   23.677
        sockperf: ---> percentile 75.000 =    6.802
        sockperf: ---> percentile 50.000 =    6.545
        """;

    private const string Wrk = """
        Running 1s test @ http://127.0.0.1:45204/
          1 threads and 4 connections
          Thread Stats   Avg      Stdev     Max   +/- Stdev
            Latency     3.26ms    1.34ms  10.57ms   75.54%
            Req/Sec     1.22k    58.27     1.30k    70.00%
          1212 requests in 1.00s, 666.51KB read
        Requests/sec:   1210.92
        Transfer/sec:    665.92KB
        """;

    private const string Redis = """
        "test","rps","avg_latency_ms","min_latency_ms","p50_latency_ms","p95_latency_ms","p99_latency_ms","max_latency_ms"
        "GET","41666.67","0.826","0.168","0.679","1.791","4.535","5.223"
        """;

    [Fact]
    public void Iperf_what_was_received_counts()
    {
        Reading reading = ToolOutput.Iperf(
            """
            {"end": {"sum_sent": {"bytes": 5, "bits_per_second": 7}, "sum_received": {"start": 0, "end": 1.0003, "bytes": 1250000, "bits_per_second": 9997000.5, "sender": true}}}
            """);
        Assert.Equal([9997000.5], reading.Values);
        Assert.Equal(1250000, reading.Work);
    }

    [Theory]
    [InlineData("""{"start": {}, "end": {}, "error": "unable to connect to server: Connection refused"}""", "iperf3: unable to connect to server: Connection refused")]
    [InlineData("""{"end": {}}""", "iperf3 gave no report")]
    [InlineData("", "iperf3 gave no report")]
    [InlineData("""{"end": {"sum_received": {"bytes": 0, "bits_per_second": 0}}}""", "iperf3 moved nothing")]
    public void Iperf_failures(string output, string message) => Assert.Equal(message, Assert.Throws<RunFailure>(() => ToolOutput.Iperf(output)).Message);

    [Fact]
    public void Sockperf_the_whole_round_trip()
    {
        Reading reading = ToolOutput.Sockperf(Sockperf);
        Assert.Equal([13.090, 47.354], reading.Values, (a, b) => Math.Abs(a - b) < 1e-9);
        Assert.Equal(42772, reading.Work);
    }

    [Fact]
    public void Wrk_rate_and_requests()
    {
        Reading reading = ToolOutput.Wrk(Wrk);
        Assert.Equal([1210.92], reading.Values);
        Assert.Equal(1212, reading.Work);
    }

    [Theory]
    [InlineData("  Socket errors: connect 0, read 3, write 0, timeout 0", "wrk: Socket errors: connect 0, read 3, write 0, timeout 0")]
    [InlineData("  Non-2xx or 3xx responses: 12", "wrk: Non-2xx or 3xx responses: 12")]
    public void Wrk_with_errors_is_a_failure(string line, string message) =>
        Assert.Equal(message, Assert.Throws<RunFailure>(() => ToolOutput.Wrk(Wrk.Replace("Requests/sec", line + "\nRequests/sec", StringComparison.Ordinal))).Message);

    [Fact]
    public void Redis_rate()
    {
        Reading reading = ToolOutput.Redis(Redis, 50000);
        Assert.Equal([41666.67], reading.Values);
        Assert.Equal(50000, reading.Work);
        Assert.Equal(
            "redis-benchmark gave no figures: Could not connect to Redis",
            Assert.Throws<RunFailure>(() => ToolOutput.Redis("Could not connect to Redis\n", 1)).Message);
    }

    [Fact]
    public void Client_cpu_is_user_and_system()
    {
        Assert.Equal(0.923, ToolOutput.ClientCpu("some warning\nnkcpu 0.123 0.800\n"), 9);
        Assert.Throws<RunFailure>(() => ToolOutput.ClientCpu("Killed"));
    }

    [Fact]
    public void Nothing_printed_is_a_failure()
    {
        Assert.Throws<RunFailure>(() => ToolOutput.Sockperf(""));
        Assert.Throws<RunFailure>(() => ToolOutput.Wrk(""));
        Assert.Throws<RunFailure>(() => ToolOutput.Redis("", 1));
    }
}
