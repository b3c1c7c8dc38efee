using NetKernel.Api;
using NetKernel.Api.V1;
using NetKernel.Cli.Run;

namespace NetKernel.Cli.Commands;

/// <summary>nk run.</summary>
internal static class RunProgram
{
    public static int Run(string directory, Guest wanted, bool allowUncovered, bool carryLoopback, string[] words)
    {
        if (words.Length == 0)
        {
            throw CliException.Usage("which program? nk run --guest NAME -- PROGRAM [ARGS...]");
        }

        if (Names.Problem("guest", wanted.Name) is { } problem)
        {
            throw CliException.Usage(problem);
        }

        string path = ProgramSearch.Resolve(words[0], ProgramSearch.SearchPath);
        ProgramFile file = ProgramFile.Examine(path, ProgramSearch.SearchPath);
        if (!file.Covered && !allowUncovered)
        {
            throw new CliException(
                ExitCode.CannotRun, $"{path} cannot use NetKernel: {file.Problem}; --allow-uncovered runs it anyway, without any network");
        }

        Guest info;
        using (var client = new NkdClient(directory))
        {
            if (carryLoopback && client.Status().Mode != "private")
            {
                throw CliException.Failure("--loopback netkernel is for tests, on an instance of their own (nk up --mode private): elsewhere 127.0.0.1 is the guest's own");
            }

            info = client.CreateGuest(wanted, mustBeNew: false);
        }

        if (info.State == GuestState.Detached)
        {
            throw CliException.Failure($"guest {info.Name} was detached ({info.Reason}): `nk guest delete --force {info.Name}`, then run again");
        }

        if (!file.Covered)
        {
            Console.Error.WriteLine($"nk: {path} runs without network: {file.Problem}");
        }

        Launcher.Become(info, path, words, file.Covered, carryLoopback);
        return ExitCode.Failure;
    }
}
