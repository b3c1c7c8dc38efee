using System.Globalization;
using System.Text.Json;
using NetKernel.Cli.Testbed;

namespace NetKernel.EndToEnd.Tests;

/// <summary>Which way datagrams go: between guests by shared memory, where policy allows; all else by the guest's own NSM, from and to the same sockets.</summary>
public sealed class SharedDatagramTests : IDisposable
{
    // One socket: so many datagrams of 1,000 bytes, each answered before the next. Then how many answers came from whom.
    private const string Asker =
        "import socket,sys\n" +
        "s=socket.socket(socket.AF_INET6 if ':' in sys.argv[1] else socket.AF_INET,socket.SOCK_DGRAM); s.settimeout(10); n=0\n" +
        "for i in range(200):\n" +
        "  s.sendto(b'%4d'%i+b'x'*996,(sys.argv[1],int(sys.argv[2]))); d,p=s.recvfrom(2000); n+=d[:4]==b'%4d'%i and p[0]==sys.argv[1]\n" +
        "print(n)";

    private readonly NkInstance _nk = NkInstance.Up("shudp");

    public SharedDatagramTests()
    {
        _nk.CreateGuest("a");
        _nk.CreateGuest("b");
    }

    public void Dispose() => _nk.Dispose();

    /// <summary>Whether a guest's datagram socket of that port has been used by shared memory, as the list of connections says.</summary>
    public static bool IsNear(NkInstance nk, string guest, int port) =>
        nk.List("conn", "list", "--guest", guest).EnumerateArray().Any(
            c => c.GetProperty("local").GetString()!.EndsWith(string.Create(CultureInfo.InvariantCulture, $":{port}"), StringComparison.Ordinal)
                && c.GetProperty("protocol").GetString() == "udp" && c.TryGetProperty("form", out JsonElement form) && form.GetString() == "copy");

    [Fact]
    public void One_socket_serves_neighbours_and_others_and_policy_counts_for_the_next_datagram()
    {
        using GuestProcess echo = _nk.Start("b", "python3", Programs.Path("datagram_survivor.py"), "server", "0.0.0.0", "7301");
        using GuestProcess echo6 = _nk.Start("b", "python3", Programs.Path("datagram_survivor.py"), "server", "::", "7302");
        Programs.AwaitLine(echo, "ready");
        Programs.AwaitLine(echo6, "ready");
        Assert.False(IsNear(_nk, "b", 7301));
        Expect(shared: true, () => _nk.Run("a", TimeSpan.FromSeconds(30), Ask(_nk.Ipv4("b"), 7301)));
        Expect(shared: true, () => _nk.Run("a", TimeSpan.FromSeconds(30), Ask(_nk.Ipv6("b"), 7302)));
        Expect(shared: true, () => _nk.Run("a", TimeSpan.FromSeconds(30), Ask(_nk.Ipv4("b"), 7302)));
        Assert.True(IsNear(_nk, "b", 7301));
        Expect(shared: false, () => _nk.Outside.Run(TimeSpan.FromSeconds(30), Ask(_nk.Ipv4("b"), 7301)));

        Do("guest", "update", "b", "--shared-memory", "off");
        Expect(shared: false, () => _nk.Run("a", TimeSpan.FromSeconds(30), Ask(_nk.Ipv4("b"), 7301)));
        Do("guest", "update", "b", "--shared-memory", "direct"); // which datagrams take for copy
        Expect(shared: true, () => _nk.Run("a", TimeSpan.FromSeconds(30), Ask(_nk.Ipv4("b"), 7301)));

        Do("tenant", "create", "blue");
        Do("guest", "create", "far", "--tenant", "blue");
        Expect(shared: false, () => _nk.Run("far", TimeSpan.FromSeconds(30), Ask(_nk.Ipv4("b"), 7301)));
        Do("tenant", "update", "blue", "--shared-memory-across", "true");
        Expect(shared: false, () => _nk.Run("far", TimeSpan.FromSeconds(30), Ask(_nk.Ipv4("b"), 7301)));
        Do("tenant", "update", "default", "--shared-memory-across", "true");
        Expect(shared: true, () => _nk.Run("far", TimeSpan.FromSeconds(30), Ask(_nk.Ipv4("b"), 7301)));
    }

    [Fact]
    public void A_connected_socket_is_refused_where_nobody_is_bound_or_not_any_more()
    {
        const string Refused =
            "import socket,sys,time\n" +
            "s=socket.socket(socket.AF_INET6 if ':' in sys.argv[1] else socket.AF_INET,socket.SOCK_DGRAM); s.settimeout(10); s.connect((sys.argv[1],int(sys.argv[2])))\n" +
            "s.send(b'x')\n" +
            "try: print(s.recv(10)[:1].decode())\n" +
            "except OSError as e: print(type(e).__name__)";
        foreach (string address in new[] { _nk.Ipv4("b"), _nk.Ipv6("b") })
        {
            Assert.Equal("ConnectionRefusedError\n", _nk.Run("a", TimeSpan.FromSeconds(20), "python3", "-c", Refused, address, "7303").Output);
            using GuestProcess echo = _nk.Start("b", "python3", Programs.Path("datagram_survivor.py"), "server", "::", "7303");
            Programs.AwaitLine(echo, "ready");
            Assert.Equal("x\n", _nk.Run("a", TimeSpan.FromSeconds(20), "python3", "-c", Refused, address, "7303").Output);
            echo.Kill();
            Assert.True(NkInstance.WaitFor(() => _nk.TrafficOf("b").Open == 0, TimeSpan.FromSeconds(20)), $"{_nk.TrafficOf("b")}");
            Assert.Equal("ConnectionRefusedError\n", _nk.Run("a", TimeSpan.FromSeconds(20), "python3", "-c", Refused, address, "7303").Output);
        }
    }

