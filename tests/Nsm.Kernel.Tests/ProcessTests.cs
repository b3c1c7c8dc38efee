using System.Diagnostics;
using System.Net;
using System.Net.Sockets;
using NetKernel.Channel;
using NetKernel.Channel.Host;
using NetKernel.ServiceLib.Testing;

namespace NetKernel.Nsm.Kernel.Tests;

/// <summary>The program itself: ahead-of-time compiled where ./nk has built it, else on the shared framework.</summary>
public sealed class ProcessTests
{
    [Theory]
    [InlineData("--id 1", "--run-dir and --id are needed")]
    [InlineData("--run-dir /tmp --id x", "is not a number")]
    [InlineData("--run-dir /tmp --id 1 --congestion nonesuch", "not available here; these are:")]
    [InlineData("--run-dir /tmp --id 1 --sndbuf 5", "between 4096")]
    [InlineData("--run-dir /tmp --id 1 --rcvbuf 99999999999", "between 4096")]
    [InlineData("--run-dir /tmp --id 1 --mode router", "neither bridge nor host")]
    [InlineData("--run-dir /tmp --id 1 --colour red", "unknown option --colour")]
    public void A_wrong_command_line_is_refused_with_one_line(string arguments, string text)
    {
        using Process nsm = Start(arguments);
        string error = nsm.StandardError.ReadToEnd();
        nsm.WaitForExit();
        Assert.Equal(2, nsm.ExitCode);
        Assert.Contains(text, error, StringComparison.Ordinal);
        Assert.Equal(1, error.Count(c => c == '\n'));
    }

    [Fact]
    public void Says_when_CoreEngine_refuses_or_is_not_there()
    {
        using FakeEngine engine = new();
        using Process nsm = Start($"--run-dir {engine.RunDirectory} --id 9");
        engine.TakeNsm(Libc.EEXIST, "NSM 9 is attached already");
        Assert.Contains("NSM 9 is attached already", nsm.StandardError.ReadToEnd(), StringComparison.Ordinal);
        nsm.WaitForExit();
        Assert.Equal(1, nsm.ExitCode);

        using Process alone = Start("--run-dir /nonexistent --id 9");
        Assert.Contains("cannot reach CoreEngine", alone.StandardError.ReadToEnd(), StringComparison.Ordinal);
        alone.WaitForExit();
        Assert.Equal(1, alone.ExitCode);
    }

    [Fact]
    public void Serves_and_ends_with_3_when_CoreEngine_is_gone()
    {
        using FakeEngine engine = new();
        using Process nsm = Start($"--run-dir {engine.RunDirectory} --id 1 --mode private");
        engine.TakeNsm();
        using FakeGuest guest = engine.AddGuest(1);
        FakeSocket listener = guest.Socket();
        Assert.Equal(0, listener.Bind("127.0.0.1", 0, NqeFlags.None, out IPEndPoint bound));
        Assert.Equal(0, listener.Listen());
        using Socket client = new(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
        client.Connect(bound);
        FakeSocket server = listener.Accept(out _);
        client.Send("hello"u8);
        Assert.Equal("hello"u8.ToArray(), server.Receive(5));
        engine.Die();
        Assert.Contains("CoreEngine is gone", nsm.StandardError.ReadToEnd(), StringComparison.Ordinal);
        nsm.WaitForExit();
        Assert.Equal(3, nsm.ExitCode);
    }

    [Fact]
    public void Ends_in_order_on_SIGTERM()
    {
        using FakeEngine engine = new();
        using Process nsm = Start($"--run-dir {engine.RunDirectory} --id 1 --mode private");
        engine.TakeNsm();
        using FakeGuest guest = engine.AddGuest(1);
        using Process kill = Process.Start("kill", ["-TERM", nsm.Id.ToString(System.Globalization.CultureInfo.InvariantCulture)]);
        Assert.Equal("", nsm.StandardError.ReadToEnd());
        nsm.WaitForExit();
        Assert.Equal(0, nsm.ExitCode);
    }

    [Fact]
    public void No_more_files_is_said_honestly_and_the_backlog_waits()
    {
        using FakeEngine engine = new();
        using Process nsm = Start($"--run-dir {engine.RunDirectory} --id 1 --mode private", files: 200);
        engine.TakeNsm();
        using FakeGuest guest = engine.AddGuest(1);
        FakeSocket listener = guest.Socket();
        Assert.Equal(0, listener.Bind("127.0.0.1", 0, NqeFlags.None, out IPEndPoint bound));
        Assert.Equal(0, listener.Listen());
        List<FakeSocket> sockets = [];
        int error = 0;
        while (error == 0)
        {
            FakeSocket socket = guest.Socket();
            error = socket.Bind("127.0.0.1", 0);
            sockets.Add(socket);
            Assert.True(sockets.Count < 300);
        }

        Assert.Equal(Libc.EMFILE, error);
        using Socket client = new(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
        client.Connect(bound);
        Assert.Equal(Libc.EMFILE, guest.Socket().Listen()); // By now the listener has found no fd for it either.
        Assert.Empty(listener.Announced);
        sockets[0].Close();
        FakeSocket server = listener.Accept(out _);
        client.Send("at last"u8);
        Assert.Equal(7, server.Receive(7).Length);
    }

    private static Process Start(string arguments, int files = 0)
    {
        string? built = Environment.GetEnvironmentVariable("NK_OUT") is { } directory ? Path.Combine(directory, "nk-nsm-kernel") : null;
        string program = built != null && File.Exists(built) ? built : "dotnet " + Path.Combine(AppContext.BaseDirectory, "nk-nsm-kernel.dll");
        ProcessStartInfo start = new("/bin/sh") { RedirectStandardError = true };
        start.ArgumentList.Add("-c");
        start.ArgumentList.Add((files > 0 ? $"ulimit -n {files}; " : "") + $"exec {program} {arguments}");
        start.Environment["DOTNET_ROLL_FORWARD"] = "Major";
        return Process.Start(start)!;
    }
}
