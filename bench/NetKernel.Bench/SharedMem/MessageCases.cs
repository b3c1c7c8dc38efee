using System.Globalization;
using NetKernel.Bench.Tcp;
using NetKernel.Cli.Testbed;

namespace NetKernel.Bench.SharedMem;

/// <summary>One thing that messages.c does.</summary>
/// <param name="Name">As the tables have it.</param>
/// <param name="Mode">Its word for it.</param>
/// <param name="Size">Bytes of a message.</param>
/// <param name="Connections">At a time.</param>
/// <param name="Asked">The ratio to veth and bridge that is the goal.</param>
internal sealed record MessageCase(string Name, string Mode, int Size, int Connections, double Asked)
{
    public static readonly MessageCase[] All =
    [
        new("64 B stream", "stream", 64, 1, 15),
        new("1 KB stream", "stream", 1024, 1, 0),
        new("8 KB stream", "stream", 8192, 1, 8),
        new("64 KB stream", "stream", 65536, 1, 0),
        new("8 KB, 8 streams", "stream", 8192, 8, 0),
        new("64 KB, 8 streams", "stream", 65536, 8, 0),
        new("64 B round trip, p50", "rtt", 64, 1, 3),
        new("64 B round trip asleep, p50", "asleep", 64, 1, 1 / 1.2),
        new("connect, 64 B each way, close", "connect", 64, 1, 2.5),
    ];

    /// <summary>Whether less is better.</summary>
    public bool Least => Mode is "rtt" or "asleep";

    /// <summary>How many times as good <paramref name="ours"/> is.</summary>
    public double Ratio(MessageResult ours, MessageResult theirs) => Least ? theirs.Value.Median / ours.Value.Median : ours.Value.Median / theirs.Value.Median;

    public string Show(Sample sample) => Mode == "stream" ? Text.Invariant($"{sample.Median * 8e-9:F2} ({sample.Least * 8e-9:F2} - {sample.Most * 8e-9:F2})")
        : Least ? Text.Invariant($"{sample.Median:F1} ({sample.Spread("F1")})") : Text.Invariant($"{sample.Median:F0} ({sample.Spread("F0")})");

    public string Unit => Mode == "stream" ? "Gbit/s" : Least ? "us" : "per s";
}

/// <summary>What the runs of a case gave on one side.</summary>
internal sealed class MessageResult
{
    public Sample Value { get; } = new();

    /// <summary>CPU seconds of both programs, of CoreEngine and of the NSM, per GB or per million.</summary>
    public Sample Programs { get; } = new();

    public Sample Engine { get; } = new();

    public Sample Nsm { get; } = new();
}

/// <summary>Runs messages.c over all sides, which alternate within a round, because the machine drifts.</summary>
internal sealed class MessageRuns(Sides sides, int runs, string seconds)
{
    private readonly string _program = sides.Build("messages");

    public MessageResult[,] Run()
    {
        IReadOnlyList<Side> all = sides.All;
        List<GuestProcess> servers = [];
        try
        {
            foreach (Side side in all)
            {
                GuestProcess server = side.Serve([_program, "server", .. side.Address]);
                servers.Add(server);
                if (!NkInstance.WaitFor(() => server.Output.Contains("ready", StringComparison.Ordinal) || server.Ended, TimeSpan.FromSeconds(20)) || server.Ended)
                {
                    throw new RunFailure($"the server of {side.Name} does not start: {server.Error}");
                }
            }

            var results = new MessageResult[MessageCase.All.Length, all.Count];
            for (int run = 0; run < runs; run++)
            {
                for (int c = 0; c < MessageCase.All.Length; c++)
                {
                    for (int s = 0; s < all.Count; s++)
                    {
                        Measure(servers[s], all[s], MessageCase.All[c], results[c, s] ??= new MessageResult());
                    }
                }
            }

            return results;
        }
        finally
        {
            servers.ForEach(server => server.Dispose());
        }
    }

    private void Measure(GuestProcess server, Side side, MessageCase which, MessageResult result)
    {
        double Served() => ProcessCpu.TreeSeconds(server.Pid);
        double served = Served();
        CpuUse before = side.PlatformCpu();
        using GuestProcess client = side.Call(
            [_program, "client", .. side.Address, which.Mode, Text.Invariant($"{which.Size}"), seconds, Text.Invariant($"{which.Connections}")]);
        CommandResult done = client.Wait(TimeSpan.FromSeconds(60));
        if (!done.Succeeded)
        {
            throw new RunFailure($"{side.Name}, {which.Name}: {done}");
        }

        CpuUse platform = side.PlatformCpu() - before;
        string[] words = done.Output.Split((char[])[' ', '\n'], StringSplitOptions.RemoveEmptyEntries);
        double Number(string word) => double.Parse(word, CultureInfo.InvariantCulture);
        double work = Number(words[^1]) * (which.Mode == "stream" ? 1e-9 : 1e-6);
        result.Value.Add(Number(words[0]));
        result.Programs.Add((Number(words[^3]) + Served() - served) / work);
        result.Engine.Add(platform.Engine / work);
        result.Nsm.Add(platform.Nsm / work);
        Console.Error.WriteLine(Text.Invariant($"bench: {which.Name}, {side.Name}: {done.Output.Trim()}"));
    }
}
