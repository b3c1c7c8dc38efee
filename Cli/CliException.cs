namespace NetKernel.Cli;

/// <summary>The exit codes that scripts may rely on; docs/cli.md lists them.</summary>
internal static class ExitCode
{
    public const int Success = 0;

    /// <summary>It could not be done; standard error says why.</summary>
    public const int Failure = 1;

    /// <summary>The command line is wrong.</summary>
    public const int Usage = 2;

    /// <summary>nk run: the program cannot be run, or not be covered.</summary>
    public const int CannotRun = 126;

    /// <summary>nk run: there is no such program.</summary>
    public const int NotFound = 127;

    /// <summary>For the manual.</summary>
    public static readonly (int Code, string Meaning)[] Meanings =
    [
        (Success, "success"), (Failure, "it could not be done; standard error says why"), (Usage, "the command line is wrong"),
        (CannotRun, "nk run: the program cannot be run, or not be covered"), (NotFound, "nk run: there is no such program"),
    ];
}

/// <summary>One line for standard error, and the exit code.</summary>
internal sealed class CliException(int code, string message) : Exception(message)
{
    public int Code { get; } = code;

    public static CliException Usage(string message) => new(ExitCode.Usage, message);

    public static CliException Failure(string message) => new(ExitCode.Failure, message);
}