    [Fact]
    public void Programs_ask_and_stream_by_shared_memory()
    {
        using GuestProcess dns = _nk.Start(
            "b", "dnsmasq", "--keep-in-foreground", "--conf-file=/dev/null", "--no-resolv", "--no-hosts", "--user=root", "--pid-file=", "--address=/near.test/198.18.8.8");
        string[] dig = ["dig", "+short", "+time=1", "+tries=1", $"@{_nk.Ipv4("b")}", "near.test"];
        Assert.True(NkInstance.WaitFor(() => _nk.Run("a", TimeSpan.FromSeconds(10), dig).Output.Trim() == "198.18.8.8", TimeSpan.FromSeconds(20)), dns.Error);
        Assert.True(IsNear(_nk, "b", 53));
        (ulong shared, ulong kernel) = Bytes();

        using GuestProcess socat = _nk.Start("b", "socat", "UDP4-RECVFROM:7304,fork", "EXEC:cat");
        Assert.True(
            NkInstance.WaitFor(
                () => _nk.Run("a", TimeSpan.FromSeconds(10), "sh", "-c", $"echo once | socat -t 1 - UDP4:{_nk.Ipv4("b")}:7304").Output == "once\n", TimeSpan.FromSeconds(30)), socat.Error);

        using GuestProcess iperf = _nk.Start("b", "iperf3", "-s", "-1", "-p", "7305");
        Assert.True(_nk.WaitForListener("b", 7305, TimeSpan.FromSeconds(30)), iperf.Error);
        CommandResult streamed = _nk.Run("a", TimeSpan.FromSeconds(30), "iperf3", "-u", "-c", _nk.Ipv4("b"), "-p", "7305", "-b", "50M", "-n", "2M");
        Assert.True(streamed.Succeeded && streamed.Output.Contains("receiver", StringComparison.Ordinal), streamed.ToString());
        (ulong Shared, ulong Kernel) after = Bytes();
        Assert.True(after.Shared > shared + (2 << 20), $"by shared memory: {after.Shared - shared} bytes");
        Assert.True(after.Kernel < kernel + 100_000, $"by the kernel NSM: {after.Kernel - kernel} bytes");
    }

    [Fact]
    public void A_limit_holds_for_datagrams_by_shared_memory()
    {
        using GuestProcess sink = _nk.Start("b", "python3", "-c", "import socket\ns=socket.socket(type=socket.SOCK_DGRAM); s.bind(('',7306)); print('ready',flush=True)\nwhile 1: s.recv(9000)");
        Programs.AwaitLine(sink, "ready");
        Do("guest", "update", "a", "--limit-send", "1M");
        const string Sender =
            "import socket,sys,time\n" +
            "s=socket.socket(type=socket.SOCK_DGRAM); s.connect((sys.argv[1],7306)); t=time.monotonic()\n" +
            "for i in range(3000): s.send(b'x'*1000)\n" +
            "print(int(time.monotonic()-t))";
        (ulong shared, _) = Bytes();
        CommandResult sent = _nk.Run("a", TimeSpan.FromSeconds(60), "python3", "-c", Sender, _nk.Ipv4("b"));
        Assert.True(int.Parse(sent.Output, CultureInfo.InvariantCulture) >= 1, sent.ToString()); // 3 MB at 1 MB/s, less what a bucket holds
        Assert.True(Bytes().Shared >= shared + 3_000_000);
    }

    private static string[] Ask(string address, int port) => ["python3", "-c", Asker, address, port.ToString(CultureInfo.InvariantCulture)];

    private void Expect(bool shared, Func<CommandResult> ask)
    {
        (ulong Shared, ulong Kernel) before = Bytes();
        CommandResult result = ask();
        (ulong Shared, ulong Kernel) after = Bytes();
        Assert.True(result.Output == "200\n", result.ToString());
        const ulong Most = 20_000, Least = 200 * 1000;
        Assert.True(shared ? after.Shared - before.Shared >= Least : after.Shared - before.Shared < Most, $"by shared memory: {after.Shared - before.Shared} bytes");
        Assert.True(shared ? after.Kernel - before.Kernel < Most : after.Kernel - before.Kernel >= Least, $"by the kernel NSM: {after.Kernel - before.Kernel} bytes");
    }

    private (ulong Shared, ulong Kernel) Bytes()
    {
        JsonElement nsms = _nk.List("stat").GetProperty("nsms");
        ulong Of(string name) => nsms.EnumerateArray().Where(nsm => nsm.GetProperty("name").GetString() == name)
            .Select(nsm => nsm.GetProperty("bytesSent").GetUInt64() + nsm.GetProperty("bytesReceived").GetUInt64()).Single();
        return (Of("sharedmem"), Of("kernel0"));
    }

    private void Do(params string[] command)
    {
        CommandResult result = _nk.Nk(command);
        Assert.True(result.Succeeded, result.ToString());
    }
}
