using NetKernel.Cli.Testbed;

namespace NetKernel.EndToEnd.Tests;

/// <summary>Sockets with options that the NSM where their guest moves does not have: they go over without, and CoreEngine's log says which.</summary>
public sealed class LostOptionTests
{
    private const string Program =
        """
        import socket, time
        SO_NO_CHECK, SO_PRIORITY = 11, 12
        u = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        u.setsockopt(socket.SOL_SOCKET, SO_NO_CHECK, 1)
        u.bind(('0.0.0.0', 7400))
        t = socket.socket()
        t.setsockopt(socket.SOL_SOCKET, SO_PRIORITY, 3)
        t.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        t.bind(('0.0.0.0', 7400))
        t.listen()
        print('ready', flush=True)
        while True:
            c, _ = t.accept()
            c.sendall(b'here')
            c.close()
        """;

    private static readonly TimeSpan Time = TimeSpan.FromSeconds(30);

    [RootFact]
    public void The_log_names_what_the_next_NSM_does_not_have()
    {
        using NkInstance nk = NkInstance.Up("lostopt", "--shared-memory", "off");
        Assert.True(nk.Nk("nsm", "create", "m0", "--kind", "mtcp").Succeeded);
        nk.CreateGuest("a");
        using GuestProcess program = nk.Start("a", "/usr/bin/python3", "-c", Program);
        Programs.AwaitLine(program, "ready");
        Assert.Empty(Lost(nk));
        CommandResult moved = nk.Nk("guest", "update", "a", "--nsm", "m0");
        Assert.True(moved.Succeeded, moved.ToString());
        foreach (string option in new[] { "level=1 name=12 ", "level=1 name=11 " })
        {
            // SO_PRIORITY of the listener, SO_NO_CHECK of the datagram socket once the old NSM is left.
            Assert.True(NkInstance.WaitFor(() => Lost(nk).Any(line => line.Contains("guest=a ", StringComparison.Ordinal) && line.Contains(option, StringComparison.Ordinal)), Time), string.Join('\n', Lost(nk)));
        }

        // What it has is set, and not complained of; and the listener serves.
        Assert.DoesNotContain(Lost(nk), line => line.Contains("level=6", StringComparison.Ordinal));
        Assert.Equal("here", nk.Outside.Run(Time, "nc", "-w", "5", nk.Ipv4("a"), "7400").Output);
    }

    private static string[] Lost(NkInstance nk) =>
        [.. File.ReadLines(Path.Combine(nk.RunDirectory, "log", "engine.log")).Where(line => line.Contains("event=options-lost", StringComparison.Ordinal))];
}
