using System.Diagnostics;
using System.Globalization;
using NetKernel.Channel;
using NetKernel.Cli.Testbed;

namespace NetKernel.EndToEnd.Tests;

/// <summary>
/// A guest that lies in the memory that it shares with another one for the direct form (programs/direct_liar.c) while programs of both use it by the real library. It may spoil what the two have with each other;
/// the other guest's program lives on, with all that it has with a third guest and with a machine outside, and does not run in circles. docs/fuzzing.md. NK_LONG=1: many more seeds.
/// </summary>
[Trait("Category", "Fault")]
public sealed class DirectLiarTests(Xunit.Abstractions.ITestOutputHelper output) : IDisposable
{
    private const string Port = "7060";
    private const int Freeze = 10, Flood = 12, Terminate = 15, Stop = 19, Continue = 18; // signals: USR1, USR2, TERM, STOP, CONT

    private readonly NkInstance _nk = DirectForm.Up("liar");

    /// <summary>Seeds of the lies.</summary>
    public static TheoryData<int> Seeds => [.. Enumerable.Range(1, Environment.GetEnvironmentVariable("NK_LONG") == "1" ? 40 : 2)];

    public void Dispose() => _nk.Dispose();

    [RootTheory]
    [MemberData(nameof(Seeds))]
    public void A_guest_that_lies_in_a_shared_region_spoils_no_more_than_its_own_connections(int seed)
    {
        string trust = Programs.Compile(_nk, "direct_trust.c"), liar = Programs.Compile(_nk, "direct_liar.c");
        _nk.CreateGuest("c");
        int engine = _nk.EnginePid;
        using GuestProcess server = _nk.Start("b", trust, "server", Port);
        Programs.AwaitLine(server, "ready");
        string b = _nk.Ipv4("b");
        using GuestProcess near = _nk.Start("c", trust, "strict", b, Port, "6"), outside = _nk.Outside.Start(trust, "strict", b, Port, "4");
        using GuestProcess flood = _nk.Start("c", trust, "flood", b, Port), floodOutside = _nk.Outside.Start(trust, "flood", b, Port);
        GuestProcess[] own = [_nk.Start("a", trust, "tolerant", b, Port, "8"), _nk.Start("a", trust, "tolerant", b, Port, "2")];
        using GuestProcess lies = Lie(liar, seed);
        Programs.AwaitLine(lies, "mapped");

        // While it lies, everybody else gets on, on each connection.
        for (int i = 0; i < 4; i++)
        {
            Progress(near, outside);
            Assert.True(DirectForm.Mapped(_nk) > 0);
        }

        Assert.False(server.Ended, server.Output + server.Error);

        // With the last lies standing and nobody moving anything, nobody runs in circles.
        lies.Signal(Freeze);
        Programs.AwaitLine(lies, "frozen");
        GuestProcess[] clients = [near, outside, .. own];
        Signal(clients, Stop);
        Assert.True(NkInstance.WaitFor(() => CpuOver(server.Pid, TimeSpan.FromSeconds(1)) < 0.3, TimeSpan.FromSeconds(30)), "the server runs in circles over a lie");
        Signal(clients, Continue);
        Progress(near, outside);

        // News without end keep nobody from getting on, nor from hearing of a signal where it waits.
        lies.Signal(Flood);
        Programs.AwaitLine(lies, "flooding");
        Progress(near, outside);
        foreach (GuestProcess client in (GuestProcess[])[near, outside])
        {
            client.Signal(Terminate);
            CommandResult ended = client.Wait(TimeSpan.FromSeconds(60));
            Assert.True(ended.Succeeded && ended.Output.EndsWith("ended\n", StringComparison.Ordinal), Tail(ended.ToString()));
        }

        server.Signal(Terminate);
        CommandResult stopped = server.Wait(TimeSpan.FromSeconds(60));
        Assert.True(stopped.Succeeded && stopped.Output == "ready\nstopped\n", stopped.ToString());
        lies.Signal(Terminate);
        CommandResult told = lies.Wait(TimeSpan.FromSeconds(60));
        output.WriteLine(told.Output);
        Assert.EndsWith("marks 0\n", told.Output, StringComparison.Ordinal);

        // Nobody else has noticed anything, and all comes back.
        foreach (GuestProcess process in (GuestProcess[])[.. own, flood, floodOutside])
        {
            process.Dispose();
        }

        Assert.Equal(engine, _nk.EnginePid);
        Assert.All((string[])["a", "b", "c"], guest => Assert.Equal("ready", _nk.StateOf(guest)));
        Assert.True(NkInstance.WaitFor(() => _nk.TrafficOf().Open == 0, TimeSpan.FromSeconds(30)), $"{_nk.TrafficOf()}");
    }

