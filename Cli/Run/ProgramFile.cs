using System.Buffers.Binary;
using System.Runtime.InteropServices;
using System.Text;

namespace NetKernel.Cli.Run;

/// <summary>What a program file is, as far as it decides whether the guest library can be loaded into it.</summary>
internal sealed record ProgramFile(string Path, string? Problem)
{
    private const int MaxScripts = 4;
    private const ushort MachineX64 = 62;

    public bool Covered => Problem is null;

    /// <summary>Looks into the file and, for scripts, into the interpreter. Never throws for what the file contains.</summary>
    public static ProgramFile Examine(string path, string searchPath) => Examine(path, searchPath, 0);

    private static ProgramFile Examine(string path, string searchPath, int depth)
    {
        byte[] head;
        try
        {
            using FileStream stream = new(path, FileMode.Open, FileAccess.Read, FileShare.ReadWrite | FileShare.Delete);
            head = new byte[(int)Math.Min(stream.Length, 64 * 1024)];
            stream.ReadExactly(head);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return new ProgramFile(path, "it cannot be read, so it cannot be told whether it is dynamically linked");
        }

        if (head.AsSpan().StartsWith("#!"u8))
        {
            return depth >= MaxScripts ? new ProgramFile(path, "its interpreters are nested too deeply") : Script(path, head, searchPath, depth);
        }

        return new ProgramFile(path, Privileged(path) ?? Elf(path, head));
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

    private static string? Elf(string path, ReadOnlySpan<byte> head)
    {
        if (head.Length < 64 || !head.StartsWith("\x7f"u8) || !head[1..].StartsWith("ELF"u8))
        {
            return "it is neither an ELF program nor a script with #!";
        }

        ushort machine = BinaryPrimitives.ReadUInt16LittleEndian(head[18..]);
        if (head[4] != 2 || head[5] != 1 || machine != MachineX64)
        {
            return $"it is built for another architecture ({Machine(head[4], machine)}); the guest library is for x86-64";
        }

        ulong table = BinaryPrimitives.ReadUInt64LittleEndian(head[32..]);
        int size = BinaryPrimitives.ReadUInt16LittleEndian(head[54..]);
        int count = BinaryPrimitives.ReadUInt16LittleEndian(head[56..]);
        string? interpreter = null;
        bool go = false;
        for (int i = 0; i < count; i++)
        {
            ulong at = table + (ulong)(i * size);
            if (size < 56 || at + 56 > (ulong)head.Length)
            {
                break;
            }

            ReadOnlySpan<byte> header = head[(int)at..];
            uint type = BinaryPrimitives.ReadUInt32LittleEndian(header);
            ulong offset = BinaryPrimitives.ReadUInt64LittleEndian(header[8..]);
            ulong length = BinaryPrimitives.ReadUInt64LittleEndian(header[32..]);
            if (offset >= (ulong)head.Length || length > (ulong)head.Length - offset)
            {
                continue;
            }

            ReadOnlySpan<byte> content = head.Slice((int)offset, (int)length);
            switch (type)
            {
                case 3: // PT_INTERP
                    interpreter = Encoding.UTF8.GetString(content).TrimEnd('\0');
                    break;
                case 4: // PT_NOTE: the Go linker's build id has the owner "Go"
                    go |= content.Length > 16 && content[12..].StartsWith("Go\0\0"u8);
                    break;
            }
        }

        string name = System.IO.Path.GetFileName(path);
        return go ? "it is a Go program: those call the kernel directly and load no library"
            : interpreter is null
            ? name.StartsWith("ld-linux", StringComparison.Ordinal) ? null : "it is statically linked: no library can be loaded into it"
            : interpreter.Contains("ld-musl", StringComparison.Ordinal) ? "it is linked against musl; the guest library needs glibc" : null;
    }

    private static string? Privileged(string path)
    {
        UnixFileMode mode = File.GetUnixFileMode(path);
        return (mode & UnixFileMode.SetUser) != 0 ? "it is set-user-ID: the loader ignores preloaded libraries there"
            : (mode & UnixFileMode.SetGroup) != 0 ? "it is set-group-ID: the loader ignores preloaded libraries there"
            : GetXattr(path, "security.capability", IntPtr.Zero, 0) > 0 ? "it has file capabilities: the loader ignores preloaded libraries there"
            : null;
    }

    private static string Machine(byte wordSize, ushort machine) => machine switch
    {
        3 => "32-bit x86",
        MachineX64 when wordSize == 1 => "x32",
        40 => "32-bit ARM",
        183 => "ARM64",
        243 => "RISC-V",
        21 => "PowerPC64",
        22 => "S/390",
        _ => $"ELF machine {machine}",
    };

    [DllImport("libc", EntryPoint = "getxattr", SetLastError = true)]
    private static extern nint GetXattr(
        [MarshalAs(UnmanagedType.LPUTF8Str)] string path, [MarshalAs(UnmanagedType.LPUTF8Str)] string name, nint value, nuint size);
}
