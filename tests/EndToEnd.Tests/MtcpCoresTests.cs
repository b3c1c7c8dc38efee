using System.Globalization;
using System.Text.Json;
using NetKernel.Cli.Testbed;
using NetKernel.Testing;

namespace NetKernel.EndToEnd.Tests;

/// <summary>Programs over an NSM of kind mtcp with two cores, whose sockets and processes are spread over both.</summary>
public sealed class MtcpCoresTests : IDisposable
{
    private static readonly TimeSpan Time = TimeSpan.FromSeconds(60);
    private readonly NkInstance _nk;

    public MtcpCoresTests()
    {
        _nk = NkInstance.Up("mtcores", "--shared-memory", "off", "--loops", "2");
        CommandResult created = _nk.Nk("nsm", "create", "m0", "--kind", "mtcp", "--cores", "2");
        Assert.True(created.Succeeded, created.ToString());
        _nk.CreateGuest("a", "m0");
        _nk.CreateGuest("b", "m0");
    }

    [RootFact]
    public void More_cores_than_loops_are_refused()
    {
        CommandResult refused = _nk.Nk("nsm", "create", "m1", "--kind", "mtcp", "--cores", "3");
        Assert.False(refused.Succeeded);
        Assert.Contains("cores are 1 to 2", refused.Error, StringComparison.Ordinal);
    }

    /// <summary>The workers have inherited one listener, and lie on both cores: what one announces the other accepts.</summary>
    [RootFact]
    public void Nginx_serves_with_both_cores_before_and_after_the_NSM_is_killed()
    {
        using GuestProcess nginx = Nginx.Start(_nk);
        (double First, double Second) before = CoreTimes();
        Load();
        (double First, double Second) after = CoreTimes();
        Assert.True(after.First > before.First && after.Second > before.Second, $"ticks of the cores: {before} before, {after} after");

        Assert.Equal(0, GuestProcess.SendSignal(_nk.NsmPid("m0"), 9));
        Assert.True(NkInstance.WaitFor(() => Nginx.Answers(_nk), Time), "nginx does not answer after the NSM's restart");
        Assert.False(nginx.Ended);
        Load();
    }

    [RootFact]
    public void Redis_and_iperf3_between_guests_and_with_the_outside()
    {
        using GuestProcess redis = _nk.Start("b", "redis-server", "--bind", "0.0.0.0", "--protected-mode", "no", "--save", "", "--dir", _nk.Folder);
        using GuestProcess iperf = _nk.Start("a", "iperf3", "-s");
        Assert.True(_nk.WaitForListener("b", 6379, Time) && _nk.WaitForListener("a", 5201, Time), redis.Error + iperf.Error);
        string[] benchmark = ["redis-benchmark", "-h", _nk.Ipv4("b"), "-n", "20000", "-c", "20", "-t", "set,get", "-q"];
        foreach (CommandResult ran in new[] { _nk.Run("a", Time, benchmark), _nk.Outside.Run(Time, benchmark) })
        {
            Assert.True(ran.Succeeded, ran.ToString());
            Assert.Contains("GET: ", ran.Output, StringComparison.Ordinal);
        }

        foreach (string[] way in new string[][] { [], ["-R"] })
        {
            string[] client = ["iperf3", "-c", _nk.Ipv4("a"), "-t", "1", "-P", "4", "-J", .. way];
            foreach (CommandResult ran in new[] { _nk.Run("b", Time, client), _nk.Outside.Run(Time, client) })
            {
                Assert.True(ran.Succeeded, ran.ToString());
                using JsonDocument report = JsonDocument.Parse(ran.Output);
                Assert.True(report.RootElement.GetProperty("end").GetProperty("sum_received").GetProperty("bytes").GetDouble() > 1e6);
            }
        }
    }

    [RootFact]
    public void Sockets_do_what_the_kernels_do()
    {
        string[] server = ["python3", Programs.Path("semantics.py"), "server"], client = ["python3", Programs.Path("semantics.py"), "client"];
        string expected = Programs.RunNatively([.. server, "127.0.0.1", "0"], at => [.. client, "127.0.0.1", $"{at}"]);
        using GuestProcess listening = _nk.Start("b", [.. server, "0.0.0.0", "7011"]);
        Programs.AwaitLine(listening, "ready");
        CommandResult ran = _nk.Run("a", TimeSpan.FromSeconds(120), [.. client, _nk.Ipv4("b"), "7011"]);
        Assert.Equal(expected, ran.Output);
        Assert.True(ran.Succeeded, ran.ToString());
    }

