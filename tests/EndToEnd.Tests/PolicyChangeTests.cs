using System.Globalization;
using NetKernel.Cli.Demo;
using NetKernel.Cli.Testbed;

namespace NetKernel.EndToEnd.Tests;

/// <summary>Policy that changes and guests that move while connections and datagrams go by shared memory: what is open stays as it is, what comes next goes as it is said now.</summary>
public sealed class PolicyChangeTests(Xunit.Abstractions.ITestOutputHelper output)
{
    private const int Streams = 4;

    // Asks on one socket without end, each datagram until its answer is there: "at N" after every fifty, and after SIGTERM how many were lost and how many answers were wrong.
    private const string Asker =
        "import os,signal,socket,sys,time\n" +
        "over=[]; signal.signal(signal.SIGTERM,lambda *_: over.append(1))\n" +
        "s=socket.socket(socket.AF_INET6 if ':' in sys.argv[1] else socket.AF_INET,socket.SOCK_DGRAM); s.settimeout(0.2); n=lost=wrong=0\n" +
        "while not over:\n" +
        "  n+=1; d=b'%8d'%n+os.urandom(8)*100; s.sendto(d,(sys.argv[1],int(sys.argv[2])))\n" +
        "  try:\n" +
        "    while True:\n" +
        "      got,p=s.recvfrom(2000)\n" +
        "      if got[:8]==d[:8]: break\n" +
        "    wrong+=got!=d or p[0]!=sys.argv[1]\n" +
        "  except OSError: lost+=1\n" +
        "  if n%50==0: print('at',n,flush=True)\n" +
        "  time.sleep(0.002)\n" +
        "print('lost',lost,'wrong',wrong,flush=True)";

    private const string Echo =
        "import socket,sys\n" +
        "s=socket.socket(socket.AF_INET6,socket.SOCK_DGRAM); s.bind(('::',int(sys.argv[1]))); print('ready',flush=True)\n" +
        "while True: s.sendto(*s.recvfrom(2000))";

