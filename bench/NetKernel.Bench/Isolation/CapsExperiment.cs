using System.Text.Json;
using NetKernel.Bench.Tcp;
using NetKernel.Cli.Testbed;

namespace NetKernel.Bench.Isolation;

/// <summary>
/// Three guests of one NSM, each with one iperf3 stream; they begin one after the other and end so. Once they send, once they receive. What counts is what iperf3's receiving side saw in
/// each second.
/// </summary>
internal sealed class CapsExperiment(NkInstance nk, int seconds, string svgFolder)
{
    private const double Tolerance = 0.05;
    private const int FirstPort = 5301;

    private static readonly (string Guest, double Cap)[] Guests = [("cap1000", 1e9), ("cap500", 5e8), ("free", 0)];

    /// <summary>Measures and prints; whether the caps were held.</summary>
    public bool Run()
    {
        foreach ((string guest, double cap) in Guests)
        {
            nk.CreateGuest(guest);
            if (cap != 0)
            {
                string bytes = Text.Invariant($"{cap / 8:F0}");
                Demand(nk.Nk("guest", "update", guest, "--limit-send", bytes, "--limit-receive", bytes));
            }
        }

        bool held = true;
        foreach (bool receives in new[] { false, true })
        {
            RateSeries[] series = Measure(receives);
            held &= Print(receives, series);
            if (svgFolder.Length != 0)
            {
                string name = receives ? "isolation-receive.svg" : "isolation-send.svg";
                File.WriteAllText(Path.Combine(svgFolder, name), RatePlot.Draw($"What guests {(receives ? "receive" : "send")}, Gbit/s", series));
            }
        }

        return held;
    }

    /// <summary>Begins at 0, 1/6 and 1/3 of the time, ends at 2/3, 5/6 and the end.</summary>
    private RateSeries[] Measure(bool receives)
    {
        int part = Math.Max(1, seconds / 6);
        var servers = new GuestProcess[Guests.Length];
        var clients = new GuestProcess[Guests.Length];
        for (int i = 0; i < Guests.Length; i++)
        {
            // Each server outside, each guest a client.
            string port = Text.Invariant($"{FirstPort + i}");
            servers[i] = nk.Outside.Start("iperf3", "-s", "-1", "-J", "-p", port);
            if (!NkInstance.WaitFor(() => nk.Outside.Run(TimeSpan.FromSeconds(2), "ss", "-Hltn", "sport = :" + port).Output.Contains("LISTEN", StringComparison.Ordinal), TimeSpan.FromSeconds(10)))
            {
                throw new RunFailure("iperf3 does not listen: " + servers[i].Error);
            }
        }

        long began = System.Diagnostics.Stopwatch.GetTimestamp();
        for (int i = 0; i < Guests.Length; i++)
        {
            TimeSpan wait = TimeSpan.FromSeconds(i * part) - System.Diagnostics.Stopwatch.GetElapsedTime(began);
            if (wait > TimeSpan.Zero)
            {
                Thread.Sleep(wait);
            }

            Console.Error.WriteLine($"bench: {Guests[i].Guest} begins to {(receives ? "receive" : "send")}");
            string[] command =
            [
                "iperf3", "-c", nk.Outside.Ipv4, "-p", Text.Invariant($"{FirstPort + i}"), "-t", Text.Invariant($"{4 * part}"), "-J", .. receives ? (string[])["-R"] : [],
            ];
            clients[i] = nk.Start(Guests[i].Guest, command);
        }

        var series = new RateSeries[Guests.Length];
        for (int i = 0; i < Guests.Length; i++)
        {
            CommandResult client = clients[i].Wait(TimeSpan.FromSeconds((6 * part) + 30));
            CommandResult server = servers[i].Wait(TimeSpan.FromSeconds(10));
            Demand(client);
            Demand(server);
            series[i] = new RateSeries(Guests[i].Guest, Guests[i].Cap, i * part, PerSecond(receives ? client.Output : server.Output));
        }

        return series;
    }

    /// <summary>Means of the seconds in which all three ran, without the first and last of them.</summary>
    private static bool Print(bool receives, RateSeries[] all)
    {
        int from = all.Max(series => series.Begin) + 1, to = all.Min(series => series.Begin + series.Rates.Length) - 1;
        Console.Out.WriteLine(Text.Invariant($"\n{(receives ? "Receiving" : "Sending")}, all three at once (seconds {from} to {to}):\n"));
        Console.Out.WriteLine("| guest | cap | mean | least and most of a second | off the cap | held within 5% |\n|---|---|---|---|---|---|");
        bool held = true;
        foreach (RateSeries series in all)
        {
            double[] together = [.. series.Rates.Skip(from - series.Begin).Take(to - from)];
            if (together.Length == 0)
            {
                throw new RunFailure("the runs do not overlap: more --seconds");
            }

            double mean = together.Average(), off = (mean / series.Cap) - 1;
            bool ok = series.Cap == 0 || Math.Abs(off) <= Tolerance;
            held &= ok;
            Console.Out.WriteLine(
                $"| {series.Name} | {(series.Cap == 0 ? "none" : Text.Bits(series.Cap))} | {Text.Bits(mean)} | {Text.Bits(together.Min())} to {Text.Bits(together.Max())} | "
                + (series.Cap == 0 ? "| |" : Text.Invariant($"{off * 100:+0.0;-0.0} % | {(ok ? "yes" : "no")} |")));
        }

        return held;
    }

    /// <summary>Bits per second of each second that iperf3 reports; a rest at the end that is shorter than half a second is left out.</summary>
    internal static double[] PerSecond(string report)
    {
        try
        {
            using JsonDocument json = JsonDocument.Parse(report);
            return [.. json.RootElement.GetProperty("intervals").EnumerateArray().Select(interval => interval.GetProperty("sum"))
                .Where(sum => sum.GetProperty("seconds").GetDouble() >= 0.5).Select(sum => sum.GetProperty("bits_per_second").GetDouble())];
        }
        catch (Exception e) when (e is JsonException or KeyNotFoundException or InvalidOperationException)
        {
            throw new RunFailure("iperf3 gave no report");
        }
    }

    private static void Demand(CommandResult result)
    {
        if (!result.Succeeded)
        {
            throw new RunFailure(result.ToString());
        }
    }
}

/// <summary>What one guest moved: bits per second, one value a second from <paramref name="Begin"/> on. Cap 0: none.</summary>
internal sealed record RateSeries(string Name, double Cap, int Begin, double[] Rates);
