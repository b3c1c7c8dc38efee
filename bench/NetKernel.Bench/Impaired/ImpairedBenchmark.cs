using System.Globalization;

namespace NetKernel.Bench.Impaired;

/// <summary>
/// ./nk bench impaired: goodput of our TCP and of Linux's over the same bad paths, with the same congestion control: Linux to Linux, ours to Linux, Linux to ours. The kernel here has no netem, so
/// a relay of this process carries the frames between two TAPs, or a TAP and our stack; loss and reordering follow one seed.
/// </summary>
internal sealed class ImpairedBenchmark : Benchmark
{
    public const ushort Port = 7400;

    private static readonly Path[] Paths =
    [
        new("clean, 1 ms", 0, 0, 1), new("clean, 20 ms", 0, 0, 20), new("clean, 200 ms", 0, 0, 200),
        new("loss 0.1%, 20 ms", 0.001, 0, 20), new("loss 1%, 20 ms", 0.01, 0, 20), new("loss 5%, 20 ms", 0.05, 0, 20),
        new("reordering 1%, 20 ms", 0, 0.01, 20), new("loss 0.1%, reordering 1%, 100 ms", 0.001, 0.01, 100),
        new("loss 0.5%, 20 ms, MTU 600", 0.005, 0, 20, 600), new("loss 0.5%, 20 ms, IPv6, MTU 1280", 0.005, 0, 20, 1280, true),
    ];

    public override string Name => "impaired";

    public override string Summary => "our TCP and Linux's over lossy, slow, reordering paths (root; --seconds S --rate MBIT --congestion cubic|reno --only N,N --out FILE: rows that the file has already are kept)";

    public override int Run(Options options)
    {
        int seconds = options.Number("seconds", 8);
        long rate = options.Number("rate", 50) * 1_000_000L;
        string congestion = options.Text("congestion", "cubic");
        string only = options.Text("only", "");
        Path[] paths = only.Length == 0 ? Paths : [.. only.Split(',').Select(number => Paths[int.Parse(number, CultureInfo.InvariantCulture)])];
        var lines = new List<string>
        {
            $"Goodput in Mbit/s, {congestion}, bottleneck {rate / 1_000_000} Mbit/s with a queue of 125,000 bytes or one round trip, {seconds} s each, every byte checked.", "",
            "| path | Linux to Linux | ours to Linux | Linux to ours | ours : Linux (sending) | (receiving) |", "|---|---|---|---|---|---|",
        };
        string file = options.Text("out", "");
        string[] had = File.Exists(file) ? File.ReadAllLines(file) : [];
        foreach (Path path in paths)
        {
            if (Array.Find(had, line => line.StartsWith($"| {path.Name} |", StringComparison.Ordinal)) is { } kept)
            {
                lines.Add(kept);
                continue;
            }

            double kernel = Measure(path, false, false, congestion, rate, seconds);
            double sending = Measure(path, true, false, congestion, rate, seconds);
            double receiving = Measure(path, false, true, congestion, rate, seconds);
            string line = string.Create(
                CultureInfo.InvariantCulture,
                $"| {path.Name} | {kernel:F2} | {sending:F2} | {receiving:F2} | {sending / kernel:F2} | {receiving / kernel:F2} |");
            lines.Add(line);
            Console.Error.WriteLine(line);
            Save(file, lines);
        }

        Console.Out.Write(string.Join('\n', lines) + "\n");
        Save(file, lines);
        return 0;
    }

    /// <summary>After each row, so that a run may end in between and be taken up again.</summary>
    private static void Save(string file, List<string> lines)
    {
        if (file.Length > 0)
        {
            File.WriteAllText(file, string.Join('\n', lines) + "\n");
        }
    }

    private static double Measure(Path path, bool oursSends, bool oursReceives, string congestion, long rate, int seconds)
    {
        string left = path.V6 ? "2001:2::1" : "198.18.0.1", right = path.V6 ? "2001:2::2" : "198.18.0.2";
        using IEnd receiver = oursReceives ? new StackEnd(right, left, path, sends: false, congestion) : new KernelEnd(right, left, path, sends: false, congestion);
        using IEnd sender = oursSends ? new StackEnd(left, right, path, sends: true, congestion) : new KernelEnd(left, right, path, sends: true, congestion);
        long queue = Math.Max(125_000, (long)(rate / 8_000 * path.RttMilliseconds));
        var wire = new ImpairedWire(sender, receiver, path, rate, queue);
        long began = Environment.TickCount64, end = began + (seconds * 1000L);
        wire.Run(() => Environment.TickCount64 >= end);
        (long received, bool wrong) = receiver is StackEnd stack ? (stack.Received, stack.Wrong) : (((KernelEnd)receiver).Received, ((KernelEnd)receiver).Wrong);
        return wrong ? throw new InvalidOperationException($"{path.Name}: what arrived is not what was sent")
            : received == 0 ? throw new InvalidOperationException($"{path.Name}: nothing arrived")
            : received * 8 / 1e3 / (Environment.TickCount64 - began);
    }
}
