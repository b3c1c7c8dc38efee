using System.Text.Json;
using NetKernel.Cli.Demo;
using NetKernel.Cli.Testbed;

namespace NetKernel.EndToEnd.Tests;

/// <summary>Which way connections go: between guests by shared memory, where policy allows; else by the guest's own NSM. The programs cannot tell.</summary>
[Collection(SharedInstance.Name)]
public sealed class SharedMemoryTests(InstanceFixture fixture)
{
    private NkInstance Nk => fixture.Nk;

    [Fact]
    public void One_listener_serves_guests_by_shared_memory_and_others_by_the_kernel_at_once()
    {
        using GuestProcess echo = Nk.Start("b", "python3", Programs.Path("echo.py"), "::", "7030");
        Programs.AwaitLine(echo, "ready");
        string[] Hold(string address) => ["python3", Programs.Path("survivor.py"), address, "7030", "3"];
        using GuestProcess four = Nk.Start("a", Hold(Nk.Ipv4("b")));
        using GuestProcess six = Nk.Start("a", Hold(Nk.Ipv6("b")));
        using GuestProcess outside = Nk.Outside.Start(Hold(Nk.Ipv4("b")));
        Programs.AwaitLine(four, "up");
        Programs.AwaitLine(six, "up");
        Programs.AwaitLine(outside, "up");
        Assert.Equal(["sharedmem", "sharedmem", "sharedmem", "sharedmem", "sharedmem", "sharedmem"], NsmsOf("a", "peer", ":7030", "established"));
        Assert.Equal(
            ["kernel0", "kernel0", "kernel0", "sharedmem", "sharedmem", "sharedmem", "sharedmem", "sharedmem", "sharedmem"],
            NsmsOf("b", "local", ":7030", "established"));
        Assert.Equal(["kernel0"], NsmsOf("b", "local", ":7030", "listen"));
        echo.Kill();
        foreach (GuestProcess client in new[] { four, six, outside })
        {
            Programs.AwaitLine(client, "ended");
            Assert.Contains("ended EOF=3", client.Output, StringComparison.Ordinal);
        }
    }

    [Fact]
    public void A_port_where_nobody_listens_is_refused()
    {
        const string Program =
            "import socket,sys\n" +
            "for f,a in ((socket.AF_INET,sys.argv[1]),(socket.AF_INET6,sys.argv[2])):\n" +
            "  s=socket.socket(f)\n" +
            "  try: s.connect((a,7031))\n" +
            "  except OSError as e: print(type(e).__name__)\n" +
            "  s.bind(('',7033)) if f==socket.AF_INET else None\n" +
            "  print(s.getsockname()[1])";
        CommandResult result = Nk.Run("a", TimeSpan.FromSeconds(20), "python3", "-c", Program, Nk.Ipv4("b"), Nk.Ipv6("b"));
        Assert.Matches("^ConnectionRefusedError\n7033\nConnectionRefusedError\n[1-9][0-9]*\n$", result.Output); // the port of a refused connect stays, as Linux has it
    }

    [Fact]
    public void A_bound_client_keeps_its_address_and_port_and_nobody_else_gets_the_port()
    {
        using GuestProcess echo = Nk.Start("b", "python3", Programs.Path("echo.py"), "0.0.0.0", "7032");
        Programs.AwaitLine(echo, "ready");
        const string Program =
            "import errno,socket,sys\n" +
            "s=socket.socket(); s.bind(('',4711)); s.connect((sys.argv[1],7032)); s.sendall(b'x'); s.recv(1)\n" +
            "print(s.getsockname()[1], s.getpeername()==(sys.argv[1],7032))\n" +
            "t=socket.socket()\n" +
            "try: t.bind(('',4711))\n" +
            "except OSError as e: print(errno.errorcode[e.errno])\n" +
            "s.shutdown(socket.SHUT_WR); s.recv(1); s.close(); echo=socket.create_connection((sys.argv[1],7032)); print(echo.getsockname()[0]==sys.argv[2])";
        CommandResult result = Nk.Run("a", TimeSpan.FromSeconds(20), "python3", "-c", Program, Nk.Ipv4("b"), Nk.Ipv4("a"));
        Assert.Equal("4711 True\nEADDRINUSE\nTrue\n", result.Output);
    }

    private string[] NsmsOf(string guest, string end, string port, string state) =>
        [.. Nk.List("conn", "list", "--guest", guest).EnumerateArray()
            .Where(c => c.GetProperty(end).GetString()!.EndsWith(port, StringComparison.Ordinal) && c.GetProperty("state").GetString() == state)
            .Select(c => c.GetProperty("nsm").GetString()!).Order()];
}

/// <summary>Whole programs between guests, and the counters that say which way they went.</summary>
[Collection(PlatformFixture.Name)]
public sealed class SharedMemoryProgramTests(PlatformFixture platform)
{
    [RootTheory]
    [InlineData("nginx (2 workers), wrk")]
    [InlineData("redis-server, redis-benchmark")]
    [InlineData("iperf3, guest to guest")]
    [InlineData("iperf3 -R, guest to guest")]
    [InlineData("python asyncio echo, 100 clients")]
    public void Goes_by_shared_memory(string step)
    {
        (ulong Shared, ulong Kernel) before = Bytes();
        string shown = platform.Demo.RunStep(step);
        (ulong Shared, ulong Kernel) after = Bytes();
        Assert.NotEmpty(shown);
        Assert.True(after.Shared > before.Shared + 100_000, $"by shared memory: {after.Shared - before.Shared} bytes");
        Assert.True(after.Kernel < before.Kernel + 100_000, $"by the kernel NSM: {after.Kernel - before.Kernel} bytes");
    }

    private (ulong Shared, ulong Kernel) Bytes()
    {
        JsonElement nsms = platform.Instance.List("stat").GetProperty("nsms");
        ulong Of(string name) => nsms.EnumerateArray().Where(nsm => nsm.GetProperty("name").GetString() == name)
            .Select(nsm => nsm.GetProperty("bytesSent").GetUInt64() + nsm.GetProperty("bytesReceived").GetUInt64()).Single();
        return (Of("sharedmem"), Of("kernel0"));
    }
}
