using System.Text.Json;
using NetKernel.Cli.Demo;
using NetKernel.Cli.Testbed;

namespace NetKernel.EndToEnd.Tests;

/// <summary>An instance whose guests go in the direct form from the first byte on, where it may be (else after some: docs/sharedmem.md).</summary>
internal static class DirectForm
{
    public static NkInstance Up(string name)
    {
        NkInstance nk = NkInstance.Up(name, [("NETKERNEL_DIRECT_AFTER", "0")]); // for nkd, and CoreEngine after it
        Assert.True(nk.Nk("tenant", "update", "default", "--shared-memory", "direct").Succeeded);
        nk.CreateGuest("a");
        nk.CreateGuest("b");
        return nk;
    }

    /// <summary>A guest's connections to a port that go in the direct form now.</summary>
    public static int Count(NkInstance nk, string guest, string port) => Connections(nk, guest, port).Count(c => c.EndsWith("/direct", StringComparison.Ordinal));

    /// <summary>NSM and form of each of them.</summary>
    public static string[] Connections(NkInstance nk, string guest, string port) =>
        [.. nk.List("conn", "list", "--guest", guest).EnumerateArray().Where(c => c.GetProperty("peer").GetString()!.EndsWith(":" + port, StringComparison.Ordinal)).Select(Form)];

    /// <summary>How often a process of a guest has mapped a region, as the engine's log has it.</summary>
    public static int Mapped(NkInstance nk) => File.ReadLines(Path.Combine(nk.RunDirectory, "log", "engine.log")).Count(line => line.Contains("direct-region", StringComparison.Ordinal));

    /// <summary>An echo server in a guest, listening.</summary>
    public static GuestProcess Echo(NkInstance nk, string guest, string port)
    {
        GuestProcess server = nk.Start(guest, "python3", Programs.Path("echo.py"), "0.0.0.0", port);
        Programs.AwaitLine(server, "ready");
        return server;
    }

    /// <summary>Waits until a guest has no connection to a port any more.</summary>
    public static void AwaitNone(NkInstance nk, string guest, string port) =>
        Assert.True(NkInstance.WaitFor(() => Connections(nk, guest, port).Length == 0, TimeSpan.FromSeconds(20)), $"connections to port {port} stay");

    private static string Form(JsonElement c) =>
        c.GetProperty("nsm").GetString() + (c.TryGetProperty("form", out JsonElement form) && form.GetString() == "direct" ? "/direct" : "");
}

/// <summary>Who reaches whom by shared memory, and in which form: guests' and tenants' say.</summary>
public sealed class SharedMemoryPolicyTests : IDisposable
{
    // Sends and gets back enough to go in the direct form, says so, and holds the connection.
    private const string Client =
        "import socket,sys\n" +
        "s=socket.create_connection((sys.argv[1],7050),timeout=20)\n" +
        "for i in range(40):\n" +
        "  s.sendall(b'x'*5000); n=0\n" +
        "  while n<5000: n+=len(s.recv(5000-n))\n" +
        "print('up',flush=True); s.recv(1)";

    private readonly NkInstance _nk = NkInstance.Up("shpol");

    public void Dispose() => _nk.Dispose();