    [RootFact]
    public void A_claim_of_more_than_a_ring_holds_ends_the_connection_also_while_there_is_something_by_the_NSM()
    {
        // The server touches its connection only when it is told to: until then all comes by the NSM.
        const string Server =
            "import socket,sys\n" +
            "l=socket.create_server(('',7062)); print('ready',flush=True); c,_=l.accept(); c.setblocking(False); print('accepted',flush=True); sys.stdin=open(sys.argv[1]); sys.stdin.read()\n" +
            "for i in range(3):\n" +
            "  try: print(len(c.recv(100)))\n" +
            "  except OSError as e: print(e.errno)\n" +
            "print('end',flush=True)";
        const string Client = "import socket,sys\ns=socket.create_connection((sys.argv[1],7062))\nfor i in range(20): s.sendall(b'x'*1000)\nprint('sent',flush=True); s.recv(1)";
        string fifo = Path.Combine(_nk.Folder, "go");
        Assert.Equal(0, Process.Start("mkfifo", fifo) is { } made && made.WaitForExit(10_000) ? made.ExitCode : -1);
        using GuestProcess server = _nk.Start("b", "python3", "-c", Server, fifo);
        Programs.AwaitLine(server, "ready");
        using GuestProcess client = _nk.Start("a", "python3", "-c", Client, _nk.Ipv4("b"));
        Programs.AwaitLine(client, "sent");
        Programs.AwaitLine(server, "accepted");
        using GuestProcess lies = Lie(Programs.Compile(_nk, "direct_liar.c"), 0);
        Programs.AwaitLine(lies, "frozen");
        File.WriteAllText(fifo, "go");
        Programs.AwaitLine(server, "end");
        Assert.Equal("ready\naccepted\n5\n0\n0\nend\n", server.Output); // EIO, and the end
    }

    private GuestProcess Lie(string program, int seed) => _nk.Start(
        "a", program, Path.Combine(_nk.RunDirectory, "guests", "a.sock"), Number(ControlHeader.Version), Number(DirectSide.Length), Number((long)DirectLayout.EndsOf(0)), Number(seed));

    /// <summary>Waits until each client has got three steps further.</summary>
    private static void Progress(params GuestProcess[] clients)
    {
        foreach (GuestProcess client in clients)
        {
            int before = Steps(client);
            Assert.True(NkInstance.WaitFor(() => client.Ended || Steps(client) >= before + 3, TimeSpan.FromSeconds(120)) && !client.Ended, Tail(client.Output + client.Error));
        }

        static int Steps(GuestProcess client) => client.Output.Count(c => c == '\n');
    }

    private static string Tail(string text) => text[Math.Max(0, text.Length - 300)..];

    private static string Number(long number) => number.ToString(CultureInfo.InvariantCulture);

    private static void Signal(GuestProcess[] processes, int signal)
    {
        foreach (GuestProcess process in processes)
        {
            process.Signal(signal);
        }
    }

    /// <summary>Seconds of CPU that a process uses within a time.</summary>
    private static double CpuOver(int pid, TimeSpan time)
    {
        using var process = Process.GetProcessById(pid);
        TimeSpan before = process.TotalProcessorTime;
        Thread.Sleep(time);
        process.Refresh();
        return (process.TotalProcessorTime - before).TotalSeconds;
    }
}
