using NetKernel.Cli.Testbed;

namespace NetKernel.Bench.Tcp;

/// <summary>Runs a case's client to its end.</summary>
internal static class ClientRun
{
    // The shell's time knows the CPU of a client that has ended; timeout ends one that hangs.
    private const string Shell = "TIMEFORMAT='nkcpu %3U %3S'; time timeout -k 1 \"$0\" \"$@\"";

    /// <summary>What it printed; it runs where <paramref name="run"/> runs commands.</summary>
    /// <exception cref="RunFailure">It failed, or hangs.</exception>
    public static CommandResult Of(BenchCase bench, string host, int runSeconds, Func<TimeSpan, string[], CommandResult> run)
    {
        int seconds = runSeconds + 15;
        CommandResult result = run(TimeSpan.FromSeconds(seconds + 5), ["bash", "-c", Shell, Text.Invariant($"{seconds}"), .. bench.Client(host)]);
        string program = bench.Client("")[0];
        return result.TimedOut || result.ExitCode is 124 or 137 ? throw new RunFailure($"{program} did not end within {seconds} s")
            : result.ExitCode != 0 ? throw new RunFailure($"{program} ended with exit code {result.ExitCode}: {Last(result)}")
            : result;
    }

    private static string Last(CommandResult result)
    {
        // iperf3 -J says what went wrong inside its report.
        string? inside = result.Output.Split('\n').FirstOrDefault(line => line.Contains("\"error\":", StringComparison.Ordinal));
        return (inside ?? result.Tail().Split('\n').LastOrDefault(line => !line.StartsWith("nkcpu", StringComparison.Ordinal)) ?? "no output").Trim();
    }
}
