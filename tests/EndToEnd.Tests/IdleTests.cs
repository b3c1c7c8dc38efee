using System.Globalization;
using NetKernel.Cli.Testbed;

namespace NetKernel.EndToEnd.Tests;

/// <summary>Complaint 13 of docs/complaints.md: processor time burnt by polling. Bounds of processor time, which a busy machine does not make longer; what polls would need ten times as much.</summary>
public sealed class IdleTests
{
    // One connection out of the host and one by shared memory; then a wait of 3 s in which nothing comes. Prints the processor time of the wait in ms.
    private const string Waiter =
        "import select, socket, sys, time\n" +
        "cs = [socket.create_connection((a, 7350)) for a in sys.argv[1:]]\n" +
        "for c in cs:\n" +
        "  c.sendall(b'x'); assert c.recv(1) == b'x'\n" +
        "print('begun', flush=True)\n" +
        "before = time.process_time()\n" +
        "assert select.select(cs, [], [], 3) == ([], [], [])\n" +
        "print('waited', int((time.process_time() - before) * 1000), flush=True)\n" +
        "sys.stdin.read()\n";

    [Fact]
    public void Nobody_polls_while_nothing_happens()
    {
        const long Most = 300; // ms of 3,000
        using NkInstance nk = NkInstance.Up("idle");
        nk.CreateGuest("a");
        nk.CreateGuest("b");
        using GuestProcess outside = nk.Outside.Start("python3", Programs.Path("echo.py"), "0.0.0.0", "7350");
        using GuestProcess inside = nk.Start("b", "python3", Programs.Path("echo.py"), "0.0.0.0", "7350");
        Programs.AwaitLine(outside, "ready");
        Programs.AwaitLine(inside, "ready");
        using GuestProcess waiter = nk.Start("a", "python3", "-c", Waiter, nk.Outside.Ipv4, nk.Ipv4("b"));
        Programs.AwaitLine(waiter, "begun");
        (long engine, long nsm) before = (Processor(nk.EnginePid), Processor(nk.NsmPid()));
        Programs.AwaitLine(waiter, "waited");
        Assert.InRange(Processor(nk.EnginePid) - before.engine, 0, Most);
        Assert.InRange(Processor(nk.NsmPid()) - before.nsm, 0, Most);
        string line = waiter.Output.Split('\n').First(one => one.StartsWith("waited ", StringComparison.Ordinal));
        Assert.InRange(long.Parse(line["waited ".Length..], CultureInfo.InvariantCulture), 0, Most);
    }

    // utime and stime of proc_pid_stat(5), in ms; ticks are hundredths of a second.
    private static long Processor(int pid)
    {
        string stat = File.ReadAllText($"/proc/{pid}/stat");
        string[] fields = stat[(stat.LastIndexOf(')') + 2)..].Split(' ');
        return 10 * (long.Parse(fields[11], CultureInfo.InvariantCulture) + long.Parse(fields[12], CultureInfo.InvariantCulture));
    }
}