    [Fact]
    public void Connections_follow_what_guests_and_tenants_say()
    {
        Do("tenant", "create", "red");
        Do("tenant", "create", "blue");
        Do("guest", "create", "a", "--tenant", "red");
        Do("guest", "create", "b", "--tenant", "red", "--shared-memory", "off");
        Do("guest", "create", "far", "--tenant", "blue", "--shared-memory", "direct");
        using GuestProcess serverB = DirectForm.Echo(_nk, "b", "7050");
        using GuestProcess serverFar = DirectForm.Echo(_nk, "far", "7050");

        // One tenant: both must be willing, and the direct form is what both say.
        Expect("kernel0", "b");
        Do("guest", "update", "b", "--shared-memory", "copy");
        Expect("sharedmem", "b");
        Do("guest", "update", "b", "--shared-memory", "direct");
        Expect("sharedmem", "b");
        Do("guest", "update", "a", "--shared-memory", "direct");
        Expect("sharedmem/direct", "b");
        Do("guest", "update", "a", "--shared-memory", "off");
        Expect("kernel0", "b");

        // What a guest says counts before what its tenant says.
        Do("guest", "update", "a", "--shared-memory", "");
        Do("tenant", "update", "red", "--shared-memory", "direct");
        Expect("sharedmem/direct", "b");
        Do("tenant", "update", "red", "--shared-memory", "off");
        Expect("kernel0", "b");
        Do("tenant", "update", "red", "--shared-memory", "direct");

        // Who has a rate is held to it by the switch, past which nothing may go then.
        Do("guest", "update", "b", "--limit-send", "1G");
        Expect("sharedmem", "b");
        Do("guest", "update", "b", "--limit-send", "0");

        // Across tenants: where both allow it, and never in the direct form.
        Expect("kernel0", "far");
        Do("tenant", "update", "red", "--shared-memory-across", "true");
        Expect("kernel0", "far");
        Do("tenant", "update", "blue", "--shared-memory-across", "true");
        Expect("sharedmem", "far");
        Do("tenant", "update", "red", "--shared-memory-across", "false");
        Expect("kernel0", "far");

        // CoreEngine is told again when it starts again.
        Do("tenant", "update", "red", "--shared-memory-across", "true");
        serverB.Kill();
        serverFar.Kill();
        int engine = _nk.EnginePid;
        _ = GuestProcess.SendSignal(engine, 9);
        Assert.True(NkInstance.WaitFor(() => _nk.EnginePid != engine && _nk.EnginePid > 0 && _nk.StateOf("a") == "ready", TimeSpan.FromSeconds(30)), _nk.StateOf("a"));
        using GuestProcess again = DirectForm.Echo(_nk, "b", "7050");
        using GuestProcess farAgain = DirectForm.Echo(_nk, "far", "7050");
        Expect("sharedmem/direct", "b");
        Expect("sharedmem", "far");
    }

    [Fact]
    public void What_is_no_form_is_refused_and_export_says_what_was_set()
    {
        CommandResult result = _nk.Nk("guest", "create", "x", "--shared-memory", "fast");
        Assert.False(result.Succeeded);
        Assert.Contains("off, copy or direct", result.Error, StringComparison.Ordinal);
        Do("tenant", "create", "red", "--shared-memory", "copy", "--shared-memory-across", "true");
        Do("guest", "create", "y", "--tenant", "red", "--shared-memory", "direct");
        string exported = _nk.Nk("export").Output;
        Assert.Contains("shared_memory: direct", exported, StringComparison.Ordinal);
        Assert.Contains("shared_memory_across: true", exported, StringComparison.Ordinal);
    }

    private void Expect(string way, string guest)
    {
        using GuestProcess client = _nk.Start("a", "python3", "-c", Client, _nk.Ipv4(guest));
        Programs.AwaitLine(client, "up");
        Assert.Equal([way], DirectForm.Connections(_nk, "a", "7050"));
        client.Kill();
        DirectForm.AwaitNone(_nk, "a", "7050");
    }

    private void Do(params string[] arguments)
    {
        CommandResult result = _nk.Nk(arguments);
        Assert.True(result.Succeeded, result.ToString());
    }
}

/// <summary>Whole programs in the direct form.</summary>
public sealed class DirectFormProgramTests : IDisposable
{
    private readonly NkInstance _nk = DirectForm.Up("dirprog");

    public void Dispose() => _nk.Dispose();

    [Fact]
    public void A_connection_goes_on_across_fork_exec_and_a_message_with_its_fd()
    {
        using GuestProcess echo = DirectForm.Echo(_nk, "b", "7051");
        CommandResult result = _nk.Run("a", TimeSpan.FromSeconds(60), "python3", Programs.Path("direct_heirs.py"), _nk.Ipv4("b"), "7051");
        Assert.Equal("self ok\nfork ok\nexec ok\npassed ok\nself again ok\n", result.Output);
        Assert.True(DirectForm.Mapped(_nk) >= 4, $"only {DirectForm.Mapped(_nk)} processes mapped a region"); // echo, self, the executed one, the receiver
    }

    [Fact]
    public void More_connections_than_a_region_has_go_by_copies()
    {
        using GuestProcess echo = DirectForm.Echo(_nk, "b", "7052");
        using GuestProcess many = _nk.Start("a", "python3", Programs.Path("survivor.py"), _nk.Ipv4("b"), "7052", "150");
        Programs.AwaitLine(many, "up");
        Assert.Equal(128, DirectForm.Count(_nk, "a", "7052"));
        many.Kill();
        DirectForm.AwaitNone(_nk, "a", "7052");
        using GuestProcess again = _nk.Start("a", "python3", Programs.Path("survivor.py"), _nk.Ipv4("b"), "7052", "100");
        Programs.AwaitLine(again, "up");
        Assert.Equal(100, DirectForm.Count(_nk, "a", "7052"));
    }
}
