using System.Runtime.InteropServices;
using System.Text;
using NetKernel.Channel.Host;

namespace NetKernel.Cli.Run;

/// <summary>What a program file is, as far as it decides whether the guest library can be loaded into it.</summary>
internal sealed record ProgramFile(string Path, string? Problem)
{
    private const int MaxScripts = 4;

    public bool Covered => Problem is null;

    /// <summary>Looks into the file and, for scripts, into the interpreter. Never throws for what the file contains.</summary>
    public static ProgramFile Examine(string path, string searchPath) => Examine(path, searchPath, 0);

    private static ProgramFile Examine(string path, string searchPath, int depth)
    {
        byte[] head;
        try
        {
            head = ElfProgram.ReadHead(path);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return new ProgramFile(path, "it cannot be read, so it cannot be told whether it is dynamically linked");
        }

        if (head.AsSpan().StartsWith("#!"u8))
        {
            return depth >= MaxScripts ? new ProgramFile(path, "its interpreters are nested too deeply") : Script(path, head, searchPath, depth);
        }

        return new ProgramFile(path, Privileged(path) ?? ElfProgram.Problem(System.IO.Path.GetFileName(path), head));
    }

    private static ProgramFile Script(string path, byte[] head, string searchPath, int depth)
    {
        int end = head.AsSpan().IndexOf((byte)'\n');
        string[] words = Encoding.UTF8.GetString(head, 2, (end < 0 ? head.Length : end) - 2).Trim().Split([' ', '\t'], StringSplitOptions.RemoveEmptyEntries);
        if (words.Length == 0)
        {
            return new ProgramFile(path, "its #! line names no interpreter");
        }

        string interpreter = words[0];
        if (System.IO.Path.GetFileName(interpreter) == "env" && words.Skip(1).FirstOrDefault(word => word[0] != '-' && !word.Contains('=')) is { } named)
        {
            interpreter = ProgramSearch.Find(named, searchPath) ?? named;
        }

        if (!File.Exists(interpreter))
        {
            return new ProgramFile(path, $"its interpreter {interpreter} does not exist");
        }

        ProgramFile found = Examine(interpreter, searchPath, depth + 1);
        return found.Problem is null ? found : new ProgramFile(path, $"its interpreter {interpreter}: {found.Problem}");
    }

    private static string? Privileged(string path)
    {
        UnixFileMode mode = File.GetUnixFileMode(path);
        return (mode & UnixFileMode.SetUser) != 0 ? "it is set-user-ID: the loader ignores preloaded libraries there"
            : (mode & UnixFileMode.SetGroup) != 0 ? "it is set-group-ID: the loader ignores preloaded libraries there"
            : GetXattr(path, "security.capability", IntPtr.Zero, 0) > 0 ? "it has file capabilities: the loader ignores preloaded libraries there"
            : null;
    }

    [DllImport("libc", EntryPoint = "getxattr", SetLastError = true)]
    private static extern nint GetXattr(
        [MarshalAs(UnmanagedType.LPUTF8Str)] string path, [MarshalAs(UnmanagedType.LPUTF8Str)] string name, nint value, nuint size);
}