    [Theory]
    [InlineData("copy")]
    [InlineData("direct")]
    public void An_open_connection_stays_when_policy_says_off_and_new_ones_follow_it_there_and_back(string form)
    {
        using NkInstance nk = NkInstance.Up("shchange");
        Do(nk, "tenant", "update", "default", "--shared-memory", form);
        nk.CreateGuest("a");
        nk.CreateGuest("b");
        string way = form == "direct" ? "sharedmem/direct" : "sharedmem";
        using GuestProcess before = Serve(nk, "7071"), during = Serve(nk, "7072"), after = Serve(nk, "7073");
        using GuestProcess open = Connect(nk, "7071", way);
        Do(nk, "guest", "update", "b", "--shared-memory", "off");
        using GuestProcess off = Connect(nk, "7072", "kernel0");
        Moves(nk, "7071", way);
        Do(nk, "guest", "update", "b", "--shared-memory", "");
        using GuestProcess again = Connect(nk, "7073", way);
        Moves(nk, "7071", way);
        Moves(nk, "7072", "kernel0"); // and this one stays where it is
        Moves(nk, "7073", way);
        foreach ((GuestProcess server, GuestProcess client) in new[] { (before, open), (during, off), (after, again) })
        {
            client.Signal(15);
            Programs.AwaitLine(client, "end ");
            Programs.AwaitLine(server, "end ");
            output.WriteLine(server.Output);
            Assert.Contains($"end EOF={Streams} bad=0 ", server.Output, StringComparison.Ordinal);
        }
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void Datagrams_go_on_by_shared_memory_while_both_guests_move_to_another_NSM(bool six)
    {
        using NkInstance nk = NkInstance.Up("shmove");
        nk.CreateGuest("a");
        nk.CreateGuest("b");
        Do(nk, "nsm", "create", "kernel1");
        using GuestProcess echo = nk.Start("b", "python3", "-c", Echo, "7311");
        Programs.AwaitLine(echo, "ready");
        using GuestProcess asker = nk.Start("a", "python3", "-c", Asker, six ? nk.Ipv6("b") : nk.Ipv4("b"), "7311");
        Progress(asker);
        ulong kernel = BytesOf(nk, "kernel0") + BytesOf(nk, "kernel1");
        foreach (string guest in (string[])["b", "a"])
        {
            Do(nk, "guest", "update", guest, "--nsm", "kernel1");
            Progress(asker);
            Assert.True(NkInstance.WaitFor(() => SocketAt(nk, guest) is ["kernel1"], TimeSpan.FromSeconds(30)), $"{guest}: {string.Join(", ", SocketAt(nk, guest))}");
            ulong shared = BytesOf(nk, "sharedmem");
            Progress(asker);
            Assert.True(BytesOf(nk, "sharedmem") >= shared + (50 * 800), "by another way than shared memory");
            Assert.True(SharedDatagramTests.IsNear(nk, "b", 7311));
        }

        asker.Signal(15);
        CommandResult asked = asker.Wait(TimeSpan.FromSeconds(30));
        output.WriteLine(asked.Output.Split('\n')[^2]);
        Assert.True(asked.Succeeded && asked.Output.EndsWith(" wrong 0\n", StringComparison.Ordinal), asked.ToString());
        Assert.False(echo.Ended, echo.Error);

        // While a socket is between the two NSMs a datagram may be lost, as UDP does. None has gone around by the network.
        Assert.True(BytesOf(nk, "kernel0") + BytesOf(nk, "kernel1") < kernel + 20_000, "datagrams went by the kernel");
    }

    private static GuestProcess Serve(NkInstance nk, string port)
    {
        GuestProcess server = nk.Start("b", "python3", Programs.Path("streams.py"), "server", "0.0.0.0", port);
        Programs.AwaitLine(server, "ready");
        return server;
    }

    private static GuestProcess Connect(NkInstance nk, string port, string way)
    {
        GuestProcess client = nk.Start("a", "python3", Programs.Path("streams.py"), "client", nk.Ipv4("b"), port, Streams.ToString(CultureInfo.InvariantCulture), "0.003");
        Programs.AwaitLine(client, "up");
        Moves(nk, port, way);
        return client;
    }

    /// <summary>Waits until all streams to a port go that way, and then for each to move something.</summary>
    private static void Moves(NkInstance nk, string port, string way)
    {
        bool goes = NkInstance.WaitFor(() => DirectForm.Connections(nk, "a", port) is { Length: Streams } all && all.All(one => one == way), TimeSpan.FromSeconds(30));
        Assert.True(goes, $"port {port}: {string.Join(", ", DirectForm.Connections(nk, "a", port))}");
        ulong[] before = Sent(nk, port);
        Assert.True(
            NkInstance.WaitFor(() => Sent(nk, port) is var now && now.Length == Streams && now.Zip(before).All(pair => pair.First > pair.Second + (1 << 20)), TimeSpan.FromSeconds(60)),
            $"port {port} stands still: {string.Join(", ", before)}; {string.Join(", ", Sent(nk, port))}");
        Assert.All(DirectForm.Connections(nk, "a", port), one => Assert.Equal(way, one));
    }

    private static ulong[] Sent(NkInstance nk, string port) =>
        [.. nk.List("conn", "list", "--guest", "a").EnumerateArray().Where(c => c.GetProperty("peer").GetString()!.EndsWith(":" + port, StringComparison.Ordinal))
            .OrderBy(c => c.GetProperty("local").GetString(), StringComparer.Ordinal).Select(c => c.GetProperty("bytesSent").GetUInt64())];

    /// <summary>Waits until the asker has got a hundred answers more.</summary>
    private static void Progress(GuestProcess asker)
    {
        int before = asker.Output.Count(c => c == '\n');
        Assert.True(NkInstance.WaitFor(() => asker.Ended || asker.Output.Count(c => c == '\n') >= before + 2, TimeSpan.FromSeconds(60)) && !asker.Ended, asker.Output + asker.Error);
    }

    /// <summary>The NSMs at which a guest has its datagram sockets.</summary>
    private static string[] SocketAt(NkInstance nk, string guest) =>
        [.. nk.List("conn", "list", "--guest", guest).EnumerateArray().Where(c => c.GetProperty("protocol").GetString() == "udp").Select(c => c.GetProperty("nsm").GetString()!).Distinct()];

    private static ulong BytesOf(NkInstance nk, string name) =>
        nk.List("stat").GetProperty("nsms").EnumerateArray().Where(nsm => nsm.GetProperty("name").GetString() == name)
            .Select(nsm => nsm.GetProperty("bytesSent").GetUInt64() + nsm.GetProperty("bytesReceived").GetUInt64()).Single();

    private static void Do(NkInstance nk, params string[] command)
    {
        CommandResult result = nk.Nk(command);
        Assert.True(result.Succeeded, result.ToString());
    }
}
