using NetKernel.Bench.Tcp;
using NetKernel.Channel;
using NetKernel.Cli.Testbed;

namespace NetKernel.Bench.Isolation;

/// <summary>
/// A good guest answers requests of 64 bytes; a bad one of the same NSM does its worst. The cases alternate within a round, because the machine drifts. Each attack has a control, in which
/// the same is done to the machine's cores without NetKernel: a program that only burns a core, and the storm of connections by the kernel's own TCP out of a namespace of its own. What the
/// neighbour suffers from these, the processors' scheduler does to it, and NetKernel has nothing to do with it.
/// </summary>
internal sealed class NeighbourExperiment(NkInstance nk, int rounds)
{
    private const double Goal = 2;
    private const string Good = "good", Bad = "bad";

    private static readonly (string Name, string What, string Control)[] Cases =
    [
        ("alone", "none", ""), ("burn", "burns a core", ""), ("storm", "opens connections natively", ""), ("flood", "floods NQEs", "burn"), ("connect", "opens connections", "storm"),
    ];

    private readonly NativeMachine _native = new(nk);

    /// <summary>Measures and prints; whether every bad guest stayed within the goal.</summary>
    public bool Run()
    {
        nk.CreateGuest(Good);
        string attack = Build();
        using GuestProcess server = nk.Start(Good, "sockperf", "server", "--tcp", "-i", "0.0.0.0", "-p", "11111");
        using GuestProcess target = nk.Outside.Start("python3", "-c", "import socket\ns=socket.create_server(('0.0.0.0',7070),backlog=4096)\nprint('ready',flush=True)\nwhile True: s.accept()[0].close()");
        if (!nk.WaitForListener(Good, 11111, TimeSpan.FromSeconds(20)) || !NkInstance.WaitFor(() => target.Output.Contains("ready", StringComparison.Ordinal), TimeSpan.FromSeconds(20)))
        {
            throw new RunFailure("the servers do not listen: " + server.Error + target.Error);
        }

        var p50 = Cases.ToDictionary(one => one.Name, _ => new List<double>());
        var p99 = Cases.ToDictionary(one => one.Name, _ => new List<double>());
        var rates = Cases.ToDictionary(one => one.Name, _ => new List<double>());
        for (int round = 0; round < rounds; round++)
        {
            foreach (string name in Cases.Select(one => one.Name))
            {
                nk.CreateGuest(Bad); // anew: an attack finds nothing that another has left
                using GuestProcess? bad = Start(name, attack);
                Thread.Sleep(1000); // what nkd does after a guest was made (compiling itself, the first time) belongs to no case
                ulong before = nk.TrafficOf(Bad).Nqes;
                Reading reading = ToolOutput.Sockperf(Client().Output);
                if (bad is { Ended: true })
                {
                    throw new RunFailure($"the bad guest has ended: {bad.Wait(TimeSpan.Zero)}");
                }

                rates[name].Add((nk.TrafficOf(Bad).Nqes - before) / 2.0);
                p50[name].Add(reading.Values[0]);
                p99[name].Add(reading.Values[1]);
                bad?.Kill();
                CommandResult gone = nk.Nk("guest", "delete", Bad, "--force");
                if (!gone.Succeeded)
                {
                    throw new RunFailure(gone.ToString());
                }

                Console.Error.WriteLine(Text.Invariant($"bench: {name}: p50 {reading.Values[0]:F1} us, p99 {reading.Values[1]:F1} us"));
            }
        }

        return Print(p50, p99, rates);
    }

    private CommandResult Client()
    {
        CommandResult done = nk.Outside.Run(TimeSpan.FromSeconds(30), "sockperf", "ping-pong", "--tcp", "-i", nk.Ipv4(Good), "-p", "11111", "-m", "64", "-t", "2");
        return done.Succeeded ? done : throw new RunFailure(done.ToString());
    }

    private GuestProcess? Start(string name, string attack)
    {
        GuestProcess? bad = name switch
        {
            "burn" => nk.StartNatively(Bad, attack, "burn"),
            "flood" => nk.StartNatively(Bad, attack, "flood", Path.Combine(nk.RunDirectory, "guests", Bad + ".sock"), $"{ControlHeader.Version}"),
            "storm" => _native.Start([attack, "connect", nk.Outside.Ipv4, "7070"]),
            "connect" => nk.Start(Bad, attack, "connect", nk.Outside.Ipv4, "7070"),
            _ => null,
        };
        if (bad != null && !NkInstance.WaitFor(() => bad.Output.Contains("begun", StringComparison.Ordinal), TimeSpan.FromSeconds(10)))
        {
            throw new RunFailure($"{name} does not begin: {bad.Error}");
        }

        return bad;
    }

    private static bool Print(Dictionary<string, List<double>> p50, Dictionary<string, List<double>> p99, Dictionary<string, List<double>> rates)
    {
        Console.Out.WriteLine("\n64-byte request and response of a good guest beside a bad one; median of the rounds (least to most):\n");
        Console.Out.WriteLine("| the other one | its NQEs per second | p50 | p99 | p99 to alone | p99 to its control | at most 2 |\n|---|---|---|---|---|---|---|");
        bool met = true;
        double alone = Of(p99["alone"]).Median;
        foreach ((string name, string what, string control) in Cases)
        {
            Spread tail = Of(p99[name]);
            double toAlone = tail.Median / alone, toControl = control.Length == 0 ? 0 : tail.Median / Of(p99[control]).Median;
            string verdict = control.Length == 0 ? "" : toAlone <= Goal ? "yes" : toControl <= Goal ? "to its control" : "no";
            met &= verdict != "no";
            Console.Out.WriteLine(Text.Invariant(
                $"| {what} | {Of(rates[name]).Median:F0} | {Text.Micros(Of(p50[name]).Median)} | {Text.Micros(tail.Median)} ({Text.Micros(tail.Least)} to {Text.Micros(tail.Most)}) | {toAlone:F2} | {(control.Length == 0 ? "" : Text.Invariant($"{toControl:F2}"))} | {verdict} |"));
        }

        return met;
    }

    private static Spread Of(List<double> values) => Spread.Of([.. values])!.Value;

    private string Build()
    {
        string program = Path.Combine(nk.Folder, "attack");
        using GuestProcess gcc = nk.StartRaw(["gcc", "-O2", "-o", program, Path.Combine(AppContext.BaseDirectory, "Isolation", "attack.c")]);
        CommandResult built = gcc.Wait(TimeSpan.FromSeconds(60));
        return built.Succeeded ? program : throw new RunFailure(built.ToString());
    }
}
