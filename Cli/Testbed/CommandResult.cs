namespace NetKernel.Cli.Testbed;

/// <summary>How a program ended, and what it wrote.</summary>
public sealed record CommandResult(int ExitCode, string Output, string Error, bool TimedOut)
{
    /// <summary>Exit code 0 in time.</summary>
    public bool Succeeded => ExitCode == 0 && !TimedOut;

    /// <summary>The last lines of both outputs, for a message.</summary>
    public string Tail(int lines = 8)
    {
        string[] all = (Output + "\n" + Error).Split('\n', StringSplitOptions.RemoveEmptyEntries);
        return string.Join('\n', all.TakeLast(lines));
    }

    /// <inheritdoc/>
    public override string ToString() => $"exit code {ExitCode}{(TimedOut ? " (timed out)" : "")}\n{Tail(20)}";
}
