using System.Buffers.Binary;
using System.Globalization;
using NetKernel.Channel.Host;

namespace NetKernel.ControlPlane.Guests;

/// <summary>
/// Why a process in a guest's namespace is not covered by the guest library, from what /proc says about it. Started by a program of the guest, it came past
/// <c>nk run</c>, which would have refused it. It has no network but lo, and an operator must be able to see why.
/// </summary>
internal static class Coverage
{
    private const ulong SecureExecution = 23; // AT_SECURE, getauxval(3)

    /// <summary>Null: it is covered. Throws IOException or UnauthorizedAccessException when the process is gone, or not to be seen.</summary>
    /// <param name="folder">The process's folder: /proc/PID.</param>
    /// <param name="library">Path of the guest library.</param>
    public static string? Problem(string folder, string library)
    {
        string name = Path.GetFileName(library);
        bool loaded = File.ReadAllText(Path.Combine(folder, "maps")).Contains(name, StringComparison.Ordinal);
        string? own = Program(folder);
        if (own is not null)
        {
            return own; // Go programs may have the library, and call the kernel past it all the same
        }

        string[] variables = File.ReadAllText(Path.Combine(folder, "environ")).Split('\0');
        if (variables.Contains("NETKERNEL_ATTACH="))
        {
            return "it was started with NETKERNEL_ATTACH empty, which asks for that";
        }

        if (loaded)
        {
            return null;
        }

        return IsSecure(folder) ? "it was executed with other rights than its caller's (set-user-ID, set-group-ID or file capabilities): the loader ignores preloaded libraries there"
            : !variables.Any(variable => variable.StartsWith("LD_PRELOAD=", StringComparison.Ordinal) && variable.Contains(name, StringComparison.Ordinal))
            ? $"its environment has no LD_PRELOAD with {name}: {Starter(folder)} removed it"
            : Path.Exists(Path.Combine(folder, "root" + library)) ? $"the loader could not load {library}: its standard error says why"
            : $"its root folder has no {library}: the loader could not find it";
    }

    private static string? Program(string folder)
    {
        string path = Path.Combine(folder, "exe");
        string? target = File.ResolveLinkTarget(path, returnFinalTarget: false)?.FullName;
        return ElfProgram.Problem(Path.GetFileName(target) ?? "", ElfProgram.ReadHead(path));
    }

    // The auxiliary vector: pairs of words, as the kernel gave them to the loader.
    private static bool IsSecure(string folder)
    {
        byte[] pairs = File.ReadAllBytes(Path.Combine(folder, "auxv"));
        for (int at = 0; at + 16 <= pairs.Length; at += 16)
        {
            if (BinaryPrimitives.ReadUInt64LittleEndian(pairs.AsSpan(at)) == SecureExecution)
            {
                return BinaryPrimitives.ReadUInt64LittleEndian(pairs.AsSpan(at + 8)) != 0;
            }
        }

        return false;
    }

    private static string Starter(string folder)
    {
        string stat = File.ReadAllText(Path.Combine(folder, "stat"));
        string parent = stat[(stat.LastIndexOf(')') + 2)..].Split(' ')[1];
        string comm = Path.Combine(Path.GetDirectoryName(folder)!, parent, "comm");
        return File.Exists(comm) ? string.Create(CultureInfo.InvariantCulture, $"it or its parent {File.ReadAllText(comm).TrimEnd('\n')}({parent})") : "it or its parent";
    }
}
