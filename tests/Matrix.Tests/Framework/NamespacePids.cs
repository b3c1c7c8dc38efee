using System.Globalization;
using System.Runtime.InteropServices;

namespace NetKernel.Matrix.Tests.Framework;

/// <summary>Finds the processes of a network namespace, also those that have become daemons.</summary>
internal static unsafe class NamespacePids
{
    private const uint MaskInode = 0x100;
    private const int InodeOffset = 32, StatxSize = 256, CurrentFolder = -100;

    /// <summary>The processes in a namespace that has a name; zombies are in none any more.</summary>
    public static IEnumerable<int> In(string name)
    {
        string target = $"net:[{Inode($"/run/netns/{name}")}]";
        return Directory.EnumerateDirectories("/proc")
            .Select(folder => int.TryParse(Path.GetFileName(folder), CultureInfo.InvariantCulture, out int pid) ? pid : 0)
            .Where(pid => pid != 0 && Link(pid) == target);
    }

    /// <summary>A process's command line, for messages.</summary>
    public static string CommandLine(int pid)
    {
        try
        {
            return File.ReadAllText($"/proc/{pid}/cmdline").Replace('\0', ' ');
        }
        catch (IOException)
        {
            return "(gone)";
        }
    }

    private static string? Link(int pid)
    {
        try
        {
            return new FileInfo($"/proc/{pid}/ns/net").LinkTarget;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return null;
        }
    }

    // statx(2): the inode number lies at offset 32 of the structure on every architecture.
    private static ulong Inode(string path)
    {
        byte* buffer = stackalloc byte[StatxSize];
        return Statx(CurrentFolder, path, 0, MaskInode, buffer) == 0 ? *(ulong*)(buffer + InodeOffset) : throw new FileNotFoundException(path);
    }

    [DllImport("libc", EntryPoint = "statx", CharSet = CharSet.Ansi)]
    private static extern int Statx(int folder, string path, int flags, uint mask, byte* buffer);
}
