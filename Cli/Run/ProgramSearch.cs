using System.Runtime.InteropServices;

namespace NetKernel.Cli.Run;

/// <summary>Where a program is, by the rules of execvp(3).</summary>
internal static class ProgramSearch
{
    /// <summary>What execvp takes when PATH is not set, with the folders of servers.</summary>
    public const string DefaultPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

    private const int Executable = 1;

    public static string SearchPath => Environment.GetEnvironmentVariable("PATH") is { Length: > 0 } path ? path : DefaultPath;

    /// <summary>The first executable file of that name, or null.</summary>
    public static string? Find(string name, string searchPath) =>
        name.Contains('/') ? (IsProgram(name) ? name : null)
        : searchPath.Split(':').Select(folder => Path.Combine(folder.Length == 0 ? "." : folder, name)).FirstOrDefault(IsProgram);

    /// <summary>Finds a program or fails with what to do.</summary>
    public static string Resolve(string name, string searchPath)
    {
        if (name.Length == 0)
        {
            throw CliException.Usage("the program's name is empty: nk run --guest NAME -- PROGRAM [ARGS]");
        }

        if (Find(name, searchPath) is { } found)
        {
            return found;
        }

        string? there = name.Contains('/') ? name : searchPath.Split(':').Select(folder => Path.Combine(folder, name)).FirstOrDefault(File.Exists);
        throw there is not null && Directory.Exists(there) ? new CliException(ExitCode.CannotRun, $"{there} is a directory, not a program")
            : there is not null && File.Exists(there) ? new CliException(ExitCode.CannotRun, $"{there} is not executable: chmod +x {there}")
            : new CliException(
                ExitCode.NotFound, name.Contains('/') ? $"there is no program {name}" : $"there is no program {name} in PATH: install it, or give its full path");
    }

    private static bool IsProgram(string path) => File.Exists(path) && Access(path, Executable) == 0;

    [DllImport("libc", EntryPoint = "access", SetLastError = true)]
    private static extern int Access([MarshalAs(UnmanagedType.LPUTF8Str)] string path, int mode);
}