    /// <summary>Connections of both cores are in the list, with what their stacks measure, and all of their packets in a capture.</summary>
    [RootFact]
    public void Lists_and_captures_have_the_connections_of_both_cores()
    {
        const int Clients = 8;
        const string Serve = """
            import os, socket
            s = socket.create_server(('0.0.0.0', 7012))
            os.fork()
            print('ready', flush=True)
            kept = []
            for _ in range(4):
                c, _ = s.accept()
                c.send(b'x')
                kept.append(c)
            kept[0].recv(1)
            """;
        const string Dial = "import socket, sys\nk = [socket.create_connection((sys.argv[1], 7012)) for _ in range(8)]\nfor c in k: c.recv(1)\nprint('connected', flush=True)\nk[0].recv(1)";
        string file = Path.Combine(_nk.Folder, "cores.pcap");
        using GuestProcess server = _nk.Start("a", "python3", "-c", Serve);
        Assert.True(NkInstance.WaitFor(() => server.Output.Split("ready").Length == 3, Time), server.Error);
        using GuestProcess capture = _nk.StartNk("capture", "--guest", "a", "-w", file);
        Assert.True(NkInstance.WaitFor(() => capture.Error.Contains("capturing", StringComparison.Ordinal), Time), capture.Error);
        using GuestProcess client = _nk.Outside.Start("python3", "-c", Dial, _nk.Ipv4("a"));
        Programs.AwaitLine(client, "connected");

        JsonElement[] rows = [.. _nk.List("conn", "list", "--guest", "a").EnumerateArray().Where(row => row.GetProperty("state").GetString() == "established")];
        Assert.Equal(Clients, rows.Length);
        Assert.All(rows, row => Assert.InRange(row.GetProperty("path").GetProperty("mss").GetInt32(), 500, 65535));
        capture.Signal(2);
        _ = capture.Wait(Time);
        Assert.Equal(Clients, Tshark.Packets(file, "tcp.flags.syn == 1 && tcp.flags.ack == 0 && tcp.dstport == 7012").Length);
        Assert.Equal(Clients, Tshark.Packets(file, "tcp.len == 1 && tcp.srcport == 7012").Length);
    }

    public void Dispose() => _nk.Dispose();

    /// <summary>Connections with many requests, and with one each, from a guest and from outside.</summary>
    private void Load()
    {
        string url = $"http://{_nk.Ipv4("a")}/";
        foreach (string[] more in new string[][] { [], ["-H", "Connection: close"] })
        {
            string[] wrk = ["wrk", "-t1", "-c16", "-d1s", .. more, url];
            foreach (CommandResult ran in new[] { _nk.Run("b", Time, wrk), _nk.Outside.Run(Time, wrk) })
            {
                Assert.True(ran.Succeeded, ran.ToString());
                Assert.Contains("Requests/sec", ran.Output, StringComparison.Ordinal);
                Assert.DoesNotContain("Non-2xx", ran.Output, StringComparison.Ordinal);

                // Timeouts are of answers that take wrk 2 s: a busy machine.
                Assert.True(!ran.Output.Contains("Socket errors", StringComparison.Ordinal) || ran.Output.Contains("connect 0, read 0, write 0,", StringComparison.Ordinal), ran.ToString());
            }
        }
    }

    /// <summary>Clock ticks that the NSM's threads have used: the first core's, which is the main thread, and all others together, of which only the second core's works.</summary>
    private (double First, double Second) CoreTimes()
    {
        int pid = _nk.NsmPid("m0");
        double first = Ticks($"/proc/{pid}/task/{pid}/stat");
        return (first, Directory.GetDirectories($"/proc/{pid}/task").Sum(task => Ticks(Path.Combine(task, "stat"))) - first);

        static double Ticks(string file)
        {
            string[] fields = File.ReadAllText(file).Split(") ")[1].Split(' ');
            return double.Parse(fields[11], CultureInfo.InvariantCulture) + double.Parse(fields[12], CultureInfo.InvariantCulture); // utime, stime (proc(5))
        }
    }
}
