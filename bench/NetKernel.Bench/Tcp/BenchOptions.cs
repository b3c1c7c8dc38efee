using System.Globalization;

namespace NetKernel.Bench.Tcp;

/// <summary>The command line is wrong; the message says how.</summary>
internal sealed class UsageException(string message) : Exception(message);

/// <summary>What bench tcp was asked to do.</summary>
internal sealed record BenchOptions(int Runs, int Seconds, int Guests, string[] Parts, string? OutFile)
{
    /// <summary>Everything that can be measured, in order.</summary>
    public static readonly string[] AllParts = ["streams", "rtt", "short", "nginx", "redis", "idle"];

    public const string Help = """
        bench tcp [--runs 5] [--seconds 1] [--only PARTS] [--guests 100] [--out FILE]
        bench idle [--guests 100] [--out FILE]

        TCP through NetKernel beside the same programs natively over veth and bridge, alternating in one run.
          --runs N      runs of each case and side; the median and the spread are printed
          --seconds N   length of a run (idle: always 10)
          --only PARTS  of streams,rtt,short,nginx,redis,idle, separated by commas
          --guests N    idle guests
          --out FILE    also write the tables into FILE, between the markers there; other text of FILE stays
        """;

    public static BenchOptions Parse(string[] arguments)
    {
        var options = new BenchOptions(5, 1, 100, AllParts, null);
        for (int i = 0; i < arguments.Length; i += 2)
        {
            if (i + 1 == arguments.Length)
            {
                throw new UsageException($"what is {arguments[i]}? bench tcp --help lists the options, each takes a value");
            }

            string value = arguments[i + 1];
            options = arguments[i] switch
            {
                "--runs" => options with { Runs = Number(value, 100) },
                "--seconds" => options with { Seconds = Number(value, 60) },
                "--guests" => options with { Guests = Number(value, 1000) },
                "--only" => options with { Parts = PartsOf(value) },
                "--out" => options with { OutFile = Path.GetFullPath(value) },
                _ => throw new UsageException($"there is no option {arguments[i]}: bench tcp --help lists them"),
            };
        }

        return options;
    }

    private static int Number(string text, int most) =>
        int.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out int number) && number >= 1 && number <= most
            ? number
            : throw new UsageException($"{text} is not a number from 1 to {most}");

    private static string[] PartsOf(string text)
    {
        string[] parts = text.Split(',', StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries);
        return parts.Length > 0 && parts.Except(AllParts).FirstOrDefault() is not { } wrong
            ? [.. AllParts.Where(parts.Contains)]
            : throw new UsageException($"--only takes some of {string.Join(',', AllParts)}, not '{text}'");
    }
}
